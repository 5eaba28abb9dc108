// Loads a file into a memory, and writes what the port then gives: memory, bytes of a beat, file, address, bytes.

#include <cstdio>
#include <cstdlib>

#include "open.h"

int main(int, char** argv) {
    const size_t width = std::atoi(argv[2]);
    const uint64_t address = std::strtoull(argv[4], nullptr, 10), bytes = std::strtoull(argv[5], nullptr, 10);
    const auto memory = weft::open_memory(argv[1], width);
    if (!memory->load(argv[3], address)) weft::complain("it was not loaded");
    weft::Ask ask;
    ask.address = address / width;
    for (uint64_t came = 0; came < bytes;) {
        ask.command = ask.address < (address + bytes) / width;
        const weft::Answer& answer = memory->settle(ask);
        if (answer.data_comes) came += std::fwrite(answer.data.bytes, 1, width, stdout);
        if (answer.command_taken) ++ask.address;
        memory->tick();
    }
    return memory->idle() && memory->size() != 0 ? 0 : 1;
}
