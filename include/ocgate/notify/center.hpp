// The life of what has to be told: held, open, ended. Decides when something is said, said again, handed up or
// withdrawn; what is said and to whom is configured, how it gets there is the courier's. Knows no opencode: an incident
// is a key, a kind, a subject and a document.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "ocgate/notify/courier.hpp"
#include "ocgate/notify/words.hpp"

namespace ocgate::notify {

/// What a route says of one incident.
struct Handling {
    std::vector<std::string> targets;
    std::vector<std::string> escalate_to{};
    rt::Duration escalate_after{0};         ///< unanswered for so long; 0: never
    std::vector<rt::Duration> reminders{};  ///< after it was opened, ascending
    rt::Duration hold{0};                   ///< ended within it: nobody is told
    rt::Duration expires{0};                ///< after it was opened; 0: never
    Privacy privacy = Privacy::summary;
    int priority = 3;
    bool silent = false;
    std::string suppressed{};  ///< nobody is told, for this reason
    /// It is told together with others of its sort when the hold is over, as one incident `digest`.
    bool digest = false;
};

struct Raised {
    std::string key;  ///< one incident for all times
    std::string kind;
    std::string subject;  ///< blocks of one subject that come together are told together
    Weight weight = Weight::block;
    std::string facts = "{}";  ///< JSON, as words.hpp says
};

/// Since the center began. Only ever grows.
struct CenterCounts {
    std::uint64_t raised = 0;
    std::uint64_t known = 0;  ///< raised again: told once
    std::uint64_t opened = 0;
    std::uint64_t joined = 0;      ///< of these: told together with another
    std::uint64_t never_told = 0;  ///< ended while they were held
    std::uint64_t resolved = 0;
    std::uint64_t expired = 0;
    std::map<std::string, std::uint64_t, std::less<>> suppressed{};  ///< by reason; a closed set
    std::uint64_t reminders = 0;
    std::uint64_t escalations = 0;
    std::uint64_t refused = 0;  ///< too many incidents at once, or too large: see `raise`
    std::uint64_t store_trouble = 0;
};

struct CenterNeeds {
    rt::Executor executor;
    rt::Deadlines& deadlines;
    Store& store;
    Courier& courier;
    WallClock wall;
    std::function<Handling(Raised const&)> route;
    /// Whether nothing makes a sound now, whatever was routed before: reminders at night.
    std::function<bool()> quiet{};
    /// An earlier run left it; called before it waits on.
    std::function<void(Raised const&)> taken_up{};
    std::function<void(OutboxError const&)> trouble{};
    std::function<void(std::exception_ptr)> escaped{};  ///< our bug
    /// From the raise of an incident until its deliveries are on the disk, without the hold.
    std::function<void(rt::Duration)> accepted{};
    /// It ended while it was held, so that nobody has heard of it.
    std::function<void(Raised const&)> never_told{};
    /// What was written: which deliveries are new, and which had to go.
    std::function<void(Change const&)> written{};
};

/// An incident that has not ended, for operators.
struct ActiveView {
    std::string key, kind, subject;
    std::vector<std::string> targets;
    bool open = false;
    bool digest = false;   ///< held for a digest
    std::string leader{};  ///< another one speaks for it
    rt::Instant since{};   ///< raised or, when it is open, opened
    rt::Instant next{};    ///< when something is said of it next; `never`: nothing is due
    std::size_t reminded = 0;
    bool escalated = false;
};

/// On one event loop. What it is told is done in that order; a failing disk is tried again every second.
class Center {
public:
    static constexpr std::size_t max_active = 10'000;
    /// What is known of incidents that have not ended, and of what is still to be written; each counts what it shares.
    static constexpr std::size_t max_held_bytes = 32 * 1024 * 1024;
    static constexpr std::size_t apiece = 512;      ///< of these: what an incident or a step takes beside its facts
    static constexpr std::size_t per_target = 384;  ///< of these: what is said to one, and whom it is said to
    /// Whoever spoke for others has ended: mostly they end in the same moment, and then nobody is to hear of them.
    static constexpr rt::Duration hand_on_after = std::chrono::seconds(1);
    static constexpr rt::Duration together = std::chrono::seconds(10);
    static constexpr rt::Duration store_pause = std::chrono::seconds(1);
    /// Of a digest: holds that end within it are over together; and how many of its incidents it names.
    static constexpr rt::Duration digest_span = std::chrono::minutes(1);
    static constexpr std::size_t digest_items = 50;
    static constexpr std::size_t max_listed = 1000;
    static constexpr int most_last_tries = 2;  ///< of all that is left when it stops, `store_pause` apart

    explicit Center(CenterNeeds needs);
    ~Center();
    Center(Center const&) = delete;
    Center& operator=(Center const&) = delete;

    /// Takes up what an earlier run left: held ones are held anew, open ones wait on. Again, when the outbox may hold
    /// more than before: takes up what it does not know yet.
    void start();
    /// Refused when `max_active` have not ended, or when all that is held would take more than `max_held_bytes`: a disk
    /// that writes slower than incidents come. That is counted, and told as trouble (Trouble::full) once until all is
    /// written. What was taken is never lost: its end and all that is said of it are taken whatever is held, and a
    /// handful of them is all that one incident brings.
    void raise(Raised raised);
    /// No need any more. `by`: who, where that is known.
    void resolve(std::string_view key, std::string_view outcome, std::string_view by);
    /// All incidents of which `matches` says so.
    void resolve_where(std::function<bool(Raised const&)> const& matches, std::string_view outcome);
    /// Rules, mutes or hours have changed: every active incident is routed anew. Held ones begin a hold that has
    /// changed anew and keep one that has not; open ones go on where they are, and stay silent for as long as a hold
    /// says; what nobody is to be told of any more ends.
    void route_again();
    /// What was taken is written first, as far as `until` allows: thousands of changes take the disk their time. What
    /// is left is told as trouble, and found again as after a crash. Returns when no task runs any more.
    rt::Task<void> stop(rt::Instant until = rt::never);

    [[nodiscard]] bool active(std::string_view key) const;
    [[nodiscard]] std::vector<std::string> subjects_of(std::string_view kind) const;
    /// The oldest first, at most `max_listed`.
    [[nodiscard]] std::vector<ActiveView> list(std::size_t most) const;
    [[nodiscard]] CenterCounts const& counts() const noexcept { return counts_; }

    /// For CourierNeeds::compose.
    [[nodiscard]] static std::optional<Letter> compose(Due const& due);

private:
    struct Active;
    using Step = std::function<rt::Task<Kept<void>>()>;
    /// So many bytes of `sum`, for as long as it lives.
    class Weighed {
    public:
        Weighed(std::size_t& sum, std::size_t bytes) noexcept : sum_(&sum), bytes_(bytes) { sum += bytes; }
        Weighed(Weighed&& other) noexcept : sum_(other.sum_), bytes_(std::exchange(other.bytes_, 0)) {}
        Weighed& operator=(Weighed&&) = delete;
        ~Weighed() { *sum_ -= bytes_; }

    private:
        std::size_t* sum_;
        std::size_t bytes_;
    };
    struct Queued {
        Step step;
        Weighed weighed;
    };

    // center.cpp: what is written, in order; beginnings; what comes next of an incident
    void then(Step step, std::size_t bytes = 0);
    static rt::Task<void> work(Center* self);
    void leave();
    Active* find(std::string_view key) const;
    Active& add(Raised raised, Handling handling);
    void refuse();
    void begin(Active& active);
    void time_came(Active& active);
    void arm(Active& active);
    void open(Active& active);
    void publish(Active& active, std::size_t waiting, bool later);
    void enqueue(Active const& active, std::vector<NewDelivery> deliveries);
    [[nodiscard]] std::vector<NewDelivery> with_stand_ins(std::vector<NewDelivery> const& wanted, Weight weight) const;
    void remind(Active& active);
    void escalate(Active& active);
    [[nodiscard]] std::size_t waiting_with(Active const& leader) const;
    [[nodiscard]] Active* leader_for(Active const& active) const;
    [[nodiscard]] std::string payload(Active const& active, bool escalated, std::size_t waiting, bool silent) const;
    [[nodiscard]] bool silent_now(Active const& active) const;
    [[nodiscard]] Handling handling_of(Raised const& raised) const;
    [[nodiscard]] std::int64_t now_ms() const;

    // center_ending.cpp
    void finish(Active& active, IncidentState state, std::string outcome, std::string by);
    void write_end(Ending ending);
    void suppress(Active& active);
    void hand_on_soon();
    void hand_on();

    // center_restart.cpp
    void take_up_all(std::vector<Incident> const& left);
    void take_up(Incident const& incident);
    void wait_on(Active& active, Incident const& incident);
    void route_again(Active& active);

    // center_digest.cpp
    void tell_digest(Active const& first);
    void digest_written(Raised digest, std::vector<std::string> const& items);
    void tell_alone(std::vector<std::string> const& items);

    /// What ended while an earlier run's incidents are read. `outcome` is empty when its end is written anyway.
    struct Ended {
        std::string outcome, by;
    };

    CenterNeeds needs_;
    CenterCounts counts_;
    std::size_t held_bytes_ = 0;  ///< by `active_` and `steps_`, which go before it
    bool refusing_ = false;       ///< and it was told
    std::map<std::string, std::unique_ptr<Active>, std::less<>> active_;
    std::deque<Queued> steps_;  ///< raises only within `max_held_bytes`, and what these bring
    std::map<std::string, Ended, std::less<>> ended_meanwhile_;  ///< only while `taking_`; at most `max_active`
    int taking_ = 0;                                             ///< calls of `start` that are under way
    bool working_ = false;
    bool stopping_ = false;
    int last_tries_ = 0;
    rt::Instant stop_by_ = rt::never;
    bool pausing_ = false;
    rt::Signal stopped_;
    rt::Signal paused_;
    rt::Deadline pause_;
    rt::Deadline handing_on_;
};

}  // namespace ocgate::notify
