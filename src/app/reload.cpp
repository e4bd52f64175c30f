// Reload is a transaction: everything is read and checked, then every shard swaps one snapshot. Any error in what was
// read leaves everything as it was; what is broken off for want of memory or threads is tried again until it is whole.
#include <algorithm>
#include <cerrno>
#include <system_error>

#include "gateway_inside.hpp"
#include "ocgate/opencode/routes.hpp"

namespace ocgate::app {

using ops::LogLevel;
namespace {

/// What could not be read, and could be a moment later though no file changes.
bool is_of_shortage(std::string_view errors) {
    auto const says = [&](int number) {
        return errors.find(std::generic_category().message(number)) != std::string_view::npos;
    };
    return says(EMFILE) || says(ENFILE) || says(ENOMEM);
}

}  // namespace

std::string Gateway::Inside::upstream_host() const {
    return config_.upstream.is_unix() ? "localhost" : config_.upstream.text();
}

ShardThread::Plan Gateway::Inside::plan() {
    ShardThread::Plan plan;
    plan.snapshot.limits = config_.limits;
    plan.snapshot.limits.connections = std::min(config_.limits.connections, room_);
    plan.snapshot.dialer = dialer_;
    plan.snapshot.authorization = config_.upstream_authorization;
    plan.snapshot.realm = config_.auth.realm;
    plan.snapshot.upstream_host = upstream_host();
    plan.snapshot.hidden_parameter = opencode::credential_parameter;
    plan.snapshot.pages = front_desk_;
    plan.snapshot.witness = witness_;
    plan.budget = budget_block();
    auto admission = std::make_shared<auth::Settings>(config_.auth);
    admission->reading = ++readings_;
    plan.admission = std::move(admission);
    return plan;
}

opencode::ProbeSettings Gateway::Inside::probe_settings() {
    return {.dialer = dialer_,
            .host = upstream_host(),
            .authorization = config_.upstream_authorization,
            .interval = config_.probe_interval,
            .timeout = config_.probe_timeout};
}

void Gateway::Inside::probed(opencode::ProbeResult const& result) {
    metrics_.probed(result.up, result.took);
    ops::UpstreamHealth upstream;
    upstream.known = true;
    upstream.up = result.up;
    upstream.version = result.version;
    upstream.reason = result.reason;
    upstream.took = result.took;
    upstream_silent_ = result.silent;
    health_.set_upstream(std::move(upstream));
    // It may be in the tap's long pause, also when the probe has not seen it away: who answers a probe tells events.
    // At the start, when the first connection is still being made, nothing was lost yet.
    if (result.up && !follower_->tap().connected && !deaf_.empty()) follower_->configure(follower_settings());
    if (upstream_up_ == result.up) return;
    upstream_up_ = result.up;
    herald_->upstream(result.up, result.reason);
    if (result.up) {
        log_.app(LogLevel::info, "upstream_up", "", {{"version", result.version}});
    } else {
        log_.app(LogLevel::warn, "upstream_down", result.reason);
    }
}

void Gateway::Inside::reload(std::string_view why, std::function<void(bool)> done) {
    if (health_.phase() != ops::Phase::ready) {
        log_.app(LogLevel::warn, "reload_skipped", "the gateway is not ready", {{"why", why}});
        return done(false);
    }
    if (reloading_) {  // it may have read what has changed since: once more, for all who ask meanwhile
        reload_again_.push_back(std::move(done));
        return;
    }
    std::vector<ShardThread::Plan> plans;
    std::shared_ptr<Reload> round;
    try {
        plans = read_again(why);
        round = std::make_shared<Reload>(Reload{.why = std::string(why), .left = plans.size()});
    } catch (...) {
        break_off(why, std::current_exception());
        return done(false);
    }
    if (plans.empty()) return done(false);
    round->done = std::move(done);
    reloading_ = true;
    std::size_t asked = 0;
    try {
        for (auto& shard : shards_) {
            shard.configure(std::move(plans[asked]), [this, round](std::exception_ptr failed) {
                boost::asio::post(io_, [this, round, failed] { shards_done(*round, 1, failed); });
            });
            ++asked;
        }
    } catch (...) {  // those that were asked go on to tell
        shards_done(*round, plans.size() - asked, std::current_exception());
    }
}

std::vector<ShardThread::Plan> Gateway::Inside::read_again(std::string_view why) {
    auto loaded = load_config(flags_, sources_);
    std::vector<std::string> problems;
    auto targets = TargetMaker::read(loaded.config.notify, sources_.variable, problems);
    for (auto& problem : problems) loaded.errors.push_back({"/notifications", std::move(problem), {}});
    std::string no_audit;
    auto audit_file = ops::Audit::open(loaded.config.audit, no_audit);
    if (!no_audit.empty()) loaded.errors.push_back({"/audit", std::move(no_audit), "audit"});
    if (!loaded.errors.empty()) {
        refuse_reload(why, loaded);
        return {};
    }
    audit_.adopt(loaded.config.audit, std::move(audit_file));  // may want a descriptor and a thread: first
    keep_what_is_fixed(loaded.config);
    adopt(std::move(loaded.config), std::move(targets));
    return std::vector<ShardThread::Plan>(shards_.size(), plan());  // here, and not while the shards are being told
}

void Gateway::Inside::refuse_reload(std::string_view why, Loaded& loaded) {
    metrics_.reloaded(false);
    reloaded(why, false);
    std::string all;
    for (auto const& error : loaded.errors) {
        if (!all.empty()) all += "; ";
        all += error.place + ": " + error.message;
    }
    // Files in folders that nobody named at the start.
    if (confinement_.files.holds() && all.find(std::generic_category().message(EACCES)) != std::string::npos)
        all += "; the sandbox holds the folders of the files that were named at the start: others take a restart";
    log_.app(LogLevel::error, "reload_failed", "nothing was changed", {{"why", why}, {"errors", all}});
    // What was read when the mistake was found, and what the configuration that holds was read from: any of them
    // changing may mend it.
    auto& files = loaded.config.files;
    auto& marks = loaded.config.file_marks;
    for (std::size_t i = 0; i < config_.files.size(); ++i) {
        if (std::find(files.begin(), files.end(), config_.files[i]) != files.end()) continue;
        files.push_back(config_.files[i]);
        marks.push_back(mark_of(config_.files[i]));
    }
    watcher_->watch(files, marks);
    if (reload_owed_ || is_of_shortage(all)) watcher_->again();
}

void Gateway::Inside::break_off(std::string_view why, std::exception_ptr error) {
    reload_owed_ = true;
    watcher_->again();
    metrics_.reloaded(false);
    reloaded(why, false);
    log_.app(LogLevel::error, "reload_failed", "it was broken off, and is tried again in 10 s",
             {{"why", why}, {"errors", what_of(std::move(error))}});
}

void Gateway::Inside::shards_done(Reload& round, std::size_t shards, std::exception_ptr failed) {
    if (failed) round.failed = std::move(failed);
    round.left -= shards;
    if (round.left > 0) return;
    reloading_ = false;
    if (round.failed) {
        break_off(round.why, round.failed);
    } else {
        reload_owed_ = false;
        metrics_.reloaded(true);
        reloaded(round.why, true);
        log_.app(LogLevel::info, "reloaded", "", {{"why", round.why}});
    }
    round.done(!round.failed);
    if (reload_again_.empty()) return;
    reload("asked for during the last one", [askers = std::exchange(reload_again_, {})](bool ok) {
        for (auto const& asker : askers) asker(ok);
    });
}

void Gateway::Inside::keep_what_is_fixed(Config& next) {
    std::string changed;
    auto const keep = [&](std::string_view name, auto& wanted, auto const& held, bool same) {
        if (!same) changed.append(changed.empty() ? "" : ", ").append(name);
        wanted = held;
    };
    keep("listen", next.listen, config_.listen, next.listen.text() == config_.listen.text());
    keep("admin_listen", next.admin_listen, config_.admin_listen,
         next.admin_listen.text() == config_.admin_listen.text());
    keep("control_socket", next.control_socket, config_.control_socket, next.control_socket == config_.control_socket);
    keep("state_dir", next.state_dir, config_.state_dir, next.state_dir == config_.state_dir);
    keep("sandbox", next.sandbox, config_.sandbox, next.sandbox == config_.sandbox);
    keep("threads", next.threads, config_.threads, next.threads == config_.threads);
    if (!changed.empty()) {
        log_.app(LogLevel::warn, "restart_needed", "these settings change with a restart only",
                 {{"settings", changed}});
    }
}

void Gateway::Inside::adopt(Config next, TargetMaker targets) {
    for (auto const& warning : next.warnings) log_.app(LogLevel::warn, "configuration", warning);
    // The same dialer as long as it dials the same address: connections in the pools stay good, and the events go on.
    bool const moved = next.upstream.text() != config_.upstream.text();
    bool const renamed = next.upstream_authorization.reveal() != config_.upstream_authorization.reveal();
    follower_owed_ |= moved || renamed;
    if (moved) dialer_ = std::make_shared<rt::SystemDialer>(next.upstream);
    config_ = std::move(next);
    make_room();
    tell_room();
    log_.adopt(config_.log);
    throttle_->adopt(config_.auth.throttle);
    probe_->configure(probe_settings());
    if (follower_owed_) follower_->configure(follower_settings());
    follower_owed_ = false;
    herald_->configure(herald_settings(std::move(targets)));
    treasurer_->configure(config_.spending);
    warn_of_memory();
    watcher_->watch(config_.files, config_.file_marks);
}

}  // namespace ocgate::app
