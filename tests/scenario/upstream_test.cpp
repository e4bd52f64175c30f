// An upstream that breaks off, says too much, or closes its idle connections.
#include "messages.hpp"

namespace ocgate::test {
namespace {

/// One request and answer, so that an idle upstream connection waits in the pool.
void warm_up(Scenario& s) {
    s.client().sends(get("/warm"));
    s.upstream().take();
    s.upstream().sends(ok("x"));
    s.client().take();
    ASSERT_EQ(s.shard().load().idle_upstreams, 1u);
}

TEST(Upstream, IsAnsweredForWhenItsAnswerIsNoHttp) {
    for (auto const* answer : {"nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
                               "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n", "HTTP/1.1 99 No\r\n\r\n"}) {
        Scenario s;
        s.client().sends(get("/"));
        s.upstream().sends(answer);
        EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 502 ")) << answer;
        EXPECT_TRUE(s.upstream().closed());
        EXPECT_FALSE(s.client().saw_end()) << "the client's connection is in order";
    }
}

TEST(Upstream, IsAnsweredForWhenItsHeadIsTooLarge) {
    Scenario s;
    s.client().sends(get("/"));
    s.upstream().sends("HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'a'));
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 502 "));
    EXPECT_TRUE(s.upstream().closed());
}

TEST(Upstream, IsAnsweredForWhenItClosesInsteadOfAnswering) {
    for (auto const* half : {"", "HTTP/1.1 200 OK\r\nContent-"}) {
        Scenario s;
        s.client().sends(get("/"));
        s.upstream().sends(half);
        s.upstream().ends();
        EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 502 ")) << half;
        EXPECT_EQ(s.notebook().dials, 1) << "a fresh connection is not tried twice";
    }
}

TEST(Upstream, MakesTheClientSeeThatAnAnswerWasCut) {
    {
        Scenario s;  // chunks: no last one
        s.client().sends(get("/"));
        s.upstream().sends(std::string(chunked_head) + chunk("abc"));
        s.upstream().ends();
        EXPECT_EQ(body(s.client().received()), "3\r\nabc\r\n");
        EXPECT_TRUE(s.client().closed());
    }
    {
        Scenario s;  // a length: too short
        s.client().sends(get("/"));
        s.upstream().sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
        s.upstream().resets();
        EXPECT_EQ(body(s.client().received()), "abc");
        EXPECT_TRUE(s.client().closed());
    }
    {
        Scenario s;  // bare bytes to an old client: only breaking off shows it
        s.client().sends("GET / HTTP/1.0\r\n\r\n");
        s.upstream().sends(std::string(chunked_head) + chunk("abc"));
        s.upstream().ends();
        EXPECT_EQ(body(s.client().received()), "abc");
        EXPECT_TRUE(s.client().saw_reset());
    }
    {
        Scenario s;  // malformed in the middle
        s.client().sends(get("/"));
        s.upstream().sends(std::string(chunked_head) + chunk("abc") + "zz\r\n");
        EXPECT_THAT(s.client().received(), AllOf(StartsWith("HTTP/1.1 200 "), Not(EndsWith(last_chunk))));
        EXPECT_TRUE(s.client().closed());
    }
}

TEST(Upstream, IsTriedOnceMoreWhenAnIdleConnectionWasStale) {
    Scenario s;
    warm_up(s);
    s.client().sends(get("/again"));
    EXPECT_THAT(s.upstream(0).take(), StartsWith("GET /again "));
    s.upstream(0).ends();
    ASSERT_EQ(s.upstreams(), 2u);
    EXPECT_THAT(s.upstream(1).take(), StartsWith("GET /again "));
    s.upstream(1).ends();
    EXPECT_EQ(s.upstreams(), 2u) << "once is enough";
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 502 "));
    EXPECT_EQ(s.notebook().exchanges.size(), 2u);
}

TEST(Upstream, IsNotAskedTwiceForWhatMayNotBeRepeated) {
    for (auto const& message :
         {post("/x", ""), post("/x", "abc"), std::string("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na")}) {
        Scenario s;
        warm_up(s);
        s.client().sends(message);
        s.upstream(0).ends();
        EXPECT_EQ(s.upstreams(), 1u) << message;
        EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 502 "));
    }
}

TEST(Upstream, IsNotAskedTwiceOnceItHasSaidAnything) {
    for (auto const* said : {"HTTP/1.1 2", "HTTP/1.1 103 Early Hints\r\n\r\n"}) {
        Scenario s;
        warm_up(s);
        s.client().sends(get("/x"));
        s.upstream(0).sends(said);
        s.upstream(0).ends();
        EXPECT_EQ(s.upstreams(), 1u) << said;
        EXPECT_THAT(s.client().received(), HasSubstr("HTTP/1.1 502 "));
    }
}

TEST(Upstream, LosesAnIdleConnectionItHasClosed) {
    Scenario s;
    warm_up(s);
    s.upstream(0).ends();
    EXPECT_EQ(s.shard().load().idle_upstreams, 0u);
    EXPECT_TRUE(s.upstream(0).closed());
    s.client().sends(post("/x", "abc"));
    EXPECT_THAT(s.upstream(1).received(), EndsWith("abc"));
}

TEST(Upstream, IsNotUsedAgainWhenItSaysMoreThanItsAnswer) {
    {
        Scenario s;  // in the same breath
        s.client().sends(get("/"));
        s.upstream().sends(ok("x") + ok("forged"));
        EXPECT_THAT(s.client().take(), EndsWith("x"));
        EXPECT_TRUE(s.upstream().closed());
    }
    {
        Scenario s;  // while it is idle
        warm_up(s);
        s.upstream(0).sends(ok("forged"));
        s.client().sends(get("/next"));
        EXPECT_TRUE(s.upstream(0).closed());
        ASSERT_EQ(s.upstreams(), 2u);
        s.upstream(1).sends(ok("right"));
        EXPECT_THAT(s.client().take(), EndsWith("right"));
    }
}

TEST(Upstream, IsNotUsedAgainWhenItSaysSo) {
    Scenario s;
    s.client().sends(get("/"));
    s.upstream().sends(ok("x", "Connection: close\r\n"));
    EXPECT_EQ(field(s.client().take(), "Connection"), "") << "which is not the client's business";
    EXPECT_TRUE(s.upstream().closed());
}

TEST(Upstream, KeepsOnlySoManyIdleConnections) {
    Scenario::Options options;
    options.limits.idle_upstreams = 2;
    Scenario s(options);
    std::vector<End*> clients;
    for (int i = 0; i < 3; ++i) clients.push_back(&s.connects());
    for (auto* client : clients) client->sends(get("/"));
    for (std::size_t i = 0; i < 3; ++i) s.upstream(i).sends(ok("x"));
    EXPECT_EQ(s.shard().load().idle_upstreams, 2u);
    EXPECT_TRUE(s.upstream(0).closed()) << "the oldest gives way";
    s.advance(59'999ms);
    EXPECT_EQ(s.shard().load().idle_upstreams, 2u);
    s.advance(1ms);
    EXPECT_EQ(s.shard().load().idle_upstreams, 0u);
}

TEST(Reload, LeavesAnExchangeUnderWayItsLimits) {
    Scenario::Options options;
    options.limits.first_byte = 5s;
    Scenario s(options);
    s.client().sends(get("/"));
    proxy::Limits limits;
    limits.first_byte = 0s;
    s.configure(limits);
    s.advance(5s);
    EXPECT_THAT(s.client().take(), StartsWith("HTTP/1.1 504 "));
    s.client().sends(get("/"));
    s.advance(1h);
    s.upstream(1).sends(ok("late"));
    EXPECT_THAT(s.client().take(), EndsWith("late"));
}

/// Hashes a password for one target until the test says that it is done.
class DoorThatHashesOnce final : public proxy::Gatekeeper {
public:
    bool trusts(std::string_view) override { return false; }
    proxy::Decision consider(proxy::Visit const& visit) override {
        proxy::Decision decision;
        if (visit.head.target != "/slow") decision.kind = proxy::Decision::Kind::admitted;
        return decision;
    }
    rt::Task<proxy::Decision> verify(proxy::Visit const&) override {
        co_await done.wait();
        proxy::Decision decision;
        decision.kind = proxy::Decision::Kind::admitted;
        co_return decision;
    }
    bool watches(proxy::Visit const&) override { return false; }
    void saw_answer(std::string_view, unsigned, std::string_view, std::string_view) override {}
    rt::Signal done;
};

TEST(Reload, LeavesARequestThatBeganBeforeItTheUpstreamItWasMeantFor) {
    auto const door = std::make_shared<DoorThatHashesOnce>();
    Scenario::Options options;
    options.gatekeeper = door;
    Scenario s(options);
    s.client().sends(get("/slow"));
    s.redials();
    auto& other = s.connects();
    other.sends(get("/quick"));
    s.upstream(0).sends(ok("x"));
    ASSERT_EQ(s.shard().load().idle_upstreams, 1u) << "a connection to the new one";
    door->done.notify();
    s.settle();
    ASSERT_EQ(s.upstreams(), 2u) << "not that: with the old one's password it would have been told that";
    EXPECT_THAT(s.upstream(1).received(), StartsWith("GET /slow "));
    s.client().resets();
}

TEST(Reload, HoldsForAHeadThatIsNotComplete) {
    Scenario s;
    s.client().sends("GET / HTTP/1.1\r\nHost: a\r\n");
    proxy::Limits limits;
    limits.first_byte = 5s;
    s.configure(limits);
    s.client().sends("\r\n");
    s.advance(5s);
    EXPECT_THAT(s.client().take(), StartsWith("HTTP/1.1 504 "));
}

TEST(Reload, TakesIdleConnectionsOnlyWhereTheyLead) {
    Scenario s;
    warm_up(s);
    s.configure(proxy::Limits{});
    EXPECT_EQ(s.shard().load().idle_upstreams, 1u) << "the same upstream";
    s.client().sends(get("/under-way"));
    s.redials();
    EXPECT_EQ(s.shard().load().idle_upstreams, 0u);
    s.upstream(0).sends(ok("old"));
    EXPECT_THAT(s.client().take(), EndsWith("old"));
    EXPECT_TRUE(s.upstream(0).closed()) << "it leads to the upstream of yesterday";
    s.client().sends(get("/new"));
    EXPECT_THAT(s.upstream(1).received(), StartsWith("GET /new "));
}

}  // namespace
}  // namespace ocgate::test
