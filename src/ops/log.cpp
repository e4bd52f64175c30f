// Secrets do not get here by construction: the proxy's records hold no credentials, no query and no bodies, and
// base::Secret has no conversion that a LogField would take.
#include "ocgate/ops/log.hpp"

#include <pthread.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>

#include "descriptor_sink.hpp"
#include "line.hpp"
#include "ocgate/rt/clock.hpp"

namespace ocgate::ops {
namespace {

constexpr std::chrono::seconds closing_time{1};

/// The log's thread takes no signals: those are for the main loop, and the SIGPIPE of a closed standard output stays
/// pending there instead of ending the process. A thread inherits the mask of the one that starts it.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(SignalsBlocked const&) = delete;
    SignalsBlocked& operator=(SignalsBlocked const&) = delete;

private:
    sigset_t before_{};
};

LineStyle style_for(LogFormat format, int descriptor) {
    // https://no-color.org: set and not empty means no colour.
    char const* const no_colour = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): before any thread
    bool const plain = no_colour && *no_colour;
    return {format, format == LogFormat::text && !plain && ::isatty(descriptor) == 1};
}

std::shared_ptr<spdlog::details::thread_pool> start_pool() {
    SignalsBlocked const blocked;
    return std::make_shared<spdlog::details::thread_pool>(Log::max_queued, 1,
                                                          [] { pthread_setname_np(pthread_self(), "ocgate-log"); });
}

}  // namespace

struct Log::Inside {
    Inside(LogOptions const& options, int descriptor)
        : style(style_for(options.format, descriptor)),
          access(options.access),
          level(options.level),
          sink(std::make_shared<DescriptorSink>(descriptor)),
          pool(start_pool()),
          logger(std::make_shared<spdlog::async_logger>("ocgate", sink, pool,
                                                        spdlog::async_overflow_policy::overrun_oldest)) {
        sink->follow(*pool);
        // Levels were decided before; and there is nowhere to complain about a log that fails.
        logger->set_level(spdlog::level::trace);
        logger->set_error_handler([](std::string const&) {});
    }

    ~Inside() {
        sink->close_by(rt::SystemClock{}.now() + closing_time);
        try {
            // Queued behind the last line: what the sink has gathered is not whole before.
            pool->post_flush(std::shared_ptr(logger), spdlog::async_overflow_policy::block);
        } catch (...) {
            // Nowhere to complain.
        }
        pool.reset();  // waits for its thread, which ends when all of that is done
    }

    LineStyle const style;
    bool const access;
    std::atomic<LogLevel> level;
    std::atomic<std::uint64_t> unwritable{0};  ///< no memory to queue them
    std::shared_ptr<DescriptorSink> sink;
    std::shared_ptr<spdlog::details::thread_pool> pool;
    std::shared_ptr<spdlog::async_logger> logger;
};

Log::Log(LogOptions const& options, int descriptor) : inside_(std::make_unique<Inside>(options, descriptor)) {}

Log::~Log() = default;

bool Log::wants(LogLevel level) const noexcept {
    return level != LogLevel::off && level >= inside_->level.load(std::memory_order_relaxed);
}

bool Log::wants_access() const noexcept { return inside_->access; }

void Log::set_level(LogLevel level) noexcept { inside_->level.store(level, std::memory_order_relaxed); }

void Log::write(LogLevel level, LogKind kind, std::string_view event, std::string_view message,
                std::span<LogField const> fields) noexcept {
    if (!wants(level)) return;
    Line line;
    auto const text = line.build(inside_->style, std::chrono::system_clock::now(), level, kind, event, message, fields);
    try {
        inside_->logger->log(spdlog::level::info, spdlog::string_view_t(text.data(), text.size()));
    } catch (...) {
        inside_->unwritable.fetch_add(1, std::memory_order_relaxed);
    }
}

std::uint64_t Log::dropped() const noexcept {
    return inside_->pool->overrun_counter() + inside_->sink->lost() +
           inside_->unwritable.load(std::memory_order_relaxed);
}

}  // namespace ocgate::ops
