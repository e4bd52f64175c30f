// A terminal's flood, and a paste of megabytes: what goes through a WebSocket without being kept.
#include "messages.hpp"
#include "ocgate/wire/boundary.hpp"

namespace ocgate::test {
namespace {

constexpr std::size_t many = 3'000'000;

/// A frame with a 64-bit length; the client's are masked, here with zeros.
std::string frame(std::string_view content, bool masked = false) {
    std::string text = "\x82";
    text += static_cast<char>(masked ? 0xff : 0x7f);
    for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>(content.size() >> shift & 0xff);
    if (masked) text.append(4, '\0');
    return text += content;
}
std::string frames(std::size_t bytes, std::size_t content, bool masked = false) {
    auto const whole = pattern(bytes);
    std::string text;
    for (std::size_t at = 0; at < bytes; at += content)
        text += frame(std::string_view(whole).substr(at, content), masked);
    return text;
}
std::string masked_close() { return std::string("\x88\x82\0\0\0\0\x03\xe9", 8); }
std::string goodbye() { return wire::close_frame(1001, "gateway restarting"); }

Scenario::Options with_capacity(std::size_t capacity) {
    Scenario::Options options;
    options.capacity = capacity;
    return options;
}
void begin(Scenario& s) {
    s.client().sends(get("/pty/1/connect",
                         "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    s.upstream().take();
    s.upstream().sends(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    EXPECT_THAT(s.client().take(), StartsWith("HTTP/1.1 101 "));
    EXPECT_EQ(s.notebook().streams_open, 1);
}
::testing::AssertionResult same(std::string_view got, std::string_view wanted) {
    if (got == wanted) return ::testing::AssertionSuccess();
    auto const at = std::mismatch(got.begin(), got.end(), wanted.begin(), wanted.end()).first - got.begin();
    return ::testing::AssertionFailure() << got.size() << " bytes instead of " << wanted.size() << ", differ at " << at;
}

TEST(PassedTunnel, FloodsBothWaysArriveByteForByte) {
    auto const out = frames(many, 100'000);
    auto const in = frames(many, 70'000, true);
    for (std::size_t const capacity : {std::size_t{4000}, std::size_t{50'000}, std::size_t{400'000}, ~std::size_t{0}}) {
        Scenario s(with_capacity(capacity));
        begin(s);
        for (std::size_t at = 0; at < std::max(in.size(), out.size()); at += 250'000) {
            if (at < in.size()) s.client().puts(std::string_view(in).substr(at, 250'000));
            if (at < out.size()) s.upstream().puts(std::string_view(out).substr(at, 250'000));
            s.settle();
        }
        EXPECT_TRUE(same(s.upstream().take(), in)) << capacity;
        EXPECT_TRUE(same(s.client().take(), out)) << capacity;
        EXPECT_EQ(s.shard().load().windows_lent, 0u);
        s.client().sends("k");
        EXPECT_EQ(s.upstream().take(), "k") << "a key after the flood";
        s.upstream().sends("e");
        EXPECT_EQ(s.client().take(), "e");
        s.upstream().ends();
        EXPECT_TRUE(s.client().saw_end());
        auto const& record = s.notebook().exchanges.at(0);
        EXPECT_EQ(record.request_bytes, in.size() + 1);
        EXPECT_EQ(record.response_bytes, out.size() + 1);
        EXPECT_FALSE(record.failed);
    }
}

TEST(PassedTunnel, AFloodTakesFewWrites) {
    Scenario s(with_capacity(~std::size_t{0}));
    begin(s);
    s.upstream().sends(frames(many, 100'000));
    s.client().sends(frames(many, 100'000, true));
    EXPECT_LE(s.client().writes(), 20u);
    EXPECT_LE(s.upstream().writes(), 20u);
}

TEST(PassedTunnel, HoldsNothingWhileNeitherEndReads) {
    Scenario s(with_capacity(50'000));
    begin(s);
    auto const out = frames(many, 100'000);
    auto const in = frames(many, 70'000, true);
    s.client().stops_reading();
    s.upstream().stops_reading();
    s.upstream().sends(out);
    s.client().sends(in);
    EXPECT_EQ(s.shard().load().windows_lent, 0u);
    EXPECT_LE(s.client().in_flight(), 50'000u);
    EXPECT_LE(s.upstream().in_flight(), 50'000u);
    s.advance(24h);
    EXPECT_FALSE(s.client().closed()) << "nothing bounds it";
    std::string got_out, got_in;
    while (s.client().in_flight() > 0) got_out += s.client().sip(33'333);
    EXPECT_TRUE(same(got_out, out)) << "one direction does not wait for the other";
    while (s.upstream().in_flight() > 0) got_in += s.upstream().sip(33'333);
    EXPECT_TRUE(same(got_in, in));
    EXPECT_EQ(s.shard().load().windows_lent, 0u);
}

TEST(PassedTunnel, IdleTimeRunsOnlyWhileTheClientTakesNothing) {
    auto options = with_capacity(50'000);
    options.limits.tunnel_idle = 10s;
    Scenario s(options);
    begin(s);
    auto const out = frames(many, 100'000);
    s.client().stops_reading();
    s.upstream().sends(out);
    std::string got;
    for (int i = 0; i < 20; ++i) {
        s.advance(9s);
        got += s.client().sip(10'000);
        ASSERT_FALSE(s.client().closed()) << i;
    }
    EXPECT_TRUE(same(got, out.substr(0, got.size())));
    s.advance(10s - 1ms);
    EXPECT_FALSE(s.client().closed());
    s.advance(1ms);
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(s.notebook().closed_reasons.at(0), Reason::timed_out);
    EXPECT_EQ(s.notebook().exchanges.at(0).failure.side, Side::client);
}

TEST(PassedTunnel, IdleTimeBeginsBehindTheFlood) {
    auto options = with_capacity(50'000);
    options.limits.tunnel_idle = 10s;
    Scenario s(options);
    begin(s);
    auto const out = frames(300'000, 100'000);
    s.client().stops_reading();
    s.upstream().sends(out);
    std::string got;
    while (got.size() + s.client().in_flight() < out.size()) {
        s.advance(9s);
        got += s.client().sip(20'000);
    }
    EXPECT_TRUE(same(got + s.client().sip(out.size()), out));
    s.advance(10s - 1ms);
    EXPECT_FALSE(s.client().closed());
    s.advance(1ms);
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(s.notebook().exchanges.at(0).failure.side, Side::gateway);
}

TEST(PassedTunnel, DrainsAtAFramesEndInTheMiddleOfAFlood) {
    for (std::size_t const content : {std::size_t{7}, std::size_t{1000}, std::size_t{100'000}, std::size_t{700'000}}) {
        auto const out = frames(content < 1000 ? 400'000 : many, content);
        for (std::size_t const capacity : {std::size_t{50'003}, std::size_t{300'001}}) {
            Scenario s(with_capacity(capacity));
            begin(s);
            s.client().stops_reading();
            s.upstream().sends(out);
            auto got = s.client().sip(40'000);
            ASSERT_GT(s.client().in_flight(), 0u);
            s.shard().drain();
            while (s.client().in_flight() > 0) got += s.client().sip(30'000);
            ASSERT_THAT(got, EndsWith(goodbye())) << content;
            got.resize(got.size() - goodbye().size());
            EXPECT_TRUE(same(got, out.substr(0, got.size())));
            EXPECT_EQ(got.size() % (content + 10), 0u) << "frames of " << content << ", cut after " << got.size();
            EXPECT_LT(got.size(), capacity + 80'000 + 2 * content) << "it does not wait for the flood to end";
            s.client().sends(masked_close());
            EXPECT_TRUE(s.upstream().closed());
            s.client().ends();
            EXPECT_EQ(s.notebook().closed_reasons.at(0), Reason::draining);
        }
    }
}

TEST(PassedTunnel, PassesThePasteOnThatComesBeforeTheAnswerToItsGoodbye) {
    Scenario s(with_capacity(50'000));
    begin(s);
    auto const in = frames(700'000, 70'000, true);
    s.upstream().stops_reading();
    s.client().sends(in + masked_close());
    s.shard().drain();
    EXPECT_EQ(s.client().take(), goodbye());
    std::string got;
    while (s.upstream().in_flight() > 0) got += s.upstream().sip(33'333);
    EXPECT_TRUE(same(got, in + masked_close()));
    EXPECT_TRUE(s.upstream().closed()) << "both have said goodbye";
}

TEST(PassedTunnel, DeliversAFloodToItsEndAndTheCloseBehindIt) {
    Scenario s(with_capacity(50'000));
    begin(s);
    std::string const closing("\x88\x02\x03\xe8", 4);
    auto const out = frames(many, 100'000) + closing;
    s.client().stops_reading();
    s.upstream().puts(out);
    s.upstream().ends();
    EXPECT_FALSE(s.client().saw_end());
    std::string got;
    while (s.client().in_flight() > 0) got += s.client().sip(33'333);
    EXPECT_TRUE(same(got, out));
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_FALSE(s.notebook().exchanges.empty() && s.notebook().streams_open > 0);
}

TEST(PassedTunnel, EndsWithWhoeverLeavesInTheMiddle) {
    for (bool const reset : {false, true}) {
        for (bool const upstream : {false, true}) {
            if (upstream && !reset) continue;  // its end comes behind what it has sent
            Scenario s(with_capacity(50'000));
            begin(s);
            s.client().stops_reading();
            s.upstream().sends(frames(many, 100'000));
            EXPECT_EQ(s.shard().load().windows_lent, 0u);
            auto& leaves = upstream ? s.upstream() : s.client();
            reset ? leaves.resets() : leaves.ends();
            if (upstream) {
                while (s.client().in_flight() > 0) s.client().sip(50'000);
            }
            EXPECT_TRUE(s.upstream().closed()) << reset << upstream;
            s.advance(1s);
            EXPECT_TRUE(s.client().closed()) << reset << upstream;
            EXPECT_EQ(s.notebook().streams_open, 0);
            EXPECT_EQ(s.shard().load().windows_lent, 0u);
        }
    }
}

TEST(PassedTunnel, LeavesNothingWhicheverOperationFails) {
    auto const out = frames(200'000, 30'000);
    auto const in = frames(200'000, 30'000, true);
    auto const faults = std::make_shared<Faults>();
    for (auto const capacity : {std::size_t{30'000}, ~std::size_t{0}}) {
        std::uint64_t total = 0;
        for (std::uint64_t n = 0; n <= total; ++n) {
            *faults = Faults{0, 0};
            auto options = with_capacity(capacity);
            options.faults = faults;
            Scenario s(options);
            begin(s);
            faults->fail_at = n == 0 ? 0 : faults->operations + n;
            auto const before = faults->operations;
            s.client().puts(in);
            s.upstream().sends(out);
            auto const got_in = s.upstream().received();
            auto const got_out = s.client().received();
            s.finish();
            EXPECT_TRUE(in.starts_with(got_in)) << n;
            EXPECT_TRUE(out.starts_with(got_out)) << n;
            if (n == 0) {
                total = faults->operations - before;
                EXPECT_TRUE(got_in == in && got_out == out);
            }
            if (::testing::Test::HasFailure()) FAIL() << "operation " << n << " of " << total;
        }
        EXPECT_GE(total, 10u);
    }
}

}  // namespace
}  // namespace ocgate::test
