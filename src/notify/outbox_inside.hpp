// The outbox's connection and statements, and what its calls have in common.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "ocgate/notify/outbox.hpp"
#include "ocgate/rt/descriptor.hpp"
#include "sqlite.hpp"

namespace ocgate::notify {

[[nodiscard]] OutboxError error_of(sqlite::Failure const& failure, std::string_view doing, std::string_view path);
/// `text`, cut between two characters so that it has at most TextBounds::remark bytes.
[[nodiscard]] std::string_view remark(std::string_view text) noexcept;

struct Outbox::Inside {
    Inside(sqlite::Database opened, OutboxLimits bounds, std::string file)
        : database(std::move(opened)), limits(bounds), path(std::move(file)) {}

    rt::Descriptor lock;  ///< goes after the database
    sqlite::Database database;
    OutboxLimits limits;
    std::string path;
    std::optional<OutboxError> refusal;
    unsigned ends = 0;

    /// Runs `work` as one transaction. What it returns counts only when all of it worked and it refused nothing.
    template <class Work, class Result = std::invoke_result_t<Work&>>
    Kept<Result> transact(std::string_view doing, Work work) {
        begin();
        sqlite::Transaction transaction(database);
        auto result = work();
        if (refusal) return *std::exchange(refusal, std::nullopt);
        if (!transaction.commit()) return failed(doing);
        return result;
    }
    /// The same for what only reads, by one statement.
    template <class Work, class Result = std::invoke_result_t<Work&>>
    Kept<Result> look(std::string_view doing, Work work) {
        begin();
        auto result = work();
        if (refusal) return *std::exchange(refusal, std::nullopt);
        if (!database.good()) return failed(doing);
        return result;
    }
    void begin() noexcept {
        refusal.reset();
        database.forget_failure();
    }
    [[nodiscard]] OutboxError failed(std::string_view doing);

    /// The transaction under way must not happen.
    void refuse(Trouble trouble, std::string text) {
        if (!refusal) refusal = OutboxError{trouble, std::move(text)};
    }
    void need_name(std::string_view what, std::string_view text, std::size_t bound = TextBounds::name);
    void need_document(std::string_view what, std::string_view text);

    struct Known {
        std::int64_t id = 0;
        Weight weight = Weight::block;
        IncidentState state = IncidentState::held;
    };
    /// Refuses when there is none.
    [[nodiscard]] Known known(std::string_view key);
    void add(Known const& incident, NewDelivery const& delivery, std::int64_t now_ms, Change& change);
    void make_room(std::string_view target, std::int64_t now_ms, Change& change);
    [[nodiscard]] std::vector<Reached> reached(std::int64_t incident);
    [[nodiscard]] std::size_t ended();
    /// Far more has ended than is to be kept.
    [[nodiscard]] bool crowded();
    /// The oldest of what ended before then, and of which nothing is live. How many went.
    std::size_t remove_ended(std::int64_t before_ms, std::size_t most) {
        return static_cast<std::size_t>(delete_ended.run(before_ms, most));
    }
    struct Settling {
        DeliveryState next;
        std::string_view remote_id{};
        std::string_view said{};
        std::int64_t not_before_ms = 0;  ///< 0: as it is
    };
    /// Gives a leased delivery its next state.
    Kept<DeliveryState> settle(std::string_view doing, Ticket const& ticket, Settling const& settling,
                               std::int64_t now_ms);

    /// Everything of `from`, or what of it can be read: then `missing` says what first could not.
    std::size_t take_over(Inside& from, std::optional<OutboxError>* missing);

    static Incident incident_in(sqlite::Rows const& row, int column);
    static std::vector<Dropped> dropped_in(sqlite::Rows rows);

    // Incidents.
    sqlite::Statement find_known{database, "SELECT id, weight, state FROM incidents WHERE key = ?1"};
    sqlite::Statement count_unended{database, "SELECT count(*) FROM incidents WHERE state < 2"};
    sqlite::Statement insert_incident{database, R"sql(
        INSERT INTO incidents (key, kind, subject, weight, state, raised, facts)
        VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6))sql"};
    sqlite::Statement open_incident{database, "UPDATE incidents SET state = 1, opened = ?2 WHERE id = ?1"};
    sqlite::Statement write_facts{database, "UPDATE incidents SET facts = ?2 WHERE id = ?1"};
    sqlite::Statement end_incident{database, R"sql(
        UPDATE incidents SET state = ?2, outcome = ?3, ended_by = ?4, ended = ?5 WHERE id = ?1)sql"};
    sqlite::Statement find_incident{database, R"sql(
        SELECT key, kind, subject, weight, state, outcome, ended_by, facts, raised, opened, ended
        FROM incidents WHERE key = ?1)sql"};
    sqlite::Statement unended_incidents{database, R"sql(
        SELECT key, kind, subject, weight, state, outcome, ended_by, facts, raised, opened, ended
        FROM incidents WHERE state < 2 ORDER BY id)sql"};
    sqlite::Statement newest_incidents{database, R"sql(
        SELECT key, kind, subject, weight, state, outcome, ended_by, facts, raised, opened, ended
        FROM incidents ORDER BY id DESC LIMIT ?1)sql"};

    // Deliveries of an incident.
    sqlite::Statement insert_delivery{database, R"sql(
        INSERT INTO deliveries (incident, target, action, dedupe, weight, not_before, created, updated, payload)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8) ON CONFLICT (dedupe) DO NOTHING)sql"};
    sqlite::Statement count_live{database, "SELECT count(*) FROM deliveries WHERE target = ?1 AND state < 2"};
    sqlite::Statement drop_least{database, R"sql(
        UPDATE deliveries SET state = 4, last_error = 'limit', updated = ?2 WHERE id =
            (SELECT id FROM deliveries WHERE target = ?1 AND state < 2 AND state = 0 AND weight < 2
             ORDER BY weight, id LIMIT 1)
        RETURNING dedupe, (SELECT key FROM incidents WHERE incidents.id = incident), target, action, weight,
            last_error)sql"};
    // What is leased is its courier's, whatever the clock says: drop_overtaken has those that no courier has any more.
    sqlite::Statement drop_waiting{database, R"sql(
        UPDATE deliveries SET state = 4, last_error = 'ended', updated = ?2
        WHERE incident = ?1 AND state < 2 AND state = 0 AND action <> 3
        RETURNING dedupe, (SELECT key FROM incidents WHERE incidents.id = incident), target, action, weight,
            last_error)sql"};
    sqlite::Statement lane_rows{database, R"sql(
        SELECT target, action, state, attempt, remote_id, updated FROM deliveries WHERE incident = ?1
        ORDER BY target, id)sql"};

    // Leases. Without being told the index, SQLite looks for the earlier ones of a lane among all live ones.
    sqlite::Statement is_disabled{database, "SELECT 1 FROM disabled WHERE target = ?1 AND enabled = 0"};
    sqlite::Statement drop_overtaken{database, R"sql(
        UPDATE deliveries SET state = 4, last_error = 'ended', updated = ?2
        WHERE target = ?1 AND state < 2 AND action <> 3 AND (state = 0 OR lease_until <= ?2)
            AND EXISTS (SELECT 1 FROM incidents WHERE incidents.id = incident AND incidents.state >= 2)
        RETURNING dedupe, (SELECT key FROM incidents WHERE incidents.id = incident), target, action, weight,
            last_error)sql"};
    sqlite::Statement find_due{database, R"sql(
        SELECT id, dedupe FROM deliveries AS d
        WHERE target = ?1 AND state < 2 AND CASE state WHEN 0 THEN not_before ELSE lease_until END <= ?2
            AND NOT EXISTS (SELECT 1 FROM deliveries AS e INDEXED BY deliveries_lane
                WHERE e.incident = d.incident AND e.target = d.target AND e.id < d.id AND e.state < 2)
        ORDER BY weight DESC, id LIMIT ?3)sql"};
    sqlite::Statement take_lease{database, R"sql(
        UPDATE deliveries SET state = 1, attempt = attempt + 1, lease_until = ?2, updated = ?3 WHERE id = ?1)sql"};
    sqlite::Statement renew_lease{database, "UPDATE deliveries SET lease_until = ?2 WHERE dedupe = ?1 AND state = 1"};
    sqlite::Statement read_due{database, R"sql(
        SELECT d.dedupe, d.attempt, d.target, d.action, d.payload, d.created, d.lease_until,
            coalesce((SELECT e.remote_id FROM deliveries AS e WHERE e.incident = d.incident AND e.target = d.target
                AND e.state = 2 AND e.action <> 3 AND e.remote_id <> '' ORDER BY e.id DESC LIMIT 1), ''),
            coalesce((SELECT max(e.updated) FROM deliveries AS e WHERE e.incident = d.incident AND e.target = d.target
                AND e.state = 2 AND e.action <> 3), 0),
            i.key, i.kind, i.subject, i.weight, i.state, i.outcome, i.ended_by, i.facts, i.raised, i.opened, i.ended
        FROM deliveries AS d JOIN incidents AS i ON i.id = d.incident WHERE d.id = ?1)sql"};
    sqlite::Statement find_next_due{database, R"sql(
        SELECT min(CASE state WHEN 0 THEN not_before ELSE lease_until END) FROM deliveries AS d
        WHERE target = ?1 AND state < 2
            AND NOT EXISTS (SELECT 1 FROM deliveries AS e INDEXED BY deliveries_lane
                WHERE e.incident = d.incident AND e.target = d.target AND e.id < d.id AND e.state < 2)
            AND NOT EXISTS (SELECT 1 FROM disabled WHERE disabled.target = ?1 AND enabled = 0))sql"};
    sqlite::Statement end_leases{database,
                                 "UPDATE deliveries SET state = 0, lease_until = 0 WHERE state < 2 AND state = 1"};
    sqlite::Statement find_ticket{database, R"sql(
        SELECT d.id, d.state, d.attempt, d.action, i.state >= 2
        FROM deliveries AS d JOIN incidents AS i ON i.id = d.incident WHERE d.dedupe = ?1)sql"};
    sqlite::Statement settle_delivery{database, R"sql(
        UPDATE deliveries SET state = ?2, remote_id = ?3, last_error = ?4,
            not_before = CASE ?5 WHEN 0 THEN not_before ELSE ?5 END, lease_until = 0, updated = ?6
        WHERE id = ?1)sql"};

    // Targets.
    sqlite::Statement disable_target{database, R"sql(
        INSERT INTO disabled (target, why, mark, at) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (target) DO UPDATE SET why = ?2, mark = ?3, at = ?4, enabled = 0)sql"};
    sqlite::Statement enable_target{database,
                                    "UPDATE disabled SET enabled = 1, at = ?2 WHERE target = ?1 AND enabled = 0"};
    sqlite::Statement hurry_target{database, R"sql(
        UPDATE deliveries SET not_before = ?2
        WHERE target = ?1 AND state < 2 AND not_before > ?3 AND attempt > 0)sql"};
    sqlite::Statement disabled_targets{database, R"sql(
        SELECT target, why, mark, at FROM disabled WHERE enabled = 0 ORDER BY target)sql"};
    sqlite::Statement drop_target{database, R"sql(
        UPDATE deliveries SET state = 4, last_error = ?2, updated = ?3 WHERE target = ?1 AND state < 2
        RETURNING dedupe, (SELECT key FROM incidents WHERE incidents.id = incident), target, action, weight,
            last_error)sql"};

    // Notes.
    sqlite::Statement write_note{database, R"sql(
        INSERT INTO notes (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2)sql"};
    sqlite::Statement count_other_notes{database, "SELECT count(*) FROM notes WHERE name <> ?1"};
    sqlite::Statement find_note{database, "SELECT value FROM notes WHERE name = ?1"};

    // For operators, and housekeeping.
    sqlite::Statement newest_deliveries{database, R"sql(
        SELECT d.dedupe, i.key, d.target, d.action, d.state, d.attempt, d.not_before, d.lease_until, d.remote_id,
            d.last_error, d.created, d.updated
        FROM deliveries AS d JOIN incidents AS i ON i.id = d.incident ORDER BY d.id DESC LIMIT ?1)sql"};
    sqlite::Statement count_targets{database, R"sql(
        SELECT target, state, count(*), min(created) FROM deliveries GROUP BY target, state)sql"};
    sqlite::Statement count_ended{database, "SELECT count(*) FROM incidents WHERE state >= 2"};
    sqlite::Statement bytes_in_use{database, R"sql(
        SELECT (page_count - freelist_count) * page_size
        FROM pragma_page_count, pragma_freelist_count, pragma_page_size)sql"};
    sqlite::Statement delete_ended{database, R"sql(
        DELETE FROM incidents WHERE id IN (SELECT id FROM incidents AS i WHERE state >= 2 AND ended < ?1
            AND NOT EXISTS (SELECT 1 FROM deliveries AS d INDEXED BY deliveries_lane
                WHERE d.incident = i.id AND d.state < 2)
            ORDER BY ended LIMIT ?2))sql"};
};

}  // namespace ocgate::notify
