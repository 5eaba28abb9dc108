// The port between a core and its external memory, and what can stand behind it.
//
// A cycle of a main that drives a core whose outputs are registers:
//
//   top.clk = 1; top.eval();                   the registers take their new values
//   weft::Ask ask;                             what the core asks in this cycle
//   ask.command = top.mem_cmd_valid; ...       weft::get(top.mem_wdata, ask.data);
//   const weft::Answer& answer = memory->settle(ask);
//   top.mem_cmd_ready = answer.command_taken; ...     weft::put(answer.data, top.mem_rdata);
//   top.clk = 0; top.eval();                   what hangs on the answers settles
//   memory->tick();                            the same edge of the clock as the core's next
//
// A transfer happens in a cycle in which both sides want it. Reads are answered in order, one beat each; every write
// takes one beat of write data, in order, offered before, with or after its command. A read that is asked after a write
// to the same address sees what was written. The core must have room for every answer that it asked for.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

namespace weft {

constexpr size_t MOST_BEAT_BYTES = 16;

// The lowest bits of a port lie in byte 0; bytes beyond its width are zero.
struct Beat {
    alignas(MOST_BEAT_BYTES) uint8_t bytes[MOST_BEAT_BYTES] = {};
};

// What a core drives: constant from settle() to tick().
struct Ask {
    bool command = false;       // mem_cmd_valid
    bool write = false;         // mem_cmd_write
    bool data_offered = false;  // mem_wdata_valid
    uint32_t address = 0;       // mem_cmd_address, in beats
    Beat data;                  // mem_wdata
};

// What the memory drives in the same cycle.
struct Answer {
    bool command_taken = false;  // mem_cmd_ready
    bool data_taken = false;     // mem_wdata_ready
    bool data_comes = false;     // mem_rdata_valid
    Beat data;                   // mem_rdata
};

class Memory {
public:
    virtual ~Memory() = default;

    // The answers to what is asked in this cycle, to be called in every one; the last call before tick() counts. The
    // answer is kept until the next.
    virtual const Answer& settle(const Ask& ask) = 0;

    // The end of the cycle.
    virtual void tick() = 0;

    // Contents, outside time. Addresses are bytes; whoever reads must know that no write is under way: idle().
    virtual void poke(uint64_t address, const void* from, size_t bytes) = 0;
    virtual void peek(uint64_t address, void* to, size_t bytes) const = 0;

    virtual bool idle() const = 0;            // nothing is asked for that has not happened
    virtual size_t beat_bytes() const = 0;    // of the port: 2, 4, 8 or 16
    virtual uint64_t size() const = 0;        // bytes

    // Put a file into the memory; whether it could be read and has room.
    bool load(const std::string& path, uint64_t address = 0);
};

// A memory: "<file>.toml" is the fast model with the parameters in that file, anything else a library that holds a
// model of its own (sim/memory/models.py knows both). `beat_bytes` is the port's; a model that has another is refused.
// Ends the program with a sentence on stderr if there is none.
std::unique_ptr<Memory> open_memory(const std::string& path, size_t beat_bytes);

// Between a port of a Verilated top (SData, IData, QData or VlWide) and a beat.
template <typename Port>
void get(const Port& port, Beat& beat) {
    static_assert(sizeof(Port) <= MOST_BEAT_BYTES, "a beat has at most 128 bits");
    std::memcpy(beat.bytes, &port, sizeof(Port));
}
template <typename Port>
void put(const Beat& beat, Port& port) {
    static_assert(sizeof(Port) <= MOST_BEAT_BYTES, "a beat has at most 128 bits");
    std::memcpy(&port, beat.bytes, sizeof(Port));
}

}  // namespace weft
