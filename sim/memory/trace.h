// Traffic of a core, as a file.
//
// The trace is a list of segments, a line each; addresses and counts are in beats:
//
//   read <address> <count>     in order, as fast as the port takes the commands
//   write <address> <count>    likewise
//   wait <cycles>              until all reads are answered, and then so long
//   spoil <address>            turn a bit of the memory round before the first cycle, unknown to the comparison

#pragma once

#include <cinttypes>
#include <cstdio>
#include <string>
#include <vector>

#include "timing.h"

namespace weft {

enum Kind { READ, WRITE, WAIT };

struct Segment {
    Kind kind;
    uint32_t address, count;
};

struct Trace {
    std::vector<Segment> segments;
    std::vector<uint32_t> spoilt;
};

inline Trace read_trace(const std::string& path) {
    std::FILE* file = std::fopen(path.c_str(), "r");
    if (!file) complain(path + ", the trace, cannot be read");
    Trace trace;
    char kind[8];
    uint32_t first, count;
    while (std::fscanf(file, "%7s %" SCNu32, kind, &first) == 2) {
        const std::string word{kind};
        if (word == "wait") trace.segments.push_back({WAIT, 0, first});
        else if (word == "spoil") trace.spoilt.push_back(first);
        else if ((word == "read" || word == "write") && std::fscanf(file, "%" SCNu32, &count) == 1 && count != 0)
            trace.segments.push_back({word == "read" ? READ : WRITE, first, count});
        else complain("the trace has a segment " + word + " that means nothing");
    }
    std::fclose(file);
    return trace;
}

}  // namespace weft
