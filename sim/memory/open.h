// Opens a memory; see memory.h. A main includes this file once.

#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "fast.h"
#include "memory.h"
#include "timing.h"

namespace weft {

inline bool Memory::load(const std::string& path, uint64_t address) {
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (!file) return false;
    std::vector<uint8_t> part(1 << 20);
    size_t bytes;
    bool fits = true;
    while (fits && (bytes = std::fread(part.data(), 1, part.size(), file)) != 0) {
        fits = bytes <= size() && address <= size() - bytes;
        if (fits) poke(address, part.data(), bytes);
        address += bytes;
    }
    const bool whole = fits && !std::ferror(file);
    std::fclose(file);
    return whole;
}

// A library has one function of C's that makes its memory: weft_memory.
using MakeMemory = Memory* (*)();

inline std::unique_ptr<Memory> from_library(const std::string& path) {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) complain(std::string{"the memory model cannot be opened: "} + dlerror());
    void* const make = dlsym(library, "weft_memory");
    if (!make) complain(path + " holds no memory model");
    return std::unique_ptr<Memory>{reinterpret_cast<MakeMemory>(make)()};
}

inline std::unique_ptr<Memory> open_memory(const std::string& path, size_t beat_bytes) {
    const std::string ending = ".toml";
    const bool fast = path.size() > ending.size() && path.substr(path.size() - ending.size()) == ending;
    std::unique_ptr<Memory> memory = fast ? std::make_unique<Fast>(read_timing(path)) : from_library(path);
    if (memory->beat_bytes() != beat_bytes)
        complain("the memory has beats of " + std::to_string(memory->beat_bytes()) + " bytes, and the port of " +
                 std::to_string(beat_bytes));
    return memory;
}

}  // namespace weft
