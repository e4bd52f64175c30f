// From what happened in opencode to messages that reach people: the teller, the router, the center, the courier and the
// keeper of their outbox, put together, started, changed while they run, and stopped. Knows no socket, no log and no
// configuration file; what it does on a person's behalf (a test, a mute, enabling a target) is here as well.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ocgate/bridge/teller.hpp"
#include "ocgate/notify/keeper.hpp"
#include "ocgate/notify/router.hpp"
#include "ocgate/opencode/routes.hpp"
#include "ocgate/rt/task_group.hpp"

namespace ocgate::bridge {

/// As configured; a reload brings another one.
struct HeraldSettings {
    /// Makes all targets anew, with HTTP clients that nobody has stopped.
    std::function<std::vector<notify::CourierTarget>()> targets;
    std::string targets_mark{};  ///< differs when any target does
    notify::RouterRules rules{};
    TellerRules teller{};
    std::string public_url{};  ///< where people reach opencode's web interface, for links; empty: no links
};

/// What others may want to write down. All may be empty; called on the loop, must not throw.
struct HeraldListener {
    std::function<void(notify::Told const&)> told;
    std::function<void(std::string const& target, std::string const& why)> disabled;
    std::function<void(notify::OutboxError const&)> trouble;
    std::function<void(notify::KeeperState const&)> kept;  ///< the outbox moved to the disk, or to memory
    std::function<void(std::string const& path, std::string const& what)> moved_aside;
    std::function<void(rt::Duration)> accepted;  ///< from an event to the disk, without hold
    std::function<void(std::string_view target, std::string_view line)> line;  ///< for targets of type log
    std::function<void(std::exception_ptr)> escaped;                           ///< our bug
};

struct HeraldNeeds {
    rt::Executor executor;
    rt::Deadlines& deadlines;
    notify::Store& store;                       ///< in memory at first
    std::optional<notify::OutboxOptions> disk;  ///< none: memory is all there is
    notify::WallClock wall;
    std::function<double()> random;                             ///< in [0, 1)
    std::function<bool(std::string_view request)> pending;      ///< whether opencode waits for an answer to it
    std::function<bool(std::string_view session)> retries;      ///< whether it is waiting to try again
    std::function<void(std::string const& directory)> look_at;  ///< asks opencode what waits there
    std::function<std::string(opencode::Act const&)> root_of;   ///< the root session it is about; empty: not known
    HeraldListener listener{};
};

/// What one target made of a test.
struct TestResult {
    std::string target;
    std::string result;  ///< sent, failed, waiting
    std::string why;
};

/// For operators: what is kept, newest first.
struct Ledger {
    std::vector<notify::Incident> incidents;
    std::vector<notify::DeliveryRow> deliveries;
    std::vector<notify::TargetCount> counts;
};

/// On one event loop.
class Herald {
public:
    /// Happenings while targets are exchanged; then the oldest go, counted as `refused`.
    static constexpr std::size_t max_waiting = 1000;
    static constexpr std::size_t max_answers = 256;  ///< answers whose author is remembered
    static constexpr std::size_t max_tests = 16;     ///< at a time
    static constexpr rt::Duration test_patience = std::chrono::seconds(30);
    static constexpr rt::Duration exchange_patience = std::chrono::seconds(5);
    static constexpr rt::Duration exchange_retry = std::chrono::seconds(10);  ///< when they could not be made
    static constexpr rt::Duration sampling = std::chrono::seconds(15);        ///< of the outbox's own counts
    /// For what an earlier run left, until opencode has said whether it waits.
    static constexpr rt::Duration asking_again = std::chrono::minutes(1);

    Herald(HeraldNeeds needs, HeraldSettings settings);
    ~Herald();  ///< after `stop`
    Herald(Herald const&) = delete;
    Herald& operator=(Herald const&) = delete;

    void start();
    /// Other rules hold from now on; other targets when what the present ones have under way has ended (at most
    /// `exchange_patience`; what is broken off is tried again by the new ones). Where this throws, the same once more
    /// finishes it.
    void configure(HeraldSettings settings);
    /// What is under way may end until then. Returns when no task runs any more.
    rt::Task<void> stop(rt::Instant until);

    // What is heard.
    void happened(opencode::Happening const& happening);
    /// opencode was asked what waits in `directory`, and it is known now.
    void looked(std::string_view directory);
    /// Whether opencode answers its health probe.
    void upstream(bool up, std::string const& why);
    void crossed(Crossed const& what) { teller_.crossed(what); }
    /// A person's request that was let in, and its end.
    void acted(opencode::Act const& act, std::string_view user);

    /// The outbox failed for somebody else who uses the store.
    void in_trouble(notify::OutboxError const& error);

    // What people ask of it.
    /// Sends a test to `target` (empty: to each) and waits for what becomes of it. Nothing: no such target, or
    /// `max_tests` are under way.
    rt::Task<std::optional<std::vector<TestResult>>> test(std::string target);
    rt::Task<notify::Kept<bool>> enable(std::string target);
    /// A duration of 0 ends it. False: too many mutes.
    rt::Task<bool> mute(std::string subject, std::chrono::milliseconds how_long);
    rt::Task<notify::Kept<Ledger>> ledger(std::size_t most);

    [[nodiscard]] std::vector<notify::TargetStatus> targets() const;  ///< their counts since this process began
    [[nodiscard]] notify::CenterCounts counts() const;                ///< the same
    [[nodiscard]] notify::KeeperState const& kept() const noexcept;
    [[nodiscard]] std::vector<notify::Router::Mute> mutes() const { return router_.mutes(); }
    /// As last sampled: at most `sampling` old.
    [[nodiscard]] std::vector<notify::TargetCount> const& sampled() const noexcept { return sampled_; }
    using ByTarget = std::map<std::string, std::uint64_t, std::less<>>;
    /// Deliveries that were accepted, and those that had to make room for others, since this process began.
    [[nodiscard]] ByTarget const& enqueued() const noexcept { return enqueued_; }
    [[nodiscard]] ByTarget const& no_room() const noexcept { return no_room_; }
    [[nodiscard]] bool has_target(std::string_view name) const;

private:
    struct Test;

    [[nodiscard]] TellerNeeds teller_needs();
    void build();
    rt::Task<void> begin();
    rt::Task<void> exchange();
    rt::Task<void> exchange_once(bool& ended);
    rt::Task<void> sample();
    void time_to_sample();
    rt::Task<void> forget_targets();
    rt::Task<void> recall_mutes();
    rt::Task<void> remember_mutes();
    void ask_for_left();
    void break_off();
    void raise(notify::Raised raised);
    void taken_up(notify::Raised const& raised);
    void told(notify::Told const& what);
    void kept_elsewhere(notify::KeeperState const& state);
    [[nodiscard]] notify::Handling route(notify::Raised const& raised);
    [[nodiscard]] std::string who_answered(std::string_view request) const;
    [[nodiscard]] std::int64_t now_ms() const;
    /// Now, or when the targets are exchanged.
    void then(std::function<void()> step);

    HeraldNeeds needs_;
    HeraldSettings settings_;
    notify::Router router_;
    Teller teller_;
    notify::Keeper keeper_;
    std::vector<std::shared_ptr<notify::HttpClient>> clients_;  ///< of the courier's targets
    std::unique_ptr<notify::Courier> courier_;
    std::unique_ptr<notify::Center> center_;
    notify::CenterCounts earlier_;  ///< of centers before this one
    std::map<std::string, notify::CourierCounts, std::less<>> earlier_targets_;
    ByTarget enqueued_, no_room_;  ///< bounded by the targets ever configured
    std::deque<std::function<void()>> waiting_;
    bool started_ = false;  ///< the outbox is where it belongs
    bool exchanging_ = false;
    bool exchange_again_ = false;
    bool stopping_ = false;
    bool mutes_known_ = false;    ///< the router's are all there are: nothing is to be read any more
    bool mutes_unsaved_ = false;  ///< the outbox failed when it was to keep them
    rt::Instant stop_by_ = rt::never;
    std::deque<std::pair<std::string, std::string>> answers_;  ///< request → who answered it
    struct Left {
        std::string directory, request;
    };
    std::map<std::string, Left, std::less<>> left_;  ///< blocks of an earlier run, by key
    std::map<std::string, std::shared_ptr<Test>, std::less<>> tests_;
    std::vector<notify::TargetCount> sampled_;
    std::uint64_t test_number_ = 0;
    rt::TaskGroup tasks_;
    rt::Deadline sample_alarm_, ask_alarm_, stop_alarm_, exchange_alarm_;
    rt::Signal exchange_pause_;
};

}  // namespace ocgate::bridge
