#include "control.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <cstring>
#include <list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "ocgate/rt/deadline.hpp"

namespace ocgate::app {
namespace {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;
using Socket = asio::basic_stream_socket<Local, rt::Executor>;
using Acceptor = asio::basic_socket_acceptor<Local, rt::Executor>;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, rt::Executor>;

constexpr std::chrono::seconds line_time{10};
constexpr std::chrono::milliseconds rest_time{100};
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

constexpr std::string_view page_command = "page ";

/// How a request for a page is written, in both directions.
struct PageField {
    char const* key;
    std::string proxy::PageRequest::*value;
    bool needed;
};
constexpr PageField page_fields[] = {
    {"method", &proxy::PageRequest::method, true},  {"target", &proxy::PageRequest::target, true},
    {"accept", &proxy::PageRequest::accept, false}, {"content_type", &proxy::PageRequest::content_type, false},
    {"body", &proxy::PageRequest::body, false},
};

/// One line of JSON. Bytes that are no UTF-8, which JSON cannot carry, are replaced.
std::string line_of(nlohmann::json const& json) {
    return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

/// What is asked for by `page JSON`. Members that are not known are for a later version.
std::optional<proxy::PageRequest> parse_page_request(std::string_view text) {
    auto const json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object()) return std::nullopt;
    proxy::PageRequest request;
    for (auto const& field : page_fields) {
        auto const found = json.find(field.key);
        if (found == json.end() && !field.needed) continue;
        if (found == json.end() || !found->is_string()) return std::nullopt;
        request.*field.value = found->get_ref<std::string const&>();
    }
    if (!proxy::Pages::cover(request.target)) return std::nullopt;
    request.user = "control socket";
    request.client_address = "unix";
    return request;
}

std::string framed(proxy::PageAnswer const& answer) {
    if (answer.body.size() > max_control_page_bytes)
        return framed(proxy::page_error(500, "internal", "The page is larger than the control socket carries.", {}));
    nlohmann::json const head{
        {"status", answer.status}, {"content_type", answer.content_type}, {"bytes", answer.body.size()}};
    return line_of(head) + answer.body;
}

}  // namespace

struct ControlServer::Inside : std::enable_shared_from_this<Inside> {
    /// One asker. Its socket is closed by the deadline or by `stop`; whatever waits then ends with an error.
    struct Visitor : std::enable_shared_from_this<Visitor> {
        Visitor(Socket s, rt::Deadlines& deadlines)
            : socket(std::move(s)),
              settled(socket.get_executor(), Timer::time_point::max()),
              deadline(
                  deadlines,
                  [](void* self) {
                      error_code ignored;
                      static_cast<Visitor*>(self)->socket.close(ignored);
                  },
                  this) {}

        /// The first word counts; nothing: there will be no answer.
        void settle(std::string text) {
            if (std::exchange(is_settled, true)) return;
            answer = std::move(text);
            settled.cancel();
        }

        /// Hears when the asker hangs up. One that has only ended its own side (`nc -N`) still wants its answer.
        void watch() {
            auto handler = [self = shared_from_this()](error_code why) {
                if (!why) self->settle({});
            };
            socket.async_wait(Socket::wait_error, std::move(handler));
        }

        Socket socket;
        Timer settled;  ///< never runs out: it is cancelled when the answer is there
        bool is_settled = false;
        bool reads = false;  ///< waits for a page, or it leaves
        std::string answer;
        rt::Deadline deadline;
    };

    /// What an action holds until it answers. It keeps nobody alive: the asker may leave before.
    class Promise {
    public:
        explicit Promise(std::weak_ptr<Visitor> visitor) : visitor_(std::move(visitor)) {}
        ~Promise() { tell({}); }
        Promise(Promise const&) = delete;
        Promise& operator=(Promise const&) = delete;
        void tell(std::string text) const {
            if (auto const visitor = visitor_.lock()) visitor->settle(std::move(text));
        }

    private:
        std::weak_ptr<Visitor> visitor_;
    };

    Inside(rt::Executor ex, rt::Deadlines& d, int listener, ControlActions a)
        : executor(ex),
          deadlines(d),
          acceptor(ex),
          actions(std::move(a)),
          rest(
              d, [](void* self) { static_cast<Inside*>(self)->accept(); }, this) {
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
                    error_code ignored;
                    visitor->socket.close(ignored);  // `watch` ends, too
                    self->visitors.remove(visitor);
                    self->accept();
                });
            }
            // Out of descriptors or memory: who waits still waits, and asking again at once would only burn the
            // processor.
            if (why) return self->rest.set(self->deadlines.now() + rest_time);
            self->accept();
        });
    }

    static rt::Awaitable<void> attend(std::shared_ptr<Inside> self, std::shared_ptr<Visitor> visitor) {
        std::string line;
        auto& socket = visitor->socket;
        visitor->deadline.set(self->deadlines.now() + line_time);
        auto buffer = asio::dynamic_buffer(line, max_control_line_bytes);
        auto [why, n] = co_await asio::async_read_until(socket, buffer, '\n', rt::nothrow);
        visitor->deadline.set(rt::never);
        if (why) co_return;
        line.resize(n - 1);
        visitor->watch();
        self->act(line, *visitor);
        while (!visitor->is_settled) co_await visitor->settled.async_wait(rt::nothrow);
        if (visitor->answer.empty()) co_return;
        visitor->deadline.set(self->deadlines.now() + line_time);
        co_await asio::async_write(socket, asio::buffer(visitor->answer), rt::nothrow);
        visitor->deadline.set(rt::never);
    }

    void act(std::string_view line, Visitor& visitor) const {
        auto const promise = std::make_shared<Promise>(visitor.weak_from_this());
        if (line == "reload") {
            actions.reload([promise](bool ok) { promise->tell(ok ? "reloaded\n" : "failed\n"); });
        } else if (auto const within = drain_time(line)) {
            actions.drain(*within, [promise](bool clean) { promise->tell(clean ? "drained\n" : "forced\n"); });
        } else if (actions.page && line.starts_with(page_command)) {
            auto request = parse_page_request(line.substr(page_command.size()));
            if (!request)
                return promise->tell(framed(proxy::page_error(400, "malformed", "That asks for no page.", {})));
            auto const readers =
                std::count_if(visitors.begin(), visitors.end(), [](auto const& v) { return v->reads; });
            if (readers >= static_cast<std::ptrdiff_t>(max_pages))
                return promise->tell(
                    framed(proxy::page_error(503, "too_many", "Others wait for their pages. Try again soon.", {})));
            visitor.reads = true;
            actions.page(*std::move(request),
                         [promise](proxy::PageAnswer const& answer) { promise->tell(framed(answer)); });
        } else {
            promise->tell("unknown command\n");
        }
    }

    void stop() {
        stopped = true;
        rest.set(rt::never);
        error_code ignored;
        acceptor.close(ignored);
        for (auto& visitor : visitors) {
            visitor->socket.close(ignored);
            visitor->settle({});
        }
    }

    rt::Executor executor;
    rt::Deadlines& deadlines;
    Acceptor acceptor;
    ControlActions actions;
    std::list<std::shared_ptr<Visitor>> visitors;
    rt::Deadline rest;
    bool accepting = false;
    bool stopped = false;
};

ControlServer::ControlServer(rt::Executor executor, rt::Deadlines& deadlines, int listener, ControlActions actions)
    : inside_(std::make_shared<Inside>(executor, deadlines, listener, std::move(actions))) {
    inside_->accept();
}

ControlServer::~ControlServer() { stop(); }

void ControlServer::stop() { inside_->stop(); }

namespace {

/// One question to a gateway, blocking. A step that fails says why in `problem`.
class Call {
public:
    Call(std::string const& path, std::chrono::milliseconds patience, std::string& problem)
        : path_(path), until_(std::chrono::steady_clock::now() + patience), problem_(problem) {}
    ~Call() {
        if (socket_ >= 0) ::close(socket_);
    }
    Call(Call const&) = delete;
    Call& operator=(Call const&) = delete;

    bool ask(std::string const& line) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        if (path_.size() >= sizeof name.sun_path) {
            errno = ENAMETOOLONG;
            return failed("cannot be a socket's path");
        }
        std::memcpy(name.sun_path, path_.c_str(), path_.size());
        // A gateway that hangs does not accept, and would be waited for however long that takes.
        socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (socket_ < 0) return failed("no socket");
        if (::connect(socket_, reinterpret_cast<sockaddr const*>(&name), sizeof name) != 0) {
            return failed("no gateway answers there");
        }
        ucred peer{};
        socklen_t size = sizeof peer;
        if (::getsockopt(socket_, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
            (peer.uid != ::geteuid() && peer.uid != 0 && ::geteuid() != 0)) {
            return wrong("somebody else's program answers there");
        }
        // It fits into the socket's buffer, whatever the gateway is doing.
        if (::send(socket_, line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) {
            return failed("cannot be written to");
        }
        return true;
    }

    /// Without its end.
    std::optional<std::string> line() {
        for (;;) {
            auto const end = came_.find('\n');
            if (end != std::string::npos) {
                auto line = came_.substr(0, end);
                came_.erase(0, end + 1);
                return line;
            }
            if (came_.size() > max_control_line_bytes) wrong("that is no ocgate");
            if (came_.size() > max_control_line_bytes || !more()) return std::nullopt;
        }
    }

    std::optional<std::string> bytes(std::size_t count) {
        while (came_.size() < count) {
            if (!more()) return std::nullopt;
        }
        came_.resize(count);
        return std::move(came_);
    }

    bool wrong(std::string_view what) {
        problem_ = path_ + ": " + std::string(what);
        return false;
    }

private:
    bool failed(char const* what) {
        problem_ = path_ + ": " + what + ": " + std::strerror(errno);
        return false;
    }

    bool more() {
        for (;;) {
            auto const left =
                std::chrono::ceil<std::chrono::milliseconds>(until_ - std::chrono::steady_clock::now()).count();
            pollfd waiting{socket_, POLLIN, 0};
            int const ready =
                left > 0 ? ::poll(&waiting, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000))) : 0;
            if (ready < 0 && errno == EINTR) continue;
            if (ready == 0 && left > 60'000) continue;
            if (ready > 0) break;
            if (ready == 0) errno = ETIMEDOUT;
            return failed("no answer");
        }
        char piece[16 * 1024];
        auto const n = ::recv(socket_, piece, sizeof piece, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
        if (n < 0) return failed("no answer");
        if (n == 0) return wrong("the gateway ended before it answered");
        came_.append(piece, static_cast<std::size_t>(n));
        return true;
    }

    std::string const& path_;
    std::chrono::steady_clock::time_point const until_;
    std::string& problem_;
    int socket_ = -1;
    std::string came_;
};

}  // namespace

std::string ask_gateway(std::string const& path, std::string const& line, std::chrono::milliseconds patience,
                        std::string& problem) {
    Call call(path, patience, problem);
    if (!call.ask(line + '\n')) return {};
    return call.line().value_or("");
}

std::optional<proxy::PageAnswer> ask_page(std::string const& path, proxy::PageRequest const& request,
                                          std::chrono::milliseconds patience, std::string& problem) {
    nlohmann::json question = nlohmann::json::object();
    for (auto const& field : page_fields) {
        auto const& value = request.*field.value;
        if (field.needed || !value.empty()) question[field.key] = value;
    }
    auto const line = std::string(page_command) + line_of(question);
    if (line.size() > max_control_line_bytes) {
        problem = "the question is longer than the control socket takes";
        return std::nullopt;
    }
    Call call(path, patience, problem);
    if (!call.ask(line)) return std::nullopt;
    auto const answer = call.line();
    if (!answer) return std::nullopt;
    if (*answer == "unknown command") {
        call.wrong("the gateway that runs there has no such pages; it is an older ocgate");
        return std::nullopt;
    }
    auto const head = nlohmann::json::parse(*answer, nullptr, false);
    auto const number = [&head](char const* key) {
        auto const found = head.find(key);
        bool const counts = found != head.end() && found->is_number_unsigned();
        return counts ? found->get<std::uint64_t>() : ~std::uint64_t{0};
    };
    auto const status = number("status");
    auto const bytes = number("bytes");
    if (status > 999 || bytes > max_control_page_bytes) {
        call.wrong("that is no ocgate");
        return std::nullopt;
    }
    auto body = call.bytes(bytes);
    if (!body) return std::nullopt;
    proxy::PageAnswer page;
    page.status = static_cast<unsigned>(status);
    auto const type = head.find("content_type");
    page.content_type = type != head.end() && type->is_string() ? type->get<std::string>() : std::string();
    page.body = *std::move(body);
    return page;
}

}  // namespace ocgate::app
