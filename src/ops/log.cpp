// Secrets do not get here by construction: the proxy's records hold no credentials, no query and no bodies, and
// base::Secret has no conversion that a LogField would take.
#include "ocgate/ops/log.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "line.hpp"
#include "line_queue.hpp"

namespace ocgate::ops {
namespace {

LineStyle style_for(LogFormat format, int descriptor) {
    // https://no-color.org: set and not empty means no colour.
    char const* const no_colour = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): before any thread
    bool const plain = no_colour && *no_colour;
    return {format, format == LogFormat::text && !plain && ::isatty(descriptor) == 1};
}

}  // namespace

struct Log::Inside {
    Inside(LogOptions const& options, int descriptor)
        : style(style_for(options.format, descriptor)),
          access(options.access),
          level(options.level),
          queue(descriptor) {}

    LineStyle const style;
    bool const access;
    std::atomic<LogLevel> level;
    std::atomic<std::uint64_t> unwritable{0};  ///< no memory to queue them
    LineQueue queue;
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
    if (wants(level)) put(level, kind, event, message, fields);
}

void Log::announce(std::string_view event, std::initializer_list<LogField> fields) noexcept {
    // What `error` lets through, everything but `off` does.
    if (wants(LogLevel::error)) put(LogLevel::info, LogKind::app, event, {}, {fields.begin(), fields.size()});
}

void Log::put(LogLevel level, LogKind kind, std::string_view event, std::string_view message,
              std::span<LogField const> fields) noexcept {
    Line line;
    auto const text = line.build(inside_->style, std::chrono::system_clock::now(), level, kind, event, message, fields);
    try {
        // What happens with every request can wait for the next ones; what does not should be seen when it happens.
        inside_->queue.add(text, kind != LogKind::access);
    } catch (...) {
        inside_->unwritable.fetch_add(1, std::memory_order_relaxed);
    }
}

std::uint64_t Log::dropped() const noexcept {
    return inside_->queue.lost() + inside_->unwritable.load(std::memory_order_relaxed);
}

}  // namespace ocgate::ops
