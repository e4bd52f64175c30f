// The tap over pipes in memory and a clock moved by hand: what it asks for, when it gives up, when it comes back.
#include "ocgate/opencode/tap.hpp"

#include <gmock/gmock.h>

#include <cerrno>

#include "support/bench.hpp"

namespace ocgate::opencode {
namespace {
using namespace std::chrono_literals;
using test::ScriptedDialer;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::string const begin = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
std::string const heartbeat = R"({"payload":{"type":"server.heartbeat","properties":{}}})";

std::string chunk(std::string_view data) {
    auto const event = "data: " + std::string(data) + "\n\n";
    std::string head;
    for (auto n = event.size(); n > 0; n /= 16) head.insert(head.begin(), "0123456789abcdef"[n % 16]);
    return head + "\r\n" + event + "\r\n";
}

/// There is no way to the server.
class FailingDialer final : public rt::Dialer {
public:
    explicit FailingDialer(error_code error) : why(error) {}
    rt::Task<boost::system::result<rt::PeerPtr, error_code>> dial(rt::PeerResources const&, rt::Instant,
                                                                  rt::DialBreaker&) override {
        co_return why;
    }
    error_code why;
};

class TapTest : public testing::Test {
protected:
    TapTest() {
        tap = std::make_unique<Tap>(bench.resources, settings("Basic dTpw"),
                                    TapListener{.connected =
                                                    [this] {
                                                        said.push_back("connected");
                                                        if (at_connected) at_connected();
                                                    },
                                                .event =
                                                    [this](EventCutter::Cut const& cut) {
                                                        events.emplace_back(cut.data);
                                                        if (at_event) at_event();
                                                    },
                                                .lost =
                                                    [this](std::string const& why, bool nobody_listens) {
                                                        said.push_back(why);
                                                        refusals += nobody_listens ? 1 : 0;
                                                    }},
                                    [this] { return chance; });
    }
    ~TapTest() override {
        bool stopped = false;
        tap->stop([&] { stopped = true; });
        bench.settle();
        EXPECT_TRUE(stopped);
        EXPECT_TRUE(bench.nothing_left()) << "a task, window or deadline is left";
        for (auto const& end : dialer->ends) EXPECT_TRUE(end.closed());
    }
    TapSettings settings(std::string_view authorization) const {
        return {.dialer = dialer, .host = "127.0.0.1:4096", .authorization = Secret(std::string(authorization))};
    }
    void start() {
        tap->start();
        bench.settle();
    }
    test::PipeEnd& end() { return dialer->ends.back(); }
    void send(std::string_view bytes) {
        end().send(bytes);
        bench.settle();
    }
    void connect() {
        start();
        send(begin + chunk(heartbeat));
        ASSERT_THAT(said, ElementsAre("connected"));
    }

    test::Bench bench;
    std::shared_ptr<ScriptedDialer> dialer = std::make_shared<ScriptedDialer>();
    std::vector<std::string> said, events;
    std::function<void()> at_connected, at_event;
    int refusals = 0;
    double chance = 0;
    std::unique_ptr<Tap> tap;
};

TEST_F(TapTest, AsksForTheGlobalEventsWithTheUpstreamsCredential) {
    start();
    ASSERT_EQ(dialer->dials, 1);
    EXPECT_THAT(end().waiting(), StartsWith("GET /global/event HTTP/1.1\r\nHost: 127.0.0.1:4096\r\n"));
    EXPECT_THAT(end().waiting(), HasSubstr("\r\nAuthorization: Basic dTpw\r\n"));
    EXPECT_THAT(end().waiting(), HasSubstr("\r\nAccept: text/event-stream\r\n"));
    EXPECT_FALSE(tap->state().connected);
    send(begin);
    EXPECT_FALSE(tap->state().connected) << "only an event shows that events are told";
    send(chunk(heartbeat));
    EXPECT_TRUE(tap->state().connected);
    EXPECT_THAT(said, ElementsAre("connected"));
    EXPECT_THAT(events, ElementsAre(heartbeat));
    EXPECT_EQ(tap->state().connections, 1u);
}

TEST_F(TapTest, TellsTheSameForEverySplitOfTheBytes) {
    std::string const stream = begin + chunk(R"({"a":1})") + chunk(R"({"b":2})") + chunk(heartbeat);
    start();
    for (char const c : stream) send({&c, 1});
    EXPECT_THAT(events, ElementsAre(R"({"a":1})", R"({"b":2})", heartbeat));
    EXPECT_THAT(said, ElementsAre("connected"));
}

TEST_F(TapTest, ReadsAStreamThatEndsWithTheConnectionAsWell) {
    start();
    send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {}\n\n");
    EXPECT_THAT(events, ElementsAre("{}"));
    end().end();
    bench.settle();
    EXPECT_THAT(said, ElementsAre("connected", "the stream ended"));
}

TEST_F(TapTest, ComesBackWithin250Milliseconds) {
    connect();
    end().end();
    bench.settle();
    EXPECT_EQ(said.back(), "event_stream: cut_short") << "no last chunk";
    EXPECT_FALSE(tap->state().connected);
    bench.advance(249ms);
    EXPECT_EQ(dialer->dials, 1);
    bench.advance(1ms);
    EXPECT_EQ(dialer->dials, 2);
    send(begin + chunk(heartbeat));
    EXPECT_EQ(said.back(), "connected");
    EXPECT_EQ(tap->state().connections, 2u);
}

TEST_F(TapTest, JitterTakesUpToHalfOff) {
    chance = 1;
    connect();
    send("0\r\n\r\n");
    EXPECT_EQ(said.back(), "the stream ended");
    bench.advance(124ms);
    EXPECT_EQ(dialer->dials, 1);
    bench.advance(1ms);
    EXPECT_EQ(dialer->dials, 2);
}

TEST_F(TapTest, OnlyARefusalSaysThatNobodyListens) {
    namespace error = boost::asio::error;
    auto const system = [](int number) { return error_code(number, boost::system::system_category()); };
    auto const reach = [&](error_code why) {
        auto failing = std::make_shared<FailingDialer>(why);
        auto made = settings("Basic dTpw");
        made.dialer = failing;
        said.clear();
        refusals = 0;
        tap->configure(made);
        bench.settle();
    };
    dialer->mood = ScriptedDialer::Mood::refuse;
    start();
    EXPECT_EQ(refusals, 1);
    for (auto const& why : {error_code(error::host_not_found), error_code(error::host_not_found_try_again),
                            error_code(error::network_unreachable), error_code(error::host_unreachable), system(EACCES),
                            system(EADDRNOTAVAIL), error_code(error::connection_reset)}) {
        reach(why);
        EXPECT_THAT(said, ElementsAre("dial: " + why.message()));
        EXPECT_EQ(refusals, 0) << why.message();
    }
    reach(system(ENOENT));
    EXPECT_EQ(refusals, 1) << "a Unix socket whose file went with the process";
    reach(Reason::timed_out);
    EXPECT_THAT(said, ElementsAre("dial: timed_out"));
    EXPECT_EQ(refusals, 0);
}

TEST_F(TapTest, AStreamThatEndsAfterARefusalIsNoRefusal) {
    dialer->mood = ScriptedDialer::Mood::refuse;
    start();
    dialer->mood = ScriptedDialer::Mood::accept;
    bench.advance(1s);
    send(begin + chunk(heartbeat));
    send("0\r\n\r\n");
    EXPECT_THAT(said, ElementsAre("dial: refused", "connected", "the stream ended"));
    EXPECT_EQ(refusals, 1);
}

TEST_F(TapTest, WaitsTwiceAsLongEachTimeUpToABound) {
    dialer->mood = ScriptedDialer::Mood::refuse;
    start();
    rt::Duration wait = 250ms;
    for (int dials = 1; dials < 12; ++dials) {
        EXPECT_EQ(dialer->dials, dials);
        EXPECT_EQ(said.back(), "dial: refused");
        bench.advance(wait - 1ms);
        EXPECT_EQ(dialer->dials, dials);
        bench.advance(1ms);
        wait = std::min<rt::Duration>(2 * wait, 10s);
    }
    dialer->mood = ScriptedDialer::Mood::accept;
    bench.advance(10s);
    send(begin + chunk(heartbeat));
    EXPECT_EQ(said.back(), "connected");
    bench.advance(1s);
    end().reset();
    bench.settle();
    auto const dials = dialer->dials;
    bench.advance(250ms);
    EXPECT_EQ(dialer->dials, dials + 1) << "what lasted begins anew";
}

TEST_F(TapTest, WaitsLongerEachTimeForWhomThrowsItOutAtOnce) {
    connect();
    rt::Duration wait = 250ms;
    for (int dials = 1; dials < 9; ++dials) {
        bench.advance(999ms);
        end().reset();
        bench.settle();
        bench.advance(wait - 1ms);
        EXPECT_EQ(dialer->dials, dials);
        bench.advance(1ms);
        EXPECT_EQ(dialer->dials, dials + 1);
        send(begin + chunk(heartbeat));
        wait = std::min<rt::Duration>(2 * wait, 10s);
    }
    EXPECT_EQ(wait, 10s);
}

TEST_F(TapTest, GivesUpOnSilence) {
    connect();
    bench.advance(34s);
    EXPECT_TRUE(tap->state().connected);
    send(chunk(heartbeat));
    bench.advance(34s);
    EXPECT_TRUE(tap->state().connected);
    bench.advance(1s);
    EXPECT_EQ(said.back(), "nothing was heard, not even a heartbeat");
    EXPECT_EQ(tap->state().silences, 1u);
    bench.advance(250ms);
    EXPECT_EQ(dialer->dials, 2);
}

TEST_F(TapTest, GivesUpWhenNoFirstEventComes) {
    for (std::string_view const sent : {"", "HTTP/1.1 200 OK\r\n", begin.c_str()}) {
        said.clear();
        start();
        send(sent);
        bench.advance(14'999ms);
        EXPECT_THAT(said, IsEmpty());
        bench.advance(1ms);
        ASSERT_EQ(said.size(), 1u);
        tap->stop({});
        bench.settle();
    }
}

TEST_F(TapTest, SaysWhatIsWrongWithTheAnswer) {
    struct Case {
        std::string answer, why;
    } const cases[] = {
        {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "401: the upstream's credentials are wrong"},
        {"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "answered 500"},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
         "answered with something that is no event stream: is this opencode?"},
        {"nonsense\r\n\r\n", "response_head: malformed"},
        {begin + "zz\r\n", "event_stream: malformed"},
    };
    for (auto const& one : cases) {
        start();
        send(one.answer);
        EXPECT_EQ(said.back(), one.why);
        tap->stop({});
        bench.settle();
    }
}

TEST_F(TapTest, HoldsABoundedPartOfALongEvent) {
    connect();
    events.clear();
    auto const long_event = R"({"type":"message.updated","text":")" + std::string(3'000'000, 'x') + "\"}";
    for (std::size_t at = 0; at < long_event.size(); at += 60'000) {
        auto const data = std::string_view(long_event).substr(at, 60'000);
        auto const piece = at == 0 ? "data: " + std::string(data) : std::string(data);
        std::string head;
        for (auto n = piece.size(); n > 0; n /= 16) head.insert(head.begin(), "0123456789abcdef"[n % 16]);
        send(head + "\r\n" + piece + "\r\n");
    }
    send("2\r\n\n\n\r\n");
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].size(), EventCutter::usual_kept_of_long);
    EXPECT_TRUE(tap->state().connected);
}

TEST_F(TapTest, MayBeStoppedFromInsideWhatItTells) {
    at_event = [this] { tap->stop({}); };
    start();
    send(begin + chunk("{}") + chunk("{}"));
    EXPECT_THAT(events, ElementsAre("{}")) << "nothing is told after that";
    EXPECT_TRUE(end().closed());
    bench.advance(60s);
    EXPECT_EQ(dialer->dials, 1);
}

TEST_F(TapTest, OtherSettingsMakeANewConnectionAtOnce) {
    connect();
    tap->configure(settings("Basic bmV3"));
    bench.settle();
    ASSERT_EQ(dialer->dials, 2);
    EXPECT_TRUE(dialer->ends[0].closed());
    EXPECT_THAT(end().waiting(), HasSubstr("\r\nAuthorization: Basic bmV3\r\n"));
    EXPECT_THAT(said, ElementsAre("connected")) << "that is no loss";
}

TEST_F(TapTest, StopsWhileItDialsAndWhileItWaits) {
    dialer->mood = ScriptedDialer::Mood::hang;
    start();
    bool stopped = false;
    tap->stop([&] { stopped = true; });
    bench.settle();
    EXPECT_TRUE(stopped);
    dialer->mood = ScriptedDialer::Mood::refuse;
    start();
    EXPECT_THAT(said, ElementsAre("dial: refused"));
    stopped = false;
    tap->stop([&] { stopped = true; });
    bench.settle();
    EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace ocgate::opencode
