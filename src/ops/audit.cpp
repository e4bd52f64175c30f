#include "ocgate/ops/audit.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "line.hpp"
#include "line_queue.hpp"
#include "ocgate/rt/clock.hpp"

namespace ocgate::ops {
namespace {

/// Of lines in the log that say how many were lost.
constexpr std::chrono::minutes lost_line_every{1};

std::string words_of(int error) { return std::generic_category().message(error); }

}  // namespace

Audit::Audit(Log& log) : log_(log) {}

Audit::~Audit() = default;

rt::Descriptor Audit::open(AuditPlace const& place, std::string& problem) {
    if (place.kind != AuditPlace::Kind::file) return {};
    // O_NONBLOCK: the open of a pipe nobody reads would wait.
    rt::Descriptor file(
        ::open(place.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
    if (!file) {
        problem = "the file cannot be written: " + words_of(errno);
        return {};
    }
    struct stat about {};
    if (::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) {
        problem = "it is no regular file";
        return {};
    }
    return file;
}

void Audit::adopt(AuditPlace place, rt::Descriptor file) {
    rt::Descriptor left_file;
    std::unique_ptr<LineQueue> left;  // ends outside the lock: it writes what it holds first
    {
        std::lock_guard const lock(mutex_);
        bool const to_file = place.kind == AuditPlace::Kind::file;
        if (to_file && queue_) {
            // The same number, another file: a write under way ends in the old one, the next goes to the new one.
            while (::dup3(file.get(), file_.get(), O_CLOEXEC) < 0 && (errno == EINTR || errno == EBUSY)) {
            }
        } else if (to_file) {
            queue_ = std::make_unique<LineQueue>(file.get());
            file_ = std::move(file);
        } else if (queue_) {
            lost_before_ += queue_->lost();
            left = std::move(queue_);
            left_file = std::move(file_);
        }
        kind_.store(place.kind, std::memory_order_relaxed);
        place_ = std::move(place);
    }
    left.reset();
}

bool Audit::reopen(std::string& problem) {
    auto file = open(place_, problem);
    if (!problem.empty()) return false;
    adopt(place_, std::move(file));
    return true;
}

void Audit::write(std::string_view event, std::span<LogField const> fields) noexcept {
    switch (kind_.load(std::memory_order_relaxed)) {
        case AuditPlace::Kind::none:
            return;
        case AuditPlace::Kind::log:
            if (log_.audit(event, fields)) lines_.fetch_add(1, std::memory_order_relaxed);
            return;
        case AuditPlace::Kind::file:
            break;
    }
    Line line;
    auto const text = line.build({LogFormat::json, false}, std::chrono::system_clock::now(), LogLevel::info,
                                 LogKind::audit, event, {}, fields);
    lines_.fetch_add(1, std::memory_order_relaxed);
    try {
        std::lock_guard const lock(mutex_);
        if (queue_) {
            queue_->add(text, true);
            return tell_lost();
        }
    } catch (...) {
        unwritable_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    (void)log_.audit(event, fields);  // another place was adopted meanwhile
}

/// With the mutex held. What is lost is known after it was to be written: at the next line.
void Audit::tell_lost() noexcept {
    auto const lost = queue_->lost() + lost_before_ + unwritable_.load(std::memory_order_relaxed);
    if (lost == told_) return;
    auto const now = rt::SystemClock{}.now();
    if (told_at_ != rt::Instant::min() && now - told_at_ < lost_line_every) return;
    log_.app(LogLevel::error, "audit_lost", "lines of the audit could not be written",
             {{"lines", std::uint64_t{lost - told_}}, {"path", std::string_view(place_.path)}});
    told_ = lost;
    told_at_ = now;
}

std::uint64_t Audit::dropped() const noexcept {
    std::lock_guard const lock(mutex_);
    return (queue_ ? queue_->lost() : 0) + lost_before_ + unwritable_.load(std::memory_order_relaxed);
}

}  // namespace ocgate::ops
