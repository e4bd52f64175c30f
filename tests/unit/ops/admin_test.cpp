#include "ocgate/ops/admin.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <semaphore>
#include <set>
#include <stdexcept>
#include <thread>

#include "support/heap.hpp"

namespace ocgate::ops {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// A blocking client; no call of it takes longer than ten seconds.
class Client {
public:
    explicit Client(sockaddr const* address, socklen_t size, int receive_bytes = 0)
        : socket_(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        timeval const patience{10, 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (receive_bytes > 0) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
        if (::connect(socket_, address, size) != 0) throw std::runtime_error("connect");
    }
    Client(Client&& other) noexcept : socket_(std::exchange(other.socket_, -1)), read_(std::move(other.read_)) {}
    ~Client() {
        if (socket_ >= 0) ::close(socket_);
    }

    Client& say(std::string_view text) {
        while (!text.empty()) {
            auto const n = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
            if (n <= 0) break;
            text.remove_prefix(static_cast<std::size_t>(n));
        }
        return *this;
    }
    Client& get(std::string_view target, std::string_view method = "GET") {
        return say(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: admin\r\n\r\n");
    }

    struct Answer {
        int status = 0;
        std::string head, body;
        [[nodiscard]] json error() const { return json::parse(body).at("error"); }
        [[nodiscard]] std::string field(std::string const& name) const {
            auto const at = head.find("\r\n" + name + ": ");
            if (at == std::string::npos) return {};
            auto const begin = at + name.size() + 4;
            return head.substr(begin, head.find("\r\n", begin) - begin);
        }
    };
    /// One answer framed by Content-Length; status 0 when none comes.
    Answer answer(bool head_only = false) {
        Answer a;
        std::size_t end;
        while ((end = read_.find("\r\n\r\n")) == std::string::npos) {
            if (!more()) return a;
        }
        a.head = read_.substr(0, end + 2);
        read_.erase(0, end + 4);
        a.status = std::stoi(a.head.substr(9, 3));
        auto const length = a.head.find("Content-Length: ");
        auto const size = length == std::string::npos ? 0 : std::stoul(a.head.substr(length + 16));
        if (head_only) return a;
        while (read_.size() < size && more()) {
        }
        a.body = read_.substr(0, size);
        read_.erase(0, size);
        return a;
    }
    /// Whether the server has ended the connection, with nothing more to read.
    bool ended() {
        auto const before = read_.size();
        errno = 0;
        return !more() && errno != EAGAIN && read_.size() == before;
    }
    std::size_t read_all() {
        while (more()) {
        }
        return read_.size();
    }

private:
    bool more() {
        char piece[16384];
        auto const n = ::recv(socket_, piece, sizeof piece, 0);
        if (n <= 0) return false;
        read_.append(piece, static_cast<std::size_t>(n));
        return true;
    }
    int socket_;
    std::string read_;
};

/// The server on a thread of its own, on a port of the kernel's choosing or a socket file. Ending it proves that
/// nothing is left on its executor: the thread would not end.
class Running {
public:
    explicit Running(AdminLimits limits = {}, AdminAnswers answers = usual(), bool tcp = true) {
        int const listener = ::socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (tcp) {
            auto* in = reinterpret_cast<sockaddr_in*>(&address_);
            in->sin_family = AF_INET;
            in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            size_ = sizeof *in;
        } else {
            folder_ = "/tmp/ocgate-admin-XXXXXX";
            if (!::mkdtemp(folder_.data())) throw std::runtime_error("mkdtemp");
            auto* un = reinterpret_cast<sockaddr_un*>(&address_);
            un->sun_family = AF_UNIX;
            std::strncpy(un->sun_path, (folder_ + "/s").c_str(), sizeof un->sun_path - 1);
            size_ = sizeof *un;
        }
        auto* name = reinterpret_cast<sockaddr*>(&address_);
        if (::bind(listener, name, size_) != 0 || ::listen(listener, 128) != 0) throw std::runtime_error("listen");
        if (tcp) ::getsockname(listener, name, &size_);
        server_.emplace(io_.get_executor(), listener, tcp, std::move(answers), limits);
        thread_ = std::thread([this] { run(); });
    }
    ~Running() {
        stop();
        if (!folder_.empty()) {
            ::unlink((folder_ + "/s").c_str());
            ::rmdir(folder_.c_str());
        }
    }

    void stop() {
        if (!thread_.joinable()) return;
        boost::asio::post(io_, [this] { server_->stop(); });
        thread_.join();
    }
    /// Runs it on the server's thread and waits for it.
    void on_its_thread(std::function<void()> const& task) {
        std::binary_semaphore done(0);
        boost::asio::post(io_, [&] {
            task();
            done.release();
        });
        done.acquire();
    }
    Client connect(int receive_bytes = 0) {
        return Client(reinterpret_cast<sockaddr const*>(&address_), size_, receive_bytes);
    }
    Client::Answer get(std::string_view target, std::string_view method = "GET") {
        return connect().get(target, method).answer(method == "HEAD");
    }

    static AdminAnswers usual() {
        return {.metrics = [] { return std::string("# metrics\n"); },
                .readiness =
                    [](bool with_upstream) {
                        return std::pair(!with_upstream, std::string(with_upstream ? "{\"u\":1}" : "{\"u\":0}"));
                    },
                .overview = [] { return std::string("{\"status\":\"ok\",\"phase\":\"ready\"}"); }};
    }

private:
    /// As the gateway runs it: an exception that leaves a handler is not the end.
    void run() {
        for (;;) {
            try {
                io_.run();
                return;
            } catch (std::bad_alloc const&) {
            }
        }
    }

    boost::asio::io_context io_{1};
    sockaddr_storage address_{};
    socklen_t size_ = 0;
    std::string folder_;
    std::optional<AdminServer> server_;
    std::thread thread_;
};

TEST(Admin, AnswersEachRoute) {
    Running server;
    struct Case {
        char const* target;
        int status;
        char const* type;
        char const* body;
    };
    for (auto const& c : {
             Case{"/livez", 200, "application/json", "{\"status\":\"ok\"}"},
             Case{"/livez?verbose", 200, "application/json", "{\"status\":\"ok\"}"},
             Case{"/healthz", 200, "application/json", "{\"status\":\"ok\",\"phase\":\"ready\"}"},
             Case{"/readyz", 200, "application/json", "{\"u\":0}"},
             Case{"/readyz?upstream=0", 200, "application/json", "{\"u\":0}"},
             Case{"/readyz?noupstream=1", 200, "application/json", "{\"u\":0}"},
             Case{"/readyz?upstream=1", 503, "application/json", "{\"u\":1}"},
             Case{"/readyz?a=b&upstream=true&c", 503, "application/json", "{\"u\":1}"},
             Case{"/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "# metrics\n"},
         }) {
        auto const answer = server.get(c.target);
        EXPECT_EQ(answer.status, c.status) << c.target;
        EXPECT_EQ(answer.body, c.body) << c.target;
        EXPECT_THAT(answer.head, HasSubstr("Content-Type: " + std::string(c.type) + "\r\n"));
        EXPECT_THAT(answer.head, HasSubstr("Cache-Control: no-store\r\n"));
        EXPECT_THAT(answer.head, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
    }
}

TEST(Admin, HeadHasTheLengthAndNoBody) {
    Running server;
    auto client = server.connect();
    auto const head = client.get("/metrics", "HEAD").answer(true);
    EXPECT_EQ(head.status, 200);
    EXPECT_THAT(head.head, HasSubstr("Content-Length: 10\r\n"));
    // Had there been a body, this would not be an answer.
    EXPECT_EQ(client.get("/livez").answer().body, "{\"status\":\"ok\"}");
}

TEST(Admin, WhatIsNotThereIs404AndWhatIsNotAllowedIs405) {
    Running server;
    for (auto const* target : {"/", "/session", "/metrics/", "/Livez", "//livez", "/_ocgate/", "*", "http://a/livez"}) {
        auto const answer = server.get(target);
        EXPECT_EQ(answer.status, 404) << target;
        EXPECT_EQ(answer.error()["code"], "not_found");
        EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/json\r\n"));
    }
    for (auto const* method : {"POST", "PUT", "DELETE", "OPTIONS", "BREW"}) {
        auto const answer = server.get("/readyz", method);
        EXPECT_EQ(answer.status, 405) << method;
        EXPECT_EQ(answer.error()["code"], "method_not_allowed");
        EXPECT_THAT(answer.head, HasSubstr("Allow: GET, HEAD\r\n"));
    }
    EXPECT_EQ(server.get("/nowhere", "POST").status, 404);
    EXPECT_EQ(server.get("/nowhere", "HEAD").status, 404);
}

// One shape for all errors of the gateway, on both ports.
TEST(Admin, EveryAnswerHasItsRequestId) {
    Running server;
    std::set<std::string> ids;
    auto const look = [&](Client::Answer const& answer, bool error) {
        auto const id = answer.field("X-Request-Id");
        EXPECT_THAT(id, testing::MatchesRegex("[0-9a-f]{16}")) << answer.head;
        EXPECT_TRUE(ids.insert(id).second) << "twice";
        if (!error) return;
        EXPECT_EQ(answer.error().at("request_id"), id);
        EXPECT_EQ(answer.error().size(), 3u);
        EXPECT_EQ(json::parse(answer.body).size(), 1u);
    };
    auto client = server.connect();
    look(client.get("/livez").answer(), false);
    look(client.get("/metrics").answer(), false);
    look(client.get("/metrics", "HEAD").answer(true), false);
    look(client.get("/readyz?upstream=1").answer(), false);
    look(client.get("/nowhere").answer(), true);
    look(client.get("/livez", "POST").answer(), true);
    look(server.connect().say("nonsense\r\n\r\n").answer(), true);
    look(server.connect().say("GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n").answer(), true);
    look(server.connect().say("GET /livez HTTP/1.1\r\nContent-Length: 1\r\n\r\nx").answer(), true);
}

TEST(Admin, ContentIsNotTaken) {
    Running server;
    auto client = server.connect();
    client.say("POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    EXPECT_EQ(client.answer().status, 405);
    EXPECT_TRUE(client.ended());
    auto other = server.connect();
    other.say("GET /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    EXPECT_EQ(other.answer().status, 413);
    EXPECT_TRUE(other.ended());
}

TEST(Admin, AHeadThatIsTooLargeIs431) {
    Running server;
    auto client = server.connect();
    client.say("GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: " + std::string(9000, 'x') + "\r\n\r\n");
    auto const answer = client.answer();
    EXPECT_EQ(answer.status, 431);
    EXPECT_EQ(answer.error()["code"], "head_too_large");
    EXPECT_THAT(answer.head, HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(client.ended());
    // Just below the bound is fine.
    auto other = server.connect();
    other.say("GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: " + std::string(8000, 'x') + "\r\n\r\n");
    EXPECT_EQ(other.answer().status, 200);
}

TEST(Admin, NonsenseIs400) {
    Running server;
    for (auto const* text : {"hello\r\n\r\n", "GET  /livez HTTP/1.1\r\n\r\n", "GET /livez HTTP/9.9\r\n\r\n",
                             "GET /livez HTTP/1.1\r\nBroken\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}) {
        auto client = server.connect();
        auto const answer = client.say(text).answer();
        EXPECT_EQ(answer.status, 400) << text;
        EXPECT_EQ(answer.error()["code"], "malformed");
        EXPECT_TRUE(client.ended());
    }
}

TEST(Admin, KeepsConnectionsAsHttpSays) {
    Running server;
    auto client = server.connect();
    client.get("/livez").get("/readyz").get("/metrics");  // pipelined
    EXPECT_EQ(client.answer().body, "{\"status\":\"ok\"}");
    EXPECT_EQ(client.answer().body, "{\"u\":0}");
    EXPECT_EQ(client.answer().body, "# metrics\n");
    client.say("GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(client.answer().head, HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(client.ended());

    auto old = server.connect();
    EXPECT_EQ(old.say("GET /livez HTTP/1.0\r\n\r\n").answer().status, 200);
    EXPECT_TRUE(old.ended());
}

TEST(Admin, AHeadMayComeByteByByte) {
    Running server;
    auto client = server.connect();
    for (char const c : std::string("GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")) client.say({&c, 1});
    EXPECT_EQ(client.answer().status, 200);
}

TEST(Admin, WhoeverHoldsAllConnectionsCannotKeepTheNextOneOut) {
    Running server({.connections = 3});
    auto first = server.connect();
    auto second = server.connect();
    auto third = server.connect();
    EXPECT_EQ(second.get("/livez").answer().status, 200);
    EXPECT_EQ(third.get("/livez").answer().status, 200);
    EXPECT_EQ(first.get("/livez").answer().status, 200);  // now the second has waited longest
    auto fourth = server.connect();
    EXPECT_EQ(fourth.get("/livez").answer().status, 200);
    EXPECT_TRUE(second.ended());
    EXPECT_EQ(first.get("/livez").answer().status, 200);
    EXPECT_EQ(third.get("/livez").answer().status, 200);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(server.get("/livez").status, 200);
}

TEST(Admin, AClientThatIsSlowIsCutOff) {
    Running server({.patience = 100ms});
    auto silent = server.connect();
    auto slow = server.connect();
    slow.say("GET /livez HTTP/1.1\r\nHo");
    EXPECT_TRUE(silent.ended());
    EXPECT_TRUE(slow.ended());
    EXPECT_EQ(server.get("/livez").status, 200);
}

TEST(Admin, AClientThatDoesNotReadIsCutOff) {
    auto answers = Running::usual();
    constexpr std::size_t size = 64 * 1024 * 1024;
    answers.metrics = [] { return std::string(size, '#'); };
    Running server({.connections = 1, .patience = 200ms}, answers);
    auto client = server.connect(4096);
    client.get("/metrics");
    // The next one is answered although the only connection there may be is stuck in a write.
    EXPECT_EQ(server.get("/livez").status, 200);
    EXPECT_LT(client.read_all(), size);
}

TEST(Admin, AnAnswerThatCannotBeMadeIs500) {
    auto answers = Running::usual();
    answers.metrics = []() -> std::string { throw std::runtime_error("secret"); };
    Running server({}, answers);
    auto const answer = server.get("/metrics");
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.error()["request_id"], answer.field("X-Request-Id"));
    EXPECT_THAT(answer.body, Not(HasSubstr("secret")));
    EXPECT_EQ(server.get("/livez").status, 200);
}

TEST(Admin, WhereverMemoryRunsOutOneConnectionEndsAndTheNextIsServed) {
    int lost = 0;
    std::size_t nth = 0;
    for (bool failed = true; failed;) {
        ASSERT_LT(++nth, 1000u);
        Running server;  // a new one each time: Asio keeps memory for reuse
        server.on_its_thread([nth] { test::fail_allocation(nth); });
        auto client = server.connect();
        if (client.get("/livez").answer().status != 200) {
            ++lost;
            EXPECT_TRUE(client.ended()) << "left open without anybody to serve it: allocation " << nth;
        }
        server.on_its_thread([&failed] { failed = test::fail_allocation(0); });
        ASSERT_EQ(server.get("/livez").status, 200) << "after allocation " << nth << " failed";
    }
    EXPECT_GT(lost, 0);
    RecordProperty("allocations", std::to_string(nth - 1));
    RecordProperty("lost", lost);
}

TEST(Admin, WithoutAnOverviewHealthzIsLivez) {
    auto answers = Running::usual();
    answers.overview = nullptr;
    Running server({}, answers);
    EXPECT_EQ(server.get("/healthz").body, "{\"status\":\"ok\"}");
}

TEST(Admin, ServesALocalSocket) {
    Running server({}, Running::usual(), false);
    auto client = server.connect();
    EXPECT_EQ(client.get("/livez").answer().status, 200);
    EXPECT_EQ(client.get("/metrics").answer().body, "# metrics\n");
}

TEST(Admin, StoppingClosesEverything) {
    Running server;
    auto idle = server.connect();
    EXPECT_EQ(idle.get("/livez").answer().status, 200);
    auto half = server.connect();
    half.say("GET /li");
    EXPECT_EQ(server.get("/livez").status, 200);
    server.stop();
    EXPECT_TRUE(idle.ended());
    EXPECT_TRUE(half.ended());
    EXPECT_THROW((void)server.connect(), std::runtime_error);
}

TEST(Admin, CanBeDestroyedWithoutHavingRun) {
    boost::asio::io_context io{1};
    int const listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::listen(listener, 1), 0);
    AdminServer server(io.get_executor(), listener, true, Running::usual());
}

}  // namespace
}  // namespace ocgate::ops
