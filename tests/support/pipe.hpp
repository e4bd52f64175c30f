// A connection in memory: bounded like a socket, cancellable, and able to fail at its n-th operation. Beast's
// test::stream (1.81) is neither bounded nor cancellable, so deadlines hang on it and backpressure proves nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ocgate/rt/peer.hpp"

namespace ocgate::test {

/// Counts the operations of all pipes of a test and lets one of them fail.
struct Faults {
    std::uint64_t operations = 0;
    std::uint64_t fail_at = 0;  ///< 1-based; 0: none
    [[nodiscard]] bool strikes() { return ++operations == fail_at; }
};

struct PipeOptions {
    std::size_t capacity = 64 * 1024;     ///< bytes in flight per direction before writing blocks
    std::size_t piece = ~std::size_t{0};  ///< bytes per read or write at most: 1 makes every split happen
    std::shared_ptr<Faults> faults;
};

class Pipe;

/// The test's end. Plain calls; what they cause happens when the test runs its io_context.
class PipeEnd {
public:
    explicit PipeEnd(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}

    /// Puts bytes on the way whatever the capacity: a test's script is not what is under test.
    void send(std::string_view bytes);
    /// Takes at most `max` of what has arrived; taking makes room for the gateway's next write.
    std::string take(std::size_t max = ~std::size_t{0});
    /// What has arrived, without taking it.
    [[nodiscard]] std::string const& waiting() const;
    void end();    ///< FIN
    void reset();  ///< RST
    /// What the gateway writes from now on fails, what was sent to it can still be read: as after an RST on Linux.
    void break_for_writing();
    [[nodiscard]] bool saw_end() const;        ///< the gateway sent FIN or closed
    [[nodiscard]] bool saw_reset() const;      ///< the gateway broke off
    [[nodiscard]] bool closed() const;         ///< the gateway has closed its side altogether
    [[nodiscard]] std::size_t writes() const;  ///< writes of the gateway that took bytes: its system calls

private:
    std::shared_ptr<Pipe> pipe_;
};

/// The gateway's end, and the test's.
std::pair<std::unique_ptr<rt::Wire>, PipeEnd> make_pipe(rt::Executor executor, PipeOptions options = {});

}  // namespace ocgate::test
