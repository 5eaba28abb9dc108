// Waits until a memory is ready, writes and reads it at random, and compares; words "ready <cycle>" and "right <reads>".

#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <random>

#include "Vtop.h"

namespace {

constexpr uint64_t LIMIT = 3'000'000, TRAFFIC = 20'000;
constexpr uint32_t PLACES = 64;

Vtop top;

void tick() {
    top.clk = 1;
    top.eval();
    top.clk = 0;
    top.eval();
}

}  // namespace

int main() {
    uint64_t cycle = 0;
    for (; cycle < LIMIT && !top.ready && !top.failed; ++cycle) tick();
    if (!top.ready) {
        std::printf("failed %u %llu\n", top.failed, static_cast<unsigned long long>(cycle));
        return 1;
    }
    std::printf("ready %llu\n", static_cast<unsigned long long>(cycle));
    std::mt19937 random{7};
    std::map<uint32_t, uint32_t> kept;      // what lies where
    std::deque<uint32_t> expected, data;    // answers, and beats that are to be offered
    bool pending = false;
    uint32_t reads = 0, value = 0;
    for (uint64_t step = 0; step < TRAFFIC; ++step) {
        if (!pending && random() % 2) {
            pending = true;
            top.cmd_valid = 1;
            top.cmd_write = random() % 2;
            top.cmd_address = random() % PLACES;
            if (!kept.count(top.cmd_address)) top.cmd_write = 1;
            if (top.cmd_write) data.push_back(++value);
        }
        top.wdata_valid = !data.empty() && random() % 2;
        for (int word = 0; word < 4; ++word) top.wdata[word] = top.wdata_valid ? data.front() * 0x9e3779b9u + word : 0;
        top.eval();
        if (top.rdata_valid) {
            for (uint32_t word = 0; word < 4; ++word) {
                if (expected.empty() || top.rdata[word] != expected.front() * 0x9e3779b9u + word) {
                    std::printf("wrong at read %u\n", reads);
                    return 1;
                }
            }
            expected.pop_front();
            ++reads;
        }
        if (top.cmd_valid && top.cmd_ready) {
            if (top.cmd_write) kept[top.cmd_address] = value;
            else expected.push_back(kept[top.cmd_address]);
            pending = false;
        }
        if (top.wdata_valid && top.wdata_ready) data.pop_front();
        tick();
        if (!pending) top.cmd_valid = 0;
    }
    std::printf("right %u\n", reads);
    return 0;
}
