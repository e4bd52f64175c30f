// Where log lines leave the process. Used on the log's own thread; only `close_by` comes from another.
#pragma once

#include <spdlog/async_logger.h>
#include <spdlog/sinks/sink.h>

#include <atomic>
#include <string>
#include <string_view>

#include "ocgate/rt/types.hpp"

namespace ocgate::ops {

/// Writes lines to a descriptor that others may share, so its flags are left alone: it is asked for room first and
/// then given no more than fits, which never blocks on a pipe, a file or a socket. Lines are gathered while more are
/// queued and written when the queue has run empty: one by one in quiet times, in batches under load.
class DescriptorSink final : public spdlog::sinks::sink {
public:
    static constexpr std::size_t batch_bytes = 64 * 1024;

    explicit DescriptorSink(int descriptor);
    ~DescriptorSink() override;
    DescriptorSink(DescriptorSink const&) = delete;
    DescriptorSink& operator=(DescriptorSink const&) = delete;

    /// Before the first line. The pool's queue says whether more lines follow.
    void follow(spdlog::details::thread_pool& pool) noexcept { pool_ = &pool; }
    /// From now on nothing waits beyond `when`: what cannot be written by then is lost.
    void close_by(rt::Instant when) noexcept;
    [[nodiscard]] std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

    void log(spdlog::details::log_msg const& message) override;
    void flush() override;
    void set_pattern(std::string const&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

private:
    [[nodiscard]] bool wait_writable() noexcept;
    /// How much of `bytes` was written.
    [[nodiscard]] std::size_t write_out(std::string_view bytes) noexcept;

    int const descriptor_;
    int const closing_;  ///< an eventfd: readable once `close_by` was called
    bool const always_writable_;
    spdlog::details::thread_pool* pool_ = nullptr;
    std::string batch_;
    bool torn_ = false;  ///< the last line written is not whole
    std::atomic<std::uint64_t> lost_{0};
    std::atomic<rt::Instant::rep> close_by_;
};

}  // namespace ocgate::ops
