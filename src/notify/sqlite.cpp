#include "sqlite.hpp"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace ocgate::notify::sqlite {

void Database::open(std::string const& path, char const* vfs, std::chrono::milliseconds busy_wait) {
    sqlite3* opened = nullptr;
    // No SQLITE_OPEN_CREATE: the file is made by us, with its mode. One thread at a time, hence no mutex.
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (path == ":memory:") flags |= SQLITE_OPEN_MEMORY;
    auto const code = sqlite3_open_v2(path.c_str(), &opened, flags, vfs);
    connection_.reset(opened);
    if (code != SQLITE_OK) return fail(code);
    sqlite3_busy_timeout(opened, static_cast<int>(busy_wait.count()));
}

void Database::execute(char const* sql) {
    if (!good()) return;
    auto const code = sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) fail(code);
}

void Database::read_all() {
    std::vector<char> bytes(64 * 1024);
    for (int const which : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER}) {
        sqlite3_file* file = nullptr;
        sqlite3_file_control(connection_.get(), "main", which, &file);
        if (file == nullptr || file->pMethods == nullptr) continue;  // no log
        sqlite3_int64 size = 0;
        auto code = file->pMethods->xFileSize(file, &size);
        for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += std::ssize(bytes)) {
            auto const wanted = std::min<sqlite3_int64>(std::ssize(bytes), size - at);
            code = file->pMethods->xRead(file, bytes.data(), static_cast<int>(wanted), at);
        }
        if (code != SQLITE_OK) return fail(code);
    }
}

void Database::keep_log(bool keep) noexcept {
    sqlite3_db_config(connection_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep ? 1 : 0, nullptr);
}

std::optional<Failure> Database::take_failure() noexcept { return std::exchange(failure_, std::nullopt); }

void Database::fail(int code) {
    if (failure_) return;
    auto* const connection = connection_.get();
    // SQLite's own words say which column or what syntax; where they are of another error, the code's must do.
    bool const own = connection != nullptr && sqlite3_extended_errcode(connection) == code;
    failure_ = Failure{.code = code,
                       .system = connection != nullptr ? sqlite3_system_errno(connection) : 0,
                       .text = own ? sqlite3_errmsg(connection) : sqlite3_errstr(code)};
}

Rows::~Rows() {
    if (statement_ == nullptr) return;  // could not be prepared
    // Its code repeats what `next` has told.
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
}

bool Rows::next() {
    if (!database_.good()) return false;
    auto const code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) database_.fail(code);
    return false;
}

std::string Rows::text(int column) const {
    auto const* const bytes = sqlite3_column_text(statement_, column);
    if (bytes == nullptr) return {};
    auto const size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return {reinterpret_cast<char const*>(bytes), size};
}

Statement::Statement(Database& database, std::string_view sql) : database_(database) {
    if (!database.good()) return;
    sqlite3_stmt* prepared = nullptr;
    auto const code = sqlite3_prepare_v3(database.connection(), sql.data(), static_cast<int>(sql.size()),
                                         SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
    statement_.reset(prepared);
    keep(code);
}

void Statement::bind(int place, std::string_view text) {
    // A null pointer would bind NULL, and an empty view may hold one.
    auto const* const bytes = text.empty() ? "" : text.data();
    keep(sqlite3_bind_text64(statement_.get(), place, bytes, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

Transaction::Transaction(Database& database) : database_(database) {
    roll_back();  // one whose own roll-back failed
    database_.execute("BEGIN IMMEDIATE");
}

bool Transaction::commit() {
    if (database_.good()) database_.execute("COMMIT");
    return database_.good();
}

void Transaction::roll_back() noexcept {
    // Not through `execute`: it has to happen after a failure, and its own says nothing new. SQLite often has rolled
    // back already when the disk failed.
    if (database_.in_transaction()) sqlite3_exec(database_.connection(), "ROLLBACK", nullptr, nullptr, nullptr);
}

}  // namespace ocgate::notify::sqlite
