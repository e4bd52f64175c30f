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

private:
    struct Inside;
    std::shared_ptr<Inside> inside_;
};

}  // namespace ocgate::opencode
