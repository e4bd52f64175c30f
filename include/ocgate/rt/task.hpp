// The coroutines everything here is told in. Asio's awaitable would do the same; what it costs is memory and time: each
// wait a handler of 112 bytes and an executor's dispatch, each call a frame from aligned_alloc (14 for one request).
// Here a wait is a pointer, and a frame comes from a list of those that were just given back.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

#include "ocgate/rt/types.hpp"

namespace ocgate::rt {

/// Memory for frames, by thread and size: at most 64 unused ones of a size are kept. A frame may be given back on
/// another thread than it came from. Under a sanitizer nothing is kept, so that it sees every use after the end.
[[nodiscard]] void* allocate_frame(std::size_t bytes);
void free_frame(void* frame, std::size_t bytes) noexcept;

class Suspended;

/// One task that was started, and the calls it is in. It runs in a loop of its own instead of one coroutine resuming
/// the next: the stack stays flat however many calls return without having waited. Owned by what it waits for.
class Running {
public:
    Running() = default;
    virtual ~Running() = default;
    Running(Running const&) = delete;
    Running& operator=(Running const&) = delete;

    /// Runs until it waits or ends, and is gone in the latter case.
    void run();
    [[nodiscard]] virtual Executor executor() const noexcept = 0;

    /// For awaiters: the task waits from now on, and goes on when what is returned is resumed. `go_on` takes that back.
    [[nodiscard]] Suspended suspend() noexcept;
    static void go_on(Suspended task) noexcept;

    std::coroutine_handle<> top;  ///< the innermost call; none at the end

protected:
    /// Called at the end; `this` is deleted inside.
    virtual void ended() = 0;

private:
    friend class Suspended;
    /// Nobody will resume it. While it is still on its way into the wait (what was to hold it could not be made) it
    /// goes on, and the exception is its own.
    void abandon() noexcept;

    bool waiting_ = false;
    bool arming_ = false;  ///< inside the awaiter that suspended it
};

/// A task that waits. Whoever holds this owns the task: it is resumed, once, on its own thread, or destroyed.
class Suspended {
public:
    Suspended() = default;
    explicit Suspended(Running* task) noexcept : task_(task) {}
    Suspended(Suspended&& other) noexcept : task_(std::exchange(other.task_, nullptr)) {}
    Suspended& operator=(Suspended&& other) noexcept {
        std::swap(task_, other.task_);
        return *this;
    }
    ~Suspended() {
        if (task_) task_->abandon();
    }

    [[nodiscard]] explicit operator bool() const noexcept { return task_ != nullptr; }
    void resume() { std::exchange(task_, nullptr)->run(); }
    [[nodiscard]] Executor executor() const noexcept { return task_->executor(); }

private:
    friend class Running;
    Running* task_ = nullptr;
};

inline Suspended Running::suspend() noexcept {
    waiting_ = arming_ = true;
    return Suspended(this);
}

inline void Running::abandon() noexcept {
    if (!arming_) {
        delete this;
        return;
    }
    waiting_ = false;
}

inline void Running::go_on(Suspended task) noexcept { std::exchange(task.task_, nullptr)->waiting_ = false; }

inline void Running::run() {
    waiting_ = false;
    do {
        top.resume();
        arming_ = false;
    } while (top && !waiting_);
    if (!top) ended();
}

/// What every call knows: whose it is and who called it.
class Call {
public:
    static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
    static void operator delete(void* frame, std::size_t bytes) noexcept { free_frame(frame, bytes); }

    std::suspend_always initial_suspend() const noexcept { return {}; }
    struct Return {
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> ending) const noexcept {
            ending.promise().running->top = ending.promise().caller;
        }
        void await_resume() const noexcept {}
    };
    Return final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept { thrown = std::current_exception(); }

    Running* running = nullptr;
    std::coroutine_handle<> caller;
    std::exception_ptr thrown;
};

/// What a call comes to.
template <class T>
class Returned {
public:
    template <class Value>
    void return_value(Value&& value) {
        value_.emplace(std::forward<Value>(value));
    }
    T take() { return std::move(*value_); }

private:
    std::optional<T> value_;
};
template <>
class Returned<void> {
public:
    void return_void() const noexcept {}
    void take() const noexcept {}
};

/// A call that has not begun, or is under way. Begins when it is awaited; owns its frame.
template <class T = void>
class [[nodiscard]] Task {
public:
    struct promise_type : Call, Returned<T> {
        Task get_return_object() noexcept { return Task(Handle::from_promise(*this)); }
    };
    using Handle = std::coroutine_handle<promise_type>;

    explicit Task(Handle frame) noexcept : frame_(frame) {}
    Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    Task& operator=(Task&& other) noexcept {
        std::swap(frame_, other.frame_);
        return *this;
    }
    ~Task() {
        if (frame_) frame_.destroy();
    }

    struct Awaiter {
        Handle frame;
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        void await_suspend(std::coroutine_handle<Promise> caller) const noexcept {
            auto& call = frame.promise();
            call.running = caller.promise().running;
            call.caller = caller;
            call.running->top = frame;
        }
        T await_resume() const {
            auto& call = frame.promise();
            if (call.thrown) std::rethrow_exception(std::move(call.thrown));
            return call.take();
        }
    };
    Awaiter operator co_await() const noexcept { return {frame_}; }

    /// For `spawn`: the outermost call of a task, and what it came to.
    [[nodiscard]] Handle frame() const noexcept { return frame_; }

private:
    Handle frame_;
};

/// A task and what is called when it has ended. Counts as work of its event loop for as long as it lives.
template <class Done>
class Spawned final : public Running {
public:
    Spawned(Executor executor, Task<void> task, Done done)
        : work_(asio::make_work_guard(executor)), done_(std::move(done)), task_(std::move(task)) {
        task_.frame().promise().running = this;
        top = task_.frame();
    }
    static void* operator new(std::size_t bytes) { return allocate_frame(bytes); }
    static void operator delete(void* task, std::size_t bytes) noexcept { free_frame(task, bytes); }
    [[nodiscard]] Executor executor() const noexcept override { return work_.get_executor(); }

private:
    void ended() override {
        auto const work = std::move(work_);
        auto done = std::move(done_);
        auto const thrown = std::move(task_.frame().promise().thrown);
        delete this;
        done(thrown);
    }
    asio::executor_work_guard<Executor> work_;
    Done done_;
    Task<void> task_;
};

/// Starts `task`, from the thread of `executor`, at once. `done(std::exception_ptr)` is called when it has ended; what
/// it throws leaves through whoever resumed the task last.
template <class Done>
void spawn(Executor executor, Task<void> task, Done done) {
    auto* const running = new Spawned<Done>(executor, std::move(task), std::move(done));
    running->run();
}

/// Lets everything else that is ready have its turn first: `co_await pause()`.
class Pause {
public:
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> call) const {
        auto const executor = call.promise().running->executor();
        asio::post(executor, [task = call.promise().running->suspend()]() mutable { task.resume(); });
    }
    void await_resume() const noexcept {}
};
[[nodiscard]] inline Pause pause() noexcept { return {}; }

}  // namespace ocgate::rt
