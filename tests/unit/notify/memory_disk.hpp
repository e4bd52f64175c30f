// A disk for SQLite, in memory: it counts its operations, fails at the n-th, is cut off at the n-th, is full, or takes
// no writes. After the current is gone it keeps what was synced, and of the rest as much as it likes. One connection.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace ocgate::notify {

class MemoryDisk {
public:
    MemoryDisk();
    ~MemoryDisk();
    MemoryDisk(MemoryDisk const&) = delete;
    MemoryDisk& operator=(MemoryDisk const&) = delete;

    /// For OutboxOptions::vfs.
    [[nodiscard]] char const* name() const noexcept { return name_.c_str(); }
    /// Opens, reads, writes, cuts, syncs, deletions and shared pages so far.
    [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }

    /// The operations numbered `first` to `first + count - 1` fail, with the error of their kind or, when `full`, with
    /// SQLITE_FULL where they would take space. A sync that fails loses what it should have kept: it looks written
    /// until the current goes (as on Linux, where fsync(2) tells an error once).
    void fail(std::uint64_t first, std::uint64_t count, bool full = false);
    /// The operation of this number happens no more, or half, and none after it: the process is gone.
    void cut_off_at(std::uint64_t operation) { cut_off_at_ = operation; }
    [[nodiscard]] bool cut_off() const noexcept { return operations_ >= cut_off_at_; }

    /// What a start after the cut finds of what was written and not synced.
    enum class Survives { everything, nothing, some };
    void restart(Survives unsynced, std::uint64_t seed);

    /// No write, cut or new file is taken, as by a mount that was remounted read-only.
    bool read_only = false;
    /// Bytes of each file that cannot be read any more: from, up to.
    std::pair<std::uint64_t, std::uint64_t> bad{0, 0};
    /// Bytes of all files together.
    std::uint64_t size = std::numeric_limits<std::uint64_t>::max();

    struct Written {
        std::uint64_t at;
        std::string bytes;
        bool cut = false;  ///< the file ends at `at`
    };
    struct Content {
        std::string now;
        std::string synced;
        std::vector<Written> unsynced;
        std::vector<std::unique_ptr<char[]>> shared;
    };
    struct File {
        sqlite3_file base;
        MemoryDisk* disk;
        std::shared_ptr<Content>* content;
    };

private:
    friend struct MemoryDiskCalls;
    enum class Kind { open, read, write, cut, sync, remove, share };
    /// SQLITE_OK when it may happen.
    int operate(Kind kind);
    [[nodiscard]] std::uint64_t used() const;

    std::string name_;
    sqlite3_vfs vfs_{};
    std::map<std::string, std::shared_ptr<Content>> files_;
    std::uint64_t operations_ = 0;
    std::uint64_t fails_from_ = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t fails_count_ = 0;
    std::uint64_t cut_off_at_ = std::numeric_limits<std::uint64_t>::max();
    bool fails_full_ = false;
};

}  // namespace ocgate::notify
