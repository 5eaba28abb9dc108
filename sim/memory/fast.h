// The fast model: what LiteDRAM's controller does to one port, without its signals.
//
// One bank works at a time. Its commands wait in a queue; the one at the head opens its row if need be (precharge,
// activate) and reads or writes, one beat a cycle. A row is closed early if the command behind the head wants another.
// Between reads and writes the bus turns round, and every tREFI all banks are closed and refreshed.

#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "memory.h"
#include "timing.h"
#include "write_queue.h"

namespace weft {

class Fast final : public Memory {
public:
    explicit Fast(const Timing& timing)
        : t_(timing),
          column_bits_(power(timing.row_beats)),
          bank_bits_(power(timing.banks)),
          banks_(timing.banks),
          contents_(static_cast<uint8_t*>(std::calloc(timing.size(), 1))),
          refresh_due_(timing.refresh_interval + 1 - WARM_UP) {
        if (!contents_) complain("there is no room for the contents of the memory");
        if (timing.beat_bytes > MOST_BEAT_BYTES || timing.read_latency >= DEPTH || timing.queue > DEPTH ||
            timing.refresh_interval < WARM_UP)
            complain("the parameters of the memory are beyond what the model is made for");
    }

    const Answer& settle(const Ask& ask) override {
        ask_ = ask;
        answer_.data_taken = ask.data_offered && writes_.room();
        answer_.command_taken = ask.command && accepts(ask);
        answer_.data_comes = first_read_ != last_read_ && reads_[first_read_ % DEPTH].due == now_;
        if (answer_.data_comes) answer_.data = reads_[first_read_ % DEPTH].data;
        return answer_;
    }

    void tick() override {
        if (answer_.data_comes) ++first_read_;
        if (freed_ != issued_ && due_[freed_ % WriteQueue::DEPTH] == now_) {
            writes_.pop();
            ++freed_;
        }
        const Request request = wanted();
        const bool granted = grant(request);
        const bool served = granted && request != ROW;
        if (served) column(request);
        step_bank(request, granted);
        step_bus(request);
        step_queue(served);
        ++now_;
    }

    void poke(uint64_t address, const void* from, size_t bytes) override {
        std::memcpy(contents_.get() + address, from, bytes);
    }
    void peek(uint64_t address, void* to, size_t bytes) const override {
        std::memcpy(to, contents_.get() + address, bytes);
    }
    bool idle() const override { return !busy() && first_read_ == last_read_ && writes_.empty(); }
    size_t beat_bytes() const override { return t_.beat_bytes; }
    uint64_t size() const override { return t_.size(); }

private:
    static constexpr uint32_t DEPTH = 64;  // of rings: more than the answers under way, and the commands that wait
    static constexpr uint32_t CLOSED = UINT32_MAX;

    enum Request { NOTHING, ROW, COLUMN_READ, COLUMN_WRITE };  // what the working bank wants of the bus
    enum BankState { REGULAR, PRECHARGE, AUTO_PRECHARGE, ACTIVATE, REFRESH };
    enum BusState { READING, WRITING, TO_WRITE, TO_READ, REFRESHING };

    struct Bank {
        uint32_t row = CLOSED;
        uint64_t may_activate = 0, may_precharge = 0;  // first cycle
    };
    struct Command {
        uint32_t address = 0, row = 0;
        bool write = false;
    };
    struct Read {
        uint64_t due = 0;
        Beat data;
    };
    struct Free {
        void operator()(uint8_t* memory) const { std::free(memory); }
    };

    static uint32_t power(uint32_t number) {
        uint32_t bits = 0;
        while (number >> bits > 1) ++bits;
        if (number != 1u << bits) complain("the banks and rows of a memory are powers of two");
        return bits;
    }

    uint32_t bank_of(uint32_t address) const { return address >> column_bits_ & (t_.banks - 1); }
    uint32_t row_of(uint32_t address) const { return address >> column_bits_ >> bank_bits_; }
    bool busy() const { return has_head_ || waiting() != 0; }
    uint32_t waiting() const { return pushed_ - popped_; }
    bool refresh_wanted() const { return now_ >= refresh_due_ && now_ != refresh_end_; }

    bool accepts(const Ask& ask) const {
        if (waiting() == t_.queue) return false;
        if (busy() && bank_of(ask.address) != at_) return false;
        return !ask.write || writes_.covers(ask.data_offered);
    }

    Request wanted() const {
        if (now_ < wake_) return NOTHING;
        const Bank& bank = banks_[at_];
        switch (state_) {
            case REGULAR:
                if (!has_head_ || bank.row != head_.row || refresh_wanted()) return NOTHING;
                return head_.write ? COLUMN_WRITE : COLUMN_READ;
            case PRECHARGE: return now_ >= bank.may_precharge ? ROW : NOTHING;
            case ACTIVATE: return now_ >= bank.may_activate ? ROW : NOTHING;
            default: return NOTHING;
        }
    }

    // Whether the bus serves the request in this cycle. A bank that was not served last waits a cycle for its turn.
    bool grant(Request request) {
        const bool moving = bus_ == READING || bus_ == WRITING;
        bool granted = false;
        if (request == ROW) {
            granted = moving && row_turn_ == at_;
            row_turn_ = at_;
            if (!moving) column_turn_ = at_;
        } else if ((request == COLUMN_READ && bus_ == READING) || (request == COLUMN_WRITE && bus_ == WRITING)) {
            granted = column_turn_ == at_;
            column_turn_ = at_;
        }
        return granted;
    }

    void column(Request request) {
        uint8_t* const place = contents_.get() + uint64_t{head_.address} * t_.beat_bytes;
        if (request == COLUMN_READ) {
            Read& read = reads_[last_read_++ % DEPTH];
            read.due = now_ + t_.read_latency;
            std::memcpy(read.data.bytes, place, t_.beat_bytes);
        } else {
            std::memcpy(place, writes_.beat(issued_ - freed_).bytes, t_.beat_bytes);
            due_[issued_++ % WriteQueue::DEPTH] = now_ + t_.write_latency;
            may_read_ = now_ + t_.write_to_read;
            written_ = now_ + t_.write_to_precharge;
            banks_[at_].may_precharge = std::max(banks_[at_].may_precharge, written_);
        }
    }

    void step_bank(Request request, bool granted) {
        if (now_ < wake_) return;
        Bank& bank = banks_[at_];
        switch (state_) {
            case REGULAR: regular(bank, granted); break;
            case PRECHARGE:
                bank.row = CLOSED;
                if (granted) sleep(ACTIVATE, t_.precharge);
                break;
            case AUTO_PRECHARGE:
                bank.row = CLOSED;
                if (now_ >= bank.may_precharge) sleep(ACTIVATE, t_.precharge);
                break;
            case ACTIVATE:
                if (request == NOTHING || !granted) break;
                bank.row = head_.row;
                bank.may_activate = now_ + t_.row_cycle;
                bank.may_precharge = now_ + t_.row_open;
                sleep(REGULAR, t_.activate);
                break;
            case REFRESH:
                for (Bank& each : banks_) each.row = CLOSED;
                if (!refresh_wanted()) state_ = REGULAR;
                break;
        }
    }

    void regular(const Bank& bank, bool granted) {
        if (refresh_wanted()) {
            state_ = REFRESH;
        } else if (has_head_ && bank.row == CLOSED) {
            state_ = ACTIVATE;
        } else if (has_head_ && bank.row != head_.row) {
            state_ = PRECHARGE;
        } else if (granted && waiting() != 0 && queue_[popped_ % DEPTH].row != head_.row) {
            state_ = AUTO_PRECHARGE;
        }
    }

    void sleep(BankState next, uint32_t cycles) {
        state_ = next;
        wake_ = now_ + cycles;
    }

    void step_bus(Request request) {
        const bool refreshes = bank_refreshes_ && now_ >= written_;
        switch (bus_) {
            case READING:
                if (request == COLUMN_WRITE) turn(TO_WRITE, t_.read_to_write);
                if (refreshes) refresh();
                break;
            case WRITING:
                if (request == COLUMN_READ) turn(TO_READ, 1);
                if (refreshes) refresh();
                break;
            case TO_WRITE:
                if (now_ + 1 >= turned_) bus_ = WRITING;
                break;
            case TO_READ:
                if (now_ >= may_read_) bus_ = READING;
                break;
            case REFRESHING:
                if (now_ == refresh_end_) {
                    bus_ = READING;
                    refresh_due_ += t_.refresh_interval;
                }
                break;
        }
        bank_refreshes_ = state_ == REFRESH;
    }

    void turn(BusState next, uint32_t cycles) {
        bus_ = next;
        turned_ = now_ + cycles;
    }

    void refresh() {
        bus_ = REFRESHING;
        refresh_end_ = now_ + 1 + t_.refresh;
    }

    // The head leaves when it was served; the next in the queue takes its place; what was asked for joins the queue.
    void step_queue(bool served) {
        if (served) has_head_ = false;
        if (!has_head_ && waiting() != 0) {
            head_ = queue_[popped_++ % DEPTH];
            has_head_ = true;
        }
        if (answer_.data_taken) writes_.push(ask_.data);
        if (!answer_.command_taken) return;
        check_address(ask_.address, t_.beat_bytes, t_.size());
        at_ = bank_of(ask_.address);
        queue_[pushed_++ % DEPTH] = {ask_.address, row_of(ask_.address), ask_.write};
        if (ask_.write) writes_.command();
    }

    const Timing t_;
    const uint32_t column_bits_, bank_bits_;
    std::vector<Bank> banks_;
    std::unique_ptr<uint8_t, Free> contents_;

    Ask ask_;
    Answer answer_;
    uint64_t now_ = 0;

    uint32_t at_ = 0;  // the bank that works
    BankState state_ = REGULAR;
    uint64_t wake_ = 0;  // the bank's state does nothing before
    Command head_;
    bool has_head_ = false;
    Command queue_[DEPTH];
    uint32_t pushed_ = 0, popped_ = 0;  // into and out of the queue, so far

    BusState bus_ = READING;
    uint32_t row_turn_ = 0, column_turn_ = 0;  // the bank served last
    uint64_t turned_ = 0, may_read_ = 0, written_ = 0;
    uint64_t refresh_due_, refresh_end_ = 0;
    bool bank_refreshes_ = false;

    Read reads_[DEPTH];  // answers under way
    uint32_t first_read_ = 0, last_read_ = 0;
    WriteQueue writes_;
    uint64_t due_[WriteQueue::DEPTH] = {};  // when the beat of a write leaves the queue
    uint32_t issued_ = 0, freed_ = 0;       // writes, so far
};

}  // namespace weft
