#include "memory_disk.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

namespace ocgate::notify {
namespace {

using Written = MemoryDisk::Written;

constexpr std::size_t sector = 512;

void put(std::string& content, Written const& written) {
    if (written.cut) {
        if (content.size() > written.at) content.resize(written.at);
        return;
    }
    if (content.size() < written.at + written.bytes.size()) content.resize(written.at + written.bytes.size());
    content.replace(written.at, written.bytes.size(), written.bytes);
}

/// As a disk may: each sector by itself.
void put_some(std::string& content, Written const& written, std::mt19937_64& chance) {
    if (written.cut) {
        if (chance() % 2 == 0) put(content, written);
        return;
    }
    for (std::size_t from = 0; from < written.bytes.size();) {
        auto const to = std::min(written.bytes.size(), from + sector - (written.at + from) % sector);
        if (chance() % 2 == 0) put(content, {written.at + from, written.bytes.substr(from, to - from)});
        from = to;
    }
}

}  // namespace

/// What SQLite calls, by its own signatures.
struct MemoryDiskCalls {
    using Kind = MemoryDisk::Kind;

    static MemoryDisk& disk(sqlite3_vfs* vfs) { return *static_cast<MemoryDisk*>(vfs->pAppData); }
    static MemoryDisk& disk(sqlite3_file* file) { return *reinterpret_cast<MemoryDisk::File*>(file)->disk; }
    static MemoryDisk::Content& content(sqlite3_file* file) {
        return **reinterpret_cast<MemoryDisk::File*>(file)->content;
    }

    static int open(sqlite3_vfs* vfs, char const* name, sqlite3_file* opened, int flags, int* out_flags) {
        opened->pMethods = nullptr;
        auto& disk = MemoryDiskCalls::disk(vfs);
        std::string const path = name != nullptr ? name : "temporary";
        if (auto const code = disk.operate(Kind::open); code != SQLITE_OK) return code;
        if (!disk.files_.contains(path)) {
            if (disk.read_only) return SQLITE_CANTOPEN;
            disk.files_[path] = std::make_shared<MemoryDisk::Content>();
        }
        auto* const file = reinterpret_cast<MemoryDisk::File*>(opened);
        file->disk = &disk;
        file->content = new std::shared_ptr<MemoryDisk::Content>(disk.files_[path]);
        file->base.pMethods = methods();
        if (out_flags != nullptr) {
            *out_flags = disk.read_only ? (flags & ~SQLITE_OPEN_READWRITE) | SQLITE_OPEN_READONLY : flags;
        }
        return SQLITE_OK;
    }
    static int remove(sqlite3_vfs* vfs, char const* name, int) {
        auto& disk = MemoryDiskCalls::disk(vfs);
        if (auto const code = disk.operate(Kind::remove); code != SQLITE_OK) return code;
        return disk.files_.erase(name) > 0 ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
    }
    static int access(sqlite3_vfs* vfs, char const* name, int, int* answer) {
        // The unix file system counts an empty file as none here, for journals (unixAccess).
        auto& files = disk(vfs).files_;
        auto const found = files.find(name);
        *answer = found != files.end() && !found->second->now.empty() ? 1 : 0;
        return SQLITE_OK;
    }
    static int full_path(sqlite3_vfs*, char const* name, int size, char* path) {
        sqlite3_snprintf(size, path, "%s", name);
        return SQLITE_OK;
    }
    static int randomness(sqlite3_vfs*, int size, char* bytes) {
        static std::mt19937 numbers(4);
        std::generate_n(bytes, size, [] { return static_cast<char>(numbers()); });
        return size;
    }
    static int sleep(sqlite3_vfs*, int microseconds) { return microseconds; }
    static int time(sqlite3_vfs*, double* days) {
        *days = 2461000.5;
        return SQLITE_OK;
    }
    static int last_error(sqlite3_vfs*, int, char*) { return 0; }

    static int close(sqlite3_file* file) {
        delete reinterpret_cast<MemoryDisk::File*>(file)->content;
        return SQLITE_OK;
    }
    static int read(sqlite3_file* file, void* bytes, int size, sqlite3_int64 at) {
        if (auto const code = disk(file).operate(Kind::read); code != SQLITE_OK) return code;
        auto const& bad = disk(file).bad;
        auto const begin = static_cast<std::uint64_t>(at);
        if (begin < bad.second && begin + static_cast<std::uint64_t>(size) > bad.first) return SQLITE_IOERR_READ;
        auto const& now = content(file).now;
        auto const from = std::min(now.size(), static_cast<std::size_t>(at));
        auto const there = std::min(now.size() - from, static_cast<std::size_t>(size));
        std::memcpy(bytes, now.data() + from, there);
        std::memset(static_cast<char*>(bytes) + there, 0, static_cast<std::size_t>(size) - there);
        return std::cmp_equal(there, size) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
    }
    static int write(sqlite3_file* file, void const* bytes, int size, sqlite3_int64 at) {
        auto& disk = MemoryDiskCalls::disk(file);
        bool const was_alive = !disk.cut_off();
        auto const code = disk.operate(Kind::write);
        Written written{static_cast<std::uint64_t>(at),
                        {static_cast<char const*>(bytes), static_cast<std::size_t>(size)}};
        if (code != SQLITE_OK) {
            if (!was_alive || !disk.cut_off()) return code;
            written.bytes.resize(written.bytes.size() / 2);  // the one it was cut off at
        } else {
            if (disk.read_only) return SQLITE_READONLY;
            auto const end = written.at + written.bytes.size();
            auto const now = content(file).now.size();
            if (end > now && disk.used() + (end - now) > disk.size) return SQLITE_FULL;
        }
        put(content(file).now, written);
        content(file).unsynced.push_back(std::move(written));
        return code;
    }
    static int truncate(sqlite3_file* file, sqlite3_int64 size) {
        if (auto const code = disk(file).operate(Kind::cut); code != SQLITE_OK) return code;
        if (disk(file).read_only) return SQLITE_READONLY;
        Written const cut{static_cast<std::uint64_t>(size), {}, true};
        put(content(file).now, cut);
        content(file).unsynced.push_back(cut);
        return SQLITE_OK;
    }
    static int sync(sqlite3_file* file, int) {
        auto& content = MemoryDiskCalls::content(file);
        auto& disk = MemoryDiskCalls::disk(file);
        auto const code = disk.operate(Kind::sync);
        if (code == SQLITE_OK) {
            for (auto const& written : content.unsynced) put(content.synced, written);
        }
        if (!disk.cut_off()) content.unsynced.clear();
        return code;
    }
    static int file_size(sqlite3_file* file, sqlite3_int64* size) {
        *size = static_cast<sqlite3_int64>(content(file).now.size());
        return SQLITE_OK;
    }
    static int lock(sqlite3_file*, int) { return SQLITE_OK; }
    static int check_lock(sqlite3_file*, int* reserved) {
        *reserved = 0;
        return SQLITE_OK;
    }
    static int control(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
    static int sector_size(sqlite3_file*) { return static_cast<int>(sector); }
    static int traits(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

    static int share(sqlite3_file* file, int region, int size, int extend, void volatile** memory) {
        auto& shared = content(file).shared;
        auto const wanted = static_cast<std::size_t>(region);
        if (wanted >= shared.size()) {
            *memory = nullptr;
            if (extend == 0) return SQLITE_OK;
            if (auto const code = disk(file).operate(Kind::share); code != SQLITE_OK) return code;
            while (shared.size() <= wanted) shared.push_back(std::make_unique<char[]>(static_cast<std::size_t>(size)));
        }
        *memory = shared[wanted].get();
        return SQLITE_OK;
    }
    static int share_lock(sqlite3_file*, int, int, int) { return SQLITE_OK; }
    static void barrier(sqlite3_file*) {}
    static int unshare(sqlite3_file* file, int remove) {
        if (remove != 0) content(file).shared.clear();
        return SQLITE_OK;
    }

    static sqlite3_io_methods const* methods() {
        static sqlite3_io_methods const methods = {
            2,       close,       read,   write, truncate,   sync,    file_size, lock,    lock,   check_lock,
            control, sector_size, traits, share, share_lock, barrier, unshare,   nullptr, nullptr};
        return &methods;
    }
};

MemoryDisk::MemoryDisk() {
    static int number = 0;
    name_ = "memory-disk-" + std::to_string(++number);
    vfs_.iVersion = 1;
    vfs_.szOsFile = sizeof(File);
    vfs_.mxPathname = 512;
    vfs_.zName = name_.c_str();
    vfs_.pAppData = this;
    vfs_.xOpen = MemoryDiskCalls::open;
    vfs_.xDelete = MemoryDiskCalls::remove;
    vfs_.xAccess = MemoryDiskCalls::access;
    vfs_.xFullPathname = MemoryDiskCalls::full_path;
    vfs_.xRandomness = MemoryDiskCalls::randomness;
    vfs_.xSleep = MemoryDiskCalls::sleep;
    vfs_.xCurrentTime = MemoryDiskCalls::time;
    vfs_.xGetLastError = MemoryDiskCalls::last_error;
    sqlite3_vfs_register(&vfs_, 0);
}

MemoryDisk::~MemoryDisk() { sqlite3_vfs_unregister(&vfs_); }

void MemoryDisk::fail(std::uint64_t first, std::uint64_t count, bool full) {
    fails_from_ = first;
    fails_count_ = count;
    fails_full_ = full;
}

void MemoryDisk::restart(Survives unsynced, std::uint64_t seed) {
    std::mt19937_64 chance(seed);
    cut_off_at_ = std::numeric_limits<std::uint64_t>::max();
    fails_count_ = 0;
    for (auto& [name, content] : files_) {
        if (unsynced != Survives::everything) {
            for (auto const& written : content->unsynced) {
                if (unsynced == Survives::some) put_some(content->synced, written, chance);
            }
            content->now = content->synced;
        }
        content->synced = content->now;
        content->unsynced.clear();
        content->shared.clear();
    }
}

int MemoryDisk::operate(Kind kind) {
    auto const number = ++operations_;
    bool const takes_space = kind == Kind::write || kind == Kind::share;
    bool const fails = number >= fails_from_ && number - fails_from_ < fails_count_ && (takes_space || !fails_full_);
    if (!fails && !cut_off()) return SQLITE_OK;
    switch (kind) {
        case Kind::open:
            return SQLITE_CANTOPEN;
        case Kind::read:
            return SQLITE_IOERR_READ;
        case Kind::write:
            return fails_full_ ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        case Kind::cut:
            return SQLITE_IOERR_TRUNCATE;
        case Kind::sync:
            return SQLITE_IOERR_FSYNC;
        case Kind::remove:
            return SQLITE_IOERR_DELETE;
        case Kind::share:
            return fails_full_ ? SQLITE_FULL : SQLITE_IOERR_SHMMAP;
    }
    return SQLITE_IOERR;
}

std::uint64_t MemoryDisk::used() const {
    std::uint64_t bytes = 0;
    for (auto const& [name, content] : files_) bytes += content->now.size();
    return bytes;
}

}  // namespace ocgate::notify
