// Whether this process lives, whether it wants traffic, and whether the upstream answers. Three questions that must
// not be mixed: an upstream that is down must not make Kubernetes kill or hide the gateway that says so.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace ocgate::ops {

/// starting → ready → draining → stopped; never back.
enum class Phase : std::uint8_t { starting, ready, draining, stopped };

[[nodiscard]] std::string_view to_string(Phase phase) noexcept;

struct UpstreamHealth {
    bool known = false;  ///< no probe has ended yet
    bool up = false;
    std::string version;  ///< as the upstream says
    std::string reason;   ///< why it is not up; for people, no secrets
    std::chrono::steady_clock::duration took{};
};

/// Whether the upstream's events are heard.
struct EventsHealth {
    bool known = false;  ///< nobody has listened yet, or nobody ever will: says nothing
    bool heard = false;
    std::string reason;  ///< why not; for people, no secrets
};

/// Any thread.
class Health {
public:
    /// An earlier phase than the present one is ignored.
    void enter(Phase phase);
    [[nodiscard]] Phase phase() const;
    void set_upstream(UpstreamHealth upstream);
    [[nodiscard]] UpstreamHealth upstream() const;
    void set_events(EventsHealth events);

    struct Report {
        bool ready = false;
        std::string body;  ///< JSON: {"status":"ready"|"not_ready","phase":…,"reasons":[…],"upstream":{…}?}
    };
    /// Not ready while starting, draining or stopped; with `with_upstream` also while the upstream is not up, or its
    /// events are not heard.
    [[nodiscard]] Report readiness(bool with_upstream) const;

    /// JSON for people: {"status":"ok","phase":…,"upstream":{…},"events":{…}?}. Says that the process lives, whatever
    /// else is wrong.
    [[nodiscard]] std::string overview() const;

private:
    mutable std::mutex mutex_;
    Phase phase_ = Phase::starting;
    UpstreamHealth upstream_;
    EventsHealth events_;
};

}  // namespace ocgate::ops
