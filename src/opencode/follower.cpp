#include "ocgate/opencode/follower.hpp"

#include <algorithm>

#include "holding.hpp"
#include "ocgate/rt/fetch.hpp"

namespace ocgate::opencode {
namespace {
using namespace std::chrono_literals;

/// `server.connected` is said up to 100 ms before events are told (1.18.33): what happens in between shows only later.
constexpr rt::Duration second_look = 1s;
constexpr std::size_t most_directories = 64;  ///< in one round; the next one asks for the others
constexpr std::size_t most_sessions = 64;
constexpr std::size_t most_recent_sessions = 100;  ///< told about at first: some kilobytes each, at the very most
constexpr unsigned most_tries = 5;                 ///< to have them listed
constexpr std::size_t max_answer_bytes = 4 * 1024 * 1024;  ///< a last message holds whole tool outputs

/// A query value (RFC 3986 §3.4): everything but what is always plain is escaped.
std::string escaped(std::string_view text) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    std::string out;
    for (char const c : text) {
        bool const plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '_' || c == '.' || c == '~' || c == '/';
        if (plain) {
            out += c;
        } else {
            auto const byte = static_cast<unsigned char>(c);
            out += '%';
            out += hex[byte >> 4];
            out += hex[byte & 0xF];
        }
    }
    return out;
}

/// Ids come from events and go into a path.
bool is_plain_id(std::string_view id) noexcept {
    return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
}

}  // namespace

struct Follower::Inside : std::enable_shared_from_this<Inside> {
    Inside(rt::PeerResources const& r, FollowerSettings s, FollowerListener l, std::function<double()> random)
        : resources(r),
          settings(std::move(s)),
          listener(std::move(l)),
          alarm(
              r.deadlines, [](void* self) { static_cast<Inside*>(self)->look(); }, this),
          tap(r, settings.tap,
              TapListener{.connected = [this] { connected(); },
                          .event = [this](EventCutter::Cut const& cut) { heard(cut); },
                          .lost = [this](std::string const& why) { lost(why); }},
              std::move(random)) {}

    // ---- what the tap says

    void heard(EventCutter::Cut const& cut) {
        if (!cut.whole) return count(type_of_long(cut.data), Taken::skipped);
        auto const event = read_event(cut.data);
        count(event.type, std::holds_alternative<Unknown>(event.what) ? Taken::unknown : Taken::read);
        tell(model.apply(event, now()));
        // What events leave open can only be asked: whose child it is, how a turn ended that was not heard to its end.
        // Not with every event, though: a server that does not answer is asked once a second.
        if (asking || (model.wanted().empty() && model.unsettled().empty())) return;
        if (now() - second_look >= asked_last) return look();
        alarm.set(std::min(alarm.when(), asked_last + second_look));
    }

    void connected() {
        if (listener.connection) listener.connection(true, {});
        looks = 2;
        look();
    }

    void lost(std::string const& why) {
        // Nobody listens there: the process is gone, and what ran or waited with it (SQLite keeps the sessions).
        if (why.starts_with("dial: refused")) {
            tell(model.lost(now()));
            recent_tries = 0;  // what the next one asks before we hear it is found in no other way
        }
        if (listener.connection) listener.connection(false, why);
    }

    void count(std::string_view type, Taken taken) {
        if (listener.counted) listener.counted(type, taken);
    }

    void tell(Happenings const& happenings) {
        if (!listener.happened) return;
        for (auto const& happening : happenings) listener.happened(happening);
    }

    // ---- what is asked

    /// Asks now, or once more when it is asking already.
    void look() {
        if (stopping || !tap.state().connected) return;
        if (asking) {
            look_once_more = true;
            return;
        }
        auto task = ask_all(shared_from_this());
        asking = true;
        rt::spawn(resources.executor, std::move(task), [self = shared_from_this()](std::exception_ptr const& why) {
            self->asked_all(static_cast<bool>(why));
        });
    }

    void asked_all(bool failed) {
        asking = false;
        asked_last = now();
        request_under_way = nullptr;
        if (stopping) {
            if (tap_stopped) finish();
            return;
        }
        if (looks > 0) --looks;
        if (looks == 0 && recent_is_known()) recent.clear();
        if (std::exchange(look_once_more, false) && !failed) return look();
        auto wanted = model.wanted();
        bool const learned = !failed && !wanted.empty() && wanted != wanted_before;  // a parent has one of its own
        wanted_before = std::move(wanted);
        if (looks > 0 || learned) {
            alarm.set(now() + second_look);
        } else {
            bool const owed = failed || !recent_is_known();
            alarm.set(model.watched() || owed ? now() + settings.look_again : rt::never);
        }
    }

    static rt::Task<void> ask_all(std::shared_ptr<Inside> self) {
        if (!self->recent_is_known()) {
            co_await self->ask_recent();
            if (self->stopping) co_return;
        }
        auto directories = self->model.directories();
        auto const is_new = [&](std::string const& one) {
            return std::find(directories.begin(), directories.end(), one) == directories.end();
        };
        for (auto& more : std::exchange(self->look_also, {})) {
            if (is_new(more)) directories.insert(directories.begin(), std::move(more));
        }
        for (auto const& more : self->recent) {
            if (is_new(more)) directories.push_back(more);
        }
        if (directories.size() > most_directories) directories.resize(most_directories);
        for (auto const& directory : directories) {
            co_await self->ask_directory(directory);
            if (self->stopping) co_return;
        }
        auto wanted = self->model.wanted();
        if (wanted.size() > most_sessions) wanted.resize(most_sessions);
        for (auto const& id : wanted) {
            co_await self->ask_session(id);
            if (self->stopping) co_return;
        }
        auto unsettled = self->model.unsettled();
        if (unsettled.size() > most_sessions) unsettled.resize(most_sessions);
        for (auto const& session : unsettled) {
            co_await self->ask_last_step(session);
            if (self->stopping) co_return;
        }
    }

    [[nodiscard]] bool recent_is_known() const noexcept { return recent_tries >= most_tries; }

    /// Once per server: where something may wait of which we have never heard an event.
    rt::Task<void> ask_recent() {
        using std::chrono::duration_cast;
        using std::chrono::milliseconds;
        auto const since = duration_cast<milliseconds>(settings.wall().time_since_epoch()) -
                           duration_cast<milliseconds>(settings.recent);
        auto const answer = co_await get("/experimental/session?limit=" + std::to_string(most_recent_sessions) +
                                         "&start=" + std::to_string(since.count()));
        if (stopping) co_return;
        ++recent_tries;
        if (answer.status == 0) co_return;  // not answered: asked again
        recent_tries = most_tries;
        auto sessions = read_sessions(answer.body);
        if (!sessions || answer.status != 200) co_return;  // another version: then only what is heard is looked at
        std::erase_if(*sessions, [&](auto const& info) { return info.updated_ms < since.count(); });
        std::stable_sort(sessions->begin(), sessions->end(),
                         [](auto const& a, auto const& b) { return a.updated_ms > b.updated_ms; });
        if (sessions->size() > most_recent_sessions) sessions->resize(most_recent_sessions);
        for (auto const& info : *sessions) {
            bool const known = std::find(recent.begin(), recent.end(), info.directory) != recent.end();
            if (info.directory.empty() || known || recent.size() >= settings.recent_directories) continue;
            recent.push_back(info.directory);
        }
        // So that what waits in them is told with their names.
        for (auto& info : *sessions) {
            Event event;
            event.what = SessionSeen{std::move(info), false};
            tell(model.apply(event, now()));
            if (stopping) co_return;
        }
    }

    rt::Task<void> ask_directory(std::string const& directory) {
        auto const query = "?directory=" + escaped(directory);
        auto const asked = now();
        auto const statuses = co_await get("/session/status" + query);
        auto const permissions = co_await get("/permission" + query);
        auto const questions = co_await get("/question" + query);
        if (stopping) co_return;
        auto const states = read_statuses(statuses.body);
        auto const asked_for = read_permissions(permissions.body);
        auto const asked_what = read_questions(questions.body);
        // Half an answer is none: what is missing would look like answered.
        if (!states || !asked_for || !asked_what) co_return;
        Answers answers{directory, *states, *asked_for, *asked_what};
        tell(model.reconcile(answers, asked, now()));
        if (!stopping && listener.looked) listener.looked(directory);
    }

    rt::Task<void> ask_session(std::string const& id) {
        Event event;
        if (is_plain_id(id)) {
            auto const answer = co_await get("/session/" + id);
            if (stopping) co_return;
            if (answer.status == 0) co_return;  // not answered: asked again
            if (auto info = read_session(answer.body); info && answer.status == 200) {
                event.what = SessionSeen{std::move(*info), false};
                tell(model.apply(event, now()));
                co_return;
            }
        }
        event.what = SessionGone{id};
        tell(model.apply(event, now()));
    }

    rt::Task<void> ask_last_step(SessionInfo const& session) {
        std::optional<StepInfo> last;
        if (is_plain_id(session.id)) {
            auto const answer = co_await get("/session/" + session.id + "/message?limit=2");
            if (stopping) co_return;
            if (auto step = read_last_step(answer.body)) last = std::move(*step);
        }
        tell(model.settle(session.id, last, now()));
    }

    /// Status 0: no answer.
    rt::Task<rt::Fetched> get(std::string target) {
        rt::FetchRequest request{.target = std::move(target),
                                 .host = settings.tap.host,
                                 .fields = "Accept: application/json\r\nUser-Agent: ocgate-tap\r\n",
                                 .body = {},
                                 .max_answer_bytes = max_answer_bytes};
        if (!settings.tap.authorization.empty()) {
            request.fields += "Authorization: ";
            request.fields += settings.tap.authorization.reveal();
            request.fields += "\r\n";
        }
        auto const until = now() + settings.request_limit;
        rt::Fetched nothing;
        if (stopping) co_return nothing;
        Holding dialer(settings.tap.dialer);
        request_under_way = &dialer;  // taken back by `asked_all` when the fetch throws
        auto answer = co_await rt::fetch(resources, dialer, std::move(request), until);
        request_under_way = nullptr;
        if (answer) co_return std::move(*answer);
        co_return nothing;
    }

    void finish() {
        for (auto const& call : std::exchange(stopped, {})) call();
    }

    [[nodiscard]] rt::Instant now() const { return resources.deadlines.now(); }

    rt::PeerResources const resources;
    FollowerSettings settings;
    FollowerListener listener;
    Model model;
    rt::Deadline alarm;
    Tap tap;
    Holding* request_under_way = nullptr;
    rt::Instant asked_last = rt::Instant::min();  ///< when the last round ended
    unsigned looks = 0;                           ///< still owed after a connection began
    std::vector<std::string> wanted_before;       ///< after the last round
    std::vector<std::string> look_also;           ///< at most `most_directories`
    std::vector<std::string> recent;              ///< looked at as well, until the second look after a connection
    unsigned recent_tries = 0;                    ///< `most_tries`: what is to be known of them is known
    bool asking = false;
    bool look_once_more = false;
    bool stopping = false;
    bool tap_stopped = false;
    std::vector<std::function<void()>> stopped;
};

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
    if (!same) inside_->recent_tries = 0;  // perhaps another server, of which nothing was heard
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

}  // namespace ocgate::opencode
