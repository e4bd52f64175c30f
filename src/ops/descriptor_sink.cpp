#include "descriptor_sink.hpp"

#include <poll.h>
#include <spdlog/details/thread_pool.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <system_error>

#include "ocgate/rt/clock.hpp"

namespace ocgate::ops {
namespace {

constexpr auto open_end = rt::Instant::max().time_since_epoch().count();

bool is_regular_file(int descriptor) noexcept {
    struct stat about {};
    return ::fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode);
}

}  // namespace

DescriptorSink::DescriptorSink(int descriptor)
    : descriptor_(descriptor),
      closing_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      always_writable_(is_regular_file(descriptor)),
      close_by_(open_end) {
    if (closing_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    batch_.reserve(batch_bytes);
}

DescriptorSink::~DescriptorSink() {
    if (closing_ >= 0) ::close(closing_);
}

void DescriptorSink::close_by(rt::Instant when) noexcept {
    close_by_.store(when.time_since_epoch().count(), std::memory_order_relaxed);
    std::uint64_t const one = 1;
    [[maybe_unused]] auto const n = ::write(closing_, &one, sizeof one);
}

void DescriptorSink::log(spdlog::details::log_msg const& message) {
    std::string_view const line(message.payload.data(), message.payload.size());
    if (batch_.size() + line.size() > batch_bytes) flush();
    batch_.append(line);
    if (!pool_ || pool_->queue_size() == 0) flush();
}

void DescriptorSink::flush() {
    if (batch_.empty()) return;
    // A line broken off by a full disk must not swallow the next one.
    if (torn_) batch_.insert(batch_.begin(), '\n');
    auto const written = write_out(batch_);
    if (written > 0) torn_ = batch_[written - 1] != '\n';
    auto const lost = std::count(batch_.begin() + static_cast<std::ptrdiff_t>(written), batch_.end(), '\n');
    if (lost > 0) lost_.fetch_add(static_cast<std::uint64_t>(lost), std::memory_order_relaxed);
    batch_.clear();
}

std::size_t DescriptorSink::write_out(std::string_view bytes) noexcept {
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

bool DescriptorSink::wait_writable() noexcept {
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
                          {.fd = until == open_end ? closing_ : -1, .events = POLLIN, .revents = 0}};
        int const ready = ::poll(waits, 2, timeout);
        if (ready < 0 && errno != EINTR) return false;
        if (ready > 0 && waits[0].revents != 0) return true;  // an error too: the write says which
    }
}

}  // namespace ocgate::ops
