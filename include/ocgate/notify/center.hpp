// The life of what has to be told: held, open, ended. Decides when something is said, said again, handed up or
// withdrawn; what is said and to whom is configured, how it gets there is the courier's. Knows no opencode: an incident
// is a key, a kind, a subject and a document.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>

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
    std::uint64_t suppressed = 0;
    std::uint64_t reminders = 0;
    std::uint64_t escalations = 0;
    std::uint64_t refused = 0;  ///< too many incidents at once: `max_active`
    std::uint64_t store_trouble = 0;
};

struct CenterNeeds {
    rt::Executor executor;
    rt::Deadlines& deadlines;
    Store& store;
    Courier& courier;
    WallClock wall;
    std::function<Handling(Raised const&)> route;
    std::function<void(OutboxError const&)> trouble{};
    std::function<void(std::exception_ptr)> escaped{};  ///< our bug
    /// From the raise of an incident until its deliveries are on the disk, without the hold.
    std::function<void(rt::Duration)> accepted{};
};

/// On one event loop. What it is told is done in that order; a failing disk is tried again every second.
class Center {
public:
    static constexpr std::size_t max_active = 10'000;
    static constexpr rt::Duration together = std::chrono::seconds(10);
    static constexpr rt::Duration store_pause = std::chrono::seconds(1);

    explicit Center(CenterNeeds needs);
    ~Center();
    Center(Center const&) = delete;
    Center& operator=(Center const&) = delete;

    /// Takes up what an earlier run left: held ones are held anew, open ones wait on.
    void start();
    void raise(Raised raised);
    /// No need any more. `by`: who, where that is known.
    void resolve(std::string_view key, std::string_view outcome, std::string_view by);
    /// All incidents of which `matches` says so.
    void resolve_where(std::function<bool(Raised const&)> const& matches, std::string_view outcome);
    /// What was taken is written first. Returns when no task runs any more.
    rt::Task<void> stop();

    [[nodiscard]] bool active(std::string_view key) const;
    [[nodiscard]] std::vector<std::string> subjects_of(std::string_view kind) const;
    [[nodiscard]] CenterCounts const& counts() const noexcept { return counts_; }

    /// For CourierNeeds::compose.
    [[nodiscard]] static std::optional<Letter> compose(Due const& due);

private:
    struct Active;
    using Step = std::function<rt::Task<Kept<void>>()>;

    void then(Step step);
    static rt::Task<void> work(Center* self);
    void take_up(Incident const& incident);
    Active* add(Raised raised, rt::Instant now);
    void time_came(Active& active);
    void arm(Active& active);
    void open(Active& active);
    void publish(Active& active, std::size_t waiting);
    void enqueue(Active const& active, std::vector<NewDelivery> deliveries);
    void remind(Active& active);
    void escalate(Active& active);
    void finish(Active& active, IncidentState state, std::string outcome, std::string by);
    [[nodiscard]] std::size_t waiting_with(Active const& leader) const;
    [[nodiscard]] std::string payload(Active const& active, bool escalated, std::size_t waiting) const;
    [[nodiscard]] std::int64_t now_ms() const;

    CenterNeeds needs_;
    CenterCounts counts_;
    std::map<std::string, std::unique_ptr<Active>, std::less<>> active_;
    std::deque<Step> steps_;  ///< bounded by `max_active` and a handful for each
    bool working_ = false;
    bool stopping_ = false;
    bool pausing_ = false;
    rt::Signal stopped_;
    rt::Signal paused_;
    rt::Deadline pause_;
};

}  // namespace ocgate::notify
