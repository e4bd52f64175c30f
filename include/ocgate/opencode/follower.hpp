// Follows opencode: listens to its events, keeps the model true by asking where events were missed, and tells what
// happened. Knows nobody who is told.
#pragma once

#include "ocgate/opencode/model.hpp"
#include "ocgate/opencode/tap.hpp"

namespace ocgate::opencode {

struct FollowerSettings {
    TapSettings tap;
    rt::Duration request_limit = std::chrono::seconds(10);  ///< of each question we ask; opencode is one thread
    /// Asked again so often while something runs or waits: an answer given unheard shows only there.
    rt::Duration look_again = std::chrono::seconds(60);
    /// After the first connection it also looks where sessions were last active, no longer ago than this, and in no
    /// more directories: what was asked before we started is heard of in no other way, and opencode boots an instance
    /// for each.
    rt::Duration recent = std::chrono::hours(24);
    std::size_t recent_directories = 16;
    /// Up to then an earlier run of ours heard everything (`Follower::heard_until` of that run): what steps ended since
    /// is asked for at the first connection. Nothing: there is nothing to catch up on.
    std::optional<std::chrono::system_clock::time_point> heard_until{};
    std::function<std::chrono::system_clock::time_point()> wall = std::chrono::system_clock::now;
};

/// How an event was taken. A closed set: also a metric label.
enum class Taken : std::uint8_t {
    read,
    skipped,  ///< longer than a tap holds: only its type was read
    unknown,  ///< a type nobody here knows
};

struct FollowerListener {
    std::function<void(Happening const&)> happened;
    std::function<void(std::string_view type, Taken taken)> counted;
    /// True: events are coming. False: they are not, and why.
    std::function<void(bool connected, std::string const& why)> connection;
    /// opencode was asked about this directory and has answered: what `happened` has told of it since, and the model,
    /// are what is true there.
    std::function<void(std::string const& directory)> looked{};
    /// Each event that was read, before what it makes happen is told. After a gap also what was asked for instead:
    /// TerminalsFound.
    std::function<void(Event const&)> heard{};
    /// A step that ended while, or shortly before, nobody listened. It may have been heard all the same, and it may be
    /// told more than once; its id says so. Without this hook nothing is asked.
    std::function<void(StepInfo const&)> missed{};
    /// opencode's process is gone: nothing runs, waits or is open there any more. Told again and again until there is
    /// another.
    std::function<void()> gone{};
};

/// All calls on the executor's thread; the listener is called from the event loop and may stop it.
class Follower {
public:
    Follower(rt::PeerResources const& resources, FollowerSettings settings, FollowerListener listener,
             std::function<double()> random);
    /// Stops without waiting.
    ~Follower();
    Follower(Follower const&) = delete;
    Follower& operator=(Follower const&) = delete;

    void start();
    void configure(FollowerSettings settings);
    /// `stopped` is called when nothing of it runs any more: within a turn of the event loop, or two seconds when a
    /// dial is under way.
    void stop(std::function<void()> stopped);
    /// Asks about `directory` in the next round as well: something may wait there of which no event was heard (it was
    /// told of before a restart). opencode boots an instance for whatever directory it is asked about.
    void look_at(std::string directory);
    /// A person's abort went through the gateway and succeeded.
    void user_aborted(std::string_view session);

    [[nodiscard]] Model const& model() const noexcept;
    [[nodiscard]] TapState const& tap() const noexcept;
    /// All steps that ended until then have been told, as far as they can be (src/opencode/follower_catch_up.cpp says
    /// what cannot). After a gap it stays at the gap's beginning until they have been asked for. Nothing: never heard
    /// anything. Whoever adds up what steps cost keeps this with the sum, for the next run's settings.
    [[nodiscard]] std::optional<std::chrono::system_clock::time_point> heard_until() const;

private:
    struct Inside;
    std::shared_ptr<Inside> inside_;
};

}  // namespace ocgate::opencode
