// The parameters of the fast model, read from a file of lines "name = number"; what follows a # is a remark.

#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace weft {

// One sentence, and the end of the program.
[[noreturn]] inline void complain(const std::string& sentence) {
    std::fprintf(stderr, "%s\n", sentence.c_str());
    std::exit(2);
}

constexpr uint32_t WARM_UP = 64;  // cycles of a controller before the first of its port

// Ends the program if the beat at `address` does not lie in a memory of `size` bytes.
inline void check_address(uint32_t address, size_t beat_bytes, uint64_t size) {
    if (uint64_t{address} * beat_bytes >= size)
        complain("the core asked for beat " + std::to_string(address) + ", which is beyond the memory");
}

// Cycles of the port's clock, unless said otherwise. All of it is defined for one bank at a time: LiteDRAM goes on to
// another bank only when all that it was asked for has left the one before.
struct Timing {
    uint32_t clock_mhz = 0;           // for whoever wants seconds
    uint32_t beat_bytes = 0;          // bytes of the port
    uint32_t row_beats = 0;           // beats of a row of a bank; consecutive rows lie in consecutive banks
    uint32_t banks = 0;               //
    uint32_t rows = 0;                // of a bank
    uint32_t queue = 0;               // commands that wait behind the one at the head
    uint32_t read_latency = 0;        // from the column command to the beat at the port
    uint32_t write_latency = 0;       // from the column command to the beat that is taken
    uint32_t precharge = 0;           // tRP
    uint32_t activate = 0;            // tRCD
    uint32_t row_open = 0;            // tRAS, from activation to precharge
    uint32_t row_cycle = 0;           // tRC, from activation to activation of a bank
    uint32_t write_to_precharge = 0;  // from the column command
    uint32_t write_to_read = 0;       // from the last column command of a write
    uint32_t read_to_write = 0;       // from the first write that waits
    uint32_t refresh_interval = 0;    // tREFI
    uint32_t refresh = 0;             // from the first cycle to the last: tRP, tRFC and one more

    uint64_t size() const { return uint64_t{beat_bytes} * row_beats * banks * rows; }
};

struct TimingField {
    const char* name;
    uint32_t Timing::*member;
};

constexpr TimingField TIMING_FIELDS[] = {
    {"clock_mhz", &Timing::clock_mhz},
    {"beat_bytes", &Timing::beat_bytes},
    {"row_beats", &Timing::row_beats},
    {"banks", &Timing::banks},
    {"rows", &Timing::rows},
    {"queue", &Timing::queue},
    {"read_latency", &Timing::read_latency},
    {"write_latency", &Timing::write_latency},
    {"precharge", &Timing::precharge},
    {"activate", &Timing::activate},
    {"row_open", &Timing::row_open},
    {"row_cycle", &Timing::row_cycle},
    {"write_to_precharge", &Timing::write_to_precharge},
    {"write_to_read", &Timing::write_to_read},
    {"read_to_write", &Timing::read_to_write},
    {"refresh_interval", &Timing::refresh_interval},
    {"refresh", &Timing::refresh},
};

inline void set_timing(Timing& timing, const char* name, uint32_t value, const std::string& path) {
    for (const TimingField& field : TIMING_FIELDS)
        if (std::strcmp(field.name, name) == 0) {
            timing.*field.member = value;
            return;
        }
    complain(path + " sets " + name + ", which the memory model does not have");
}

// Ends the program if the file does not give every parameter a number above 0.
inline Timing read_timing(const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "r");
    if (!file) complain(path + ", the parameters of the memory, cannot be read");
    Timing timing;
    char line[256], name[64];
    unsigned value;
    while (std::fgets(line, sizeof line, file))
        if (std::sscanf(line, " %63[a-z_] = %u", name, &value) == 2) set_timing(timing, name, value, path);
    std::fclose(file);
    for (const TimingField& field : TIMING_FIELDS)
        if (timing.*field.member == 0) complain(path + " does not say what " + field.name + " is");
    return timing;
}

}  // namespace weft
