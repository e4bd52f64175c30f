// What goes on in opencode, and who is told of it: the gateway's own subscription to its events, and the herald.
#include "gateway_inside.hpp"

namespace ocgate::app {

using ops::LogKind;
using ops::LogLevel;

namespace {

/// The same trouble of the outbox is logged so often.
constexpr rt::Duration trouble_pause = std::chrono::minutes(1);

}  // namespace

void Gateway::Inside::make_herald(TargetMaker targets) {
    std::optional<notify::OutboxOptions> disk;
    // Also without targets: what agents cost is added up for everybody.
    if (!config_.state_dir.empty()) {
        disk.emplace();
        disk->folder = config_.state_dir;
    }
    make_treasurer(disk.has_value());
    auto const random = [this] { return std::uniform_real_distribution<double>(0, 1)(dice_); };
    herald_.emplace(bridge::HeraldNeeds{
                        .executor = io_.get_executor(),
                        .deadlines = deadlines_,
                        .store = store_,
                        .disk = std::move(disk),
                        .wall = &std::chrono::system_clock::now,
                        .random = random,
                        .pending = [this](std::string_view request) { return follower_->model().is_pending(request); },
                        .retries =
                            [this](std::string_view session) {
                                return follower_->model().status_of(session).state == opencode::State::retry;
                            },
                        .look_at = [this](std::string const& directory) { follower_->look_at(directory); },
                        .root_of = [this](opencode::Act const& act) { return root_of(act); },
                        .listener = herald_listener()},
                    herald_settings(std::move(targets)));
    follower_.emplace(resources_, follower_settings(), follower_listener(), random);
    auto const changed = [this](auto const& request, auto const& answer) { auditor_.page(request, answer); };
    pages_.emplace(*herald_, *follower_, deadlines_, &std::chrono::system_clock::now, status_needs(), changed);
    herald_->start();
    treasurer_->start();
}

bridge::HeraldSettings Gateway::Inside::herald_settings(TargetMaker targets) {
    bridge::HeraldSettings settings;
    settings.targets_mark = targets.mark();
    settings.targets = [this, targets = std::move(targets)] {
        return targets.make(resources_, &std::chrono::system_clock::now);
    };
    settings.rules = config_.notify.rules;
    settings.teller.same_error = config_.notify.same_error;
    settings.teller.retries = config_.notify.retries;
    settings.teller.shortest_turn = rt::Duration(0);  // the routes decide
    settings.public_url = config_.notify.public_url;
    return settings;
}

void Gateway::Inside::tell_notifications() {
    std::string names;
    for (auto const& target : config_.notify.targets) names += (names.empty() ? "" : ", ") + target.name;
    ops::LogField const fields[] = {{"targets", std::string_view(names)},
                                    {"state_dir", std::string_view(config_.state_dir)}};
    log_.write(LogLevel::info, LogKind::notify, "notifications",
               names.empty() ? "nobody is told: no target is configured" : "", fields);
    warn_of_memory();
}

/// Where nobody asked for that: `none` does, and a disk that fails is told by the keeper.
void Gateway::Inside::warn_of_memory() {
    bool const asked_for = config_.state_dir_given && config_.state_dir.empty();
    if (herald_->kept().wanted || asked_for) return;
    log_.write(LogLevel::warn, LogKind::notify, "outbox_in_memory",
               "notifications and what was spent are kept in memory only, and lost with this process: set state_dir",
               {});
}

// ---- what is heard

opencode::FollowerSettings Gateway::Inside::follower_settings() {
    opencode::FollowerSettings settings;
    settings.tap.dialer = dialer_;
    settings.tap.host = upstream_host();
    settings.tap.authorization = config_.upstream_authorization;
    settings.heard_until = heard_before_;
    return settings;
}

opencode::FollowerListener Gateway::Inside::follower_listener() {
    return {.happened =
                [this](opencode::Happening const& happening) {
                    auditor_.happened(happening);
                    herald_->happened(happening);
                    activity_.happened(happening, deadlines_.now());
                },
            .counted = [this](std::string_view type, opencode::Taken taken) { tally_.count(type, taken); },
            .connection = [this](bool is, std::string const& why) { connected(is, why); },
            .looked = [this](std::string const& directory) { herald_->looked(directory); },
            .heard = [this](opencode::Event const& event) { heard(event); },
            .missed = [this](opencode::StepInfo const& step) { missed(step); },
            .gone = [this] { activity_.lost(); }};
}

void Gateway::Inside::connected(bool is, std::string const& why) {
    health_.set_events({.known = true, .heard = is, .reason = why});
    if (is) {
        deaf_.clear();
        return log_.app(LogLevel::info, "events_heard", "");
    }
    // Said once for each cause: it is tried again and again.
    if (deaf_ == why) return;
    deaf_ = why;
    log_.app(upstream_up_ == true ? LogLevel::warn : LogLevel::info, "events_lost", why);
}

std::string Gateway::Inside::root_of(opencode::Act const& act) const {
    auto const& model = follower_->model();
    if (!act.session.empty()) return model.root_of(act.session).id;
    for (auto const& one : model.pending()) {
        auto const id = std::visit([](auto const& what) -> std::string_view { return what.id; }, one.what);
        if (id == act.request) return one.root.id;
    }
    return {};
}

// ---- what is written down

bridge::HeraldListener Gateway::Inside::herald_listener() {
    bridge::HeraldListener listener;
    listener.told = [this](notify::Told const& what) { told(what); };
    listener.disabled = [this](std::string const& target, std::string const& why) {
        ops::LogField const fields[] = {{"target", std::string_view(target)}};
        auto const message = why + "; nothing more is sent there until it is configured anew or enabled by hand";
        log_.write(LogLevel::error, LogKind::notify, "target_disabled", message, fields);
    };
    listener.trouble = [this](notify::OutboxError const& error) { outbox_trouble(error); };
    listener.kept = [this](notify::KeeperState const& state) {
        treasurer_->kept(state);
        if (state.durable) return log_.write(LogLevel::info, LogKind::notify, "outbox_durable", "", {});
        if (!state.wanted) return;
        auto const message = "notifications are kept in memory only, and lost with this process: " + state.why;
        log_.write(LogLevel::error, LogKind::notify, "outbox_in_memory", message, {});
    };
    listener.moved_aside = [this](std::string const& path, std::string const& what) {
        ops::LogField const fields[] = {{"path", std::string_view(path)}, {"why", std::string_view(what)}};
        log_.write(LogLevel::error, LogKind::notify, "outbox_corrupt",
                   "the outbox was damaged; it was moved aside and a new one begun", fields);
    };
    listener.accepted = [this](rt::Duration took) { accepted_.observe(took); };
    listener.line = [this](std::string_view target, std::string_view line) {
        ops::LogField const fields[] = {{"target", target}};
        // It is a target, not a remark: it is written at any level that writes at all.
        auto level = LogLevel::info;
        if (!log_.wants(level)) level = log_.wants(LogLevel::warn) ? LogLevel::warn : LogLevel::error;
        log_.write(level, LogKind::notify, "message", line, fields);
    };
    listener.escaped = [this](std::exception_ptr error) {
        auto const what = what_of(std::move(error));
        log_.app(LogLevel::error, "bug", "an exception left a task of the notifications", {{"what", what}});
    };
    return listener;
}

void Gateway::Inside::told(notify::Told const& what) {
    using What = notify::Told::What;
    auto const level = what.what == What::dead ? LogLevel::error
                       : what.what == What::retried || what.what == What::rejected || what.what == What::diverted
                           ? LogLevel::warn
                       : what.what == What::dropped ? LogLevel::debug
                                                    : LogLevel::info;
    if (!log_.wants(level)) return;
    ops::LogField const fields[] = {{"target", std::string_view(what.target)},
                                    {"incident", std::string_view(what.due.incident.key)},
                                    {"action", to_string(what.due.action)},
                                    {"attempt", std::int64_t{what.due.ticket.attempt}}};
    log_.write(level, LogKind::notify, to_string(what.what), what.why, fields);
}

void Gateway::Inside::outbox_trouble(notify::OutboxError const& error) {
    auto const now = deadlines_.now();
    if (error.text == last_trouble_ && now - trouble_pause < trouble_told_) return;
    last_trouble_ = error.text;
    trouble_told_ = now;
    ops::LogField const fields[] = {{"trouble", to_string(error.trouble)}};
    log_.write(LogLevel::error, LogKind::notify, "outbox_failed", error.text, fields);
}

void Gateway::Inside::show_notifications(ops::Exposition& out) {
    NotifyFigures figures;
    figures.now = deadlines_.now();
    figures.wall = std::chrono::system_clock::now();
    figures.tap = follower_->tap();
    figures.sessions = follower_->model().counts();
    figures.events = tally_;
    figures.accepted = accepted_;
    figures.center = herald_->counts();
    figures.targets = herald_->targets();
    figures.queues = herald_->sampled();
    figures.enqueued = herald_->enqueued();
    figures.no_room = herald_->no_room();
    figures.store = herald_->kept();
    write_notify(out, figures);
    show_spending(out);
}

namespace {
rt::Task<void> answer_to(rt::Task<proxy::PageAnswer> page, std::function<void(proxy::PageAnswer)> const& done) {
    auto answer = co_await page;
    done(std::move(answer));
}
}  // namespace

void Gateway::Inside::serve_page(proxy::PageRequest request, std::function<void(proxy::PageAnswer)> done) {
    auto const id = request.request_id;
    auto const heard = std::make_shared<std::function<void(proxy::PageAnswer)>>(std::move(done));
    auto task = answer_to(pages_->answer(std::move(request)), *heard);
    rt::spawn(io_.get_executor(), std::move(task), [heard, id, this](std::exception_ptr const& error) {
        if (!error) return;
        auto const what = what_of(error);
        log_.app(LogLevel::error, "bug", "an exception left a page", {{"what", what}});
        (*heard)(proxy::page_error(500, "internal", "Something went wrong in the gateway.", id));
    });
}

rt::Task<void> Gateway::Inside::stop_herald() {
    auto const until = deadlines_.now() + last_words;
    co_await treasurer_->stop();  // while the outbox is where it was
    co_await herald_->stop(until);
}

}  // namespace ocgate::app
