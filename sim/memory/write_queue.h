// Write data between a core, which may offer it before or after its command, and a controller, which takes it at a
// time of its own choosing: a write command goes on only when its data is here.

#pragma once

#include "memory.h"

namespace weft {

class WriteQueue {
public:
    static constexpr uint32_t DEPTH = 16;

    bool room() const { return tail_ - head_ < DEPTH; }
    bool empty() const { return tail_ == head_; }

    // Whether there is data for one more write command, if a beat may come in this cycle.
    bool covers(bool offered) const { return tail_ + (offered && room()) != commands_; }

    void push(const Beat& beat) { beats_[tail_++ % DEPTH] = beat; }
    void command() { ++commands_; }

    // The data of the oldest command, of the one after it, ...
    const Beat& beat(uint32_t place = 0) const { return beats_[(head_ + place) % DEPTH]; }
    void pop() { ++head_; }

private:
    Beat beats_[DEPTH];
    uint32_t head_ = 0, tail_ = 0;  // beats that left, and that came, so far
    uint32_t commands_ = 0;         // so far
};

}  // namespace weft
