// Where log lines leave the process: gathered in memory, written by a thread of their own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "ocgate/rt/descriptor.hpp"
#include "ocgate/rt/types.hpp"

namespace ocgate::ops {

/// Takes lines from any thread at the price of a copy. A thread that is woken for every line costs a busy process more
/// than the request the line is about (8 of 27 us were measured); so it is woken for the first one, lets others gather
/// for a moment, and writes them together.
///
/// The descriptor may be shared with others, so its flags are left alone: it is asked for room first and then given no
/// more than fits, which never blocks on a pipe, a file or a socket.
class LineQueue {
public:
    /// What may wait for the reader of the log. When it is full the older half is dropped, and counted.
    static constexpr std::size_t max_bytes = 4 * 1024 * 1024;
    /// Written at once when so much has gathered.
    static constexpr std::size_t batch_bytes = 64 * 1024;
    /// How long a line that is not urgent may wait for others.
    static constexpr std::chrono::milliseconds gathering{10};

    /// `descriptor` is not closed.
    explicit LineQueue(int descriptor);
    ~LineQueue();
    LineQueue(LineQueue const&) = delete;
    LineQueue& operator=(LineQueue const&) = delete;
    static constexpr std::chrono::seconds closing_time{1};

    /// Writes what is queued, bounded by `closing_time`; what cannot be written by then is lost, and so is what comes
    /// later. Once; the destructor does it where nobody has.
    void close();

    /// A whole line with its newline. `urgent`: without waiting for others. Throws bad_alloc, and the line is not
    /// taken.
    void add(std::string_view line, bool urgent);

    /// Lines that were dropped or could not be written.
    [[nodiscard]] std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

private:
    void run();
    void write(std::string& lines) noexcept;
    /// How much of `bytes` was written.
    [[nodiscard]] std::size_t write_out(std::string_view bytes) noexcept;
    [[nodiscard]] bool wait_writable() noexcept;
    void drop_older_half();
    void count_lost(std::string_view lines) noexcept;

    int const descriptor_;
    rt::Descriptor const closing_event_;  ///< an eventfd: readable once the end has come
    bool const always_writable_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string lines_;  ///< not yet taken by the thread
    bool hurry_ = false;
    bool closing_ = false;
    bool torn_ = false;  ///< the last line written is not whole
    std::atomic<std::uint64_t> lost_{0};
    std::atomic<rt::Instant::rep> close_by_;
    std::thread thread_;
};

}  // namespace ocgate::ops
