// The memory that a main puts behind the port of a Verilated top; see memory.h.

#pragma once

#include <cstdlib>
#include <memory>
#include <string>

#include "open.h"

namespace weft {

// The memory that the words "memory=<model>" and "load=<byte>:<file>" of a command line describe.
inline std::unique_ptr<Memory> memory_of(int argc, char** argv, size_t beat_bytes) {
    std::unique_ptr<Memory> memory;
    for (int k = 2; k < argc; ++k) {
        const std::string word = argv[k];
        if (word.rfind("memory=", 0) == 0) memory = open_memory(word.substr(7), beat_bytes);
        if (word.rfind("load=", 0) != 0) continue;
        const size_t colon = word.find(':');
        if (!memory->load(word.substr(colon + 1), std::strtoull(word.c_str() + 5, nullptr, 10)))
            complain("the memory has no room for " + word.substr(colon + 1) + ", or it cannot be read");
    }
    return memory;
}

// The port in this cycle, as memory.h tells it.
template <typename Top>
void serve(Top& top, Memory& memory) {
    Ask ask;
    ask.command = top.mem_cmd_valid;
    ask.write = top.mem_cmd_write;
    ask.address = top.mem_cmd_address;
    ask.data_offered = top.mem_wdata_valid;
    get(top.mem_wdata, ask.data);
    const Answer& answer = memory.settle(ask);
    top.mem_cmd_ready = answer.command_taken;
    top.mem_wdata_ready = answer.data_taken;
    top.mem_rdata_valid = answer.data_comes;
    if (answer.data_comes) put(answer.data, top.mem_rdata);
}

}  // namespace weft
