#include "control.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <cstring>
#include <list>
#include <optional>

#include "ocgate/rt/deadline.hpp"

namespace ocgate::app {
namespace {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;
using Socket = asio::basic_stream_socket<Local, rt::Executor>;
using Acceptor = asio::basic_socket_acceptor<Local, rt::Executor>;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, rt::Executor>;

constexpr std::size_t max_line_bytes = 64;
constexpr std::chrono::seconds line_time{10};
constexpr std::chrono::hours longest_drain{30 * 24};  ///< what `--wait` takes

/// The time in `drain MILLISECONDS`.
std::optional<std::chrono::milliseconds> drain_time(std::string_view line) noexcept {
    constexpr std::string_view command = "drain ";
    if (!line.starts_with(command)) return std::nullopt;
    std::int64_t within = -1;
    auto const [end, why] = std::from_chars(line.data() + command.size(), line.data() + line.size(), within);
    std::chrono::milliseconds const time(within);
    if (why != std::errc() || end != line.data() + line.size() || within < 0 || time > longest_drain)
        return std::nullopt;
    return time;
}

}  // namespace

struct ControlServer::Inside : std::enable_shared_from_this<Inside> {
    /// One asker. Its socket is closed by the deadline or by `stop`; whatever waits then ends with an error.
    struct Visitor {
        Visitor(Socket s, rt::Deadlines& deadlines)
            : socket(std::move(s)),
              answered(socket.get_executor(), Timer::time_point::max()),
              deadline(
                  deadlines,
                  [](void* self) {
                      error_code ignored;
                      static_cast<Visitor*>(self)->socket.close(ignored);
                  },
                  this) {}
        Socket socket;
        Timer answered;  ///< never runs out: it is cancelled when the answer is there
        rt::Deadline deadline;
    };

    Inside(rt::Executor ex, rt::Deadlines& d, int listener, ControlActions a)
        : executor(ex), deadlines(d), acceptor(ex), actions(std::move(a)) {
        acceptor.assign(Local(), listener);
    }

    void accept() {
        if (stopped || accepting || visitors.size() >= max_connections) return;
        accepting = true;
        acceptor.async_accept([self = shared_from_this()](error_code why, Socket socket) {
            self->accepting = false;
            if (self->stopped) return;
            if (!why) {
                auto visitor = std::make_shared<Visitor>(std::move(socket), self->deadlines);
                self->visitors.push_back(visitor);
                auto visit = attend(self, visitor);
                asio::co_spawn(self->executor, std::move(visit), [self, visitor](std::exception_ptr) {
                    self->visitors.remove(visitor);
                    self->accept();
                });
            }
            self->accept();
        });
    }

    static rt::Awaitable<void> attend(std::shared_ptr<Inside> self, std::shared_ptr<Visitor> visitor) {
        std::string line;
        auto& socket = visitor->socket;
        visitor->deadline.set(self->deadlines.now() + line_time);
        auto buffer = asio::dynamic_buffer(line, max_line_bytes);
        auto [why, n] = co_await asio::async_read_until(socket, buffer, '\n', rt::nothrow);
        visitor->deadline.set(rt::never);
        if (why) co_return;
        line.resize(n - 1);
        auto answer = std::make_shared<std::string>();
        // Whoever asked may be gone when the answer comes; the visitor and its signal live as long as the action.
        auto const told = [answer, visitor](std::string_view word) {
            *answer = word;
            visitor->answered.cancel();
        };
        std::string_view const text = line;
        auto const within = drain_time(text);
        if (text == "reload") {
            self->actions.reload([told](bool ok) { told(ok ? "reloaded\n" : "failed\n"); });
        } else if (within) {
            self->actions.drain(*within, [told](bool clean) { told(clean ? "drained\n" : "forced\n"); });
        } else {
            told("unknown command\n");
        }
        while (answer->empty()) co_await visitor->answered.async_wait(rt::nothrow);
        visitor->deadline.set(self->deadlines.now() + line_time);
        co_await asio::async_write(socket, asio::buffer(*answer), rt::nothrow);
        visitor->deadline.set(rt::never);
    }

    void stop() {
        stopped = true;
        error_code ignored;
        acceptor.close(ignored);
        for (auto& visitor : visitors) visitor->socket.close(ignored);
    }

    rt::Executor executor;
    rt::Deadlines& deadlines;
    Acceptor acceptor;
    ControlActions actions;
    std::list<std::shared_ptr<Visitor>> visitors;
    bool accepting = false;
    bool stopped = false;
};

ControlServer::ControlServer(rt::Executor executor, rt::Deadlines& deadlines, int listener, ControlActions actions)
    : inside_(std::make_shared<Inside>(executor, deadlines, listener, std::move(actions))) {
    inside_->accept();
}

ControlServer::~ControlServer() { stop(); }

void ControlServer::stop() { inside_->stop(); }

std::string ask_gateway(std::string const& path, std::string const& line, std::chrono::milliseconds patience,
                        std::string& problem) {
    auto const failed = [&](char const* what) {
        problem = path + ": " + what + ": " + std::strerror(errno);
        return std::string();
    };
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (path.size() >= sizeof name.sun_path) {
        errno = ENAMETOOLONG;
        return failed("cannot be a socket's path");
    }
    std::memcpy(name.sun_path, path.c_str(), path.size());
    struct Descriptor {
        int fd;
        ~Descriptor() {
            if (fd >= 0) ::close(fd);
        }
    } const socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (socket.fd < 0) return failed("no socket");
    if (::connect(socket.fd, reinterpret_cast<sockaddr const*>(&name), sizeof name) != 0) {
        return failed("no gateway answers there");
    }
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
        (peer.uid != ::geteuid() && peer.uid != 0 && ::geteuid() != 0)) {
        problem = path + ": somebody else's program answers there";
        return {};
    }
    auto const text = line + "\n";
    if (::send(socket.fd, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) {
        return failed("cannot be written to");
    }
    auto const until = std::chrono::steady_clock::now() + patience;
    std::string answer;
    for (;;) {
        auto const left =
            std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
        pollfd waiting{socket.fd, POLLIN, 0};
        int const ready = left > 0 ? ::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000))) : 0;
        if (ready < 0 && errno == EINTR) continue;
        if (ready == 0 && left > 60'000) continue;
        if (ready <= 0) {
            if (ready == 0) errno = ETIMEDOUT;
            return failed("no answer");
        }
        char bytes[64];
        auto const n = ::recv(socket.fd, bytes, sizeof bytes, 0);
        if (n < 0) return failed("no answer");
        if (n == 0) {
            problem = path + ": the gateway ended before it answered";
            return {};
        }
        answer.append(bytes, static_cast<std::size_t>(n));
        if (answer.ends_with('\n')) {
            answer.pop_back();
            return answer;
        }
        if (answer.size() > max_line_bytes) {
            problem = path + ": that is no ocgate";
            return {};
        }
    }
}

}  // namespace ocgate::app
