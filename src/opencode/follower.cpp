#include "ocgate/opencode/follower.hpp"

#include "follower_inside.hpp"

namespace ocgate::opencode {

Follower::Inside::Inside(rt::PeerResources const& r, FollowerSettings s, FollowerListener l,
                         std::function<double()> random)
    : resources(r),
      settings(std::move(s)),
      listener(std::move(l)),
      alarm(
          r.deadlines, [](void* self) { static_cast<Inside*>(self)->look(); }, this),
      tap(r, settings.tap,
          TapListener{.connected = [this] { connected(); },
                      .event = [this](EventCutter::Cut const& cut) { heard(cut); },
                      .lost = [this](std::string const& why, bool nobody_listens) { lost(why, nobody_listens); }},
          std::move(random)) {}

// ---- what the tap says

void Follower::Inside::heard(EventCutter::Cut const& cut) {
    heard_last = now();
    if (!cut.whole) {
        auto const type = type_of_long(cut.data);
        count(type, Taken::skipped);
        if (type != "message.updated") return;
        // Most likely a prompt. It may be the end of a step, though, and somebody adds up what they cost.
        owe(wall_of(now()));
        owed_from = now();
        alarm.set(std::min(alarm.when(), now() + second_look));
        return;
    }
    auto const event = read_event(cut.data);
    count(event.type, std::holds_alternative<Unknown>(event.what) ? Taken::unknown : Taken::read);
    bool const opened = std::holds_alternative<TerminalOpened>(event.what);
    if (opened || std::holds_alternative<TerminalClosed>(event.what)) ++terminal_events;
    if (opened && terminal_places.size() < most_directories) terminal_places.insert(event.directory);
    if (listener.heard) listener.heard(event);
    tell(model.apply(event, now()));
    // What events leave open can only be asked: whose child it is, how a turn ended that was not heard to its end.
    // Not with every event, though: a server that does not answer is asked once a second.
    if (asking || !model.lacks()) return;
    if (now() - second_look >= asked_last) return look();
    alarm.set(std::min(alarm.when(), asked_last + second_look));
}

void Follower::Inside::connected() {
    if (listener.connection) listener.connection(true, {});
    if (heard_last != rt::Instant::min()) {
        owe(wall_of(heard_last));
    } else if (settings.heard_until) {
        owe(*settings.heard_until);
    }
    owed_from = now() + second_look;
    catch_up_tries = 0;
    terminals_owed = true;
    looks = 2;
    look();
}

void Follower::Inside::lost(std::string const& why, bool nobody_listens) {
    // What is asked before we hear again, in a place where nothing ran before, is told by nobody afterwards.
    if (recent_is_known() && heard_last != rt::Instant::min()) {
        recent_from = wall_of(heard_last);
        recent_tries = 0;
    }
    // The process is gone, and what ran or waited with it (SQLite keeps the sessions).
    if (nobody_listens) {
        tell(model.lost(now()));
        recent_tries = 0;  // of the next one nothing is known
        recent_from.reset();
        terminal_places.clear();
        if (listener.gone) listener.gone();
    }
    if (listener.connection) listener.connection(false, why);
}

void Follower::Inside::count(std::string_view type, Taken taken) {
    if (listener.counted) listener.counted(type, taken);
}

void Follower::Inside::tell(Happenings const& happenings) {
    if (!listener.happened) return;
    for (auto const& happening : happenings) listener.happened(happening);
}

// ---- when is asked

/// Asks now, or once more when it is asking already.
void Follower::Inside::look() {
    if (stopping || !tap.state().connected) return;
    if (asking) {
        look_once_more = true;
        return;
    }
    auto task = ask_all(shared_from_this());
    asking = true;
    rt::spawn(resources.executor, std::move(task),
              [self = shared_from_this()](std::exception_ptr const& why) { self->asked_all(static_cast<bool>(why)); });
}

void Follower::Inside::asked_all(bool failed) {
    asking = false;
    asked_last = now();
    request_under_way = nullptr;
    if (catching_up) owe(*std::exchange(catching_up, std::nullopt));  // an exception ended it
    if (stopping) {
        if (tap_stopped) finish();
        return;
    }
    if (looks > 0) --looks;
    if (looks == 0 && recent_is_known()) {
        recent.clear();
        recent_from.reset();
    }
    if (looks == 1 && recent_from) recent_tries = 0;  // also what began before its events were told
    if (std::exchange(look_once_more, false) && !failed) return look();
    auto wanted = model.wanted();
    bool const learned = !failed && !wanted.empty() && wanted != wanted_before;  // a parent has one of its own
    wanted_before = std::move(wanted);
    if (looks > 0 || learned) {
        alarm.set(now() + second_look);
    } else if (owed && now() < owed_from) {
        alarm.set(owed_from);  // the looks came sooner than what a gap owes may be asked for
    } else {
        bool const open = failed || !recent_is_known() || owed;
        alarm.set(model.watched() || open ? now() + settings.look_again : rt::never);
    }
}

void Follower::Inside::finish() {
    for (auto const& call : std::exchange(stopped, {})) call();
}

Follower::Follower(rt::PeerResources const& resources, FollowerSettings settings, FollowerListener listener,
                   std::function<double()> random)
    : inside_(std::make_shared<Inside>(resources, std::move(settings), std::move(listener), std::move(random))) {}

Follower::~Follower() {
    inside_->stopping = true;
    inside_->listener = {};
    inside_->alarm.set(rt::never);
    if (inside_->request_under_way) inside_->request_under_way->give_up();
    inside_->tap.stop({});
}

void Follower::start() {
    inside_->stopping = inside_->tap_stopped = false;
    inside_->tap.start();
}

void Follower::configure(FollowerSettings settings) {
    auto const& before = inside_->settings.tap;
    bool const same = before.dialer == settings.tap.dialer && before.host == settings.tap.host;
    inside_->settings = std::move(settings);
    if (!same) {  // perhaps another server, of which nothing was heard
        inside_->recent_tries = 0;
        inside_->recent_from.reset();
    }
    inside_->tap.configure(inside_->settings.tap);
}

void Follower::stop(std::function<void()> stopped) {
    auto const inside = inside_;
    inside->stopping = true;
    inside->alarm.set(rt::never);
    if (inside->request_under_way) inside->request_under_way->give_up();
    if (stopped) inside->stopped.push_back(std::move(stopped));
    inside->tap.stop([inside] {
        inside->tap_stopped = true;
        if (!inside->asking) inside->finish();
    });
}

void Follower::look_at(std::string directory) {
    auto& also = inside_->look_also;
    if (also.size() < most_directories && std::find(also.begin(), also.end(), directory) == also.end()) {
        also.push_back(std::move(directory));
    }
    inside_->look();
}

void Follower::user_aborted(std::string_view session) {
    inside_->tell(inside_->model.user_aborted(session, inside_->now()));
}

Model const& Follower::model() const noexcept { return inside_->model; }
TapState const& Follower::tap() const noexcept { return inside_->tap.state(); }
std::optional<std::chrono::system_clock::time_point> Follower::heard_until() const { return inside_->heard_until(); }

}  // namespace ocgate::opencode
