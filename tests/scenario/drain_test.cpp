// The end of a process: what is idle goes, what is under way is awaited, then the deadline insists.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/post.hpp>

#include "messages.hpp"

namespace ocgate::test {
namespace {

TEST(Drain, ClosesWhatIsIdleAtOnce) {
    Scenario s;
    auto& fresh = s.connects();
    auto& kept = s.connects();
    kept.sends(get("/"));
    s.upstream().sends(ok("x"));
    int drained = 0;
    s.shard().when_drained([&] { ++drained; });
    s.shard().drain();
    s.settle();
    EXPECT_TRUE(kept.closed());
    EXPECT_TRUE(s.upstream().closed());
    EXPECT_FALSE(fresh.closed()) << "its first request may be on its way";
    EXPECT_EQ(drained, 0);
    s.advance(500ms);
    EXPECT_TRUE(fresh.closed());
    EXPECT_EQ(drained, 1);
    s.shard().drain();
    s.shard().insist();
    s.settle();
    EXPECT_EQ(drained, 1);
}

TEST(Drain, SaysSoAtOnceWhenNothingIsThere) {
    Scenario s;
    bool drained = false;
    s.shard().drain();
    s.shard().when_drained([&] { drained = true; });
    EXPECT_TRUE(drained);
}

TEST(Drain, AwaitsWhatIsUnderWay) {
    Scenario s;
    bool drained = false;
    s.client().sends(post("/session/1/message", "{}"));
    auto& half = s.connects();
    half.sends("GET /half HTTP/1.1\r\n");
    s.shard().when_drained([&] { drained = true; });
    s.shard().drain();
    s.settle();
    half.sends("Host: a\r\n\r\n");
    s.upstream(1).sends(ok("half"));
    EXPECT_THAT(half.received(), EndsWith("half"));
    EXPECT_EQ(field(half.received(), "Connection"), "close");
    s.advance(1h);
    EXPECT_FALSE(drained);
    s.upstream(0).sends(ok("late"));
    EXPECT_THAT(s.client().received(), EndsWith("late"));
    EXPECT_EQ(field(s.client().received(), "Connection"), "close");
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_TRUE(s.upstream(0).closed());
    s.client().ends();
    EXPECT_TRUE(drained);
}

TEST(Drain, InsistsOnWhatIsStillThere) {
    Scenario s;
    int drained = 0;
    s.client().sends(get("/held"));
    auto& uploading = s.connects();
    uploading.sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    auto& answering = s.connects();
    answering.sends(get("/long"));
    s.upstream(2).sends(std::string(chunked_head) + chunk("abc"));
    auto& leaving = s.connects();
    leaving.sends(get("/", "Connection: close\r\n"));
    s.upstream(3).sends(ok("x"));
    auto& half = s.connects();
    half.sends("GET / HT");
    s.shard().when_drained([&] { ++drained; });
    s.shard().drain();
    s.settle();
    EXPECT_EQ(drained, 0);
    s.shard().insist();
    s.settle();
    EXPECT_EQ(drained, 1);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(s.upstream(i).closed()) << i;
    EXPECT_THAT(answering.received(), Not(EndsWith(last_chunk)));
    EXPECT_EQ(s.notebook().exchanges.size(), 4u);
    EXPECT_EQ(half.received(), "");
    ASSERT_EQ(s.notebook().failures.size(), 1u);
    EXPECT_EQ(s.notebook().failures[0].side, Side::gateway) << "it is not the client who ends it";
}

/// What is told to a client that has heard nothing yet, and what is written down of it.
/// 504: opencode has been asked, and asking again may do the same twice.
void expect_told(Scenario& s, End& client, std::string_view path, unsigned status = 503) {
    auto const& answer = client.received();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + std::to_string(status) + " ")) << path;
    EXPECT_THAT(body(answer), HasSubstr(R"("code":"draining")")) << path;
    EXPECT_EQ(field(answer, "Connection"), "close") << path;
    EXPECT_EQ(field(answer, "Retry-After"), status == 503 ? "1" : "") << path;
    EXPECT_TRUE(client.closed()) << path;
    EXPECT_FALSE(client.saw_reset()) << path;
    for (auto const& exchange : s.notebook().exchanges) {
        if (exchange.path != path) continue;
        EXPECT_EQ(exchange.status, status) << path;
        EXPECT_EQ(exchange.response_bytes, body(answer).size()) << path;
        EXPECT_EQ(exchange.failure.side, Side::gateway) << path;
        EXPECT_EQ(reason_of(exchange.failure), Reason::draining) << path;
        return;
    }
    ADD_FAILURE() << "nothing was recorded of " << path;
}

TEST(Drain, TellsThoseWhoHaveHeardNothingBeforeItCutsThem) {
    Scenario s;
    auto& waiting = s.connects();
    waiting.sends(get("/waiting"));
    auto& uploading = s.connects();
    uploading.sends("POST /uploading HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    auto& hinted = s.connects();
    hinted.sends(get("/hinted"));
    s.upstream(2).sends("HTTP/1.1 103 Early Hints\r\n\r\n");
    EXPECT_THAT(hinted.take(), StartsWith("HTTP/1.1 103 "));
    auto& begun = s.connects();
    begun.sends(get("/begun"));
    s.upstream(3).sends("HTTP/1.1 200 O");
    s.upstream_hangs();
    auto& dialing = s.connects();
    dialing.sends(get("/dialing"));
    s.shard().drain();
    s.settle();
    s.shard().insist();
    s.settle();
    EXPECT_EQ(s.shard().load().connections, 0u);
    expect_told(s, waiting, "/waiting", 504);
    expect_told(s, uploading, "/uploading");
    expect_told(s, hinted, "/hinted", 504);
    expect_told(s, begun, "/begun", 504);
    expect_told(s, dialing, "/dialing");
}

TEST(Drain, TellsThoseWhoseContentOpencodeDoesNotTake) {
    Scenario::Options options;
    options.capacity = 2048;
    Scenario s(options);
    s.client().sends("POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    s.upstream().stops_reading();
    s.client().sends(std::string(100'000, 'x'));
    s.shard().drain();
    s.settle();
    s.shard().insist();
    s.settle();
    expect_told(s, s.client(), "/held");
}

TEST(Drain, WaitsForNobodyToTakeWhatItSaysWhenItIsForced) {
    Scenario::Options options;
    options.capacity = 50;
    Scenario s(options);
    s.client().stops_reading();
    s.client().sends(get("/full"));
    s.shard().drain();
    s.settle();
    s.shard().insist();
    s.settle();
    EXPECT_EQ(s.shard().load().connections, 0u);
    EXPECT_EQ(s.notebook().exchanges.at(0).status, 0u) << "half an answer is none";
    EXPECT_EQ(s.notebook().exchanges.at(0).response_bytes, 0u);
    EXPECT_EQ(reason_of(s.notebook().exchanges.at(0).failure), Reason::draining);
}

TEST(Drain, PutsNothingBehindHalfAnAnswerWhenItIsForced) {
    for (auto const* begun :
         {"HTTP/1.1 103 Early Hints\r\nLink: </a-link-that-does-not-fit-into-the-pipe>\r\n\r\n",
          "HTTP/1.1 200 OK\r\nX: of-more-bytes-than-the-pipe-has-room-for\r\nContent-Length: 5\r\n\r\nab"}) {
        Scenario::Options options;
        options.capacity = 50;
        Scenario s(options);
        s.client().stops_reading();
        s.client().sends(get("/"));
        s.upstream().sends(begun);
        s.shard().drain();
        s.settle();
        s.shard().insist();
        s.settle();
        EXPECT_EQ(s.shard().load().connections, 0u);
        EXPECT_EQ(s.client().sip(10'000), std::string(begun).substr(0, 50));
        EXPECT_NE(s.notebook().exchanges.at(0).status, 503u);
    }
}

TEST(Drain, InsistsOnADialToo) {
    Scenario s;
    s.upstream_hangs();
    s.client().sends(get("/"));
    s.shard().drain();
    s.settle();
    EXPECT_EQ(s.shard().load().connections, 1u);
    s.shard().insist();
    s.settle();
    EXPECT_EQ(s.shard().load().connections, 0u);
    EXPECT_EQ(reason_of(s.notebook().exchanges.at(0).failure), Reason::draining);
    expect_told(s, s.client(), "/");
}

// From the shard's own thread, as a signal handler does it: what is ended goes away inside the call.
TEST(Drain, InsistsFromInsideTheEventLoop) {
    Scenario s;
    s.client();
    s.connects().sends("GET / HT");
    auto& lingering = s.connects();
    lingering.sends("nonsense\r\n\r\n");
    s.connects().sends(get("/held"));
    auto& stream = s.connects();
    stream.sends(get("/event"));
    s.upstream(1).sends(std::string(stream_head) + chunk("data"));
    int drained = 0;
    s.shard().when_drained([&] { ++drained; });
    boost::asio::post(s.io(), [&] { s.shard().drain(); });
    s.settle();
    boost::asio::post(s.io(), [&] { s.shard().insist(); });
    s.settle();
    EXPECT_EQ(drained, 1);
    EXPECT_EQ(s.shard().load().connections, 0u);
}

TEST(Drain, ServesARequestThatWasPipelinedAndCloses) {
    Scenario s;
    s.client().sends(get("/1") + get("/2"));
    s.upstream().take();
    s.upstream().puts(ok("1"));
    s.settle();
    s.shard().drain();
    s.upstream().sends(ok("2"));
    EXPECT_THAT(s.client().received(), EndsWith("\r\nConnection: close\r\n\r\n2"));
}

TEST(Drain, ServesARequestThatCameOnAnIdleConnectionBeforeItWasHeardOf) {
    Scenario s;
    auto& kept = s.connects();
    kept.sends(get("/1"));
    s.upstream().sends(ok("1"));
    auto& fresh = s.connects();
    kept.puts(get("/2"));
    fresh.puts(get("/3"));
    s.shard().drain();
    s.settle();
    ASSERT_EQ(s.upstreams(), 3u);
    for (std::size_t i = 1; i < 3; ++i) s.upstream(i).sends(ok("late"));
    for (auto* client : {&kept, &fresh}) {
        EXPECT_THAT(client->received(), EndsWith("\r\nConnection: close\r\n\r\nlate"));
        EXPECT_TRUE(client->saw_end());
    }
}

TEST(Drain, ServesWhoHasConnectedBeforeItStopsListening) {
    Scenario s;
    rt::Address bound;
    auto const listener = proxy::open_listener({"127.0.0.1", 0, ""}, false, bound);
    ASSERT_TRUE(listener) << listener.error().message();
    s.shard().accept_from(*listener);
    s.settle();
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(bound.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr const*>(&to), sizeof to), 0);
    auto const request = get("/");
    ASSERT_EQ(::send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    s.shard().stop_accepting();
    s.shard().drain();
    s.settle();
    ASSERT_EQ(s.upstreams(), 1u);
    s.upstream().sends(ok("served"));
    std::array<char, 1024> answer{};
    auto const n = ::recv(fd, answer.data(), answer.size(), MSG_DONTWAIT);
    ::close(fd);
    ASSERT_GT(n, 0);
    EXPECT_THAT(std::string(answer.data(), static_cast<std::size_t>(n)),
                EndsWith("\r\nConnection: close\r\n\r\nserved"));
}

TEST(Drain, StopsListening) {
    Scenario s;
    rt::Address const wanted{"127.0.0.1", 0, ""};
    rt::Address bound;
    auto const listener = proxy::open_listener(wanted, false, bound);
    ASSERT_TRUE(listener) << listener.error().message();
    EXPECT_NE(bound.port, 0);
    s.shard().accept_from(*listener);
    s.settle();
    auto const connect_once = [&] {
        int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(bound.port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        bool const connected = ::connect(fd, reinterpret_cast<sockaddr const*>(&to), sizeof to) == 0;
        s.settle();
        ::close(fd);
        return connected;
    };
    EXPECT_TRUE(connect_once());
    EXPECT_EQ(s.notebook().opened, 1);
    s.settle();
    s.shard().stop_accepting();
    s.settle();
    EXPECT_FALSE(connect_once());
    EXPECT_EQ(s.notebook().opened, 1);
}

TEST(Shard, OwesTheRecordToTheBytesOfTheHead) {
    // More clients than the pool keeps windows for: a window given back is freed at once.
    Scenario s;
    auto const head = get("/record-me", "X: " + std::string(3000, 'x') + "\r\n");
    std::vector<End*> clients;
    for (int i = 0; i < 70; ++i) clients.push_back(&s.connects());
    for (auto* client : clients) client->sends(head);
    EXPECT_EQ(s.shard().load().windows_lent, 70u);
    for (auto* client : clients) client->resets();
    ASSERT_EQ(s.notebook().exchanges.size(), 70u);
    for (auto const& exchange : s.notebook().exchanges) EXPECT_EQ(exchange.path, "/record-me");
}

}  // namespace
}  // namespace ocgate::test
