// Runs the Verilated bench: clock, reset, waveform window, and stdout that a reader sees in time.
//
//   sim <cycles at most> [<waveform file> <first cycle> <end cycle>] [memory=<model> load=<byte>:<file> ...]
//
// Cycle 0 is the first after reset. The bench writes its own lines; the last one is written here.

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "Vtop.h"
#include "verilated.h"

#ifdef WEFT_MEMORY
#include "serve.h"
#endif

#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Wave = VerilatedFstC;
#elif VM_TRACE
#include "verilated_vcd_c.h"
using Wave = VerilatedVcdC;
#endif

namespace {

constexpr uint64_t RESET_CYCLES = 2;
constexpr uint64_t PERIOD_NS = 10;
constexpr uint64_t LOOK_EVERY = 2048;  // cycles between looks at the clock on the wall
constexpr std::chrono::milliseconds FLUSH_EVERY{50};

uint64_t number(const char* text) { return std::strtoull(text, nullptr, 10); }

}  // namespace

int main(int argc, char** argv) {
    static char buffer[1 << 18];
    std::setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    const uint64_t limit = argc > 1 ? number(argv[1]) : UINT64_MAX;

    VerilatedContext context;
#if VM_TRACE
    context.traceEverOn(true);
#endif
    Vtop top{&context};

#if VM_TRACE
    Wave wave;
    const uint64_t from = argc > 4 && !std::strchr(argv[2], '=') ? number(argv[3]) : UINT64_MAX;
    const uint64_t end = argc > 4 && !std::strchr(argv[2], '=') ? number(argv[4]) : 0;
    context.timeunit(-9);
    context.timeprecision(-9);
    wave.set_time_unit("1ns");
    wave.set_time_resolution("1ns");
    top.trace(&wave, 99);
    uint64_t edges = 0;
#endif

#ifdef WEFT_MEMORY
    const std::unique_ptr<weft::Memory> memory = weft::memory_of(argc, argv, sizeof top.mem_rdata);
#endif

    uint64_t cycle = 0;
    // One cycle begins with the rising edge.
    const auto clock = [&] {
        top.clk = 1;
        top.eval();
#if VM_TRACE
        // Edge number n begins cycle n - 1; see trace_time() in __init__.py.
        const uint64_t now = edges < RESET_CYCLES ? 0 : edges - RESET_CYCLES + 1;
        const bool dump = now >= from && now < end;
        if (dump && !wave.isOpen()) wave.open(argv[2]);
        if (dump) wave.dump(edges * PERIOD_NS);
#endif
#ifdef WEFT_MEMORY
        weft::serve(top, *memory);
#endif
        top.clk = 0;
        top.eval();
#ifdef WEFT_MEMORY
        memory->tick();
#endif
#if VM_TRACE
        if (dump) wave.dump(edges * PERIOD_NS + PERIOD_NS / 2);
        if (!dump && wave.isOpen()) wave.close();
        ++edges;
#endif
    };

    top.rst = 1;
    for (uint64_t n = 0; n < RESET_CYCLES; ++n) clock();
    top.rst = 0;

    auto flushed = std::chrono::steady_clock::now();
    while (!top.done && cycle < limit && !context.gotFinish()) {
        clock();
        if (++cycle % LOOK_EVERY == 0) {
            const auto now = std::chrono::steady_clock::now();
            if (now - flushed > FLUSH_EVERY) {
                if (std::fflush(stdout) != 0) return 1;  // the reader is gone
                flushed = now;
            }
        }
    }
#if VM_TRACE
    if (wave.isOpen()) wave.close();
#endif
    top.final();
    std::printf("e %08" PRIx64 " %s\n", cycle, !top.done ? "limit" : top.hung ? "hung" : "done");
    return std::fflush(stdout) != 0;
}
