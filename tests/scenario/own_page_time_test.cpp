// The gateway's own pages while time passes: pages that think, clients that leave, the end of the process, answers that
// nobody takes.
#include "own_page.hpp"

namespace ocgate::test {
namespace {

using ::testing::ElementsAre;

TEST(OwnPage, MayTakeItsTimeAndKeepsTheOrder) {
    Reader r;
    r.book->thinks = true;
    r.s.client().sends(post("/_ocgate/mute", "{}") + get("/behind"));
    r.s.advance(1h);
    EXPECT_EQ(r.s.client().received(), "");
    EXPECT_EQ(r.s.upstreams(), 0u) << "one after the other";
    r.book->says.body = "first";
    r.book->done.notify();
    EXPECT_THAT(r.s.client().take(), EndsWith("first"));
    EXPECT_THAT(r.s.upstream().take(), StartsWith("GET /behind "));
    r.s.upstream().sends(ok("second"));
    EXPECT_THAT(r.s.client().take(), EndsWith("second"));
    EXPECT_EQ(r.book->left, 0);
}

TEST(OwnPage, HearsThatItsClientHasLeft) {
    for (bool reset : {false, true}) {
        for (auto const& request :
             {get("/_ocgate/pending"), post("/_ocgate/mute", "{}"), get("/_ocgate/pending") + get("/behind")}) {
            Reader r;
            r.book->thinks = true;
            r.s.client().sends(request);
            ASSERT_EQ(r.book->asked.size(), 1u);
            reset ? r.s.client().resets() : r.s.client().ends();
            EXPECT_EQ(r.book->left, 1);
            EXPECT_TRUE(r.s.client().closed());
            EXPECT_EQ(r.s.shard().load().connections, 0u);
            EXPECT_EQ(r.last().status, 0u);
            EXPECT_EQ(reason_of(r.last().failure), Reason::gone);
            EXPECT_EQ(r.s.upstreams(), 0u);
        }
    }
}

TEST(OwnPage, IsAwaitedByADrain) {
    Reader r;
    r.book->thinks = true;
    bool drained = false;
    r.s.client().sends(get("/_ocgate/pending"));
    r.s.shard().when_drained([&] { drained = true; });
    r.s.shard().drain();
    r.s.advance(1h);
    EXPECT_FALSE(drained);
    EXPECT_EQ(r.book->left, 0);
    r.book->done.notify();
    auto const answer = r.s.client().received();
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("{}\n")));
    EXPECT_EQ(field(answer, "Connection"), "close");
    EXPECT_TRUE(r.s.client().saw_end());
    r.s.client().ends();
    EXPECT_TRUE(drained);
}

TEST(OwnPage, IsNotAwaitedByADrainThatInsists) {
    // 504: it has been asked, and may do it.
    std::pair<char const*, unsigned> const requests[] = {
        {"GET /_ocgate/pending HTTP/1.1\r\nHost: a\r\n\r\n", 504},
        {"POST /_ocgate/mute HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 504},
        {"POST /_ocgate/mute HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{", 503}};
    for (auto const& [request, status] : requests) {
        Reader r;
        r.book->thinks = true;
        r.s.client().sends(request);
        bool drained = false;
        r.s.shard().when_drained([&] { drained = true; });
        r.s.shard().drain();
        r.s.settle();
        EXPECT_FALSE(drained);
        r.s.shard().insist();
        r.s.settle();
        EXPECT_TRUE(drained) << request;
        auto const answer = r.s.client().received();
        EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + std::to_string(status) + " ")) << request;
        EXPECT_THAT(body(answer), HasSubstr(R"("code":"draining")")) << request;
        EXPECT_EQ(field(answer, "Connection"), "close");
        EXPECT_EQ(reason_of(r.last().failure), Reason::draining);
        EXPECT_EQ(r.last().status, status);
    }
}

// ---- the answer

TEST(OwnPage, IsSentAsFastAsItIsTaken) {
    Scenario::Options options;
    options.capacity = 4096;
    Reader r(options);
    r.book->says.body = pattern(1024 * 1024);
    r.s.client().stops_reading();
    r.s.client().sends(get("/_ocgate/sessions") + get("/_ocgate/pending"));
    EXPECT_LE(r.s.client().in_flight(), 4096u);
    std::string got;
    for (int i = 0; i < 400 && got.size() < r.book->says.body.size(); ++i) {
        r.s.advance(50s);  // slow, but it moves
        for (int k = 0; k < 2; ++k) got += r.s.client().sip(4096);
        EXPECT_LE(r.s.client().in_flight(), 4096u);
        ASSERT_EQ(r.book->asked.size(), got.size() < 1024u * 1024 - 8192 ? 1u : r.book->asked.size());
    }
    EXPECT_TRUE(std::string_view(body(got)).substr(0, 1'000'000) ==
                std::string_view(r.book->says.body).substr(0, 1'000'000));
    while (r.s.client().in_flight() > 0) got += r.s.client().sip(4096);
    EXPECT_EQ(r.book->asked.size(), 2u);
    auto const second = got.find("HTTP/1.1 200 ", 10);
    ASSERT_NE(second, std::string::npos);
    EXPECT_TRUE(body(got.substr(0, second)) == r.book->says.body);
    EXPECT_TRUE(body(got.substr(second)) == r.book->says.body);
    EXPECT_EQ(r.s.notebook().exchanges.at(0).response_bytes, 1024u * 1024);
}

TEST(OwnPage, IsCutWhereNobodyTakesItAnyMore) {
    enum class End { silence, leaving, insisting };
    for (auto const end : {End::silence, End::leaving, End::insisting}) {
        Scenario::Options options;
        options.capacity = 4096;
        Reader r(options);
        r.book->says.body = pattern(100'000);
        r.s.client().stops_reading();
        r.s.client().sends(get("/_ocgate/sessions"));
        r.s.advance(59s);
        EXPECT_FALSE(r.s.client().closed());
        if (end == End::silence) r.s.advance(61s);
        if (end == End::leaving) r.s.client().ends();
        if (end == End::insisting) {
            r.s.shard().drain();
            r.s.shard().insist();
            r.s.settle();
        }
        EXPECT_TRUE(r.s.client().closed());
        EXPECT_EQ(r.s.shard().load().connections, 0u);
        EXPECT_EQ(r.last().status, 200u);
        EXPECT_TRUE(r.last().failed);
        EXPECT_GT(r.last().response_bytes, 3000u);
        EXPECT_LT(r.last().response_bytes, 4096u) << "what has left";
        EXPECT_EQ(reason_of(r.last().failure), end == End::silence   ? Reason::timed_out
                                               : end == End::leaving ? Reason::gone
                                                                     : Reason::draining);
    }
}

TEST(OwnPage, ThatIsTornSaysSo) {
    Reader r;
    r.book->throws = true;
    auto const answer = r.asks(get("/_ocgate/pending"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 "));
    EXPECT_THAT(body(answer), HasSubstr(R"("code":"internal")"));
    EXPECT_EQ(field(answer, "Content-Type"), "application/json");
    EXPECT_EQ(field(answer, "Connection"), "");
    EXPECT_THAT(r.s.take_escaped(), ElementsAre("the page is torn"));
    EXPECT_EQ(r.last().status, 500u);
    EXPECT_THAT(r.asks(post("/_ocgate/mute", "{}")), StartsWith("HTTP/1.1 500 "));
    EXPECT_THAT(r.s.take_escaped(), ElementsAre("the page is torn"));

    r.book->thinks = true;
    auto& leaving = r.s.connects();
    leaving.sends(get("/_ocgate/pending"));
    leaving.ends();
    EXPECT_THAT(r.s.take_escaped(), ElementsAre("the page is torn")) << "it is our bug all the same";
}

TEST(OwnPage, ThatCannotBeSentIsABugAndIsNotSent) {
    for (auto const& says :
         {proxy::PageAnswer{99, "a", "b"}, proxy::PageAnswer{600, "a", "b"},
          proxy::PageAnswer{200, "text/plain\r\nX: y", "b"}, proxy::PageAnswer{405, "text/plain", "b", "GET\nX: y"},
          proxy::PageAnswer{200, std::string(1000, 'a'), "b"}}) {
        Reader r;
        r.book->says = says;
        EXPECT_THAT(r.asks(get("/_ocgate/pending")), StartsWith("HTTP/1.1 500 "));
        EXPECT_EQ(r.s.take_escaped().size(), 1u);
    }
}

TEST(OwnPage, SpeaksNoOtherProtocol) {
    Reader r;
    auto const answer = r.asks(get("/_ocgate/pending",
                                   "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(body(answer), HasSubstr("This page speaks no other protocol."));
    EXPECT_EQ(field(answer, "Connection"), "close");
    EXPECT_TRUE(r.book->asked.empty());
    EXPECT_EQ(r.s.upstreams(), 0u);
    EXPECT_EQ(r.last().status, 400u);
}

TEST(OwnPage, PassesOverAnOfferOfAnotherHttp) {
    Reader r;
    auto const answer = r.asks(
        get("/_ocgate/pending", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 "));
    EXPECT_EQ(r.book->asked.size(), 1u);
}

// What each failure leads to is told above; here only that nothing is left and every exchange is written down, which
// the end of a scenario asserts.
TEST(OwnPage, LeavesNothingWhicheverOperationFails) {
    auto const faults = std::make_shared<Faults>();
    std::uint64_t total = 0;
    for (std::size_t capacity : {std::size_t{64 * 1024}, std::size_t{300}}) {
        for (std::uint64_t n = 0; n <= total; ++n) {
            *faults = Faults{0, n};
            Scenario::Options options;
            options.faults = faults;
            options.capacity = capacity;
            {
                Reader r(options);
                r.book->says.body = pattern(3000);
                r.book->thinks = true;
                r.s.client().sends(
                    "POST /_ocgate/mute HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                    "Expect: 100-continue\r\n\r\n");
                r.s.client().sends("{}");
                if (r.book->done.waiting()) r.book->done.notify();
                r.book->thinks = false;
                r.s.client().sends(in_chunks(pattern(2500)) + get("/_ocgate/pending"));
                if (n == 0) {
                    EXPECT_EQ(r.book->asked.size(), 3u);
                    total = faults->operations;
                }
            }
            if (::testing::Test::HasFailure()) FAIL() << "operation " << n << " of " << total;
        }
        EXPECT_GT(total, 5u);
    }
}

}  // namespace
}  // namespace ocgate::test
