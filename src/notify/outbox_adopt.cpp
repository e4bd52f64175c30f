// One outbox takes over from another: when the disk fails, and when it is back.
#include <functional>

#include "outbox_inside.hpp"

namespace ocgate::notify {
namespace {

using sqlite::Database;
using sqlite::Rows;
using sqlite::Statement;

constexpr char const* incidents_after = R"sql(
    SELECT id, key, kind, subject, weight, state, outcome, ended_by, raised, opened, ended, facts
    FROM incidents WHERE id > ?1 ORDER BY id)sql";
constexpr char const* take_incident = R"sql(
    INSERT INTO incidents (key, kind, subject, weight, state, outcome, ended_by, raised, opened, ended, facts)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT (key) DO UPDATE SET state = ?5, outcome = ?6, ended_by = ?7, opened = ?9, ended = ?10, facts = ?11
        WHERE incidents.state < 2 AND ?5 >= incidents.state)sql";

constexpr char const* deliveries_after = R"sql(
    SELECT d.id, i.key, d.target, d.action, d.dedupe, d.state, d.weight, d.attempt, d.not_before, d.lease_until,
        d.remote_id, d.last_error, d.created, d.updated, d.payload
    FROM deliveries AS d JOIN incidents AS i ON i.id = d.incident WHERE d.id > ?1 ORDER BY d.id)sql";
// Of an incident that could not be read there is nothing to attach it to.
constexpr char const* take_delivery = R"sql(
    INSERT INTO deliveries (incident, target, action, dedupe, state, weight, attempt, not_before, lease_until,
        remote_id, last_error, created, updated, payload)
    SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14 FROM incidents WHERE key = ?1
    ON CONFLICT (dedupe) DO UPDATE SET state = ?5, attempt = ?7, not_before = ?8, lease_until = ?9, remote_id = ?10,
        last_error = ?11, updated = ?13
        WHERE (deliveries.state < 2 AND (?5 > 0 OR ?7 >= deliveries.attempt)) OR (deliveries.state > 2 AND ?5 = 2))sql";

constexpr char const* all_disabled = "SELECT target, why, mark, at, enabled FROM disabled";
constexpr char const* take_disabled = R"sql(
    INSERT INTO disabled (target, why, mark, at, enabled) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (target) DO UPDATE SET why = ?2, mark = ?3, at = ?4, enabled = ?5 WHERE ?4 >= disabled.at)sql";

constexpr char const* all_notes = "SELECT name, value FROM notes";

/// Reads a table, and after a place that cannot be read goes on behind it.
class Reader {
public:
    /// `missing`: where to say what could not be read; null: then reading ends.
    Reader(Database& from, std::string const& path, std::optional<OutboxError>* missing)
        : from_(from), path_(path), missing_(missing) {}

    /// `query` selects by `?1`, an id before all that it gives, and gives the id first. `take` is called with each row.
    template <class Take>
    void by_id(char const* query, Take take) {
        std::int64_t last = 0;
        // Where a page is damaged many ids are; twice as many each time find its end soon, or that of the table.
        for (std::int64_t skip = 1; skip < std::int64_t{1} << 40; skip *= 2) {
            Statement reading(from_, query);
            for (auto row = reading.rows(last); row.next(); ++rows) {
                last = row.integer(0);
                take(row);
                skip = 1;
            }
            if (!gave_up()) return;
            if (missing_ == nullptr) return;
            last += skip;
        }
    }
    template <class Take>
    void all(char const* query, Take take) {
        Statement reading(from_, query);
        for (auto row = reading.rows(); row.next(); ++rows) take(row);
        (void)gave_up();
    }

    std::size_t rows = 0;
    std::optional<OutboxError> failure;  ///< without `missing`

private:
    bool gave_up() {
        auto const failed = from_.take_failure();
        if (!failed) return false;
        auto error = error_of(*failed, "reading what to take over", path_);
        auto& told = missing_ != nullptr ? *missing_ : failure;
        if (!told) told = std::move(error);
        return true;
    }

    Database& from_;
    std::string const& path_;
    std::optional<OutboxError>* missing_;
};

}  // namespace

std::size_t Outbox::Inside::take_over(Inside& from, std::optional<OutboxError>* missing) {
    from.begin();
    // Once in a long while: these are not kept ready.
    Statement incident(database, take_incident);
    Statement delivery(database, take_delivery);
    Statement target(database, take_disabled);
    Reader reader(from.database, from.path, missing);
    reader.by_id(incidents_after, [&](Rows const& row) {
        incident.run(row.text(1), row.text(2), row.text(3), row.integer(4), row.integer(5), row.text(6), row.text(7),
                     row.integer(8), row.integer(9), row.integer(10), row.text(11));
    });
    reader.by_id(deliveries_after, [&](Rows const& row) {
        delivery.run(row.text(1), row.text(2), row.integer(3), row.text(4), row.integer(5), row.integer(6),
                     row.integer(7), row.integer(8), row.integer(9), row.text(10), row.text(11), row.integer(12),
                     row.integer(13), row.text(14));
    });
    reader.all(all_disabled, [&](Rows const& row) {
        target.run(row.text(0), row.text(1), row.text(2), row.integer(3), row.integer(4));
    });
    reader.all(all_notes, [&](Rows const& row) { write_note.run(row.text(0), row.text(1)); });
    // Half of it would look like all.
    if (reader.failure) refuse(reader.failure->trouble, std::move(reader.failure->text));
    return reader.rows;
}

Kept<std::size_t> Outbox::adopt(Outbox& other) {
    auto& in = *inside_;
    return in.transact("taking over", [&] { return in.take_over(*other.inside_, nullptr); });
}

Kept<Outbox::Rescued> Outbox::rescue(Outbox& other) {
    auto& in = *inside_;
    return in.transact("taking over what can be read", [&] {
        Rescued rescued;
        rescued.rows = in.take_over(*other.inside_, &rescued.missing);
        return rescued;
    });
}

}  // namespace ocgate::notify
