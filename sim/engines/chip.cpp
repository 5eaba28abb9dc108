// Runs a Verilated chip behind its UART, bit by bit; bytes come from and go to standard input, which
// is a terminal's other end.
//
//   sim <cycles of a bit> [memory=<model> load=<byte>:<file> ...]
//
// It ends when nobody holds the terminal any more. While the chip has nothing to do, its time stands
// still until a byte comes.

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "Vtop.h"
#include "verilated.h"

#ifdef WEFT_MEMORY
#include "serve.h"
#endif

namespace {

constexpr int LINE = STDIN_FILENO;
constexpr uint64_t RESET_CYCLES = 2;
constexpr uint64_t LOOK_EVERY = 1024;   // cycles between looks for bytes
constexpr uint64_t QUIET_CYCLES = 8192;  // longer than any request takes to be answered
constexpr int WAIT_MS = 100;

[[noreturn]] void end() { std::exit(0); }

bool gone(ssize_t count) { return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR); }

// The level of the chip's rx: start bit, eight bits of data, stop bit.
class Sender {
  public:
    explicit Sender(uint64_t bit) : bit_(bit) {}

    bool idle() const { return left_ == 0 && at_ == size_; }

    void look() {
        if (at_ < size_) return;
        const ssize_t count = read(LINE, buffer_, sizeof buffer_);
        if (gone(count)) end();
        at_ = 0;
        size_ = count > 0 ? count : 0;
    }

    bool level() {
        if (left_ == 0) {
            if (at_ == size_) return true;
            bits_ = buffer_[at_++] << 1 | 1 << 9;
            left_ = 10 * bit_;
        }
        const uint64_t gone_by = 10 * bit_ - left_--;
        return bits_ >> gone_by / bit_ & 1;
    }

  private:
    const uint64_t bit_;
    uint8_t buffer_[4096];
    ssize_t at_ = 0, size_ = 0;
    unsigned bits_ = 0;
    uint64_t left_ = 0;  // cycles of the byte that is being sent
};

// Bytes out of the chip's tx, each bit looked at in its middle.
class Receiver {
  public:
    explicit Receiver(uint64_t bit) : bit_(bit) {}

    bool idle() const { return left_ == 0; }

    void take(bool level) {
        if (left_ == 0) {
            if (level) return;
            left_ = bit_ + bit_ / 2;
            taken_ = 0;
        } else if (--left_ == 0) {
            if (taken_ == 8) return;  // the stop bit
            byte_ = byte_ >> 1 | level << 7;
            left_ = bit_;
            if (++taken_ == 8) put();
        }
    }

  private:
    void put() const {
        while (write(LINE, &byte_, 1) != 1) {
            if (gone(-1)) end();
            pollfd line{LINE, POLLOUT, 0};
            poll(&line, 1, WAIT_MS);
        }
    }

    const uint64_t bit_;
    uint64_t left_ = 0;  // cycles to the next look
    unsigned taken_ = 0;
    uint8_t byte_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    const uint64_t bit = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 0;
    if (bit < 2 || fcntl(LINE, F_SETFL, O_NONBLOCK) != 0) return 2;
    VerilatedContext context;
    Vtop top{&context};
#ifdef WEFT_MEMORY
    const std::unique_ptr<weft::Memory> memory = weft::memory_of(argc, argv, sizeof top.mem_rdata);
    const auto at_rest = [&] { return !top.busy && memory->idle(); };
#else
    const auto at_rest = [&] { return !top.busy; };
#endif
    const auto clock = [&] {  // a cycle begins with the rising edge
        top.clk = 1;
        top.eval();
#ifdef WEFT_MEMORY
        weft::serve(top, *memory);
#endif
        top.clk = 0;
        top.eval();
#ifdef WEFT_MEMORY
        memory->tick();
#endif
    };
    top.rx = 1;
    top.rst = 1;
    for (uint64_t n = 0; n < RESET_CYCLES; ++n) clock();
    top.rst = 0;

    Sender sender{bit};
    Receiver receiver{bit};
    uint64_t quiet = 0;
    for (uint64_t cycle = 0; !context.gotFinish(); ++cycle) {
        if (cycle % LOOK_EVERY == 0) sender.look();
        top.rx = sender.level();
        clock();
        receiver.take(top.tx);
        quiet = sender.idle() && receiver.idle() && at_rest() ? quiet + 1 : 0;
        if (quiet == QUIET_CYCLES) {
            pollfd line{LINE, POLLIN, 0};
            poll(&line, 1, WAIT_MS);
            sender.look();
            quiet = 0;
        }
    }
}
