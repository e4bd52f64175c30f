#include "outbox_schema.hpp"

#include <array>
#include <string>

namespace ocgate::notify {
namespace {

// Enumerations are their numbers in outbox.hpp: states below 2 are those that go on (incidents: held, open; deliveries:
// queued, leased), action 3 is a clear. Long texts stand last, so that reading the other columns skips their pages.
constexpr char const* first_version = R"sql(
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    weight INTEGER NOT NULL CHECK (weight BETWEEN 0 AND 2),
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    outcome TEXT NOT NULL DEFAULT '',
    ended_by TEXT NOT NULL DEFAULT '',
    raised INTEGER NOT NULL,
    opened INTEGER NOT NULL DEFAULT 0,
    ended INTEGER NOT NULL DEFAULT 0,
    facts TEXT NOT NULL
) STRICT;
CREATE INDEX incidents_unended ON incidents (id) WHERE state < 2;
CREATE INDEX incidents_ended ON incidents (ended) WHERE state >= 2;

CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    incident INTEGER NOT NULL REFERENCES incidents ON DELETE CASCADE,
    target TEXT NOT NULL,
    action INTEGER NOT NULL CHECK (action BETWEEN 0 AND 3),
    dedupe TEXT NOT NULL UNIQUE,
    state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4),
    weight INTEGER NOT NULL CHECK (weight BETWEEN 0 AND 2),
    attempt INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER NOT NULL,
    lease_until INTEGER NOT NULL DEFAULT 0,
    remote_id TEXT NOT NULL DEFAULT '',
    last_error TEXT NOT NULL DEFAULT '',
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    payload TEXT NOT NULL
) STRICT;
CREATE INDEX deliveries_lane ON deliveries (incident, target, id);
CREATE INDEX deliveries_live ON deliveries (target, weight DESC, id) WHERE state < 2;
CREATE INDEX deliveries_count ON deliveries (target, state, created);

CREATE TABLE disabled (
    target TEXT PRIMARY KEY,
    why TEXT NOT NULL,
    mark TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

// A target that was enabled again stays as a row that says so: who takes this outbox over has to know it.
constexpr char const* second_version = R"sql(
CREATE TABLE notes (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
ALTER TABLE disabled ADD COLUMN enabled INTEGER NOT NULL DEFAULT 0 CHECK (enabled BETWEEN 0 AND 1);
)sql";

constexpr std::array steps{first_version, second_version};

}  // namespace

std::span<char const* const> outbox_steps() noexcept { return steps; }

int schema_version(sqlite::Database& database) {
    sqlite::Statement asking(database, "PRAGMA user_version");
    auto answer = asking.rows();
    return answer.next() ? static_cast<int>(answer.integer(0)) : 0;
}

void take_steps(sqlite::Database& database, std::span<char const* const> steps) {
    for (;;) {
        sqlite::Transaction step(database);
        // Asked inside: another process may have taken it meanwhile.
        auto const version = static_cast<std::size_t>(schema_version(database));
        if (!database.good() || version >= steps.size()) return;
        database.execute(steps[version]);
        database.execute(("PRAGMA user_version = " + std::to_string(version + 1)).c_str());
        if (!step.commit()) return;
    }
}

}  // namespace ocgate::notify
