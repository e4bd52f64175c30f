// What nobody listened to is gone: opencode repeats no event. What can be asked for afterwards is: the steps that
// ended, for somebody adds up what they cost, and the terminals that are open.
//
// Not found: steps of sessions that have been deleted since; of more than `most_sessions`, the ones that were active
// longest ago; what lies beyond `most_requests` pages or `most_bytes`; what stands behind a single message of more than
// 4 MiB; and steps that failed or were aborted in a session in which nothing else has happened since, for opencode does
// not count that as an update (they cost nothing). Compactions and retries are not looked for either.
#include <array>

#include "follower_inside.hpp"

namespace ocgate::opencode {
namespace {
using namespace std::chrono_literals;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

/// So much earlier than the gap we look: opencode, which is one thread, may tell of an end seconds late, and its clock
/// need not be ours. Where a gap follows the very first connection within that time, it finds what ended before it.
constexpr auto slack = 30s;
constexpr std::size_t most_sessions = 32;
/// In one gap, of all sessions together.
constexpr unsigned most_requests = 200;
constexpr std::size_t most_bytes = 64 * 1024 * 1024;
constexpr unsigned most_unanswered = 3;
/// Messages in a page. A page may hold attachments and all that tools have put out: where it is too large, the next
/// smaller one is asked for.
constexpr std::array<unsigned, 3> page_sizes{20, 5, 1};
constexpr int most_terminal_tries = 3;

std::int64_t ms(std::chrono::system_clock::time_point when) {
    return duration_cast<milliseconds>(when.time_since_epoch()).count();
}

}  // namespace

/// One gap, and what may still be spent on it.
struct Follower::Inside::CatchUp {
    std::int64_t begin_ms = 0;
    std::int64_t since_ms = 0;  ///< with the slack
    unsigned requests = most_requests;
    std::size_t bytes = most_bytes;
    unsigned unanswered = 0;

    [[nodiscard]] bool spent() const noexcept { return requests == 0 || bytes == 0 || unanswered >= most_unanswered; }
};

void Follower::Inside::owe(Wall since) {
    if (listener.missed) owed = owed ? std::min(*owed, since) : since;
}

Follower::Inside::Wall Follower::Inside::wall_of(rt::Instant when) const {
    return settings.wall() - duration_cast<Wall::duration>(now() - when);
}

std::optional<Follower::Inside::Wall> Follower::Inside::heard_until() const {
    auto until = heard_last == rt::Instant::min() ? settings.heard_until : wall_of(heard_last);
    for (auto const& earlier : {owed, catching_up}) {
        if (earlier) until = std::min(until.value_or(*earlier), *earlier);
    }
    return until;
}

rt::Task<void> Follower::Inside::ask_missed() {
    catching_up = std::exchange(owed, std::nullopt);
    CatchUp gap;
    gap.begin_ms = ms(*catching_up);
    gap.since_ms = ms(*catching_up - slack);
    co_await ask_sessions_of(gap);
    auto const begin = *std::exchange(catching_up, std::nullopt);
    bool const again = gap.unanswered > 0 && ++catch_up_tries < most_tries;
    if (stopping || again) owe(begin);
}

rt::Task<void> Follower::Inside::ask_sessions_of(CatchUp& gap) {
    auto const answer = co_await get("/experimental/session?limit=" + std::to_string(most_sessions) +
                                     "&archived=true&start=" + std::to_string(gap.since_ms));
    if (stopping) co_return;
    if (answer.status == 0) ++gap.unanswered;
    if (answer.status != 200) co_return;
    auto sessions = read_sessions(answer.body);
    if (!sessions) co_return;  // another version, or no opencode
    std::erase_if(*sessions, [&](auto const& info) { return info.updated_ms < gap.since_ms || !is_plain_id(info.id); });
    std::stable_sort(sessions->begin(), sessions->end(),
                     [](auto const& a, auto const& b) { return a.updated_ms > b.updated_ms; });
    if (sessions->size() > most_sessions) sessions->resize(most_sessions);
    for (auto const& session : *sessions) {
        co_await ask_steps(gap, session);
        if (stopping) co_return;
    }
}

/// Page by page into the past, until one holds a step that had begun before the gap: what is older ended before that.
rt::Task<void> Follower::Inside::ask_steps(CatchUp& gap, SessionInfo const& session) {
    std::string before;
    std::size_t size = 0;
    while (!gap.spent()) {
        auto target = "/session/" + session.id + "/message?limit=" + std::to_string(page_sizes[size]);
        if (!before.empty()) target += "&before=" + escaped(before);
        --gap.requests;
        auto const answer = co_await fetch(std::move(target));
        if (stopping) co_return;
        if (!answer) {
            bool const too_large = answer.error().why == Reason::body_too_large;
            if (too_large && ++size < page_sizes.size()) continue;
            if (!too_large) ++gap.unanswered;
            co_return;
        }
        gap.bytes -= std::min(gap.bytes, answer->body.size());
        auto steps = read_steps(answer->body);
        if (answer->status != 200 || !steps) co_return;  // deleted in the meantime
        bool at_the_end = answer->kept.empty() || answer->kept == before;
        for (auto& step : *steps) {
            at_the_end = at_the_end || step.created_ms < gap.since_ms;
            // A fork has copies of older messages, under new ids.
            bool const ours = step.created_ms >= session.created_ms && step.completed_ms >= gap.since_ms;
            if (!step.completed || !ours || !listener.missed) continue;
            // Those had been heard, perhaps by a run that is over.
            std::erase_if(step.calls, [&](auto const& call) { return call.ended_ms < gap.begin_ms; });
            listener.missed(step);
            if (stopping) co_return;
        }
        if (at_the_end) co_return;
        before = answer->kept;
    }
}

/// Where some were opened, and where else we look. Those that were opened unheard in other places are not found.
rt::Task<void> Follower::Inside::ask_terminals(std::vector<std::string> const& directories) {
    terminals_owed = false;
    if (!listener.heard) co_return;
    auto places = terminal_places;
    places.insert(directories.begin(), directories.end());
    for (auto const& place : places) {
        for (int tries = 0; tries < most_terminal_tries; ++tries) {
            auto const events = terminal_events;
            auto const answer = co_await get("/pty?directory=" + escaped(place));
            if (stopping) co_return;
            auto ids = read_terminals(answer.body);
            if (answer.status != 200 || !ids) break;
            if (events != terminal_events) continue;  // which of the two is newer, nobody knows
            if (ids->empty()) terminal_places.erase(place);
            if (!ids->empty() && terminal_places.size() < most_directories) terminal_places.insert(place);
            Event found;
            found.directory = place;
            found.what = TerminalsFound{std::move(*ids)};
            listener.heard(found);
            break;
        }
    }
}

}  // namespace ocgate::opencode
