// LiteDRAM's controller and its model of the memory chip, Verilated, behind the interface of memory.h.
//
// The Verilated top has LiteDRAM's native port. Arrays mem, mem_1, ... hold the banks, a beat a word, row by row.

#include <algorithm>
#include <string>
#include <vector>

#include "Vtop.h"
#include "memory.h"
#include "shape.h"
#include "timing.h"
#include "verilated.h"
#include "verilated_sym_props.h"
#include "write_queue.h"

namespace {

using weft::Answer;
using weft::Ask;

constexpr size_t BEAT_BYTES = sizeof(Vtop::wdata_data);
constexpr uint64_t ROW_BYTES = shape::ROW_BEATS * BEAT_BYTES;
constexpr uint64_t SIZE = shape::BANKS * shape::ROWS * ROW_BYTES;
constexpr uint32_t QUIET = 32;  // cycles after which a beat that was taken has reached the chip

class LiteDram final : public weft::Memory {
public:
    LiteDram() : top_{&context_} {
        top_.eval();
        const VerilatedScope* const scope = context_.scopeFind("TOP.litedram");
        for (uint64_t bank = 0; scope && bank < shape::BANKS; ++bank) {
            const std::string name = bank == 0 ? "mem" : "mem_" + std::to_string(bank);
            const VerilatedVar* const variable = scope->varFind(name.c_str());
            if (variable) banks_.push_back(static_cast<uint8_t*>(variable->datap()));
        }
        if (banks_.size() != shape::BANKS) weft::complain("LiteDRAM's model does not show the contents of its banks");
        top_.rdata_ready = 1;
        top_.wdata_we = ~(~0u << BEAT_BYTES);
        for (uint32_t cycle = 0; cycle < weft::WARM_UP; ++cycle) {
            settle({});
            tick();
        }
    }
    ~LiteDram() override { top_.final(); }

    const Answer& settle(const Ask& ask) override {
        ask_ = ask;
        const bool passed = ask.command && (!ask.write || writes_.covers(ask.data_offered));
        top_.cmd_valid = passed;
        top_.cmd_we = ask.write;
        top_.cmd_addr = ask.address;
        top_.wdata_valid = !writes_.empty();
        weft::put(writes_.beat(), top_.wdata_data);
        top_.clk = 0;
        top_.eval();
        answer_.command_taken = passed && top_.cmd_ready;
        answer_.data_taken = ask.data_offered && writes_.room();
        answer_.data_comes = top_.rdata_valid;
        if (answer_.data_comes) weft::get(top_.rdata_data, answer_.data);
        return answer_;
    }

    void tick() override {
        const bool used = top_.wdata_ready;
        if (used && writes_.empty()) weft::complain("LiteDRAM took a beat of write data that was not there");
        if (used) writes_.pop();
        if (answer_.data_taken) writes_.push(ask_.data);
        if (answer_.command_taken) {
            weft::check_address(ask_.address, BEAT_BYTES, SIZE);
            if (ask_.write) writes_.command();
            else ++reads_;
        }
        if (answer_.data_comes) --reads_;
        quiet_ = used ? 0 : quiet_ + 1;
        top_.clk = 1;
        top_.eval();
    }

    void poke(uint64_t address, const void* from, size_t bytes) override {
        const uint8_t* next = static_cast<const uint8_t*>(from);
        each_part(address, bytes, [&](uint8_t* place, size_t part) {
            std::memcpy(place, next, part);
            next += part;
        });
    }
    void peek(uint64_t address, void* to, size_t bytes) const override {
        uint8_t* next = static_cast<uint8_t*>(to);
        each_part(address, bytes, [&](const uint8_t* place, size_t part) {
            std::memcpy(next, place, part);
            next += part;
        });
    }
    bool idle() const override { return reads_ == 0 && writes_.empty() && quiet_ >= QUIET; }
    size_t beat_bytes() const override { return BEAT_BYTES; }
    uint64_t size() const override { return SIZE; }

private:
    // Consecutive rows of the memory lie in consecutive banks.
    template <typename Copy>
    void each_part(uint64_t address, size_t bytes, const Copy& copy) const {
        while (bytes != 0) {
            const uint64_t row = address / ROW_BYTES, within = address % ROW_BYTES;
            const size_t part = std::min<uint64_t>(bytes, ROW_BYTES - within);
            copy(banks_[row % shape::BANKS] + row / shape::BANKS * ROW_BYTES + within, part);
            address += part;
            bytes -= part;
        }
    }

    VerilatedContext context_;
    Vtop top_;
    std::vector<uint8_t*> banks_;
    weft::WriteQueue writes_;
    Ask ask_;
    Answer answer_;
    uint64_t reads_ = 0;  // that are not answered yet
    uint32_t quiet_ = 0;  // cycles since the last beat was taken
};

}  // namespace

extern "C" __attribute__((visibility("default"))) weft::Memory* weft_memory() { return new LiteDram; }
