// Opening: the file and its rights, its version, whether it is whole.
#include "ocgate/notify/outbox.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <charconv>
#include <functional>
#include <system_error>

#include "ocgate/rt/descriptor.hpp"
#include "outbox_inside.hpp"
#include "outbox_schema.hpp"

namespace ocgate::notify {
namespace {

namespace fs = std::filesystem;

OutboxError system_error(int error, std::string_view doing, fs::path const& path) {
    auto trouble = Trouble::io;
    if (error == ENOSPC || error == EDQUOT) trouble = Trouble::disk_full;
    if (error == EROFS || error == EACCES || error == EPERM) trouble = Trouble::read_only;
    return {trouble, std::string(doing) + ' ' + path.string() + ": " + std::generic_category().message(error)};
}

std::optional<OutboxError> make_folder(fs::path const& folder) {
    std::error_code problem;
    if (folder.has_parent_path()) fs::create_directories(folder.parent_path(), problem);
    // What is wrong with a parent, mkdir says again.
    if (::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
    return system_error(errno, "making the folder", folder);
}

/// Whose it is has the folder, and leaves it by closing it, or by dying. A file of its own, which is never moved away
/// or removed: two could hold two files of one name. flock(2) counts by opening, not by process, and between machines
/// that share the folder by NFS, too.
Kept<rt::Descriptor> take_lock(fs::path const& folder) {
    auto const path = folder / "outbox.lock";
    rt::Descriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) return system_error(errno, "making", path);
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno == EWOULDBLOCK) {
        return OutboxError{Trouble::busy, "opening " + (folder / "outbox.db").string() +
                                              ": another process uses it (it holds outbox.lock beside it)"};
    }
    // A file system without it: SQLite's own lock (fcntl(2)) has to do.
    if (errno == ENOSYS || errno == EOPNOTSUPP || errno == ENOLCK || errno == EINVAL) return lock;
    return system_error(errno, "locking", path);
}

/// SQLite would make the file readable for others; its companions take over the mode of the file. True: it is new.
Kept<bool> make_file(fs::path const& file) {
    // Never opened when it is there: closing a descriptor of ours would release the locks of SQLite's (fcntl(2)).
    if (rt::Descriptor const made(::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)); made) {
        // A file whose name is not on the disk is not there after a crash. SQLite does this for its log, not for us.
        rt::Descriptor const folder(::open(file.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!folder || ::fsync(folder.get()) != 0) return system_error(errno, "making", file);
        return true;
    }
    if (errno != EEXIST) return system_error(errno, "making", file);
    struct stat found {};
    if (::stat(file.c_str(), &found) != 0) return system_error(errno, "looking at", file);
    if (!S_ISREG(found.st_mode)) return OutboxError{Trouble::invalid, file.string() + ": not a regular file"};
    if ((found.st_mode & 0077) != 0 && ::chmod(file.c_str(), 0600) != 0) return system_error(errno, "chmod of", file);
    return false;
}

/// Its log goes with it, under the name that SQLite will look for.
std::optional<OutboxError> move_aside(fs::path const& file, fs::path const& aside) {
    std::error_code problem;
    fs::remove(fs::path(file) += "-shm", problem);
    fs::rename(fs::path(file) += "-wal", fs::path(aside) += "-wal", problem);
    if (::rename(file.c_str(), aside.c_str()) == 0) return {};
    return system_error(errno, "moving aside", file);
}

/// Damage that comes again and again does not fill the disk.
void keep_newest(fs::path const& file, fs::path const& newest) {
    constexpr auto most_others = Outbox::most_aside - 1;
    auto const start = file.filename().string() + ".corrupt-";
    std::vector<std::pair<std::int64_t, fs::path>> others;
    std::error_code problem;
    for (fs::directory_iterator at(file.parent_path(), problem), end; !problem && at != end; at.increment(problem)) {
        auto const name = at->path().filename().string();
        std::int64_t moved = 0;
        if (!name.starts_with(start) || at->path() == newest) continue;
        auto const [rest, wrong] = std::from_chars(name.data() + start.size(), name.data() + name.size(), moved);
        if (wrong == std::errc() && rest == name.data() + name.size()) others.emplace_back(moved, at->path());
    }
    std::sort(others.begin(), others.end(), std::greater());
    for (auto n = most_others; n < others.size(); ++n) {
        fs::remove(others[n].second, problem);
        fs::remove(fs::path(others[n].second) += "-wal", problem);
    }
}

/// What integrity_check finds first; empty: nothing, or the database has failed.
std::string first_finding(sqlite::Database& database) {
    sqlite::Statement asking(database, "PRAGMA integrity_check(1)");
    auto answer = asking.rows();
    if (!answer.next()) return {};
    auto finding = answer.text(0);
    return finding == "ok" ? std::string() : finding;
}

/// What is wrong with the file; empty: nothing, or the database has failed. A page that the disk did not give is
/// reported like a damaged one (SQLite 3.40, in several wordings). A whole file must not be moved aside for that, so
/// every byte is asked for, and what was found must be found again.
std::string check(sqlite::Database& database) {
    if (first_finding(database).empty()) return {};
    database.read_all();
    return first_finding(database);
}

/// Without it a reader would wait for a writer, and each transaction take three syncs.
void ask_for_log(sqlite::Database& database) {
    sqlite::Statement asking(database, "PRAGMA journal_mode = WAL");
    auto answer = asking.rows();
    if (answer.next() && answer.text(0) != "wal") database.fail(SQLITE_IOERR_SHMOPEN);
}

/// Tables that are there before they are made, or not there when they are asked for: the file is not ours.
OutboxError foreign(sqlite::Failure const& failure, std::string_view doing, std::string_view path) {
    auto error = error_of(failure, doing, path);
    if (failure.code == SQLITE_ERROR) error.trouble = Trouble::corrupt;
    return error;
}

// Nothing is put into /tmp: it may not be writable, and the sandbox does not let it be.
constexpr char const* settings = R"sql(
    PRAGMA temp_store = MEMORY;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA journal_size_limit = 4194304)sql";

}  // namespace

OutboxError error_of(sqlite::Failure const& failure, std::string_view doing, std::string_view path) {
    auto trouble = Trouble::io;
    bool system = false;
    switch (failure.code & 0xff) {
        case SQLITE_FULL:
            trouble = Trouble::disk_full;
            break;
        case SQLITE_READONLY:
        case SQLITE_PERM:
            trouble = Trouble::read_only;
            break;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            trouble = Trouble::busy;
            break;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            trouble = Trouble::corrupt;
            break;
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
            // SQLite calls only ENOSPC a full disk; a quota is one, too.
            system = failure.system != 0;
            if (system) trouble = system_error(failure.system, {}, {}).trouble;
            break;
        default:
            break;
    }
    std::string text = std::string(doing) + " in " + std::string(path) + ": " + failure.text;
    if (system) text += " (" + std::generic_category().message(failure.system) + ')';
    return {trouble, std::move(text)};
}

std::string_view remark(std::string_view text) noexcept {
    if (text.size() <= TextBounds::remark) return text;
    auto size = TextBounds::remark;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
    return text.substr(0, size);
}

OutboxError Outbox::Inside::failed(std::string_view doing) {
    auto const failure = database.take_failure();
    if (failure) return error_of(*failure, doing, path);
    return {Trouble::io, std::string(doing) + " in " + path + ": failed"};
}

void Outbox::Inside::need_name(std::string_view what, std::string_view text, std::size_t bound) {
    if (text.empty()) return refuse(Trouble::invalid, std::string(what) + ": is empty");
    if (text.size() <= bound) return;
    refuse(Trouble::invalid,
           std::string(what) + ": " + std::to_string(text.size()) + " bytes, at most " + std::to_string(bound));
}

void Outbox::Inside::need_document(std::string_view what, std::string_view text) {
    if (!text.empty()) need_name(what, text, TextBounds::document);
}

Outbox::Outbox(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
Outbox::Outbox(Outbox&&) noexcept = default;
Outbox& Outbox::operator=(Outbox&&) noexcept = default;
Outbox::~Outbox() = default;

Kept<Outbox::Opened> Outbox::open_file(OutboxOptions const& options, std::string const& path) {
    sqlite::Database database;
    database.open(path, options.vfs, options.busy_wait);
    auto const failed = [&](std::string_view doing) { return error_of(*database.take_failure(), doing, path); };
    bool const on_disk = path != ":memory:";
    // Nobody else looks in meanwhile, and the log needs no memory shared between processes, which a network file system
    // would not have. Before the file is first read.
    if (on_disk) database.execute("PRAGMA locking_mode = EXCLUSIVE");
    if (!database.good()) return failed("opening");
    if (database.read_only()) return OutboxError{Trouble::read_only, "opening " + path + ": may not be written"};
    database.keep_log(true);  // until it is known to be whole: it may be wanted beside a file moved aside
    auto const steps = outbox_steps();
    auto const version = schema_version(database);
    if (!database.good()) return failed("reading the version");
    if (std::cmp_greater(version, steps.size())) {
        return OutboxError{Trouble::newer, path + ": has version " + std::to_string(version) +
                                               ", this program knows up to " + std::to_string(steps.size()) +
                                               ": use the later program again, or move the file away"};
    }
    if (on_disk) {
        if (auto finding = check(database); !finding.empty()) {
            return OutboxError{Trouble::corrupt, "checking " + path + ": " + finding};
        }
        if (database.good()) ask_for_log(database);
    }
    database.execute(settings);
    take_steps(database, steps);
    if (auto failure = database.take_failure()) return foreign(*failure, "bringing the tables up to date", path);

    Opened opened{.outbox = Outbox(std::make_unique<Inside>(std::move(database), options.limits, path))};
    auto& inside = *opened.outbox.inside_;
    if (auto failure = inside.database.take_failure()) return foreign(*failure, "preparing statements", path);
    inside.database.keep_log(false);
    if (std::cmp_less(version, steps.size())) opened.migrated_from = version;
    return opened;
}

Kept<Outbox::Opened> Outbox::open(OutboxOptions const& options, std::int64_t now_ms) {
    auto const file = options.folder / "outbox.db";
    if (auto problem = make_folder(options.folder)) return *problem;
    auto lock = take_lock(options.folder);
    if (!lock) return lock.error();
    auto made = make_file(file);
    if (!made) return made.error();
    auto opened = open_file(options, file.string());
    if (opened) {
        opened->created = *made;
        opened->outbox.inside_->lock = std::move(*lock);
    }
    if (opened || opened.error().trouble != Trouble::corrupt) return opened;

    auto const aside = fs::path(file) += ".corrupt-" + std::to_string(now_ms);
    if (auto problem = move_aside(file, aside)) return *problem;
    keep_newest(file, aside);
    made = make_file(file);
    if (!made) return made.error();
    auto fresh = open_file(options, file.string());
    if (!fresh) {
        auto error = fresh.error();
        error.text += " (" + opened.error().text + "; it was moved to " + aside.string() + ')';
        return error;
    }
    fresh->outbox.inside_->lock = std::move(*lock);
    fresh->created = true;
    fresh->moved_aside = aside.string();
    fresh->corruption = opened.error().text;
    return fresh;
}

Kept<Outbox> Outbox::in_memory(OutboxLimits limits) {
    OutboxOptions options;
    options.limits = limits;
    auto opened = open_file(options, ":memory:");
    if (!opened) return opened.error();
    return std::move(opened->outbox);
}

void throw_exception_from_error(OutboxError const& error, boost::source_location const&) {
    throw std::runtime_error("outbox: " + error.text);
}

std::string_view to_string(Trouble trouble) noexcept {
    switch (trouble) {
        case Trouble::disk_full:
            return "disk_full";
        case Trouble::read_only:
            return "read_only";
        case Trouble::busy:
            return "busy";
        case Trouble::io:
            return "io";
        case Trouble::corrupt:
            return "corrupt";
        case Trouble::newer:
            return "newer";
        case Trouble::full:
            return "full";
        case Trouble::invalid:
            return "invalid";
        case Trouble::unknown:
            return "unknown";
    }
    return "io";
}

std::string_view to_string(Weight weight) noexcept {
    switch (weight) {
        case Weight::complete:
            return "complete";
        case Weight::error:
            return "error";
        case Weight::block:
            return "block";
    }
    return "block";
}

std::string_view to_string(IncidentState state) noexcept {
    switch (state) {
        case IncidentState::held:
            return "held";
        case IncidentState::open:
            return "open";
        case IncidentState::resolved:
            return "resolved";
        case IncidentState::expired:
            return "expired";
        case IncidentState::suppressed:
            return "suppressed";
    }
    return "held";
}

std::string_view to_string(Action action) noexcept {
    switch (action) {
        case Action::publish:
            return "publish";
        case Action::update:
            return "update";
        case Action::remind:
            return "remind";
        case Action::clear:
            return "clear";
    }
    return "publish";
}

std::string_view to_string(DeliveryState state) noexcept {
    switch (state) {
        case DeliveryState::queued:
            return "queued";
        case DeliveryState::leased:
            return "leased";
        case DeliveryState::sent:
            return "sent";
        case DeliveryState::dead:
            return "dead";
        case DeliveryState::dropped:
            return "dropped";
    }
    return "queued";
}

}  // namespace ocgate::notify
