// What the bench's three small programs share: loopback sockets, epoll, clocks, arguments, and the few lines of
// WebSocket both ends need. Linux only, no library: the tools must cost little and depend on nothing they measure.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace bench {

/// A mistake of the caller or of the machine, fatal here: a bench that limps on measures nothing.
[[noreturn]] inline void give_up(std::string const& doing) {
    throw std::system_error(errno, std::generic_category(), doing);
}

inline std::int64_t now_ns(clockid_t clock = CLOCK_MONOTONIC) {
    timespec t{};
    if (clock_gettime(clock, &t) != 0) give_up("clock_gettime");
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

/// CPU time of a whole process so far, threads that ended included, in ns and up to date while it runs: finer than the
/// ticks of /proc/PID/stat. The id is what clock_getcpuclockid(3) makes.
inline std::int64_t cpu_ns_of(pid_t pid) {
    constexpr unsigned scheduler_clock = 2;
    return now_ns(static_cast<clockid_t>((~static_cast<unsigned>(pid) << 3) | scheduler_clock));
}

class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) close();
        fd_ = std::exchange(other.fd_, -1);
        return *this;
    }
    ~Fd() { close(); }

    int get() const { return fd_; }
    bool open() const { return fd_ >= 0; }
    void close() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }

private:
    int fd_ = -1;
};

inline sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

inline void no_delay(int fd) {
    int const on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// Listens on 127.0.0.1 at a port of the kernel's choosing.
inline Fd listen_on_loopback(std::uint16_t& port) {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!listener.open()) give_up("socket");
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) give_up("bind");
    if (::listen(listener.get(), 4096) != 0) give_up("listen");
    if (::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) give_up("getsockname");
    port = ntohs(address.sin_port);
    return listener;
}

/// The next waiting client, not open when there is none.
inline Fd accept_from(Fd const& listener) {
    Fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (client.open()) no_delay(client.get());
    return client;
}

inline bool writable_within(int fd, int milliseconds) {
    pollfd wanted{fd, POLLOUT, 0};
    return ::poll(&wanted, 1, milliseconds) == 1;
}

/// Begins to connect; what came of it shows in the first write.
inline Fd connect_to_loopback(std::uint16_t port) {
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd.open()) give_up("socket");
    no_delay(fd.get());
    sockaddr_in const address = loopback(port);
    if (::connect(fd.get(), reinterpret_cast<sockaddr const*>(&address), sizeof address) != 0 && errno != EINPROGRESS)
        give_up("connect");
    return fd;
}

struct Moved {
    std::size_t bytes = 0;
    bool blocked = false;  // nothing more for now
    bool ended = false;    // end of stream, or the connection broke
};

inline Moved read_some(int fd, std::span<char> into) {
    ssize_t const n = ::recv(fd, into.data(), into.size(), 0);
    if (n > 0) return {.bytes = static_cast<std::size_t>(n)};
    bool const blocked = n < 0 && (errno == EAGAIN || errno == EINTR);
    return {.blocked = blocked, .ended = !blocked};
}

inline Moved write_some(int fd, std::string_view bytes) {
    ssize_t const n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) return {.bytes = static_cast<std::size_t>(n), .blocked = static_cast<std::size_t>(n) < bytes.size()};
    bool const blocked = errno == EAGAIN || errno == EINTR;
    return {.blocked = blocked, .ended = !blocked};
}

/// Level-triggered. A descriptor closed within a batch may be met again in it as a new connection: so a handler trusts
/// what its read or write says, never the event's flags.
class Epoll {
public:
    Epoll() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {
        if (!fd_.open()) give_up("epoll_create1");
    }
    void add(int fd, std::uint32_t interest) { control(EPOLL_CTL_ADD, fd, interest); }
    void change(int fd, std::uint32_t interest) { control(EPOLL_CTL_MOD, fd, interest); }

    /// Waits for at most `limit_ns` (below zero: for ever) and hands each ready descriptor to `handle(fd, events)`.
    template <class Handle>
    void wait(std::int64_t limit_ns, Handle&& handle) {
        timespec const limit{.tv_sec = limit_ns / 1'000'000'000, .tv_nsec = limit_ns % 1'000'000'000};
        int const n = ::epoll_pwait2(fd_.get(), ready_.data(), static_cast<int>(ready_.size()),
                                     limit_ns < 0 ? nullptr : &limit, nullptr);
        if (n < 0 && errno != EINTR) give_up("epoll_pwait2");
        for (int i = 0; i < n; ++i) {
            epoll_event const event = ready_[static_cast<std::size_t>(i)];
            handle(event.data.fd, event.events);
        }
    }

private:
    void control(int operation, int fd, std::uint32_t interest) {
        epoll_event event{};
        event.events = interest;
        event.data.fd = fd;
        if (::epoll_ctl(fd_.get(), operation, fd, &event) != 0) give_up("epoll_ctl");
    }

    Fd fd_;
    std::array<epoll_event, 256> ready_{};
};

/// `--name value` pairs; a name may come more than once.
class Arguments {
public:
    Arguments(std::span<char*> words, std::string_view known) {
        for (std::size_t i = 0; i < words.size(); i += 2) {
            std::string_view const name = words[i];
            bool const ours = known.find(std::string(" ").append(name).append(" ")) != std::string_view::npos;
            if (!ours || i + 1 >= words.size())
                throw std::invalid_argument("unknown or without value: " + std::string(name));
            values_.emplace(name, words[i + 1]);
        }
    }
    bool has(std::string const& name) const { return values_.contains(name); }
    std::string text(std::string const& name, std::string const& otherwise = "") const {
        auto const found = values_.find(name);
        return found == values_.end() ? otherwise : found->second;
    }
    std::int64_t number(std::string const& name, std::int64_t otherwise = 0) const {
        auto const found = values_.find(name);
        return found == values_.end() ? otherwise : to_number(found->second);
    }
    template <class Use>
    void each_number(std::string const& name, Use&& use) const {
        auto const [from, to] = values_.equal_range(name);
        for (auto i = from; i != to; ++i) use(to_number(i->second));
    }
    static std::int64_t to_number(std::string_view digits) {
        std::int64_t value = 0;
        auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
        if (error != std::errc{} || end != digits.data() + digits.size())
            throw std::invalid_argument("not a number: " + std::string(digits));
        return value;
    }

private:
    std::multimap<std::string, std::string> values_;
};

/// Lets the kernel end us when whoever started us is gone, however it went; and wake us on time (the default slack of
/// 50 µs would be part of every latency).
inline void start_as_tool() {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::prctl(PR_SET_TIMERSLACK, 1);
    std::signal(SIGPIPE, SIG_IGN);
}

/// Tells the starter, who reads one line, where we listen.
inline void say_port(std::uint16_t port) {
    std::printf("%u\n", unsigned{port});
    std::fflush(stdout);
}

// --- a time inside the bytes -----------------------------------------------------------------------------------------

constexpr char stamp_mark = '@';  // occurs nowhere else in what the bench sends
constexpr std::size_t stamp_digits = 19;

/// '@' and 19 digits of CLOCK_MONOTONIC, which all processes of one machine share.
inline std::array<char, 1 + stamp_digits> stamp(std::int64_t at_ns) {
    std::array<char, 1 + stamp_digits> text{};
    text[0] = stamp_mark;
    for (std::size_t i = stamp_digits; i > 0; --i, at_ns /= 10) text[i] = static_cast<char>('0' + at_ns % 10);
    return text;
}

/// Finds stamps in a stream, whatever way it was cut.
class StampReader {
public:
    template <class OnStamp>
    void feed(std::string_view bytes, OnStamp&& on_stamp) {
        while (!bytes.empty()) {
            if (digits_ == 0) {
                auto const at = bytes.find(stamp_mark);
                if (at == std::string_view::npos) return;
                bytes.remove_prefix(at + 1);
                digits_ = stamp_digits;
                value_ = 0;
            }
            for (; digits_ > 0 && !bytes.empty(); --digits_, bytes.remove_prefix(1))
                value_ = value_ * 10 + (bytes.front() - '0');
            if (digits_ == 0) on_stamp(value_);
        }
    }

private:
    std::size_t digits_ = 0;  // still to come
    std::int64_t value_ = 0;
};

// --- WebSocket (RFC 6455) --------------------------------------------------------------------------------------------

/// The head of an unmasked (server) or zero-masked (client) binary frame. A zero key is valid and leaves the payload
/// readable, so that one StampReader serves both directions.
inline std::string frame_head(std::size_t payload_bytes, bool masked) {
    auto const mask_bit = static_cast<unsigned char>(masked ? 0x80 : 0);
    std::string head = "\x82";
    if (payload_bytes < 126) {
        head += static_cast<char>(mask_bit | payload_bytes);
    } else if (payload_bytes < 65536) {
        head += static_cast<char>(mask_bit | 126);
        head += static_cast<char>(payload_bytes >> 8);
        head += static_cast<char>(payload_bytes & 0xff);
    } else {
        throw std::invalid_argument("the bench sends frames below 64 KiB");
    }
    if (masked) head.append(4, '\0');
    return head;
}

}  // namespace bench
