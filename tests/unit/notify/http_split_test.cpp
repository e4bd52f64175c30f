// The client over pipes in memory: every split, every operation failing once.
#include "http_kit.hpp"
#include "ocgate/notify/http.hpp"

namespace ocgate::notify {
namespace {
using namespace std::chrono_literals;
namespace error = boost::asio::error;
using testing::HasSubstr;
using testing::StartsWith;

struct Framed {
    std::string_view reply, body;
    bool ends = false;
    std::string method = "GET";
};
std::vector<Framed> const framings{
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", "hello"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: v\r\n\r\n", "hello"},
    {"HTTP/1.1 200 OK\r\n\r\nhello", "hello", true},
    {"HTTP/1.0 200 OK\r\n\r\n", "", true},
    {"HTTP/1.1 204 No Content\r\n\r\n", ""},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", false, "HEAD"},
    {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok"},
};

class HttpSplit : public HttpTest {
protected:
    HttpSplit() {
        made = settings();
        made.dialer = [this](rt::Address address) {
            asked = address.text();
            return std::make_unique<LentDialer>(dialer);
        };
        use(made);
    }
    /// Over a pipe with TLS: what the client came to, when the server says `reply` after the request, and ends.
    Answer over_tls(std::string_view reply, bool ends) {
        auto const answer = start("https://127.0.0.1/t", "POST", std::string(40'000, 'b'));
        if (dialer.ends.empty()) return answer;
        auto& end = dialer.ends.back();
        test::MemoryTls tls(context);
        bool said = false;
        while (!answer->has_value()) {
            bench.settle();
            auto const arrived = end.take();
            auto leaving = tls.feed(arrived);
            if (!said && tls.text.ends_with(std::string(40'000, 'b'))) {
                said = true;
                leaving += tls.say(reply);
                if (ends) leaving += tls.finish();
                ends_after = true;
            }
            if (!leaving.empty()) {
                end.send(leaving);
            } else if (arrived.empty()) {
                break;
            }
        }
        heard = tls.text;
        return answer;
    }

    std::shared_ptr<test::Certificate> const local = test::Certificate::make({.names = {"127.0.0.1"}}, authority.get());
    std::shared_ptr<SSL_CTX> const context = local->context();
    test::ScriptedDialer dialer;
    HttpSettings made;
    std::string asked, heard;
    bool ends_after = false;
};

TEST_F(HttpSplit, ReadsEveryFramingHoweverItIsSplit) {
    for (auto const& [reply, body, ends, method] : framings) {
        for (std::size_t cut = 0; cut <= reply.size(); ++cut) {
            auto const answer = start("http://127.0.0.1/", method);
            auto& end = dialer.ends.back();
            end.send(reply.substr(0, cut));
            bench.settle();
            end.send(reply.substr(cut));
            if (ends) end.end();
            bench.settle();
            ASSERT_TRUE(answer->has_value()) << reply << " cut at " << cut;
            ASSERT_TRUE((*answer)->has_value()) << reply << " cut at " << cut << to_string((*answer)->error());
            EXPECT_EQ((**answer)->body, body);
            EXPECT_TRUE(end.closed());
        }
    }
    EXPECT_EQ(asked, "127.0.0.1:80");
}

TEST_F(HttpSplit, TlsArrivesWholeHoweverItIsSplit) {
    for (std::size_t const piece : {1, 7, 100'000}) {
        dialer.options.piece = piece;
        for (auto const& [reply, body, ends, method] : framings) {
            if (method != "GET") continue;
            auto const answer = over_tls(reply, ends);
            ASSERT_TRUE(answer->has_value()) << reply << " in pieces of " << piece;
            ASSERT_TRUE((*answer)->has_value()) << reply << " in pieces of " << piece << to_string((*answer)->error());
            EXPECT_EQ((**answer)->body, body);
            EXPECT_THAT(heard, StartsWith("POST /t HTTP/1.1\r\nHost: 127.0.0.1\r\n"));
        }
    }
    EXPECT_EQ(asked, "127.0.0.1:443");
}

TEST_F(HttpSplit, SaysWhetherTheRequestMayHaveArrivedWhateverOperationFails) {
    auto const& reply = framings[0].reply;
    std::uint64_t failures = 0;
    int surely_not = 0;
    int maybe = 0;
    for (std::uint64_t n = 1;; ++n) {
        auto const faults = std::make_shared<test::Faults>();
        faults->fail_at = n;
        dialer.options.faults = faults;
        auto const answer = over_tls(reply, false);
        if (!answer->has_value()) bench.advance(15s);
        ASSERT_TRUE(answer->has_value()) << n;
        if ((*answer)->has_value()) {
            EXPECT_EQ((**answer)->body, "hello");
            if (faults->operations < n) break;  // it did not come to that
            continue;                           // the failure was of no consequence
        }
        ++failures;
        auto const& failure = (*answer)->error();
        EXPECT_TRUE(failure.maybe_received || failure.step != HttpStep::answer) << n;
        EXPECT_FALSE(failure.maybe_received && failure.step < HttpStep::send) << n;
        // Nothing of the request was decrypted unless the client owns up to it.
        EXPECT_TRUE(failure.maybe_received || heard.empty()) << n << to_string(failure);
        failure.maybe_received ? ++maybe : ++surely_not;
    }
    EXPECT_GE(surely_not, 3);
    EXPECT_GE(maybe, 2);
    dialer.options.faults = nullptr;
}

TEST_F(HttpSplit, ReadsAnAnswerThatCameBeforeTheRequestWasTaken) {
    dialer.options.capacity = 1000;
    auto const answer = start("http://127.0.0.1/", "POST", std::string(5000, 'b'));
    auto& end = dialer.ends.back();
    end.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    end.break_for_writing();
    end.take();
    bench.settle();
    ASSERT_TRUE(answer->has_value());
    ASSERT_TRUE((*answer)->has_value()) << to_string((*answer)->error());
    EXPECT_EQ((**answer)->status, 413u);
}

TEST_F(HttpSplit, ARequestThatNobodyTakesEndsAtItsTime) {
    dialer.options.capacity = 1000;
    auto const answer = start("http://127.0.0.1/", "POST", std::string(5000, 'b'));
    EXPECT_EQ(dialer.limits.back(), bench.clock.now() + 15s);
    bench.advance(15s);
    ASSERT_TRUE(answer->has_value());
    EXPECT_EQ((*answer)->error().step, HttpStep::send);
    EXPECT_EQ((*answer)->error().why, Reason::timed_out);
    EXPECT_TRUE((*answer)->error().maybe_received);
}

TEST_F(HttpSplit, AFloodOfInterimAnswersIsNoAnswer) {
    auto const answer = start("http://127.0.0.1/");
    std::string flood;
    for (int i = 0; i < 100; ++i) flood += "HTTP/1.1 102 Processing\r\n\r\n";
    dialer.ends.back().send(flood);
    bench.settle();
    ASSERT_TRUE(answer->has_value());
    EXPECT_EQ((*answer)->error().why, Reason::malformed);
}

TEST_F(HttpSplit, NothingLeavesThatIsNoRequest) {
    struct {
        char const* url;
        std::string method;
        std::pair<std::string, std::string> field;
    } const table[] = {
        {"ftp://127.0.0.1/", "GET", {"A", "b"}},
        {"http://127.0.0.1/a b", "GET", {"A", "b"}},
        {"http://127.0.0.1/\r\nX: y", "GET", {"A", "b"}},
        {"http://127.0.0.1/", "GET", {"A", "b\r\nX: y"}},
        {"http://127.0.0.1/", "GET", {"A", std::string("b\0c", 3)}},
        {"http://127.0.0.1/", "GET", {"A\r\nB", "c"}},
        {"http://127.0.0.1/", "GET", {"Host", "other"}},
        {"http://127.0.0.1/", "POST", {"content-length", "0"}},
        {"http://127.0.0.1/", "GET / HTTP/1.1\r\nX:", {"A", "b"}},
    };
    for (auto const& row : table) {
        auto const answer = start(row.url, row.method, {}, {row.field});
        ASSERT_TRUE(answer->has_value()) << row.url;
        ASSERT_TRUE((*answer)->has_error()) << row.url;
        EXPECT_EQ((*answer)->error().step, HttpStep::request);
        EXPECT_FALSE((*answer)->error().maybe_received);
        EXPECT_EQ(to_string((*answer)->error()).find("127.0.0.1"), std::string::npos) << "a URL may hold a secret";
    }
    EXPECT_EQ(dialer.dials, 0);
}

TEST_F(HttpSplit, UserInformationBecomesCredentials) {
    auto const answer = start("http://me:pass%3aword@127.0.0.1/t");
    EXPECT_THAT(dialer.ends.back().waiting(), HasSubstr("\r\nAuthorization: Basic bWU6cGFzczp3b3Jk\r\n"));
    EXPECT_THAT(dialer.ends.back().waiting(), HasSubstr("\r\nHost: 127.0.0.1\r\n"));
    client->stop();
}

}  // namespace
}  // namespace ocgate::notify
