// Runs a netlist at its pins: its clock, and a UART of 8N1 at the other end of its wires.
//
//   sim <period of the clock in ps> <time of a bit in ps> [+verilator+seed+<n> +verilator+rand+reset+2]
//
// Reads commands, a line each, and answers the second with a line:
//
//   w <bytes in hexadecimal>   send them, after what is still being sent
//   r <ps>                     go on until a byte came, or for so long: "= <time in ps> <byte, -- or !!> <lights>"
//
// A byte is "!!" when its stop bit was low. The lights are those at that time, and every one that was on since the
// last answer, in hexadecimal: "<now>/<seen>".

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <iostream>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr uint64_t NEVER = UINT64_MAX;
constexpr int DATA_BITS = 8;

// Puts bytes onto a wire.
class Sender {
public:
    explicit Sender(uint64_t bit) : m_bit{bit} {}
    void put(uint8_t byte, uint64_t now) {
        if (m_levels.empty() && m_next == NEVER) m_next = now;
        m_levels.push_back(false);
        for (int k = 0; k < DATA_BITS; ++k) m_levels.push_back(byte >> k & 1);
        m_levels.push_back(true);
    }
    uint64_t next() const { return m_next; }
    // The level from now on.
    bool step() {
        if (m_levels.empty()) {
            m_next = NEVER;
            return true;
        }
        const bool level = m_levels.front();
        m_levels.pop_front();
        m_next += m_bit;
        return level;
    }

private:
    uint64_t m_bit, m_next = NEVER;
    std::deque<bool> m_levels;
};

// Takes bytes from a wire: waits for a start bit, and looks at the middle of every bit.
class Receiver {
public:
    explicit Receiver(uint64_t bit) : m_bit{bit} {}
    void watch(bool level, uint64_t now) {
        if (m_next == NEVER && m_before && !level) {
            m_next = now + m_bit + m_bit / 2;
            m_count = 0;
        }
        m_before = level;
    }
    uint64_t next() const { return m_next; }
    // Whether a byte has come.
    bool step(bool level) {
        if (m_count == DATA_BITS) {
            m_good = level;
            m_next = NEVER;
            return true;
        }
        m_byte = m_byte >> 1 | (level ? 0x80 : 0);
        ++m_count;
        m_next += m_bit;
        return false;
    }
    std::string text() const {
        char out[8];
        std::snprintf(out, sizeof out, "%02x", m_byte);
        return m_good ? out : "!!";
    }

private:
    uint64_t m_bit, m_next = NEVER;
    int m_count = 0;
    uint8_t m_byte = 0;
    bool m_before = true, m_good = true;
};

class Pins {
public:
    Pins(uint64_t period, uint64_t bit, VerilatedContext& context)
        : m_context{context}, m_top{&context}, m_half{period / 2}, m_sender{bit}, m_receiver{bit} {
        m_top.rx = 1;
        m_top.clock = 0;
        m_top.eval();
    }
    void send(const std::string& digits) {
        for (size_t k = 0; k + 1 < digits.size(); k += 2)
            m_sender.put(std::stoul(digits.substr(k, 2), nullptr, 16), m_context.time());
    }
    void run(uint64_t limit) {
        const uint64_t end = m_context.time() + limit;
        std::string byte = "--";
        m_seen = m_top.lights;
        while (byte == "--" && m_context.time() < end && !m_context.gotFinish()) {
            if (step()) byte = m_receiver.text();
        }
        std::printf("= %" PRIu64 " %s %x/%x\n", m_context.time(), byte.c_str(), m_top.lights, m_seen);
    }
    void finish() { m_top.final(); }

private:
    // Goes to the next moment at which anything happens; whether a byte came then.
    bool step() {
        uint64_t now = std::min(m_edge, std::min(m_sender.next(), m_receiver.next()));
        if (m_top.eventsPending()) now = std::min(now, m_top.nextTimeSlot());
        m_context.time(now);
        if (now == m_edge) {
            m_top.clock = !m_top.clock;
            m_edge += m_half;
        }
        if (now == m_sender.next()) m_top.rx = m_sender.step();
        const bool came = now == m_receiver.next() && m_receiver.step(m_top.tx);
        m_top.eval();
        m_receiver.watch(m_top.tx, now);
        m_seen |= m_top.lights;
        return came;
    }

    VerilatedContext& m_context;
    Vtop m_top;
    uint64_t m_half, m_edge = 0;
    Sender m_sender;
    Receiver m_receiver;
    unsigned m_seen = 0;
};

}  // namespace

int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Pins pins{std::strtoull(argv[1], nullptr, 10), std::strtoull(argv[2], nullptr, 10), context};
    std::string command, value;
    while (!context.gotFinish() && std::cin >> command >> value) {
        if (command == "w") pins.send(value);
        else pins.run(std::strtoull(value.c_str(), nullptr, 10));
        if (std::fflush(stdout) != 0) return 1;  // the reader is gone
    }
    pins.finish();
    return 0;
}
