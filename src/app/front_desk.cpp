#include "front_desk.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <mutex>
#include <vector>

namespace ocgate::app {

/// One request and its answer, shared by the two threads.
struct FrontDesk::Errand {
    Errand(proxy::PageRequest r, rt::Executor s) : request(std::move(r)), shard(s) {}

    enum class Stage : std::uint8_t {
        waiting,
        told,  ///< the answer is there, or never will be: `resume` is on its way to the shard
        left,  ///< nobody waits: `shard` may be gone
    };

    proxy::PageRequest request;  ///< the main loop's, once it was posted there
    rt::Executor const shard;
    rt::Suspended asker;  ///< the shard's thread only
    // Under the desk's mutex while the errand is waiting, and the asker's once it is told.
    Stage stage = Stage::waiting;
    std::optional<proxy::PageAnswer> answer;  ///< none: the desk has closed
    std::exception_ptr thrown;

    /// On the shard's thread. The asker may have been resumed already.
    void resume() {
        if (asker) std::exchange(asker, {}).resume();
    }
};

struct FrontDesk::State {
    State(rt::Executor m, Answering a, std::function<void(std::exception_ptr)> e)
        : main(m), answering(std::move(a)), escaped(std::move(e)) {}

    rt::Executor const main;
    Answering const answering;
    std::function<void(std::exception_ptr)> const escaped;
    mutable std::mutex mutex;
    bool closed = false;
    std::size_t under_way = 0;
    std::vector<std::shared_ptr<Errand>> waiting;  ///< at most `most_under_way`

    /// With the mutex held. Posting is part of it: the asker leaves before it or after it, and until it has left its
    /// shard is there.
    void tell(std::shared_ptr<Errand> const& errand) noexcept {
        errand->stage = Errand::Stage::told;
        try {
            boost::asio::post(errand->shard, [errand] { errand->resume(); });
        } catch (...) {
            // No memory to call it: it goes on when its client leaves, or the shard insists.
        }
    }
};

/// One of the places there are. However the main loop is done with the request, whoever waits hears of it.
class FrontDesk::Place {
public:
    Place(std::shared_ptr<State> state, std::shared_ptr<Errand> errand) noexcept
        : state_(std::move(state)), errand_(std::move(errand)) {}
    Place(Place&&) noexcept = default;
    Place& operator=(Place&&) = delete;
    Place(Place const&) = delete;
    Place& operator=(Place const&) = delete;
    ~Place() {
        if (!state_) return;
        settle({}, {});
        std::lock_guard const lock(state_->mutex);
        --state_->under_way;
    }

    [[nodiscard]] State const& state() const noexcept { return *state_; }
    [[nodiscard]] proxy::PageRequest& request() const noexcept { return errand_->request; }
    [[nodiscard]] bool wanted() const {
        std::lock_guard const lock(state_->mutex);
        return errand_->stage == Errand::Stage::waiting;
    }
    /// Whether somebody waited for it.
    bool settle(std::optional<proxy::PageAnswer> answer, std::exception_ptr thrown) noexcept {
        std::lock_guard const lock(state_->mutex);
        if (errand_->stage != Errand::Stage::waiting) return false;
        errand_->answer = std::move(answer);
        errand_->thrown = std::move(thrown);
        std::erase(state_->waiting, errand_);
        state_->tell(errand_);
        return true;
    }

private:
    std::shared_ptr<State> state_;
    std::shared_ptr<Errand> errand_;
};

namespace {

/// The main loop's part.
template <class Place>
rt::Task<> serve(Place place) {
    if (!place.wanted()) co_return;
    std::optional<proxy::PageAnswer> answer;
    std::exception_ptr thrown;
    try {
        auto asked = place.state().answering(std::move(place.request()));
        auto said = co_await asked;
        answer = std::move(said);
    } catch (...) {
        thrown = std::current_exception();
    }
    bool const heard = place.settle(std::move(answer), thrown);
    if (!heard && thrown && place.state().escaped) place.state().escaped(thrown);
}

}  // namespace

/// The way to the main loop and back: `co_await hop`. Afterwards the errand is the asker's alone.
class FrontDesk::Hop {
public:
    Hop(std::shared_ptr<State> state, proxy::PageRequest request, rt::DialBreaker& breaker)
        : state_(std::move(state)),
          request_(std::move(request)),
          breaker_(breaker),
          watch_(breaker, &Hop::leave, this) {}

    bool await_ready() const noexcept { return breaker_.tripped(); }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> call) {
        auto& running = *call.promise().running;
        errand_ = std::make_shared<Errand>(std::move(request_), running.executor());
        if (!register_errand()) return false;
        // Before it is posted: the answer may be there before this call returns.
        errand_->asker = running.suspend();
        try {
            Place place(state_, errand_);
            auto const main = state_->main;
            boost::asio::post(main, [place = std::move(place)]() mutable {
                auto const executor = place.state().main;
                rt::spawn(executor, serve(std::move(place)), [](std::exception_ptr const&) {});
            });
        } catch (...) {
            rt::Running::go_on(std::move(errand_->asker));
            throw;
        }
        return true;
    }
    /// Nothing: the desk is closed or full, or the breaker has tripped.
    std::optional<proxy::PageAnswer> await_resume() const {
        if (!errand_) return std::nullopt;
        if (errand_->thrown) std::rethrow_exception(errand_->thrown);
        return std::move(errand_->answer);
    }
    [[nodiscard]] bool full() const noexcept { return full_; }

private:
    bool register_errand() {
        std::lock_guard const lock(state_->mutex);
        full_ = !state_->closed && state_->under_way >= most_under_way;
        if (state_->closed || full_) {
            errand_ = nullptr;
            return false;
        }
        state_->waiting.push_back(errand_);
        ++state_->under_way;
        return true;
    }
    static void leave(void* self) {
        auto& hop = *static_cast<Hop*>(self);
        auto const errand = hop.errand_;
        if (!errand) return;
        {
            std::lock_guard const lock(hop.state_->mutex);
            if (errand->stage == Errand::Stage::waiting) {
                errand->stage = Errand::Stage::left;
                std::erase(hop.state_->waiting, errand);
            }
        }
        errand->resume();  // this hop ends inside
    }

    std::shared_ptr<State> const state_;
    proxy::PageRequest request_;
    rt::DialBreaker& breaker_;
    std::shared_ptr<Errand> errand_;
    bool full_ = false;
    rt::DialBreaker::Watch const watch_;
};

FrontDesk::FrontDesk(rt::Executor main, Answering answering, std::function<void(std::exception_ptr)> escaped)
    : state_(std::make_shared<State>(main, std::move(answering), std::move(escaped))) {
    state_->waiting.reserve(most_under_way);
}

FrontDesk::~FrontDesk() { close(); }

rt::Task<proxy::PageAnswer> FrontDesk::answer(proxy::PageRequest request, rt::DialBreaker& breaker) {
    auto const id = request.request_id;
    Hop hop(state_, std::move(request), breaker);
    auto said = co_await hop;
    if (said) co_return std::move(*said);
    if (hop.full()) {
        co_return proxy::page_error(503, to_string(Reason::too_many), "This gateway is at its limit. Try again soon.",
                                    id);
    }
    co_return proxy::page_error(503, to_string(Reason::draining), "This gateway is shutting down.", id);
}

void FrontDesk::close() noexcept {
    std::lock_guard const lock(state_->mutex);
    state_->closed = true;
    for (auto const& errand : state_->waiting) state_->tell(errand);
    state_->waiting.clear();
}

std::size_t FrontDesk::under_way() const {
    std::lock_guard const lock(state_->mutex);
    return state_->under_way;
}

}  // namespace ocgate::app
