// What has to be told, kept so that a crash loses none of it: incidents, and the deliveries that tell of them. Each
// call is one transaction: when it returned well, it is on the disk; when it returned an error, nothing of it happened
// (after a crash or a failed sync it may have: repeating the call then changes nothing). Calls block on the disk; one
// thread at a time. Reads no clock: times are Unix milliseconds, given. Knows no target's rules and no schedule.
//
// Incidents and deliveries are named by the texts that the caller gave them (`key`, `dedupe`), so that what is under
// way stays valid when another outbox takes over.
#pragma once

#include <boost/system/result.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ocgate::notify {

/// A closed set: also a metric label.
enum class Trouble : std::uint8_t {
    disk_full,
    read_only,
    busy,     ///< somebody else has the file
    io,       ///< the disk, or what is on the way to it
    corrupt,  ///< open the outbox again: that moves the file aside
    newer,    ///< the file was written by a later version
    full,     ///< a bound of ours
    invalid,  ///< what was given is too long, empty or contradicts itself
    unknown,  ///< no such incident or delivery
};

struct OutboxError {
    Trouble trouble;
    std::string text;  ///< for people: what we were doing, to which file, why
};
[[noreturn]] void throw_exception_from_error(OutboxError const& error, boost::source_location const& where);

template <class T>
using Kept = boost::system::result<T, OutboxError>;

/// What goes first when too many wait for a target: the least, and of those the oldest. Blocks never go. A clear counts
/// as an error at most: its incident is over.
enum class Weight : std::uint8_t { complete, error, block };

enum class IncidentState : std::uint8_t { held, open, resolved, expired, suppressed };  // the last three: ended
enum class Action : std::uint8_t {
    publish,
    update,
    remind,
    clear,  ///< withdraw or edit, when the incident has ended
};
enum class DeliveryState : std::uint8_t { queued, leased, sent, dead, dropped };  // the first two: live

std::string_view to_string(Trouble trouble) noexcept;
std::string_view to_string(Weight weight) noexcept;
std::string_view to_string(IncidentState state) noexcept;
std::string_view to_string(Action action) noexcept;
std::string_view to_string(DeliveryState state) noexcept;

/// Bounds in bytes. A longer name or document is Trouble::invalid; a longer remark is cut between two characters.
struct TextBounds {
    static constexpr std::size_t name = 256;              ///< key, target, kind, remote id
    static constexpr std::size_t dedupe = 2 * name + 64;  ///< may be made of a key and a target
    static constexpr std::size_t subject = 1024;          ///< also a name
    static constexpr std::size_t document = 64 * 1024;    ///< facts, payload
    static constexpr std::size_t remark = 512;            ///< outcome, by, errors, reasons
};

struct NewIncident {
    std::string key;      ///< one incident for all times
    std::string kind;     ///< permission, question, complete …: not looked at
    std::string subject;  ///< whom it is about: a root session, a provider; not looked at
    Weight weight = Weight::block;
    std::string facts{};  ///< a document of the caller's, to build its messages from after a restart
};

struct NewDelivery {
    std::string dedupe;  ///< one delivery for all times: told again, nothing happens
    std::string target;
    Action action = Action::publish;
    std::string payload{};           ///< a document of the caller's
    std::int64_t not_before_ms = 0;  ///< 0: at once
};

struct Incident {
    std::string key, kind, subject;
    Weight weight;
    IncidentState state;
    std::string outcome, by;  ///< empty until it ended
    std::string facts;
    std::int64_t raised_ms, opened_ms, ended_ms;  ///< 0: not yet
};

struct DeliveryRow {
    std::string dedupe, incident, target;
    Action action;
    DeliveryState state;
    int attempt;  ///< how often it was leased
    std::int64_t not_before_ms, lease_until_ms;
    std::string remote_id, last_error;
    std::int64_t created_ms, updated_ms;
};

/// A delivery that will not be made, so that it can be counted and said.
struct Dropped {
    std::string dedupe, incident, target;
    Action action;
    Weight weight;
    std::string reason;  ///< limit, ended, or what the caller of `drop` said
};

/// How an incident ends.
struct Ending {
    std::string key;
    IncidentState state = IncidentState::resolved;  ///< one of the ended
    std::string outcome{}, by{};
    std::vector<std::string> able{};  ///< targets that can withdraw or edit
};

/// What a call did to an incident.
struct Change {
    IncidentState state;                 ///< as it is now
    bool changed = false;                ///< false: it had been so before, by an earlier call with the same key
    unsigned enqueued = 0;               ///< deliveries that are new; of which some may have been dropped at once
    unsigned known = 0;                  ///< deliveries that had been enqueued before
    std::vector<std::string> targets{};  ///< of those that are new
    std::vector<Dropped> dropped{};      ///< of this incident and, where there was no room, of others
};

/// Who may say what became of a delivery: the one who leased it last.
struct Ticket {
    std::string dedupe;
    int attempt = 0;  ///< 1 for the first
};

/// One delivery to be made now, with all that is needed to make it.
struct Due {
    Ticket ticket;
    std::string target;
    Action action;
    std::string payload;
    std::string remote_id;    ///< of what was sent last about this incident to this target; empty: nothing, or no id
    std::int64_t sent_ms;     ///< when that was; 0: nothing was sent. Of `action`s other than clear
    std::int64_t created_ms;  ///< of this delivery
    std::int64_t lease_until_ms;
    Incident incident;
};

struct Leased {
    std::vector<Due> due;
    std::vector<Dropped> dropped;  ///< their incident has ended meanwhile
};

/// Where an incident has been told of, or may have been.
struct Reached {
    std::string target;
    std::string remote_id{};  ///< of what was sent last; empty: none known
    bool sent = false;        ///< false: it was tried, nobody knows whether it arrived (or is on its way)
    bool in_flight = false;   ///< leased now
    bool cleared = false;     ///< a clear is enqueued or made
};

struct TargetCount {
    std::string target;
    std::uint64_t queued = 0, leased = 0, sent = 0, dead = 0, dropped = 0;  ///< rows, as far as they are not pruned
    std::int64_t oldest_live_ms = 0;                                        ///< created; 0: none
};

struct Disabled {
    std::string target;
    std::string why;
    std::string mark;  ///< the caller's: a fingerprint of the settings, say, so that changed ones are tried again
    std::int64_t at_ms;
};

struct OutboxLimits {
    std::size_t live_per_target = 1000;  ///< blocks may exceed it
    std::size_t unended = 10'000;        ///< incidents; a new one is then refused (Trouble::full)
    std::int64_t keep_ended_ms = 7LL * 24 * 3600 * 1000;
    std::size_t keep_ended = 10'000;  ///< incidents; for a while up to twice as many
    /// Of everything, on the disk or in memory: beyond it the oldest go of those that have ended, however few they are.
    std::size_t keep_bytes = 64 * 1024 * 1024;
};

struct OutboxOptions {
    std::filesystem::path folder;  ///< made with mode 0700 when it is not there; the file in it is `outbox.db`, 0600
    OutboxLimits limits{};
    std::chrono::milliseconds busy_wait{2000};  ///< for a program that is no outbox and looks into the file
    char const* vfs = nullptr;                  ///< SQLite's own name of a file system, for tests; not owned
};

class Outbox {
public:
    struct Opened;
    struct Rescued;
    static constexpr std::size_t most_aside = 5;
    static constexpr std::size_t most_notes = 64;
    static constexpr std::size_t most_in_one_call = 1000;  ///< rows listed or pruned
    static constexpr unsigned ends_between_looks = 64;     ///< at whether far too many have ended

    /// Checks the whole file and brings it to this version. The file is this outbox's alone until it goes, or the
    /// process does: whoever opens it meanwhile, in whatever process, gets Trouble::busy at once. `now_ms` names a file
    /// moved aside, of which the newest `most_aside` are kept.
    [[nodiscard]] static Kept<Opened> open(OutboxOptions const& options, std::int64_t now_ms);
    /// The same without a disk: gone with the process.
    [[nodiscard]] static Kept<Outbox> in_memory(OutboxLimits limits = {});

    Outbox(Outbox&&) noexcept;
    Outbox& operator=(Outbox&&) noexcept;
    ~Outbox();

    // Incidents.

    /// A new incident, held. A key that is known: nothing changes, whatever its state.
    [[nodiscard]] Kept<Change> raise(NewIncident const& incident, std::int64_t now_ms);
    /// held → open, and its first deliveries. Of an open incident: the deliveries only. Of an ended one: nothing.
    [[nodiscard]] Kept<Change> open(std::string_view key, std::span<NewDelivery const> deliveries, std::int64_t now_ms);
    /// Further deliveries of an open incident (reminders, updates, escalation), and its facts, if given. Of an incident
    /// that is not open: nothing.
    [[nodiscard]] Kept<Change> enqueue(std::string_view key, std::span<NewDelivery const> deliveries,
                                       std::optional<std::string_view> facts, std::int64_t now_ms);
    /// The end: there is no need any more to tell of it. What waits is dropped (reason `ended`; what is leased may
    /// still arrive), and a clear is enqueued for each target of `able` that was told or may have been. Ended before:
    /// nothing. Every `ends_between_looks` calls, when more than twice `keep_ended` have ended or `keep_bytes` are
    /// exceeded, twice as many of the oldest go as have come meanwhile: nobody has to prune in time.
    [[nodiscard]] Kept<Change> end(Ending const& ending, std::int64_t now_ms);

    [[nodiscard]] Kept<std::optional<Incident>> find(std::string_view key);
    /// The incidents that have not ended, oldest first: what a restart begins with.
    [[nodiscard]] Kept<std::vector<Incident>> unended();
    [[nodiscard]] Kept<std::vector<Reached>> reached(std::string_view key);

    // Deliveries.

    /// Takes up to `most` due deliveries of a target until `until_ms`: blocks before errors before completes, then the
    /// older. Of one incident only the first live one, so they go in order. None while the target is disabled, but what
    /// is over is dropped then, too. Of those in `under_way` (Ticket::dedupe), which have not been settled, the leases
    /// go on: a clock that is set ahead gives nothing out twice.
    [[nodiscard]] Kept<Leased> lease(std::string_view target, std::size_t most, std::int64_t until_ms,
                                     std::int64_t now_ms, std::span<std::string const> under_way = {});
    /// When `lease` can next find something for the target; nothing: not before something changes.
    [[nodiscard]] Kept<std::optional<std::int64_t>> next_due(std::string_view target);
    /// All leases are over: for a start, when nobody else can hold one. How many there were.
    [[nodiscard]] Kept<std::size_t> release_leases();

    /// What was put off till after `beyond_ms` is to be tried now: the clock was set. How many.
    Kept<std::size_t> hurry(std::string_view target, std::int64_t beyond_ms, std::int64_t now_ms);

    // Each gives the state the delivery has after the call. A ticket of an earlier lease, or a delivery that is not
    // live, changes nothing; except that what was sent counts as sent, whoever says so.

    /// A remote id that is too long is not kept.
    [[nodiscard]] Kept<DeliveryState> sent(Ticket const& ticket, std::string_view remote_id, std::int64_t now_ms);
    /// Of an incident that has ended, only a clear is tried again; anything else is dropped.
    [[nodiscard]] Kept<DeliveryState> retry(Ticket const& ticket, std::int64_t not_before_ms, std::string_view error,
                                            std::int64_t now_ms);
    [[nodiscard]] Kept<DeliveryState> dead(Ticket const& ticket, std::string_view error, std::int64_t now_ms);
    [[nodiscard]] Kept<DeliveryState> drop(Ticket const& ticket, std::string_view reason, std::int64_t now_ms);

    // Targets.

    /// No further lease until `enable`. Its deliveries wait.
    [[nodiscard]] Kept<void> disable(std::string_view target, std::string_view why, std::string_view mark,
                                     std::int64_t now_ms);
    /// Whether it had been disabled. What waits to be tried again is due at once.
    [[nodiscard]] Kept<bool> enable(std::string_view target, std::int64_t now_ms);
    [[nodiscard]] Kept<std::vector<Disabled>> disabled();
    /// For a target that is configured no more: everything live of it is dropped, and that it was disabled is
    /// forgotten.
    [[nodiscard]] Kept<std::vector<Dropped>> abandon(std::string_view target, std::string_view reason,
                                                     std::int64_t now_ms);

    // Notes: small documents that have to outlive the process.

    /// In place of what was there under this name. Trouble::full when there are `most_notes` others.
    [[nodiscard]] Kept<void> remember(std::string_view name, std::string_view value);
    /// Nothing: never remembered.
    [[nodiscard]] Kept<std::optional<std::string>> recall(std::string_view name);

    // For operators, and housekeeping.

    /// The newest first, at most `most_in_one_call`.
    [[nodiscard]] Kept<std::vector<Incident>> list_incidents(std::size_t most);
    [[nodiscard]] Kept<std::vector<DeliveryRow>> list_deliveries(std::size_t most);
    [[nodiscard]] Kept<std::vector<TargetCount>> counts();
    /// Removes ended incidents of which nothing is live, when they are too old or too many; at most
    /// `most_in_one_call`. How many went: as many as that ask for another call.
    [[nodiscard]] Kept<std::size_t> prune(std::int64_t now_ms);
    /// Takes in all that `other` holds, which stays as it is, or nothing. For going on in memory when the disk fails,
    /// and for coming back. How many rows it read. Of what both know:
    /// - an incident or delivery keeps the state that is further on: ended before live, sent before all;
    /// - a live delivery that was tried as often, or is leased in `other`, goes on as it is there, so that a ticket
    /// from
    ///   there stays good. Leases of ours that nobody holds are to be released before, those of `other` held;
    /// - a target is disabled or not as it was said last;
    /// - a note is the other's.
    [[nodiscard]] Kept<std::size_t> adopt(Outbox& other);
    /// The same with what can still be read, when `adopt` says that not all can. What is missing may be told again if
    /// it is found later, and who asks for it gets Trouble::unknown.
    [[nodiscard]] Kept<Rescued> rescue(Outbox& other);

private:
    struct Inside;
    explicit Outbox(std::unique_ptr<Inside> inside);
    static Kept<Opened> open_file(OutboxOptions const& options, std::string const& path);
    std::unique_ptr<Inside> inside_;
};

struct Outbox::Rescued {
    std::size_t rows = 0;                  ///< read
    std::optional<OutboxError> missing{};  ///< the first thing that could not be; nothing: all was
};

/// What `open` found.
struct Outbox::Opened {
    Outbox outbox;
    std::string moved_aside{};  ///< path of a corrupt file that had to make room; empty: none. Tell it loudly
    std::string corruption{};   ///< what was wrong with it
    bool created = false;       ///< there was none, or it was moved aside
    int migrated_from = 0;      ///< 0: it was of this version, or created
};

}  // namespace ocgate::notify
