// Content and floods that go from socket to socket without being kept.
#include "messages.hpp"

namespace ocgate::test {
namespace {

constexpr std::size_t window_bytes = 32 * 1024;
constexpr std::size_t bulk_bytes = 8 * window_bytes;
constexpr std::size_t many = 3'000'000;
constexpr std::size_t capacities[] = {4000, 50'000, 400'000, ~std::size_t{0}};

Scenario::Options with_capacity(std::size_t capacity) {
    Scenario::Options options;
    options.capacity = capacity;
    return options;
}
std::string answer_head(std::size_t length) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}
std::string put_head(std::size_t length) {
    return "PUT /file HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}
/// In pieces as a network would bring them.
void send_in_pieces(End& end, std::string_view bytes, std::size_t piece = 300'000) {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) end.sends(bytes.substr(0, piece));
}
/// Whole comparison, without three megabytes of explanation.
::testing::AssertionResult same(std::string_view got, std::string_view wanted) {
    if (got == wanted) return ::testing::AssertionSuccess();
    auto const at = std::mismatch(got.begin(), got.end(), wanted.begin(), wanted.end()).first - got.begin();
    return ::testing::AssertionFailure() << got.size() << " bytes instead of " << wanted.size() << ", differ at " << at;
}

TEST(PassedDownload, ArrivesByteForByte) {
    auto const content = pattern(many);
    for (auto const capacity : capacities) {
        Scenario s(with_capacity(capacity));
        for (int i = 0; i < 2; ++i) {
            s.client().sends(get("/big"));
            s.upstream().take();
            send_in_pieces(s.upstream(), answer_head(many) + content);
            EXPECT_TRUE(same(body(s.client().take()), content)) << capacity;
            EXPECT_EQ(s.shard().load().idle_upstreams, 1u) << capacity;
            s.client().sends(get("/small"));
            EXPECT_THAT(s.upstream().take(), StartsWith("GET /small "));
            s.upstream().sends(ok("{}"));
            EXPECT_THAT(s.client().take(), EndsWith("\r\n\r\n{}"));
        }
        EXPECT_EQ(s.notebook().dials, 1) << "the connection behind it is as good as new";
        EXPECT_EQ(s.notebook().opened, 1);
        EXPECT_EQ(s.notebook().exchanges.at(0).response_bytes, many);
        EXPECT_FALSE(s.notebook().exchanges.at(0).failed);
        s.finish();
        EXPECT_GE(s.notebook().live().upstream.received.value(), 2 * many);
        EXPECT_GE(s.notebook().live().client.sent.value(), 2 * many);
    }
}

TEST(PassedDownload, TakesFewWrites) {
    Scenario s(with_capacity(~std::size_t{0}));
    s.client().sends(get("/big"));
    s.upstream().sends(answer_head(many) + pattern(many));
    EXPECT_EQ(body(s.client().take()).size(), many);
    EXPECT_LE(s.client().writes(), many / bulk_bytes + 4);
}

TEST(PassedDownload, IsTheSameForEverySplit) {
    auto const content = pattern(150'000);
    for (std::size_t const piece : {1000u, 20'000u, 33'000u}) {
        Scenario::Options options;
        options.piece = piece;
        Scenario s(options);
        s.client().sends(get("/big"));
        s.upstream().sends(ok(content));
        EXPECT_TRUE(same(body(s.client().take()), content)) << piece;
        s.client().sends(get("/next"));
        s.upstream(s.upstreams() - 1).sends(ok("x"));
        EXPECT_THAT(s.client().take(), EndsWith("x"));
    }
}

// Where the last pass ends the content exactly, nothing must make the connection look as if more had come.
TEST(PassedDownload, LeavesTheConnectionInOrderWhateverTheLength) {
    for (auto const after_first : {bulk_bytes, 2 * bulk_bytes, 3 * bulk_bytes, bulk_bytes + window_bytes,
                                   2 * bulk_bytes + window_bytes, bulk_bytes - 1, bulk_bytes + 1,
                                   bulk_bytes + window_bytes + 1, bulk_bytes + window_bytes - 1, window_bytes + 1}) {
        for (bool const head_alone : {false, true}) {
            Scenario s(with_capacity(~std::size_t{0}));
            // The head may be read with the first of the content, a window in all.
            auto head = answer_head(after_first + window_bytes);
            auto const length = head_alone ? after_first + window_bytes : after_first + window_bytes - head.size();
            head = answer_head(length);
            auto const content = pattern(length);
            for (int i = 0; i < 2; ++i) {
                s.client().sends(get("/big"));
                if (head_alone) s.upstream().sends(head);
                s.upstream().sends(head_alone ? content : head + content);
                EXPECT_TRUE(same(body(s.client().take()), content)) << after_first;
            }
            EXPECT_EQ(s.notebook().dials, 1) << after_first << (head_alone ? " behind a head alone" : "");
        }
    }
}

TEST(PassedDownload, NeverTakesBytesBehindTheContentForContent) {
    Scenario s(with_capacity(~std::size_t{0}));
    auto const content = pattern(many);
    s.client().sends(get("/big"));
    s.upstream().sends(ok(content) + ok("nobody asked for this"));
    EXPECT_TRUE(same(body(s.client().take()), content));
    EXPECT_TRUE(s.upstream(0).closed()) << "and the connection is not used again";
    s.client().sends(get("/next"));
    s.upstream(1).sends(ok("right"));
    EXPECT_THAT(s.client().take(), EndsWith("right"));
}

TEST(PassedDownload, HoldsNothingWhileTheClientIsSlow) {
    Scenario s(with_capacity(10'000));
    auto const content = pattern(many);
    s.client().sends(get("/big"));
    s.client().stops_reading();
    send_in_pieces(s.upstream(), answer_head(many) + content);
    std::string got;
    // What was read with the head is in a window until it has left.
    while (got.size() < window_bytes + 1000) got += s.client().sip(1000);
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(s.shard().load().windows_lent, 0u);
        EXPECT_LE(s.client().in_flight(), 10'000u);
        got += s.client().sip(777);
        s.advance(59s);
    }
    EXPECT_FALSE(s.client().closed()) << "slow, but it takes";
    while (s.client().in_flight() > 0) got += s.client().sip(100'000);
    EXPECT_TRUE(same(body(got), content));
    EXPECT_EQ(s.shard().load().idle_upstreams, 1u);
}

TEST(PassedDownload, EndsForAClientThatTakesNothingMore) {
    Scenario s(with_capacity(100'000));
    s.client().sends(get("/big"));
    s.client().stops_reading();
    s.upstream().sends(answer_head(many) + pattern(many));
    EXPECT_EQ(s.shard().load().windows_lent, 0u) << "it waits in the middle of passing";
    s.advance(60s - 1ms);
    EXPECT_FALSE(s.client().closed());
    s.advance(1ms);
    EXPECT_TRUE(s.client().closed());
    EXPECT_TRUE(s.upstream().closed());
    auto const& record = s.notebook().exchanges.at(0);
    EXPECT_EQ(reason_of(record.failure), Reason::timed_out);
    EXPECT_EQ(record.failure.side, Side::client);
    EXPECT_EQ(record.response_bytes, body(s.client().sip(~std::size_t{0})).size());
}

TEST(PassedDownload, EndsWithAClientThatLeavesInTheMiddle) {
    for (bool const reset : {false, true}) {
        Scenario s(with_capacity(100'000));
        s.client().sends(get("/big"));
        s.client().stops_reading();
        s.upstream().sends(answer_head(many) + pattern(many));
        EXPECT_FALSE(s.upstream().closed());
        reset ? s.client().resets() : s.client().ends();
        EXPECT_TRUE(s.upstream().closed()) << reset;
        EXPECT_TRUE(s.client().closed()) << reset;
        EXPECT_TRUE(s.notebook().exchanges.at(0).failed);
        EXPECT_EQ(s.notebook().exchanges.at(0).failure.side, Side::client);
        EXPECT_EQ(s.shard().load().windows_lent, 0u);
    }
}

TEST(PassedDownload, IsCutWithTheUpstream) {
    for (bool const reset : {false, true}) {
        Scenario s(with_capacity(~std::size_t{0}));
        auto const content = pattern(many);
        s.client().sends(get("/big"));
        s.upstream().sends(answer_head(many + 1) + content);
        reset ? s.upstream().resets() : s.upstream().ends();
        EXPECT_TRUE(same(body(s.client().received()), content)) << "what came is delivered";
        EXPECT_TRUE(s.client().closed());
        EXPECT_EQ(s.notebook().exchanges.at(0).failure.side, Side::upstream);
        EXPECT_EQ(s.notebook().exchanges.at(0).response_bytes, many);
        EXPECT_EQ(s.shard().load().idle_upstreams, 0u);
    }
}

TEST(PassedDownload, ServesPipelinedRequestsBehindIt) {
    Scenario s(with_capacity(50'000));
    auto const content = pattern(many);
    s.client().sends(get("/1") + get("/2") + post("/3", "abc") + get("/4"));
    for (int i = 1; i <= 4; ++i) {
        auto const request = s.upstream().take();
        EXPECT_THAT(request, HasSubstr(" /" + std::to_string(i) + " "));
        auto const answer = i % 2 == 1 ? content : std::to_string(i);
        s.upstream().sends(ok(answer));
        EXPECT_TRUE(same(body(s.client().take()), answer)) << i;
    }
    EXPECT_EQ(s.notebook().dials, 1);
}

// As far as it is not too long for that: from then on it is passed like any other.
TEST(PassedDownload, IsStillSeenWholeWhereSomebodyWatches) {
    for (auto const length : {proxy::Gatekeeper::watched_bytes, many}) {
        Scenario s(with_capacity(~std::size_t{0}));
        s.door().watched = "/ticket";
        auto const content = pattern(length);
        s.client().sends(get("/ticket"));
        s.upstream().sends(ok(content));
        EXPECT_TRUE(same(body(s.client().take()), content));
        ASSERT_EQ(s.door().seen.size(), length == many ? 0u : 1u);
        if (length < many) {
            EXPECT_TRUE(same(s.door().seen[0].body, content));
        } else {
            EXPECT_LE(s.client().writes(), 20u);
        }
        EXPECT_EQ(s.notebook().dials, 1);
    }
}

TEST(PassedDownload, ManyTakeTheirTurns) {
    Scenario s(with_capacity(50'000));
    auto const content = pattern(1'500'000);
    for (std::size_t i = 0; i < 10; ++i) s.connects().sends(get("/big"));
    std::vector<End*> upstreams;
    for (std::size_t i = 0; i < 10; ++i) upstreams.push_back(&s.upstream(i));
    for (auto* upstream : upstreams) upstream->puts(ok(content));
    s.settle();
    EXPECT_EQ(s.notebook().exchanges.size(), 10u);
    for (auto const& exchange : s.notebook().exchanges) EXPECT_EQ(exchange.response_bytes, content.size());
}

TEST(PassedUpload, ArrivesByteForByte) {
    auto const content = pattern(many);
    for (auto const capacity : capacities) {
        Scenario s(with_capacity(capacity));
        for (int i = 0; i < 2; ++i) {
            send_in_pieces(s.client(), put_head(many) + content + get("/next"));
            EXPECT_TRUE(same(body(s.upstream().take()), content)) << capacity;
            s.upstream().sends(ok("done"));
            EXPECT_THAT(s.client().take(), EndsWith("done"));
            EXPECT_THAT(s.upstream().take(), StartsWith("GET /next ")) << "what follows is the next request";
            s.upstream().sends(ok("2"));
            EXPECT_THAT(s.client().take(), EndsWith("2"));
        }
        EXPECT_EQ(s.notebook().dials, 1);
        EXPECT_EQ(s.notebook().opened, 1);
        EXPECT_EQ(s.notebook().exchanges.at(0).request_bytes, many);
        EXPECT_EQ(s.notebook().exchanges.at(2).request_bytes, many);
    }
}

TEST(PassedUpload, TakesFewWritesAndEndsWhereItsLengthSays) {
    for (auto const length : {bulk_bytes, 2 * bulk_bytes, 3 * bulk_bytes + window_bytes, 3 * bulk_bytes + 1}) {
        Scenario s(with_capacity(~std::size_t{0}));
        auto const content = pattern(length);
        s.client().sends(put_head(length));
        EXPECT_EQ(body(s.upstream().take()), "");
        s.client().sends(content);
        EXPECT_TRUE(same(s.upstream().take(), content));
        EXPECT_LE(s.upstream().writes(), length / bulk_bytes + 4);
        s.upstream().sends(ok("done"));
        EXPECT_THAT(s.client().take(), EndsWith("done"));
        s.client().sends(get("/next"));
        EXPECT_THAT(s.upstream().take(), StartsWith("GET /next "));
        s.upstream().sends(ok("2"));
        EXPECT_EQ(s.notebook().dials, 1);
    }
}

TEST(PassedUpload, HoldsNothingWhileTheUpstreamIsSlow) {
    Scenario s(with_capacity(10'000));
    auto const content = pattern(many);
    s.client().sends(put_head(many));
    s.upstream().take();
    s.upstream().stops_reading();
    send_in_pieces(s.client(), content);
    std::string got;
    while (got.size() < window_bytes + 1000) got += s.upstream().sip(1000);
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(s.shard().load().windows_lent, 0u);
        EXPECT_LE(s.upstream().in_flight(), 10'000u);
        got += s.upstream().sip(777);
        s.advance(59s);
    }
    while (s.upstream().in_flight() > 0) got += s.upstream().sip(100'000);
    EXPECT_TRUE(same(got, content));
    s.upstream().sends(ok("done"));
    EXPECT_THAT(s.client().take(), EndsWith("done"));
    EXPECT_EQ(s.shard().load().idle_upstreams, 1u);
}

TEST(PassedUpload, KeepsToTheLimitOfContent) {
    auto options = with_capacity(50'000);
    options.limits.body_bytes = 1'000'000;
    Scenario s(options);
    auto const content = pattern(1'000'000);
    s.client().sends(put_head(content.size()) + content);
    EXPECT_TRUE(same(body(s.upstream().take()), content)) << "as much as is allowed";
    s.upstream().sends(ok("done"));
    EXPECT_THAT(s.client().take(), EndsWith("done"));
    s.client().sends(put_head(content.size() + 1) + content);
    EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 413 "));
    EXPECT_EQ(s.upstream().take(), "");
    // Without a length it is counted, and so never passed unseen.
    auto& chunked = s.connects();
    chunked.sends("PUT /file HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    chunked.sends(chunk(content));
    chunked.sends(chunk("x"));
    EXPECT_THAT(chunked.received(), StartsWith("HTTP/1.1 413 "));
}

TEST(PassedUpload, EndsWithAClientThatLeavesOrAnUpstreamThatDoes) {
    for (bool const reset : {false, true}) {
        for (bool const upstream : {false, true}) {
            Scenario s(with_capacity(100'000));
            s.client().sends(put_head(many));
            s.upstream().take();
            s.upstream().stops_reading();
            s.client().sends(pattern(many / 2));
            EXPECT_EQ(s.shard().load().windows_lent, 0u);
            auto& leaves = upstream ? s.upstream() : s.client();
            reset ? leaves.resets() : leaves.ends();
            EXPECT_TRUE(s.upstream().closed()) << reset << upstream;
            if (upstream) {
                EXPECT_THAT(s.client().received(), StartsWith("HTTP/1.1 502 "));
            }
            EXPECT_TRUE(s.client().saw_end()) << reset << upstream;
            EXPECT_EQ(s.shard().load().windows_lent, 0u);
        }
    }
}

TEST(PassedUpload, StopsForAnEarlyAnswer) {
    for (auto const capacity : {std::size_t{10'000}, ~std::size_t{0}}) {
        Scenario s(with_capacity(capacity));
        s.client().sends(put_head(many));
        s.upstream().take();
        if (capacity == 10'000) s.upstream().stops_reading();
        s.client().sends(pattern(many / 2));
        s.upstream().sends("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
        EXPECT_THAT(s.client().received(), AllOf(StartsWith("HTTP/1.1 413 "), EndsWith("no")));
        EXPECT_TRUE(s.upstream().closed());
        EXPECT_TRUE(s.client().saw_end());
        s.advance(1s);
        EXPECT_TRUE(s.client().closed());
    }
}

/// Both ways at once: each direction looks into the same buffer.
TEST(PassedUpload, RunsBesideAnAnswerOfItsSize) {
    for (auto const capacity : capacities) {
        Scenario s(with_capacity(capacity));
        auto const up = pattern(many);
        std::string const down(up.rbegin(), up.rend());
        s.client().sends(put_head(many) + up.substr(0, 1000));
        auto seen = body(s.upstream().take());
        s.upstream().sends(answer_head(many));
        for (std::size_t at = 0; at < many; at += 200'000) {
            s.client().puts(
                std::string_view(up).substr(std::max<std::size_t>(at, 1000), 200'000 - (at == 0 ? 1000 : 0)));
            s.upstream().puts(std::string_view(down).substr(at, 200'000));
            s.settle();
        }
        seen += s.upstream().take();
        EXPECT_TRUE(same(seen, up)) << capacity;
        EXPECT_TRUE(same(body(s.client().received()), down)) << capacity;
    }
}

// What each failure leads to is told elsewhere; here that nothing wrong arrives and nothing is left, which the end of a
// scenario asserts.
TEST(Passed, LeavesNothingWhicheverOperationFails) {
    auto const content = pattern(200'000);
    auto const faults = std::make_shared<Faults>();
    for (auto const capacity : {std::size_t{30'000}, ~std::size_t{0}}) {
        std::uint64_t total = 0;
        for (std::uint64_t n = 0; n <= total; ++n) {
            *faults = Faults{0, n};
            auto options = with_capacity(capacity);
            options.faults = faults;
            Scenario s(options);
            s.client().sends(put_head(content.size()) + content);
            if (s.upstreams() > 0) {
                EXPECT_TRUE(content.starts_with(body(s.upstream(0).received()))) << n;
                s.upstream(0).sends(ok(content));
            }
            s.client().sends(get("/next"));
            if (s.upstreams() > 0) s.upstream(s.upstreams() - 1).sends(ok(content));
            auto const answers = s.client().received();
            s.finish();
            if (n == 0) {
                total = faults->operations;
                auto const second = answers.find("HTTP/1.1 200", 1);
                ASSERT_NE(second, std::string::npos);
                EXPECT_TRUE(same(body(answers.substr(0, second)), content));
                EXPECT_TRUE(same(body(answers.substr(second)), content));
            } else if (answers.starts_with("HTTP/1.1 200 ")) {
                auto const first = body(answers).substr(0, content.size());
                EXPECT_TRUE(content.starts_with(first)) << n;
            }
            if (::testing::Test::HasFailure()) FAIL() << "operation " << n << " of " << total;
        }
        EXPECT_GT(total, 15u);
    }
}

}  // namespace
}  // namespace ocgate::test
