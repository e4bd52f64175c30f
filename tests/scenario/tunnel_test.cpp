// WebSockets: a handshake that is checked, then bytes both ways (RFC 6455).
#include "messages.hpp"
#include "ocgate/wire/boundary.hpp"

namespace ocgate::test {
namespace {

constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";               // RFC 6455 §1.3
constexpr std::string_view accept_value = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";  // its answer

std::string handshake() {
    return get("/pty/1/connect",
               "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: " +
                   std::string(key) + "\r\n");
}
std::string switching(std::string_view accepted = accept_value) {
    return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
           std::string(accepted) + "\r\n\r\n";
}
std::string frame(std::string_view content) {
    return "\x81" + std::string(1, static_cast<char>(content.size())) + std::string(content);
}
/// As a client sends it: masked, here with zeros.
std::string masked_close() { return std::string("\x88\x82\0\0\0\0\x03\xe9", 8); }
std::string goodbye() { return wire::close_frame(1001, "gateway restarting"); }

void begin(Scenario& s) {
    s.client().sends(handshake());
    s.upstream().take();
    s.upstream().sends(switching());
    EXPECT_THAT(s.client().take(), StartsWith("HTTP/1.1 101 "));
    EXPECT_EQ(s.notebook().streams_open, 1);
}

TEST(Tunnel, ShakesHandsByteForByte) {
    Scenario s;
    s.client().sends(handshake());
    auto const request = s.upstream().take();
    auto const id = field(request, "X-Request-Id");
    EXPECT_EQ(request,
              "GET /pty/1/connect HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
                  std::string(key) +
                  "\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nVia: 1.1 "
                  "ocgate\r\nX-Request-Id: " +
                  id + "\r\nAuthorization: Basic dXA6c3RyZWFt\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    s.upstream().sends(switching() + frame("first"));
    EXPECT_EQ(s.client().take(), "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " +
                                     std::string(accept_value) + "\r\nVia: 1.1 ocgate\r\nX-Request-Id: " + id +
                                     "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + frame("first"));
    EXPECT_EQ(s.shard().load().windows_lent, 0u);
}

TEST(Tunnel, CarriesBytesBothWaysWithoutLookingAtThem) {
    Scenario s;
    begin(s);
    s.client().sends("\x81\x83junk that is no frame");
    EXPECT_EQ(s.upstream().take(), "\x81\x83junk that is no frame");
    s.upstream().sends(frame("out"));
    EXPECT_EQ(s.client().take(), frame("out"));
    s.advance(24h);
    s.client().sends("x");
    EXPECT_EQ(s.upstream().take(), "x");
    s.client().ends();
    ASSERT_EQ(s.notebook().exchanges.size(), 1u);
    auto const& record = s.notebook().exchanges.front();
    EXPECT_EQ(record.status, 101u);
    EXPECT_EQ(record.request_bytes, 24u);
    EXPECT_EQ(record.response_bytes, 5u);
    EXPECT_TRUE(record.stream);
}

TEST(Tunnel, RefusesAHandshakeThatProvesNothing) {
    for (auto const& answer :
         {switching("AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
          std::string("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
          std::string("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")}) {
        Scenario s;
        s.client().sends(handshake());
        s.upstream().sends(answer);
        EXPECT_THAT(s.client().received(), AllOf(StartsWith("HTTP/1.1 502 "), HasSubstr("bad_upgrade"))) << answer;
        EXPECT_TRUE(s.upstream().closed());
        EXPECT_TRUE(s.client().saw_end());
        EXPECT_EQ(s.notebook().exchanges.at(0).status, 502u);
        EXPECT_FALSE(s.notebook().exchanges.at(0).stream);
    }
}

TEST(Tunnel, RefusesASwitchNobodyAskedFor) {
    Scenario s;
    s.client().sends(get("/"));
    s.upstream().sends(switching());
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 502 "));
    EXPECT_TRUE(s.upstream().closed());
}

TEST(Tunnel, TakesAnotherUpgradeForAnOrdinaryRequest) {
    Scenario s;
    s.client().sends(get("/", "Connection: Upgrade\r\nUpgrade: h2c\r\n"));
    auto const request = s.upstream().take();
    EXPECT_EQ(field(request, "Upgrade"), "");
    EXPECT_EQ(field(request, "Connection"), "");
    s.upstream().sends(ok("x"));
    EXPECT_EQ(field(s.client().received(), "Connection"), "close") << "what follows may be another protocol";
}

TEST(Tunnel, DeliversARefusalAndClosesWhateverWasSentEarly) {
    Scenario s;
    s.client().sends(handshake() + get("/smuggled"));
    s.upstream().sends("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    auto const answer = s.client().received();
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 403 "), EndsWith("no")));
    EXPECT_EQ(field(answer, "Connection"), "close");
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_THAT(s.upstream().received(), Not(HasSubstr("smuggled")));
    EXPECT_EQ(s.upstreams(), 1u);
    // opencode closes it a moment later without having said so: a POST sent on it would be lost.
    EXPECT_TRUE(s.upstream().closed());
    EXPECT_EQ(s.shard().load().idle_upstreams, 0u);
}

TEST(Tunnel, HoldsEarlyBytesUntilTheSwitch) {
    Scenario s;
    s.client().sends(handshake() + "early ");
    s.client().sends("bird " + std::string(3000, 'b'));
    EXPECT_THAT(s.upstream().take(), EndsWith("\r\n\r\n"));
    EXPECT_EQ(s.upstream().take(), "");
    s.upstream().sends(switching());
    EXPECT_EQ(s.upstream().take(), "early bird " + std::string(3000, 'b'));
    EXPECT_THAT(s.client().take(), EndsWith("\r\n\r\n"));
}

TEST(Tunnel, CostsNoWindowAfterALargeHandshake) {
    Scenario s;
    s.client().sends(handshake().substr(0, handshake().size() - 2) + "Cookie: " + std::string(3000, 'c') + "\r\n\r\n");
    s.upstream().sends(switching());
    EXPECT_EQ(s.shard().load().windows_lent, 0u);
    s.client().sends("x");
    EXPECT_THAT(s.upstream().received(), EndsWith("\r\n\r\nx"));
}

TEST(Tunnel, HoldsTheTerminalBackForASlowClient) {
    Scenario::Options options;
    options.capacity = 4096;
    Scenario s(options);
    begin(s);
    s.client().stops_reading();
    auto const output = pattern(500'000);
    s.upstream().sends(output);
    EXPECT_LE(s.client().in_flight(), 4096u);
    EXPECT_LE(s.shard().load().windows_lent, 1u);
    s.advance(1h);
    std::string got;
    for (int i = 0; i < 1000 && s.client().in_flight() > 0; ++i) got += s.client().sip(3000);
    EXPECT_TRUE(got == output);
}

TEST(Tunnel, HoldsTheClientBackForASlowTerminal) {
    Scenario::Options options;
    options.capacity = 4096;
    Scenario s(options);
    begin(s);
    s.upstream().stops_reading();
    auto const input = pattern(500'000);
    s.client().sends(input);
    EXPECT_LE(s.upstream().in_flight(), 4096u);
    EXPECT_LE(s.shard().load().windows_lent, 1u);
    s.upstream().sends(frame("the other direction flows"));
    EXPECT_EQ(s.client().take(), frame("the other direction flows"));
    std::string got;
    for (int i = 0; i < 1000 && s.upstream().in_flight() > 0; ++i) got += s.upstream().sip(3000);
    EXPECT_TRUE(got == input);
}

TEST(Tunnel, EndsWithEitherEnd) {
    for (bool reset : {false, true}) {
        {
            Scenario s;
            begin(s);
            reset ? s.client().resets() : s.client().ends();
            EXPECT_TRUE(s.upstream().closed());
            EXPECT_TRUE(s.client().closed());
            EXPECT_EQ(s.notebook().closed_reasons.at(0), reset ? Reason::gone : Reason{});
        }
        {
            Scenario s;
            begin(s);
            s.upstream().sends(frame("last words"));
            reset ? s.upstream().resets() : s.upstream().ends();
            EXPECT_EQ(s.client().received(), frame("last words")) << "no Close frame of ours: it was not our end";
            EXPECT_TRUE(s.client().saw_end());
            EXPECT_EQ(s.notebook().closed_reasons.at(0), reset ? Reason::cut_short : Reason{});
            s.advance(1s);
            EXPECT_TRUE(s.client().closed());
        }
    }
}

TEST(Tunnel, EndsWhenAClientThatDoesNotReadHalfCloses) {
    Scenario::Options options;
    options.capacity = 1000;
    Scenario s(options);
    begin(s);
    s.client().stops_reading();
    s.upstream().sends(std::string(50'000, 'x'));
    s.client().ends();
    EXPECT_TRUE(s.upstream().closed());
    EXPECT_TRUE(s.client().closed());
}

TEST(Tunnel, DeliversTheGoodbyeOfATerminalThatTakesNoMore) {
    Scenario::Options options;
    options.capacity = 200;
    Scenario s(options);
    s.client().sends(handshake());
    s.upstream().take();
    s.upstream().sends(switching());
    s.client().take();
    s.client().stops_reading();
    auto const output = pattern(50'000) + std::string("\x88\x02\x03\xe8", 4);
    s.upstream().sends(output);
    s.upstream().breaks_for_writing();
    s.client().sends("typed into a shell that has just ended");
    std::string got;
    for (int i = 0; i < 1000 && s.client().in_flight() > 0; ++i) got += s.client().sip(100);
    EXPECT_TRUE(got == output) << got.size();
    s.client().ends();
    EXPECT_TRUE(s.client().closed());
}

TEST(Tunnel, EndsWhenNothingPassedForItsIdleTime) {
    Scenario::Options options;
    options.limits.tunnel_idle = 10s;
    Scenario s(options);
    begin(s);
    s.advance(9s);
    s.client().sends("x");
    s.advance(9s);
    s.upstream().sends(frame("y"));
    s.advance(9999ms);
    EXPECT_FALSE(s.client().closed());
    s.advance(1ms);
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(s.notebook().closed_reasons.at(0), Reason::timed_out);
}

TEST(Tunnel, SaysGoodbyeBetweenTwoFramesWhenItDrains) {
    Scenario s;
    begin(s);
    s.upstream().sends(frame("abcdef").substr(0, 4));
    EXPECT_EQ(s.client().take(), frame("abcdef").substr(0, 4));
    s.shard().drain();
    s.settle();
    EXPECT_EQ(s.client().take(), "") << "a frame is under way";
    s.upstream().sends(frame("abcdef").substr(4) + frame("next"));
    EXPECT_EQ(s.client().take(), frame("abcdef").substr(4) + goodbye());
    EXPECT_FALSE(s.upstream().closed());
    s.client().sends(masked_close());
    EXPECT_EQ(s.upstream().received(), masked_close());
    EXPECT_TRUE(s.upstream().closed());
    EXPECT_TRUE(s.client().saw_end());
    s.client().ends();
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(s.notebook().closed_reasons.at(0), Reason::draining);
}

TEST(Tunnel, DoesNotWaitForAClientThatIgnoresTheGoodbye) {
    Scenario s;
    begin(s);
    s.shard().drain();
    EXPECT_EQ(s.client().take(), goodbye());
    s.advance(999ms);
    EXPECT_FALSE(s.upstream().closed());
    s.advance(1ms);
    EXPECT_TRUE(s.upstream().closed());
    s.advance(1s);
    EXPECT_TRUE(s.client().closed());
}

TEST(Tunnel, DoesNotWaitForATerminalThatTakesNothingMore) {
    Scenario::Options options;
    options.capacity = 2000;
    Scenario s(options);
    begin(s);
    s.upstream().stops_reading();
    s.client().sends(pattern(50'000));
    s.shard().drain();
    EXPECT_EQ(s.client().take(), goodbye());
    s.advance(1s);
    EXPECT_TRUE(s.upstream().closed());
    s.advance(1s);
    EXPECT_TRUE(s.client().closed());
}

TEST(Tunnel, LeavesACloseFrameTheLastWord) {
    Scenario s;
    begin(s);
    std::string const closing("\x88\x02\x03\xe8", 4);
    s.upstream().sends(closing);
    EXPECT_EQ(s.client().take(), closing);
    s.shard().drain();
    s.settle();
    EXPECT_EQ(s.client().take(), "");
    s.client().sends(masked_close());
    EXPECT_EQ(s.upstream().received(), masked_close());
    s.upstream().ends();
    EXPECT_TRUE(s.client().saw_end());
}

TEST(Tunnel, IsForced) {
    Scenario s;
    begin(s);
    s.upstream().sends(frame("abcdef").substr(0, 4));
    s.shard().drain();
    s.settle();
    s.shard().insist();
    s.settle();
    EXPECT_TRUE(s.client().closed());
    EXPECT_TRUE(s.upstream().closed());
}

}  // namespace
}  // namespace ocgate::test
