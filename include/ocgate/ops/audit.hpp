// Who changed what: one JSON line each, added to a file that only grows, or to the log. Knows nothing of what is
// written in it.
#pragma once

#include <atomic>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "ocgate/ops/log.hpp"
#include "ocgate/rt/descriptor.hpp"
#include "ocgate/rt/types.hpp"

namespace ocgate::ops {

class LineQueue;

struct AuditPlace {
    enum class Kind : std::uint8_t { none, log, file };
    Kind kind = Kind::log;
    std::string path{};  ///< of the file

    bool operator==(AuditPlace const&) const = default;
};

/// Lines of kind `audit`, in the log's own JSON. In the file they are JSON whatever the log's format is, and in the log
/// they stand at every level but `off`. The file is made with mode 0600 when it is missing; it is written by a thread
/// of its own behind a queue of `Log::max_queued_bytes`, as the log is: a full disk slows nobody, and what is lost is
/// counted and told in the log. Secrets have no way in, as with the log.
class Audit {
public:
    /// `log` outlives it.
    explicit Audit(Log& log);
    /// Writes what is queued, bounded by a second.
    ~Audit();
    Audit(Audit const&) = delete;
    Audit& operator=(Audit const&) = delete;

    /// The file of `place`, opened to be added to; none for the other kinds. Nothing, with the reason in `problem`,
    /// when it cannot be had, or is no regular file.
    [[nodiscard]] static rt::Descriptor open(AuditPlace const& place, std::string& problem);
    /// From now on there. Again with the same place: a file that was moved away (logrotate) is left, and a new one
    /// begun. One thread.
    void adopt(AuditPlace place, rt::Descriptor file);
    /// The same place once more, on the same thread. The one that was open stays when that fails, with the reason in
    /// `problem`.
    bool reopen(std::string& problem);
    /// On that thread.
    [[nodiscard]] AuditPlace const& place() const noexcept { return place_; }

    /// Any thread. Never blocks and never throws. `event` and the fields' names are literals of ours.
    void write(std::string_view event, std::span<LogField const> fields) noexcept;
    void write(std::string_view event, std::initializer_list<LogField> fields) noexcept {
        write(event, std::span<LogField const>(fields.begin(), fields.size()));
    }
    [[nodiscard]] bool wanted() const noexcept {
        return kind_.load(std::memory_order_relaxed) != AuditPlace::Kind::none;
    }

    /// A line could not even be made, for want of memory.
    void lost() noexcept { unwritable_.fetch_add(1, std::memory_order_relaxed); }

    [[nodiscard]] std::uint64_t lines() const noexcept { return lines_.load(std::memory_order_relaxed); }
    /// Of these, those that found the queue of the file full or could not be written. The log counts its own.
    [[nodiscard]] std::uint64_t dropped() const noexcept;

private:
    void tell_lost() noexcept;

    Log& log_;
    std::atomic<AuditPlace::Kind> kind_{AuditPlace::Kind::none};
    std::atomic<std::uint64_t> lines_{0};
    std::atomic<std::uint64_t> unwritable_{0};  ///< no memory to queue them
    mutable std::mutex mutex_;                  ///< of what follows
    AuditPlace place_{AuditPlace::Kind::none, {}};
    rt::Descriptor file_;
    std::unique_ptr<LineQueue> queue_;  ///< writes to `file_`, which therefore goes after it
    std::uint64_t lost_before_ = 0;     ///< by queues before this one
    std::uint64_t told_ = 0;            ///< how many the log knows of
    rt::Instant told_at_ = rt::Instant::min();
};

}  // namespace ocgate::ops
