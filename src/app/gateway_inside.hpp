// The gateway from inside, in five stories: gateway.cpp (starting), reload.cpp (a new configuration), drain.cpp (the
// end), notifications.cpp (opencode's events, and who is told of them), account.cpp (what it says of itself, and what
// the audit says of its own doings). Private to app.
#pragma once

#include <boost/asio/basic_signal_set.hpp>
#include <list>
#include <optional>
#include <random>

#include "adapters.hpp"
#include "agent_metrics.hpp"
#include "control.hpp"
#include "front_desk.hpp"
#include "notify_metrics.hpp"
#include "ocgate/app/gateway.hpp"
#include "ocgate/auth/throttle.hpp"
#include "ocgate/auth/tickets.hpp"
#include "ocgate/bridge/herald.hpp"
#include "ocgate/bridge/treasurer.hpp"
#include "ocgate/opencode/activity.hpp"
#include "ocgate/opencode/follower.hpp"
#include "ocgate/opencode/probe.hpp"
#include "ocgate/ops/admin.hpp"
#include "ocgate/ops/health.hpp"
#include "ocgate/ops/metrics.hpp"
#include "ocgate/rt/worker.hpp"
#include "own_pages.hpp"
#include "sandbox.hpp"
#include "shard_thread.hpp"
#include "targets.hpp"
#include "watcher.hpp"
#include "witness.hpp"

namespace ocgate::app {

/// Passwords that wait to be hashed; then 503.
inline constexpr std::size_t hashing_queue = 64;
/// Jobs that wait for the outbox's thread. Who finds no room tries again a second later.
inline constexpr std::size_t outbox_queue = 256;
/// For notifications under way to end, once everything else has; what is left waits in the outbox.
inline constexpr std::chrono::milliseconds last_words{2'000};
/// For what was cut to end; then the process leaves anyway.
inline constexpr std::chrono::milliseconds insist_time{5'000};

/// What an exception says.
[[nodiscard]] std::string what_of(std::exception_ptr error);

class Gateway::Inside {
public:
    Inside(Config config, Flags flags, Sources sources, ops::Log& log, Confinement confinement);
    Exit run();

private:
    struct Listeners {
        std::vector<int> traffic;  ///< one per shard
        int admin = -1;
        rt::Address traffic_at, admin_at;
    };

    bool open(Listeners& listeners);
    bool open_control();
    bool confine();
    void make_room();
    void tell_room();
    void tell_listening(Listeners const& listeners);
    [[nodiscard]] ShardThread::Plan plan();
    [[nodiscard]] opencode::ProbeSettings probe_settings();
    [[nodiscard]] std::string upstream_host() const;
    void probed(opencode::ProbeResult const& result);

    void make_herald(TargetMaker targets);
    [[nodiscard]] bridge::HeraldSettings herald_settings(TargetMaker targets);
    [[nodiscard]] bridge::HeraldListener herald_listener();
    [[nodiscard]] opencode::FollowerSettings follower_settings();
    [[nodiscard]] opencode::FollowerListener follower_listener();
    [[nodiscard]] std::string root_of(opencode::Act const& act) const;
    [[nodiscard]] StatusNeeds status_needs();
    [[nodiscard]] nlohmann::json spending() const;
    void audit_budget(std::optional<bridge::Purse::Blocked> const& blocked);
    bool open_audit();
    void reloaded(std::string_view why, bool ok);
    void show_audit(ops::Exposition& out) const;
    void tell_notifications();
    void warn_of_memory();
    void connected(bool is, std::string const& why);
    void told(notify::Told const& told);
    void outbox_trouble(notify::OutboxError const& error);
    void serve_page(proxy::PageRequest request, std::function<void(proxy::PageAnswer)> done);
    void show_notifications(ops::Exposition& out);
    rt::Task<void> stop_herald();

    void make_treasurer(bool on_disk);
    void listen(bridge::Purse::Left const& left);
    void heard(opencode::Event const& event);
    void missed(opencode::StepInfo const& step);
    void over_budget(std::optional<bridge::Purse::Blocked> const& blocked);
    [[nodiscard]] std::shared_ptr<BudgetBlock> budget_block() const;
    void show_spending(ops::Exposition& out);

    void listen_to_signals();
    void signalled(int number);

    /// A reload that the shards are being told of.
    struct Reload {
        std::string why;
        std::size_t left;  ///< shards that have not taken it over yet
        std::exception_ptr failed{};
        std::function<void(bool)> done{};
    };
    void reload(std::string_view why, std::function<void(bool)> done);
    /// What each shard is to take over; nothing where what was read has mistakes.
    [[nodiscard]] std::vector<ShardThread::Plan> read_again(std::string_view why);
    void refuse_reload(std::string_view why, Loaded& loaded);
    void break_off(std::string_view why, std::exception_ptr error);
    void shards_done(Reload& round, std::size_t shards, std::exception_ptr failed);
    void adopt(Config next, TargetMaker targets);
    void keep_what_is_fixed(Config& next);

    void drain(std::string_view why, std::chrono::milliseconds within);
    void shard_drained();
    void force(std::string_view why);
    void cut(std::size_t connections);
    void tell_forced();
    void drained();
    void finish();

    boost::asio::io_context io_{1};
    rt::SystemClock clock_;
    rt::Deadlines deadlines_{io_.get_executor(), clock_};
    rt::WindowPool windows_{16 * 1024, 2};
    rt::Poller poller_{io_.get_executor()};
    rt::PeerResources resources_{io_.get_executor(), deadlines_, windows_, poller_};

    Config config_;
    Flags const flags_;
    Sources const sources_;
    ops::Log& log_;
    Confinement confinement_;
    ops::Health health_;
    ops::Metrics metrics_;
    Knowledge knowledge_;
    AuthJournal journal_{metrics_, log_};
    ops::Audit audit_{log_};
    Auditor auditor_{audit_};
    rt::Worker hasher_{hashing_queue};
    rt::Worker scribe_{outbox_queue};  ///< the outbox's thread
    notify::Store store_{scribe_, notify::Outbox::in_memory().value()};
    std::atomic<std::size_t> connections_{0};
    proxy::Clients clients_;
    std::shared_ptr<proxy::ClientCount> const hashing_ = std::make_shared<proxy::ClientCount>();  ///< passwords
    std::size_t room_ = 0;        ///< connections that there are descriptors for
    std::size_t open_files_ = 0;  ///< the limit that says so
    std::shared_ptr<auth::Throttle> throttle_;
    std::shared_ptr<auth::Tickets> tickets_;
    std::shared_ptr<rt::Dialer> dialer_;
    std::shared_ptr<FrontDesk> front_desk_;
    std::shared_ptr<ActWitness> witness_;
    std::shared_ptr<BudgetBlock> const budget_block_ = std::make_shared<BudgetBlock>();
    std::list<ShardThread> shards_;

    std::optional<ops::AdminServer> admin_;
    std::optional<ControlServer> control_;
    std::optional<Watcher> watcher_;
    std::optional<opencode::Probe> probe_;
    std::optional<boost::asio::basic_signal_set<rt::Executor>> signals_;
    std::optional<bool> upstream_up_;
    bool upstream_silent_ = false;  ///< to the last probe

    std::chrono::system_clock::time_point const began_ = std::chrono::system_clock::now();
    std::mt19937_64 dice_;  ///< for what needs no secret: when to try again
    EventTally tally_;
    AcceptedTimes accepted_;
    opencode::Activity activity_;
    std::optional<bridge::Treasurer> treasurer_;
    std::optional<bridge::Purse::Time> heard_before_;  ///< up to then an earlier run heard everything
    std::optional<bridge::Herald> herald_;
    std::optional<opencode::Follower> follower_;
    std::optional<OwnPages> pages_;
    std::string last_trouble_;  ///< of the outbox, as logged
    rt::Instant trouble_told_ = rt::Instant::min();
    std::string deaf_;  ///< why no events are heard, as logged

    bool follower_owed_ = false;  ///< another opencode, which a reload that broke off did not get to
    bool reload_owed_ = false;    ///< one was broken off, and none has been whole since
    bool reloading_ = false;
    std::uint64_t readings_ = 0;  ///< auth::Settings::reading of the last plan
    std::vector<std::function<void(bool)>>
        reload_again_;         ///< who asked meanwhile: signals and the control socket's few
    bool stop_asked_ = false;  ///< a signal came: leave once drained
    bool drained_ = false;
    bool insisted_ = false;
    bool forced_ = false;  ///< something had to be cut
    bool finished_ = false;
    Exit exit_ = Exit::clean;
    std::size_t shards_left_ = 0;    ///< to drain
    std::size_t shards_to_cut_ = 0;  ///< that have not told yet what they cut
    std::size_t cut_ = 0;            ///< connections
    std::string forced_by_;
    rt::Instant drain_until_ = rt::never;
    std::vector<std::function<void(bool clean)>> drain_askers_;  ///< bounded by the control socket's connections
    rt::Deadline drain_deadline_{deadlines_,
                                 [](void* self) {
                                     auto& inside = *static_cast<Inside*>(self);
                                     if (inside.insisted_) {
                                         inside.exit_ = Exit::failed;
                                         bool const last = inside.finished_;
                                         inside.log_.app(ops::LogLevel::error, "stop_failed",
                                                         last ? "what remained to be done took too long"
                                                              : "connections did not end although they were cut");
                                         if (last) return inside.io_.stop();
                                         inside.finish();
                                     } else {
                                         inside.force("the time to drain is over");
                                     }
                                 },
                                 this};
};

}  // namespace ocgate::app
