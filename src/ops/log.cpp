// Secrets do not get here by construction: the proxy's records hold no credentials, no query and no bodies, and
// base::Secret has no conversion that a LogField would take.
#include "ocgate/ops/log.hpp"

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "line.hpp"
#include "line_queue.hpp"

namespace ocgate::ops {
namespace {

bool wants_colour(int descriptor) {
    // https://no-color.org: set and not empty means no colour.
    char const* const no_colour = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): before any thread
    bool const plain = no_colour && *no_colour;
    return !plain && ::isatty(descriptor) == 1;
}

constexpr auto every_one = std::numeric_limits<std::uint64_t>::max();

/// What a request's hash has to stay below.
std::uint64_t bound_for(double share) noexcept {
    if (share >= 1) return every_one;
    return share > 0 ? static_cast<std::uint64_t>(std::ldexp(share, 64)) : 0;
}

/// FNV-1a, and a finish of SplitMix64's: of an id that a proxy has counted up, every bit counts.
std::uint64_t hash_of(std::string_view id) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (char const c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
    return hash ^ (hash >> 31);
}

}  // namespace

struct Log::Inside {
    Inside(LogOptions const& options, int descriptor) : colour(wants_colour(descriptor)), queue(descriptor) {
        adopt(options);
    }

    void adopt(LogOptions const& options) noexcept {
        format.store(options.format, std::memory_order_relaxed);
        access.store(options.access, std::memory_order_relaxed);
        level.store(options.level, std::memory_order_relaxed);
        sampled_below.store(bound_for(options.sample), std::memory_order_relaxed);
    }
    [[nodiscard]] LineStyle style() const noexcept {
        auto const now = format.load(std::memory_order_relaxed);
        return {now, colour && now == LogFormat::text};
    }

    bool const colour;
    std::atomic<LogFormat> format{};
    std::atomic<bool> access{};
    std::atomic<LogLevel> level{};
    std::atomic<std::uint64_t> sampled_below{};
    std::atomic<std::uint64_t> unwritable{0};  ///< no memory to queue them
    LineQueue queue;
};

Log::Log(LogOptions const& options, int descriptor) : inside_(std::make_unique<Inside>(options, descriptor)) {}

Log::~Log() = default;

bool Log::wants(LogLevel level) const noexcept {
    return level != LogLevel::off && level >= inside_->level.load(std::memory_order_relaxed);
}

bool Log::wants_access() const noexcept { return inside_->access.load(std::memory_order_relaxed); }

bool Log::samples(std::string_view request_id) const noexcept {
    auto const below = inside_->sampled_below.load(std::memory_order_relaxed);
    return below == every_one || hash_of(request_id) < below;
}

void Log::close() { inside_->queue.close(); }

void Log::adopt(LogOptions const& options) noexcept { inside_->adopt(options); }

void Log::write(LogLevel level, LogKind kind, std::string_view event, std::string_view message,
                std::span<LogField const> fields) noexcept {
    if (wants(level)) put(level, kind, event, message, fields);
}

void Log::announce(std::string_view event, std::initializer_list<LogField> fields) noexcept {
    // What `error` lets through, everything but `off` does.
    if (wants(LogLevel::error)) put(LogLevel::info, LogKind::app, event, {}, {fields.begin(), fields.size()});
}

bool Log::audit(std::string_view event, std::span<LogField const> fields) noexcept {
    if (!wants(LogLevel::error)) return false;
    put(LogLevel::info, LogKind::audit, event, {}, fields);
    return true;
}

void Log::put(LogLevel level, LogKind kind, std::string_view event, std::string_view message,
              std::span<LogField const> fields) noexcept {
    Line line;
    auto const text =
        line.build(inside_->style(), std::chrono::system_clock::now(), level, kind, event, message, fields);
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
