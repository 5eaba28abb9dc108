// What must be in a memory while a trace is replayed.

#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "memory.h"
#include "timing.h"
#include "trace.h"

namespace weft {

// Pseudo-random numbers (splitmix64).
inline uint64_t mixed(uint64_t n) {
    n = (n + 1) * 0x9E3779B97F4A7C15u;
    n = (n ^ n >> 30) * 0xBF58476D1CE4E5B9u;
    n = (n ^ n >> 27) * 0x94D049BB133111EBu;
    return n ^ n >> 31;
}

// What must be in the memory: made up for every beat that the trace names, and changed by its writes.
class Contents {
public:
    Contents(Memory& memory, const Trace& trace) : memory_{memory}, bytes_(memory.beat_bytes()) {
        for (const Segment& segment : trace.segments)
            for (uint32_t k = 0; segment.kind != WAIT && k < segment.count; ++k) touch(segment.address + k);
        for (const auto& [page, beats] : pages_)
            memory_.poke(uint64_t{page} * PAGE * bytes_, beats.data(), beats.size());
        for (const uint32_t address : trace.spoilt) spoil(address);
    }

    Beat read(uint32_t address) {
        Beat beat;
        std::memcpy(beat.bytes, place(address), bytes_);
        return beat;
    }
    void write(uint32_t address, const Beat& beat) { std::memcpy(place(address), beat.bytes, bytes_); }

    // How many beats of the memory are not what they must be.
    uint64_t differences() {
        uint64_t found = 0;
        std::vector<uint8_t> there(PAGE * bytes_);
        for (const auto& [page, beats] : pages_) {
            memory_.peek(uint64_t{page} * PAGE * bytes_, there.data(), there.size());
            for (uint32_t k = 0; k < PAGE; ++k)
                found += std::memcmp(&there[k * bytes_], &beats[k * bytes_], bytes_) != 0;
        }
        return found;
    }

private:
    static constexpr uint32_t PAGE = 4096;  // beats

    void touch(uint32_t address) {
        if (uint64_t{address} * bytes_ >= memory_.size()) complain("the trace goes beyond the memory");
        std::vector<uint8_t>& page = pages_[address / PAGE];
        if (!page.empty()) return;
        page.resize(PAGE * bytes_);
        for (size_t k = 0; k < page.size(); k += sizeof(uint64_t)) {
            const uint64_t word = mixed(uint64_t{address / PAGE} << 32 | k);
            std::memcpy(&page[k], &word, sizeof word);
        }
    }
    void spoil(uint32_t address) {
        Beat beat = read(address);
        beat.bytes[bytes_ - 1] ^= 0x80;
        memory_.poke(uint64_t{address} * bytes_, beat.bytes, bytes_);
    }
    uint8_t* place(uint32_t address) { return &pages_.at(address / PAGE)[address % PAGE * bytes_]; }

    Memory& memory_;
    const size_t bytes_;
    std::map<uint32_t, std::vector<uint8_t>> pages_;
};

}  // namespace weft
