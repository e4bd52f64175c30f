#include "follower_inside.hpp"

namespace ocgate::opencode {
namespace {

constexpr std::size_t most_sessions = 64;          ///< in one round
constexpr std::size_t most_recent_sessions = 100;  ///< told about at first: some kilobytes each, at the very most
constexpr std::chrono::seconds clocks_apart{30};   ///< opencode's, and ours; and how late it may tell
constexpr std::size_t max_answer_bytes = 4 * 1024 * 1024;  ///< a last message holds whole tool outputs

}  // namespace

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

bool is_plain_id(std::string_view id) noexcept {
    return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
}

rt::Task<void> Follower::Inside::ask_all(std::shared_ptr<Inside> self) {
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
    // Last: nobody waits for it.
    if (self->now() < self->owed_from) co_return;
    if (self->terminals_owed) co_await self->ask_terminals(directories);
    if (self->owed && !self->stopping) co_await self->ask_missed();
}

/// Where something may wait of which we have never heard an event: once per server, and in each gap what has changed.
rt::Task<void> Follower::Inside::ask_recent() {
    using std::chrono::duration_cast;
    using std::chrono::milliseconds;
    auto const from = recent_from ? *recent_from - clocks_apart : settings.wall() - settings.recent;
    auto const since = duration_cast<milliseconds>(from.time_since_epoch());
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

rt::Task<void> Follower::Inside::ask_directory(std::string const& directory) {
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

rt::Task<void> Follower::Inside::ask_session(std::string const& id) {
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

rt::Task<void> Follower::Inside::ask_last_step(SessionInfo const& session) {
    std::optional<StepInfo> last;
    if (is_plain_id(session.id)) {
        auto const answer = co_await get("/session/" + session.id + "/message?limit=2");
        if (stopping) co_return;
        if (auto step = read_last_step(answer.body)) last = std::move(*step);
    }
    tell(model.settle(session.id, last, now()));
}

/// Status 0: no answer.
rt::Task<rt::Fetched> Follower::Inside::get(std::string target) {
    auto answer = co_await fetch(std::move(target));
    rt::Fetched nothing;
    if (answer) co_return std::move(*answer);
    co_return nothing;
}

rt::Task<Outcome<rt::Fetched>> Follower::Inside::fetch(std::string target) {
    rt::FetchRequest request{.target = std::move(target),
                             .host = settings.tap.host,
                             .fields = "Accept: application/json\r\nUser-Agent: ocgate-tap\r\n",
                             .body = {},
                             .max_answer_bytes = max_answer_bytes,
                             .keep = "x-next-cursor"};
    if (!settings.tap.authorization.empty()) {
        request.fields += "Authorization: ";
        request.fields += settings.tap.authorization.reveal();
        request.fields += "\r\n";
    }
    auto const until = now() + settings.request_limit;
    if (stopping) co_return Failure{Side::gateway, Step::dial, Reason::internal};
    Holding dialer(settings.tap.dialer);
    request_under_way = &dialer;  // taken back by `asked_all` when the fetch throws
    auto answer = co_await rt::fetch(resources, dialer, std::move(request), until);
    request_under_way = nullptr;
    co_return answer;
}

}  // namespace ocgate::opencode
