// The same stories with every split of the bytes, with little room, and with each operation failing in its turn.
#include <functional>

#include "messages.hpp"
#include "ocgate/wire/boundary.hpp"

namespace ocgate::test {
namespace {

using Story = std::function<void(Scenario&, bool faultless)>;

std::string ws_request() {
    return get("/pty/1/connect",
               "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
}
std::string ws_answer() {
    return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
}

/// With a fault there may be fewer upstream connections than the story needs.
void says(Scenario& s, std::size_t k, std::string_view text) {
    s.settle();
    if (k < s.upstreams()) s.upstream(k).sends(text);
}

void rest(Scenario& s, bool faultless) {
    auto const content = pattern(3000);
    s.client().sends(get("/1") + get("/2", "Expect: 100-continue\r\n"));
    says(s, 0, "HTTP/1.1 103 Early Hints\r\n\r\n" + ok(content));
    says(s, 0, std::string(chunked_head) + chunk("abc") + chunk("de") + std::string(last_chunk));
    if (!faultless) return;
    auto const answers = s.client().received();
    EXPECT_THAT(answers, HasSubstr("\r\n\r\n" + content + "HTTP/1.1 200 OK\r\n"));
    EXPECT_EQ(unchunked(body(answers.substr(answers.find(content) + content.size()))), "abcde");
}

void upload(Scenario& s, bool faultless) {
    auto const content = pattern(2500);
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    says(s, 0, "HTTP/1.1 100 Continue\r\n\r\n");
    s.client().sends(chunk(content) + chunk("tail") + std::string(last_chunk));
    if (faultless) {
        bool whole = false;
        EXPECT_EQ(unchunked(body(s.upstream().received()), &whole), content + "tail");
        EXPECT_TRUE(whole);
    }
    says(s, 0, ok("done"));
    if (faultless) {
        EXPECT_THAT(s.client().received(), EndsWith("done"));
    }
}

void events(Scenario& s, bool faultless) {
    s.client().sends(get("/event", "Cookie: " + std::string(1500, 'c') + "\r\n"));
    says(s, 0, stream_head);
    std::string sent;
    for (auto const& event :
         {std::string("data: 1\n\n"), "data: " + pattern(2000) + "\r\n\r\n", std::string(":\n\n")}) {
        sent += event;
        says(s, 0, chunk(event));
    }
    s.advance(15s);
    sent += ": \n\n";
    says(s, 0, last_chunk);
    if (!faultless) return;
    bool whole = false;
    EXPECT_EQ(unchunked(body(s.client().received()), &whole), sent);
    EXPECT_TRUE(whole);
}

void tunnel(Scenario& s, bool faultless) {
    auto const input = pattern(2000);
    std::string const frame = std::string("\x82\x7e\x07\xd0", 4) + pattern(2000);
    s.client().sends(ws_request() + "early ");
    says(s, 0, ws_answer());
    s.client().sends(input);
    says(s, 0, frame);
    s.shard().drain();
    s.settle();
    if (faultless) {
        EXPECT_EQ(body(s.upstream().received()), "early " + input);
        EXPECT_EQ(body(s.client().received()), frame + wire::close_frame(1001, "gateway restarting"));
    }
    s.client().ends();
}

void early_answer(Scenario& s, bool faultless) {
    s.client().sends("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n" + std::string(4000, 'x'));
    says(s, 0, ok("enough"));
    s.client().sends(std::string(2000, 'x'));
    s.advance(1s);
    if (faultless) {
        EXPECT_THAT(s.client().received(), EndsWith("enough"));
    }
}

void stale(Scenario& s, bool faultless) {
    s.client().sends(get("/1"));
    says(s, 0, ok("1"));
    s.client().sends(get("/2"));
    if (s.upstreams() > 0) s.upstream(0).ends();
    says(s, 1, ok("2"));
    if (faultless) {
        EXPECT_THAT(s.client().received(), EndsWith("2"));
    }
}

struct Named {
    char const* name;
    Story story;
};
void PrintTo(Named const& named, std::ostream* out) { *out << named.name; }

class EveryStory : public ::testing::TestWithParam<Named> {};

TEST_P(EveryStory, IsTheSameForEverySplit) {
    for (std::size_t piece : {1u, 2u, 7u}) {
        Scenario::Options options;
        options.piece = piece;
        Scenario s(options);
        GetParam().story(s, true);
    }
}

TEST_P(EveryStory, IsTheSameWithLittleRoom) {
    for (std::size_t capacity : {1u, 3u, 100u}) {
        Scenario::Options options;
        options.capacity = capacity;
        Scenario s(options);
        GetParam().story(s, true);
    }
}

// What each failure leads to is told elsewhere; here only that nothing is left and every exchange is written down,
// which the end of a scenario asserts.
TEST_P(EveryStory, LeavesNothingWhicheverOperationFails) {
    auto const faults = std::make_shared<Faults>();
    std::uint64_t total = 0;
    for (std::size_t capacity : {std::size_t{64 * 1024}, std::size_t{300}}) {
        for (std::uint64_t n = 0; n <= total; ++n) {
            *faults = Faults{0, n};
            Scenario::Options options;
            options.faults = faults;
            options.capacity = capacity;
            {
                Scenario s(options);
                GetParam().story(s, n == 0);
                if (n == 0) total = faults->operations;
            }
            if (::testing::Test::HasFailure()) FAIL() << "operation " << n << " of " << total;
        }
        EXPECT_GT(total, 5u);
    }
}

INSTANTIATE_TEST_SUITE_P(Stories, EveryStory,
                         ::testing::Values(Named{"rest", rest}, Named{"upload", upload}, Named{"events", events},
                                           Named{"tunnel", tunnel}, Named{"early_answer", early_answer},
                                           Named{"stale", stale}),
                         [](auto const& named) { return named.param.name; });

}  // namespace
}  // namespace ocgate::test
