// As much of SQLite as the outbox needs: a connection, statements prepared once, transactions. Errors are values: the
// first one stays in the database, and until it is taken everything after it does nothing, so that a transaction is
// written as if nothing failed and asked once, at its end. One thread.
#pragma once

#include <sqlite3.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace ocgate::notify::sqlite {

struct Failure {
    int code;    ///< SQLite's extended code
    int system;  ///< errno of the call that failed, or 0
    std::string text;
};

class Database {
public:
    Database() = default;

    /// `path` may be ":memory:"; the file must exist. `vfs`: null for the usual one.
    void open(std::string const& path, char const* vfs, std::chrono::milliseconds busy_wait);
    void execute(char const* sql);
    /// Fails when the disk does not give each byte of the file and of its log.
    void read_all();
    /// Whether closing leaves the log as it is; else it is copied back and removed.
    void keep_log(bool keep) noexcept;

    [[nodiscard]] bool good() const noexcept { return !failure_; }
    /// What failed first since the last time, if anything.
    [[nodiscard]] std::optional<Failure> take_failure() noexcept;
    void forget_failure() noexcept { failure_.reset(); }
    void fail(int code);

    /// SQLite opens what it may not write for reading.
    [[nodiscard]] bool read_only() const noexcept { return sqlite3_db_readonly(connection_.get(), "main") == 1; }
    [[nodiscard]] bool in_transaction() const noexcept { return sqlite3_get_autocommit(connection_.get()) == 0; }
    [[nodiscard]] sqlite3* connection() const noexcept { return connection_.get(); }

private:
    struct Close {
        void operator()(sqlite3* connection) const noexcept { sqlite3_close_v2(connection); }
    };
    std::unique_ptr<sqlite3, Close> connection_;
    std::optional<Failure> failure_;
};

/// The answer of a statement, row by row; the statement is free again when this goes. Columns count from 0.
class Rows {
public:
    Rows(Database& database, sqlite3_stmt* statement) noexcept : database_(database), statement_(statement) {}
    Rows(Rows const&) = delete;
    Rows& operator=(Rows const&) = delete;
    ~Rows();

    /// False at the end, and when something failed.
    [[nodiscard]] bool next();
    [[nodiscard]] bool null(int column) const noexcept {
        return sqlite3_column_type(statement_, column) == SQLITE_NULL;
    }
    [[nodiscard]] std::int64_t integer(int column) const noexcept { return sqlite3_column_int64(statement_, column); }
    [[nodiscard]] std::string text(int column) const;
    /// For enumerations, which are stored as their numbers; the schema bounds them.
    template <class Enum>
    [[nodiscard]] Enum as(int column) const noexcept {
        return static_cast<Enum>(integer(column));
    }

private:
    Database& database_;
    sqlite3_stmt* statement_;
};

class Statement {
public:
    Statement(Database& database, std::string_view sql);

    /// Binds ?1, ?2 … in order. The arguments are copied. One answer at a time.
    template <class... Arguments>
    [[nodiscard]] Rows rows(Arguments const&... arguments) {
        [[maybe_unused]] int place = 0;
        if (database_.good()) (bind(++place, arguments), ...);
        return Rows(database_, statement_.get());
    }
    /// To the end, without its answer: how many rows it changed.
    template <class... Arguments>
    int run(Arguments const&... arguments) {
        auto answer = rows(arguments...);
        while (answer.next()) {
        }
        return database_.good() ? sqlite3_changes(database_.connection()) : 0;
    }

private:
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
    };
    void bind(int place, std::string_view text);
    template <class Number>
    requires std::integral<Number> || std::is_enum_v<Number>
    void bind(int place, Number number) {
        keep(sqlite3_bind_int64(statement_.get(), place, static_cast<std::int64_t>(number)));
    }
    void keep(int code) {
        if (code != SQLITE_OK) database_.fail(code);
    }

    Database& database_;
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// All or nothing: rolls back unless `commit` worked. Takes the write lock at once, so that it cannot fail half-way
/// because another process wrote.
class Transaction {
public:
    explicit Transaction(Database& database);
    Transaction(Transaction const&) = delete;
    Transaction& operator=(Transaction const&) = delete;
    ~Transaction() { roll_back(); }

    /// False when anything in it failed: then nothing of it happened.
    [[nodiscard]] bool commit();

private:
    void roll_back() noexcept;
    Database& database_;
};

}  // namespace ocgate::notify::sqlite
