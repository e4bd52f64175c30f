// What the follower remembers. follower.cpp has what the tap says and when is asked, follower_ask.cpp what is asked for
// the model, follower_catch_up.cpp what was missed.
#pragma once

#include <algorithm>
#include <set>

#include "holding.hpp"
#include "ocgate/opencode/follower.hpp"
#include "ocgate/rt/fetch.hpp"

namespace ocgate::opencode {

/// `server.connected` is said up to 100 ms before events are told (1.18.33): what happens in between shows only later.
inline constexpr rt::Duration second_look = std::chrono::seconds(1);
inline constexpr std::size_t most_directories = 64;  ///< in one round; the next one asks for the others
inline constexpr unsigned most_tries = 5;            ///< of what is asked once and was not answered

struct Follower::Inside : std::enable_shared_from_this<Inside> {
    using Wall = std::chrono::system_clock::time_point;
    struct CatchUp;

    Inside(rt::PeerResources const& r, FollowerSettings s, FollowerListener l, std::function<double()> random);

    // follower.cpp
    void heard(EventCutter::Cut const& cut);
    void connected();
    void lost(std::string const& why, bool nobody_listens);
    void count(std::string_view type, Taken taken);
    void tell(Happenings const& happenings);
    void look();
    void asked_all(bool failed);
    void finish();
    [[nodiscard]] rt::Instant now() const { return resources.deadlines.now(); }

    // follower_ask.cpp
    static rt::Task<void> ask_all(std::shared_ptr<Inside> self);
    rt::Task<void> ask_recent();
    rt::Task<void> ask_directory(std::string const& directory);
    rt::Task<void> ask_session(std::string const& id);
    rt::Task<void> ask_last_step(SessionInfo const& session);
    rt::Task<rt::Fetched> get(std::string target);
    rt::Task<Outcome<rt::Fetched>> fetch(std::string target);
    [[nodiscard]] bool recent_is_known() const noexcept { return recent_tries >= most_tries; }

    // follower_catch_up.cpp
    void owe(Wall since);
    [[nodiscard]] Wall wall_of(rt::Instant when) const;
    [[nodiscard]] std::optional<Wall> heard_until() const;
    rt::Task<void> ask_missed();
    rt::Task<void> ask_sessions_of(CatchUp& gap);
    rt::Task<void> ask_steps(CatchUp& gap, SessionInfo const& session);
    rt::Task<void> ask_terminals(std::vector<std::string> const& directories);

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
    std::optional<Wall> recent_from;              ///< only those that changed since then: the others were heard of
    bool asking = false;
    bool look_once_more = false;
    bool stopping = false;
    bool tap_stopped = false;
    std::vector<std::function<void()>> stopped;

    rt::Instant heard_last = rt::Instant::min();  ///< the last event
    std::optional<Wall> owed;                     ///< steps that ended since then have to be asked for
    std::optional<Wall> catching_up;              ///< they are being asked for
    rt::Instant owed_from{};                      ///< not before: events of the new connection are told by then
    unsigned catch_up_tries = 0;
    bool terminals_owed = false;                         ///< a connection began: which are open has to be asked
    std::set<std::string, std::less<>> terminal_places;  ///< directories in which some may be open
    std::uint64_t terminal_events = 0;
};

/// A query value (RFC 3986 §3.4): everything but what is always plain is escaped.
[[nodiscard]] std::string escaped(std::string_view text);
/// Ids come from events and go into a path.
[[nodiscard]] bool is_plain_id(std::string_view id) noexcept;

}  // namespace ocgate::opencode
