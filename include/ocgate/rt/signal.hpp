// One coroutine waits, anything on the same thread wakes it. No timer, no queue.
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/recycling_allocator.hpp>

#include "ocgate/rt/types.hpp"

namespace ocgate::rt {

/// For one waiter at a time. `notify` with nobody waiting is remembered, once. Outlives its waiter. While someone waits
/// the executor counts as having work: a test that runs out of work has no waiter left.
class Signal {
public:
    Signal() = default;
    Signal(Signal const&) = delete;
    Signal& operator=(Signal const&) = delete;
    ~Signal() {
        if (waiter_) waiter_->drop(waiter_);
    }

    [[nodiscard]] bool waiting() const noexcept { return waiter_ != nullptr; }
    void forget() noexcept { notified_ = false; }

    /// The waiter goes on inside this call when it is made from the waiter's own thread.
    void notify() {
        if (!waiter_) {
            notified_ = true;
            return;
        }
        auto* waiter = std::exchange(waiter_, nullptr);
        waiter->resume(waiter);
    }

    Task<void> wait() {
        if (std::exchange(notified_, false)) co_return;
        auto initiate = [this](auto handler) { hold(std::move(handler)); };
        co_await asio::async_initiate<asio::use_awaitable_t<Executor> const, void()>(std::move(initiate), token_);
    }

private:
    struct Waiter {
        void (*resume)(Waiter*);
        void (*drop)(Waiter*);
    };

    template <class Handler>
    struct Held : Waiter {
        explicit Held(Handler h)
            : Waiter{&Held::go, &Held::destroy},
              handler(std::move(h)),
              executor(asio::get_associated_executor(handler)) {
            executor.on_work_started();
        }
        static Handler take(Waiter* base) {
            auto* self = static_cast<Held*>(base);
            auto taken = std::move(self->handler);
            auto const ex = self->executor;
            self->~Held();
            Allocator{}.deallocate(self, 1);
            ex.on_work_finished();
            return taken;
        }
        static void go(Waiter* base) {
            auto ex = static_cast<Held*>(base)->executor;
            auto handler = take(base);
            asio::dispatch(ex, std::move(handler));
        }
        static void destroy(Waiter* base) { (void)take(base); }

        using Allocator = asio::recycling_allocator<Held>;
        Handler handler;
        Executor executor;
    };

    template <class Handler>
    void hold(Handler handler) {
        using H = Held<Handler>;
        auto* memory = typename H::Allocator{}.allocate(1);
        waiter_ = new (memory) H(std::move(handler));
    }

    static constexpr asio::use_awaitable_t<Executor> token_{};
    Waiter* waiter_ = nullptr;
    bool notified_ = false;
};

}  // namespace ocgate::rt
