#include "line_queue.hpp"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <system_error>

#include "ocgate/rt/clock.hpp"

namespace ocgate::ops {
namespace {

constexpr auto open_end = rt::Instant::max().time_since_epoch().count();

bool is_regular_file(int descriptor) noexcept {
    struct stat about {};
    return ::fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode);
}

/// The log's thread takes no signals: those are for the main loop, and the SIGPIPE of a closed standard output stays
/// pending there instead of ending the process. A thread inherits the mask of the one that starts it.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(SignalsBlocked const&) = delete;
    SignalsBlocked& operator=(SignalsBlocked const&) = delete;

private:
    sigset_t before_{};
};

/// Lines can wait for a request, a request should not wait for lines: a batch task interrupts nobody when it wakes
/// (sched(7)). Where it is not allowed it is as well without.
void step_back() noexcept {
    sched_param const none{};
    (void)::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &none);
    (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 5);
}

}  // namespace

LineQueue::LineQueue(int descriptor)
    : descriptor_(descriptor),
      closing_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      always_writable_(is_regular_file(descriptor)),
      close_by_(open_end) {
    if (!closing_event_) throw std::system_error(errno, std::generic_category(), "eventfd");
    lines_.reserve(2 * batch_bytes);
    SignalsBlocked const blocked;
    thread_ = std::thread([this] { run(); });
}

LineQueue::~LineQueue() {
    if (thread_.joinable()) close();
}

void LineQueue::close() {
    auto const until = rt::SystemClock{}.now() + closing_time;
    close_by_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
    std::uint64_t const one = 1;
    [[maybe_unused]] auto const n = ::write(closing_event_.get(), &one, sizeof one);
    {
        std::lock_guard lock(mutex_);
        closing_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void LineQueue::add(std::string_view line, bool urgent) {
    bool wake = false;
    {
        std::lock_guard lock(mutex_);
        if (closing_) return count_lost(line);
        if (lines_.size() + line.size() > max_bytes) drop_older_half();
        bool const first = lines_.empty();
        lines_.append(line);
        bool const hurry = urgent || lines_.size() >= batch_bytes;
        wake = first || (hurry && !hurry_);
        hurry_ = hurry_ || hurry;
    }
    if (wake) changed_.notify_one();
}

void LineQueue::run() {
    ::pthread_setname_np(::pthread_self(), "ocgate-log");  // another's name is a file in /proc: not in the sandbox
    step_back();
    std::string taken;
    taken.reserve(2 * batch_bytes);
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return closing_ || !lines_.empty(); });
        if (lines_.empty()) return;
        changed_.wait_for(lock, gathering, [this] { return closing_ || hurry_; });
        taken.swap(lines_);
        hurry_ = false;
        lock.unlock();
        write(taken);
        taken.clear();
        if (taken.capacity() > 4 * batch_bytes) {  // after a flood
            taken = std::string();
            taken.reserve(2 * batch_bytes);
        }
        lock.lock();
    }
}

void LineQueue::drop_older_half() {
    auto const middle = lines_.find('\n', lines_.size() / 2);
    auto const end = middle == std::string::npos ? lines_.size() : middle + 1;
    count_lost(std::string_view(lines_).substr(0, end));
    lines_.erase(0, end);
}

void LineQueue::count_lost(std::string_view lines) noexcept {
    auto const n = std::count(lines.begin(), lines.end(), '\n');
    if (n > 0) lost_.fetch_add(static_cast<std::uint64_t>(n), std::memory_order_relaxed);
}

void LineQueue::write(std::string& lines) noexcept {
    // A line broken off by a full disk must not swallow the next one.
    if (torn_ && write_out("\n") == 1) torn_ = false;
    auto const written = write_out(lines);
    if (written > 0) torn_ = lines[written - 1] != '\n';
    count_lost(std::string_view(lines).substr(written));
}

std::size_t LineQueue::write_out(std::string_view bytes) noexcept {
    std::size_t written = 0;
    while (written < bytes.size()) {
        if (!always_writable_ && !wait_writable()) break;
        // A pipe that polls writable has a free page, so that PIPE_BUF bytes do not block (pipe(7)).
        auto const rest = bytes.size() - written;
        auto const chunk = always_writable_ ? rest : std::min<std::size_t>(rest, PIPE_BUF);
        auto const n = ::write(descriptor_, bytes.data() + written, chunk);
        if (n > 0) {
            written += static_cast<std::size_t>(n);
        } else if (n == 0 || (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)) {
            break;  // EPIPE, ENOSPC, EBADF: lost; the next line tries again
        }
    }
    return written;
}

bool LineQueue::wait_writable() noexcept {
    for (;;) {
        auto const until = close_by_.load(std::memory_order_relaxed);
        int timeout = -1;
        if (until != open_end) {
            using std::chrono::milliseconds;
            auto const left = rt::Duration(until) - rt::SystemClock{}.now().time_since_epoch();
            if (left <= rt::Duration::zero()) return false;
            timeout = static_cast<int>(std::chrono::ceil<milliseconds>(left).count());
        }
        // Once closing is known its eventfd stays readable: only the deadline counts then.
        pollfd waits[] = {{.fd = descriptor_, .events = POLLOUT, .revents = 0},
                          {.fd = until == open_end ? closing_event_.get() : -1, .events = POLLIN, .revents = 0}};
        int const ready = ::poll(waits, 2, timeout);
        if (ready < 0 && errno != EINTR) return false;
        if (ready > 0 && waits[0].revents != 0) return true;  // an error too: the write says which
    }
}

}  // namespace ocgate::ops
