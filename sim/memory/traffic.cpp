// Drives a memory with a trace (trace.h), compares every beat that it reads, and tells how long it took.
//
//   sim <memory> <bytes of a beat> <file of the trace> <credit> <beats> <pause> <seed>
//
// At most <credit> beats are asked for and not yet used. The consumer uses a beat a cycle and rests for <pause> cycles
// after every <beats> of them (0: never). With a <seed> above 0 commands and write data are held back at random, so
// that the data of a write is offered before, with or after its command. What was measured is written as JSON.

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <string>

#include "contents.h"
#include "open.h"
#include "trace.h"

namespace {

using weft::Answer;
using weft::Ask;
using weft::Beat;
using weft::mixed;
using weft::Segment;

constexpr uint64_t STUCK = 100'000;  // cycles without a transfer

struct Consumer {
    uint64_t credit, beats, pause, seed;
};

// The side of the core.
class Driver {
public:
    Driver(weft::Memory& memory, const weft::Trace& trace, const Consumer& consumer)
        : memory_{memory}, contents_{memory, trace}, consumer_{consumer} {
        for (const Segment& segment : trace.segments) {
            segments_.push_back(segment);
            if (segment.kind == weft::WRITE) writes_ += segment.count;
        }
    }

    void run() {
        const auto began = std::chrono::steady_clock::now();
        while (!segments_.empty() || used_ != reads_ || data_ != writes_ || !memory_.idle()) {
            cycle();
            if (++quiet_ > STUCK) weft::complain("the memory did nothing for " + std::to_string(STUCK) + " cycles");
        }
        seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
        different_ = contents_.differences();
    }

    void report() const {
        std::printf("{\"cycles\": %" PRIu64 ", \"reads\": %" PRIu64 ", \"writes\": %" PRIu64, last_ + 1, reads_, data_);
        std::printf(", \"mismatches\": %" PRIu64 ", \"first_mismatch\": %" PRId64, mismatches_, first_mismatch_);
        std::printf(", \"different\": %" PRIu64 ", \"events\": \"%016" PRIx64 "\"", different_, events_);
        std::printf(", \"seconds\": %.6f, \"gaps\": {", seconds_);
        const char* between = "";
        for (const auto& [gap, count] : gaps_) {
            std::printf("%s\"%" PRIu64 "\": %" PRIu64, between, gap, count);
            between = ", ";
        }
        std::printf("}}\n");
    }

private:
    void cycle() {
        use();
        while (waits() && used_ == reads_ && rest()) segments_.pop_front();
        const Ask ask = question();
        const Answer& answer = memory_.settle(ask);
        if (answer.command_taken) command(ask);
        if (answer.data_taken) ++data_;
        if (answer.data_comes) compare(answer.data);
        if (answer.command_taken || answer.data_taken || answer.data_comes) happened(answer);
        memory_.tick();
        ++now_;
    }

    bool waits() const { return !segments_.empty() && segments_.front().kind == weft::WAIT; }

    // Cycles of a WAIT go by; whether they are over.
    bool rest() {
        if (waited_ == segments_.front().count) {
            waited_ = 0;
            return true;
        }
        ++waited_;
        quiet_ = 0;
        return false;
    }

    Ask question() {
        Ask ask;
        if (!segments_.empty() && !waits() && !held_back(0)) {
            const Segment& segment = segments_.front();
            ask.write = segment.kind == weft::WRITE;
            ask.command = ask.write || reads_ - used_ < consumer_.credit;
            ask.address = segment.address + done_;
        }
        // Without a seed, data comes with its command; else at any time.
        const bool due = consumer_.seed != 0 ? data_ < writes_ : data_ < written_ + (ask.command && ask.write);
        if (due && !held_back(1)) {
            ask.data_offered = true;
            ask.data = written(data_);
        }
        return ask;
    }

    // A command or beat that was offered stays until it is taken.
    bool held_back(int what) {
        if (consumer_.seed == 0 || offered_[what]) return false;
        offered_[what] = mixed(consumer_.seed + 2 * now_ + what) % 100 < ((now_ >> 7) % 2 ? 90 : 25);
        return !offered_[what];
    }

    Beat written(uint64_t number) const {
        Beat beat;
        for (size_t k = 0; k < memory_.beat_bytes(); ++k) beat.bytes[k] = mixed(~(number << 4 | k));
        return beat;
    }

    void command(const Ask& ask) {
        if (ask.write) {
            contents_.write(ask.address, written(written_++));
        } else {
            expected_.push_back(contents_.read(ask.address));
            ++reads_;
        }
        if (++done_ < segments_.front().count) return;
        segments_.pop_front();
        done_ = 0;
    }

    void compare(const Beat& beat) {
        const size_t bytes = memory_.beat_bytes();
        const bool equal = !expected_.empty() && std::memcmp(beat.bytes, expected_.front().bytes, bytes) == 0;
        if (!equal && mismatches_++ == 0) first_mismatch_ = came_;
        if (!expected_.empty()) expected_.pop_front();
        if (came_++ != 0) ++gaps_[now_ - last_read_];
        last_read_ = now_;
    }

    void use() {
        if (rest_ != 0) {
            --rest_;
        } else if (used_ < came_) {
            ++used_;
            if (consumer_.pause != 0 && used_ % consumer_.beats == 0) rest_ = consumer_.pause;
        }
    }

    void happened(const Answer& answer) {
        offered_[0] = offered_[0] && !answer.command_taken;
        offered_[1] = offered_[1] && !answer.data_taken;
        const uint64_t what = answer.command_taken | answer.data_taken << 1 | answer.data_comes << 2;
        events_ = mixed(events_ ^ (now_ << 3 | what));
        last_ = now_;
        quiet_ = 0;
    }

    weft::Memory& memory_;
    weft::Contents contents_;
    const Consumer consumer_;
    std::deque<Segment> segments_;
    std::deque<Beat> expected_;
    uint32_t done_ = 0;                             // commands of the first segment
    uint64_t reads_ = 0, came_ = 0, used_ = 0;      // beats asked for, answered, consumed
    uint64_t writes_ = 0, written_ = 0, data_ = 0;  // of the whole trace; commands, and beats of data, so far
    uint64_t waited_ = 0, rest_ = 0;
    bool offered_[2] = {};
    uint64_t now_ = 0, last_ = 0, last_read_ = 0, quiet_ = 0;
    uint64_t mismatches_ = 0, different_ = 0, events_ = 0;
    int64_t first_mismatch_ = -1;
    std::map<uint64_t, uint64_t> gaps_;
    double seconds_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 8) return 2;
    const auto number = [argv](int k) { return std::strtoull(argv[k], nullptr, 10); };
    const std::unique_ptr<weft::Memory> memory = weft::open_memory(argv[1], number(2));
    Driver driver{*memory, weft::read_trace(argv[3]), {number(4), number(5), number(6), number(7)}};
    driver.run();
    driver.report();
    return 0;
}
