// Takes deliveries out of the outbox to their targets. What is to be said and to whom others decide; the outbox is the
// truth about what is still to be done, so nothing here has to survive a crash.
//
// A target is a lane of its own: its queue, its pace, its breaker, its two requests in flight. What one target does
// delays no other one. All of it on one event loop; the outbox's work is done by its worker.
#pragma once

#include <array>
#include <memory>

#include "ocgate/notify/http.hpp"
#include "ocgate/notify/store.hpp"

namespace ocgate::notify {

/// A target as it is configured.
struct CourierTarget {
    std::string name;
    std::unique_ptr<Sink> sink;
    std::shared_ptr<HttpClient> http;   ///< not needed for a sink that is `line_only`
    std::vector<std::string> fallback;  ///< told of blocks while this one is down
    /// A fingerprint of its settings: a target that was disabled under another one is given a new chance.
    std::string mark;
    unsigned burst = 0;         ///< a pace of the operator's; 0: the sink's own
    rt::Duration every{0};      ///< with `burst`
    std::size_t in_flight = 2;  ///< requests at the same time
};

struct CourierRules {
    rt::Duration request_limit = std::chrono::seconds(15);
    std::chrono::milliseconds lease = std::chrono::seconds(60);  ///< longer than all requests of one attempt
    rt::Duration first_pause = std::chrono::seconds(1);
    rt::Duration longest_pause = std::chrono::minutes(5);
    int breaker_failures = 5;
    rt::Duration breaker_first = std::chrono::seconds(10);
    rt::Duration breaker_longest = std::chrono::minutes(5);
    rt::Duration fallback_after = std::chrono::seconds(20);
    rt::Duration store_pause = std::chrono::seconds(1);  ///< after the outbox failed
    rt::Duration look_again = std::chrono::seconds(30);  ///< at the latest: the time of day may have been set
};

/// What a delivery says, made from what the outbox kept.
struct Letter {
    Message message;
    Resolution resolution;  ///< with Action::clear
};

/// What became of a delivery, or of one attempt. For the log and for measuring.
struct Told {
    enum class What : std::uint8_t { sent, retried, rejected, dead, dropped, diverted };
    What what;
    std::string const& target;
    Due const& due;
    std::string_view why;  ///< empty with `sent`
};
[[nodiscard]] std::string_view to_string(Told::What what) noexcept;

/// Since the courier began. Only ever grows.
struct CourierCounts {
    std::array<std::uint64_t, 4> sent{};  ///< by Action
    std::uint64_t requests = 0;
    std::array<std::uint64_t, 7> failed{};  ///< requests without an answer that says enough, by HttpStep
    std::uint64_t retried = 0;
    std::uint64_t rejected = 0;  ///< payloads the target refused; the plain one follows
    std::uint64_t dead = 0;
    std::uint64_t ambiguous = 0;  ///< dropped because they may have arrived
    std::uint64_t unable = 0;     ///< dropped because the target cannot do it (withdraw, update)
    std::uint64_t ended = 0;      ///< dropped because there was no need any more
    std::uint64_t diverted = 0;   ///< enqueued for a fallback instead
    std::uint64_t opened = 0;     ///< times the breaker opened
    std::uint64_t disabled = 0;
    std::uint64_t store_trouble = 0;
};

/// A closed set: also a metric label.
enum class Circuit : std::uint8_t { closed, open, half_open };
[[nodiscard]] std::string_view to_string(Circuit circuit) noexcept;

struct TargetStatus {
    std::string name;
    std::string_view type;
    Circuit circuit = Circuit::closed;
    std::string disabled;       ///< why; empty: it is not
    rt::Duration paused{0};     ///< so long it asked to be left alone, from now
    std::size_t in_flight = 0;  ///< deliveries
    std::string last_failure;   ///< since it last worked
    /// Down for long enough that blocks go to `fallback`: whoever enqueues a new one may name those at once.
    bool down = false;
    std::vector<std::string> fallback;
    CourierCounts counts;
};

struct CourierNeeds {
    rt::Executor executor;
    rt::Deadlines& deadlines;
    Store& store;
    WallClock wall;
    std::function<double()> random;  ///< in [0, 1)
    /// What a delivery says; nothing when its document cannot be read: it is dead then.
    std::function<std::optional<Letter>(Due const&)> compose;
    std::function<void(std::string const& target, std::string const& line)> write_line{};  ///< for `line_only`
    std::function<void(Told const&)> told{};
    std::function<void(std::string const& target, std::string const& why)> disabled{};
    std::function<void(OutboxError const&)> trouble{};  ///< the outbox failed; it is tried again
    std::function<void(std::exception_ptr)> escaped{};  ///< our bug
};

/// The name of the delivery that tells `fallback` instead of `target`: whoever enqueues one first, there is only one.
/// Where `dedupe` has parts with slashes between and one of them is the target, that part becomes the fallback: so it
/// is also the name of what tells the fallback anyway, and nobody is told the same thing twice.
[[nodiscard]] std::string diverted_name(std::string_view dedupe, std::string_view target, std::string_view fallback);

class Courier {
public:
    Courier(CourierNeeds needs, CourierRules rules, std::vector<CourierTarget> targets);
    /// `stop` has ended before, or `start` was never called.
    ~Courier();
    Courier(Courier const&) = delete;
    Courier& operator=(Courier const&) = delete;

    /// Begins: leases left over by a crash are taken back first. Nobody else may hold one.
    void start();
    /// There may be something new for `target`, or sooner than known.
    void wake(std::string_view target);
    void wake_all();

    /// By a person: the target is asked again at once, whatever was known of it. False: there was nothing to enable.
    /// Trouble::busy once it stops; `stop` waits for those that are under way.
    rt::Task<Kept<bool>> enable(std::string target);

    [[nodiscard]] std::vector<TargetStatus> status() const;
    /// Targets whose sink can withdraw or edit, as far as is known now: Ending::able.
    [[nodiscard]] std::vector<std::string> able() const;
    /// Those to tell of a new block instead of `target`: its fallback while it is down (and the fallback's, where that
    /// is down as well), else none.
    [[nodiscard]] std::vector<std::string> instead_of(std::string_view target) const;

    /// Takes nothing new; what is under way may end until `until`, then it is broken off (and its HttpClient stopped).
    /// What was not finished stays in the outbox. Returns when no task runs any more.
    rt::Task<void> stop(rt::Instant until);

private:
    struct Inside;
    std::unique_ptr<Inside> inside_;
};

}  // namespace ocgate::notify
