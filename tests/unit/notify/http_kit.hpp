// What the tests of the HTTPS client share.
#pragma once

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "ocgate/notify/http.hpp"
#include "support/bench.hpp"
#include "tls_server.hpp"

namespace ocgate::notify {

inline constexpr std::string_view ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Id: 7\r\n\r\nok";

inline std::string url_of(test::Server const& server, std::string const& host = "ntfy.test",
                          std::string const& scheme = "https") {
    return scheme + "://" + host + ":" + std::to_string(server.port()) + "/t?x=1";
}

/// A file that is gone with the test.
class TemporaryFile {
public:
    explicit TemporaryFile(std::string const& content) : path_(testing::TempDir() + "ocgate-XXXXXX") {
        int const file = ::mkstemp(path_.data());
        EXPECT_EQ(::write(file, content.data(), content.size()), static_cast<ssize_t>(content.size()));
        ::close(file);
    }
    ~TemporaryFile() { std::remove(path_.c_str()); }
    TemporaryFile(TemporaryFile const&) = delete;
    TemporaryFile& operator=(TemporaryFile const&) = delete;
    [[nodiscard]] std::string const& path() const noexcept { return path_; }

private:
    std::string path_;
};

/// Lends the test's dialer.
class LentDialer final : public rt::Dialer {
public:
    explicit LentDialer(rt::Dialer& dialer) : dialer_(dialer) {}
    rt::Task<boost::system::result<rt::PeerPtr, error_code>> dial(rt::PeerResources const& resources, rt::Instant until,
                                                                  rt::DialBreaker& breaker) override {
        return dialer_.dial(resources, until, breaker);
    }

private:
    rt::Dialer& dialer_;
};

class HttpTest : public testing::Test {
protected:
    using Answer = test::Result<HttpResult>;

    ~HttpTest() override {
        client.reset();
        EXPECT_TRUE(bench.nothing_left()) << "a task, window or deadline is left";
    }

    HttpSettings settings() {
        HttpSettings made;
        std::string problem;
        made.trust = Trust::load(trusted.path(), problem);
        EXPECT_EQ(problem, "");
        made.resolve = [](std::string const& name, error_code& why) -> std::vector<std::string> {
            if (name.ends_with(".test")) return {"127.0.0.1"};
            why = boost::asio::error::host_not_found;
            return {};
        };
        return made;
    }
    void use(HttpSettings made) { client = std::make_unique<HttpsClient>(bench.resources, std::move(made)); }
    Answer start(std::string const& url, std::string method = "GET", std::string body = {},
                 std::vector<std::pair<std::string, std::string>> fields = {}) {
        if (!client) use(settings());
        HttpRequest request{std::move(method), url, {}, std::move(fields), std::move(body)};
        return bench.start(client->send(std::move(request), bench.clock.now() + std::chrono::seconds(15)));
    }
    HttpResult finish(Answer const& answer) {
        EXPECT_TRUE(bench.wait_until([&] { return answer->has_value(); })) << "no answer";
        if (!answer->has_value()) std::abort();  // its task still uses this
        return std::move(**answer);
    }
    HttpResult get(std::string const& url) { return finish(start(url)); }

    std::shared_ptr<test::Certificate> const authority = test::Certificate::authority();
    std::shared_ptr<test::Certificate> const identity = test::Certificate::make({}, authority.get());
    TemporaryFile const trusted{authority->pem()};
    test::Bench bench;
    std::unique_ptr<HttpsClient> client;
};

}  // namespace ocgate::notify
