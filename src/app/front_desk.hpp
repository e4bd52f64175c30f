// Where the shards bring the requests for the gateway's own pages. What those tell lives on the main loop: a request
// goes over there, its answer comes back to the shard's thread. Knows nothing of what the pages say.
#pragma once

#include <exception>
#include <functional>
#include <memory>

#include "ocgate/proxy/doors.hpp"

namespace ocgate::app {

/// Shared by all shards; `answer` is called on their threads, everything else on the main loop's.
///
/// Whoever waits is answered, whichever of the two ends first. A shard that goes has tripped the breakers of its
/// exchanges before: those wait no more, and what the main loop says to them later is dropped without a look at the
/// shard. A main loop that goes closes the desk: who waits is told so, whose request has not begun is not begun. Event
/// loops of shards are destroyed on the main loop's thread, or after it has ended.
class FrontDesk final : public proxy::Pages {
public:
    /// Called on the main loop; kept for as long as any of its tasks runs.
    using Answering = std::function<rt::Task<proxy::PageAnswer>(proxy::PageRequest)>;

    /// Requests under way over all shards, those included whose askers have left; then 503.
    static constexpr std::size_t most_under_way = 64;

    /// `escaped` hears, on the main loop, of an exception whose asker has left; the others' become their 500.
    FrontDesk(rt::Executor main, Answering answering, std::function<void(std::exception_ptr)> escaped);
    ~FrontDesk() override;
    FrontDesk(FrontDesk const&) = delete;
    FrontDesk& operator=(FrontDesk const&) = delete;

    rt::Task<proxy::PageAnswer> answer(proxy::PageRequest request, rt::DialBreaker& breaker) override;

    /// From now on 503, also for those who wait. Requests the main loop has begun go on unheard. Any thread;
    /// idempotent.
    void close() noexcept;

    [[nodiscard]] std::size_t under_way() const;

private:
    struct Errand;
    class Place;
    struct State;
    class Hop;
    std::shared_ptr<State> const state_;
};

}  // namespace ocgate::app
