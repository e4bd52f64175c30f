// Every wait has an end: whose fault it is decides what is said.
#include "messages.hpp"

namespace ocgate::test {
namespace {

TEST(Deadline, EndsAHeadThatDoesNotCome) {
    Scenario s;
    s.client().sends("GET / HTTP/1.1\r\nHo");
    s.advance(5s);
    s.client().sends("st: a\r\n");
    s.advance(4999ms);
    EXPECT_EQ(s.client().received(), "");
    s.advance(1ms);
    EXPECT_THAT(s.client().received(), AllOf(StartsWith("HTTP/1.1 408 "), HasSubstr("timed_out")));
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_EQ(s.upstreams(), 0u);
    EXPECT_EQ(s.notebook().refusals.size(), 1u);
}

TEST(Deadline, ClosesASilentConnectionWithoutAWord) {
    Scenario s;
    s.client();
    s.advance(9999ms);
    EXPECT_FALSE(s.client().closed());
    s.advance(1ms);
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(s.client().received(), "");
    EXPECT_TRUE(s.notebook().failures.empty());
}

TEST(Deadline, ClosesAnIdleConnectionWithoutAWord) {
    Scenario s;
    s.client().sends(get("/"));
    s.upstream().sends(ok("x"));
    s.client().take();
    s.advance(74'999ms);
    EXPECT_FALSE(s.client().closed());
    s.advance(1ms);
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(s.client().received(), "");
    EXPECT_TRUE(s.notebook().failures.empty());
}

TEST(Deadline, StartsAnewWithTheNextHead) {
    Scenario s;
    s.client().sends(get("/"));
    s.upstream().sends(ok("x"));
    s.client().take();
    s.advance(70s);
    s.client().sends("GET /2 HT");
    s.advance(9s);
    s.client().sends("TP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(s.upstream(1).received(), StartsWith("GET /2 ")) << "idle upstreams go after a minute";
    EXPECT_TRUE(s.upstream(0).closed());
}

TEST(Deadline, SaysAtOnceThatNobodyListens) {
    Scenario s;
    s.upstream_refuses();
    s.client().sends(get("/"));
    auto const answer = s.client().take();
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("X-Ocgate-Error: upstream dial refused\r\n")));
    EXPECT_EQ(field(answer, "Retry-After"), "1");
    EXPECT_FALSE(s.client().saw_end());
    s.upstream_accepts();
    s.client().sends(get("/"));
    s.upstream().sends(ok("back"));
    EXPECT_THAT(s.client().take(), EndsWith("back"));
}

TEST(Deadline, SaysThatDialingTookTooLong) {
    Scenario s;
    s.upstream_hangs();
    s.client().sends(post("/", "abc"));
    s.advance(1999ms);
    EXPECT_EQ(s.client().received(), "");
    s.advance(1ms);
    auto const answer = s.client().received();
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("X-Ocgate-Error: upstream dial timed_out\r\n")));
    EXPECT_EQ(field(answer, "Connection"), "close") << "its content is still there";
}

TEST(Deadline, SendsNothingForAClientThatLeftDuringTheDial) {
    Scenario s;
    s.upstream_hangs();
    s.client().sends(post("/", "abc"));
    s.client().ends();
    s.advance(2s);
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(s.notebook().exchanges.at(0).status, 0u);
    EXPECT_EQ(reason_of(s.notebook().exchanges.at(0).failure), Reason::gone);
}

TEST(Deadline, WaitsForAnAnswerAsLongAsItTakes) {
    Scenario s;
    s.client().sends(post("/session/1/message", "{}"));
    s.advance(24h);
    s.upstream().sends(ok("late"));
    EXPECT_THAT(s.client().received(), EndsWith("late"));
}

TEST(Deadline, BoundsTheFirstByteWhenToldTo) {
    Scenario::Options options;
    options.limits.first_byte = 5s;
    Scenario s(options);
    s.client().sends(get("/"));
    s.advance(4999ms);
    EXPECT_EQ(s.client().received(), "");
    s.advance(1ms);
    EXPECT_THAT(s.client().take(),
                AllOf(StartsWith("HTTP/1.1 504 "), HasSubstr("X-Ocgate-Error: upstream response_head timed_out\r\n")));
    EXPECT_TRUE(s.upstream().closed());
}

TEST(Deadline, BoundsTheFirstByteOfWhatNobodyHasLoggedInFor) {
    for (auto const& [told, bound] : {std::pair{0s, 10s}, {5s, 5s}, {60s, 10s}}) {
        Scenario::Options options;
        options.limits.first_byte = told;
        Scenario s(options);
        s.door().exempts = true;
        s.client().sends(get("/site.webmanifest"));
        s.advance(bound - 1ms);
        EXPECT_EQ(s.client().received(), "");
        s.advance(1ms);
        EXPECT_THAT(s.client().take(), StartsWith("HTTP/1.1 504 "));
        EXPECT_TRUE(s.upstream().closed());
    }
}

TEST(Deadline, BoundsTheWholeOfWhatNobodyHasLoggedInForHoweverMuchIsAsked) {
    Scenario::Options options;
    options.capacity = 16 * 1024;
    Scenario s(options);
    s.door().exempts = true;
    s.client().stops_reading();
    s.client().sends(get("/logo.png") + get("/logo.png") + get("/logo.png"));
    s.upstream().sends(ok(std::string(100'000, 'x')));
    for (int i = 0; i < 9; ++i) {
        s.advance(1s);
        s.client().sip(2000);
    }
    EXPECT_FALSE(s.client().closed());
    s.advance(1s);
    EXPECT_TRUE(s.client().closed()) << "it reads, but too little: others want the place";
    EXPECT_EQ(s.upstreams(), 1u) << "and there is one for each connection";

    auto& other = s.connects();
    other.sends(get("/logo.png") + get("/logo.png"));
    s.upstream(1).sends(ok("logo"));
    EXPECT_THAT(other.received(), AllOf(HasSubstr("\r\nConnection: close\r\n"), EndsWith("logo")));
    s.advance(1s);
    EXPECT_TRUE(other.closed());
    EXPECT_EQ(s.notebook().exchanges.size(), 2u);

    auto& third = s.connects();
    third.sends(get("/logo.png"));
    s.upstream(s.upstreams() - 1).sends("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlo");
    s.advance(9'999ms);
    EXPECT_FALSE(third.closed());
    s.advance(1ms);
    EXPECT_TRUE(third.closed()) << "nor is an upstream waited for that hangs in the middle";
}

TEST(Deadline, BoundsTheWaitForAStrangerThatDoesNotReadItsRefusals) {
    for (bool const admitted : {false, true}) {
        Scenario::Options options;
        options.capacity = 1024;
        Scenario s(options);
        s.client().stops_reading();
        if (admitted) {
            s.upstream_refuses();  // 503 for each
        } else {
            s.door().refuses = proxy::Refusal{{Side::client, Step::admission, Reason::unauthorized}, "log in first"};
        }
        for (int i = 0; i < 20; ++i) s.client().sends(get("/"));
        s.advance(999ms);
        EXPECT_FALSE(s.client().closed());
        s.advance(1ms);
        EXPECT_EQ(s.client().closed(), !admitted);
        EXPECT_EQ(s.shard().load().desks_lent, admitted ? 1U : 0U);
    }
}

TEST(Deadline, IsNotPutOffByAHeadThatTrickles) {
    Scenario::Options options;
    options.limits.first_byte = 5s;
    Scenario s(options);
    s.client().sends(get("/"));
    s.upstream().sends("HTTP/1.1 200 OK\r\n");
    s.advance(3s);
    s.upstream().sends("X: 1\r\n");
    s.advance(2s);
    EXPECT_THAT(s.client().take(), StartsWith("HTTP/1.1 504 "));
}

TEST(Deadline, BoundsAHeadThatHasBegun) {
    Scenario s;
    s.client().sends(get("/"));
    s.advance(1h);
    s.upstream().sends("HTTP/1.1 200 OK\r\n");
    s.advance(30s);
    s.upstream().sends("X: 1\r\n");
    s.advance(29'999ms);
    EXPECT_EQ(s.client().received(), "");
    s.advance(1ms);
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 504 "));
    EXPECT_TRUE(s.upstream().closed());
}

TEST(Deadline, DoesNotTakeAnInterimAnswerForTheBeginningOfTheFinalOne) {
    Scenario s;
    s.client().sends(get("/"));
    s.upstream().sends("HTTP/1.1 103 Early");
    s.advance(30s);
    s.upstream().sends(" Hints\r\n\r\n");
    s.advance(1h);
    s.upstream().sends(ok("late"));
    EXPECT_THAT(s.client().received(), EndsWith("late"));
}

TEST(Deadline, CountsTheFirstByteFromTheRequestsEnd) {
    Scenario::Options options;
    options.limits.first_byte = 5s;
    Scenario s(options);
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    s.advance(30s);
    s.client().sends("cd");
    s.advance(4999ms);
    EXPECT_EQ(s.client().received(), "");
    s.advance(1ms);
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 504 "));
}

TEST(Deadline, DoesNotTakeALongAnswerForALateOne) {
    Scenario::Options options;
    options.limits.first_byte = 5s;
    Scenario s(options);
    // In one and the same moment: the upload ends after the answer's head has come.
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    s.upstream().sends(chunked_head);
    s.client().sends("cd");
    s.advance(30s);
    s.upstream().sends(chunk("x") + std::string(last_chunk));
    EXPECT_THAT(body(s.client().received()), EndsWith(last_chunk));
}

TEST(Deadline, CutsAnAnswerThatStops) {
    Scenario s;
    s.client().sends(get("/"));
    s.upstream().sends(std::string(chunked_head) + chunk("abc"));
    s.advance(59s);
    s.upstream().sends(chunk("d"));
    s.advance(59s);
    EXPECT_FALSE(s.client().closed());
    s.advance(1s);
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(body(s.client().received()), "3\r\nabc\r\n1\r\nd\r\n");
    EXPECT_TRUE(s.upstream().closed());
    EXPECT_EQ(s.notebook().exchanges.at(0).status, 200u);
    EXPECT_EQ(s.notebook().exchanges.at(0).failure.side, Side::upstream);
}

}  // namespace
}  // namespace ocgate::test
