// Server-sent events: they leave as they arrive, for days, and whoever does not read them is cut off.
#include "messages.hpp"

namespace ocgate::test {
namespace {

constexpr std::string_view heartbeat = "4\r\n: \n\n\r\n";

void begin(Scenario& s) {
    s.client().sends(get("/event"));
    s.upstream().take();
    s.upstream().sends(stream_head);
    auto const head = s.client().take();
    EXPECT_THAT(head, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), EndsWith("\r\n\r\n"))) << "the head leaves at once";
    EXPECT_EQ(field(head, "Transfer-Encoding"), "chunked");
    EXPECT_EQ(s.notebook().streams_open, 1);
}

Reason closed_for(Scenario& s) {
    EXPECT_EQ(s.notebook().closed_reasons.size(), 1u);
    return s.notebook().closed_reasons.empty() ? Reason::internal : s.notebook().closed_reasons.front();
}

TEST(EventStream, PassesEachEventOnInTheTurnItArrives) {
    Scenario s;
    begin(s);
    for (int i = 0; i < 5; ++i) {
        auto const event = "data: {\"n\":" + std::to_string(i) + "}\n\n";
        s.upstream().sends(chunk(event));
        EXPECT_EQ(s.client().take(), chunk(event));
        EXPECT_EQ(s.client().writes(), 2u + static_cast<std::size_t>(i)) << "one write each";
        s.advance(10s);
    }
    EXPECT_EQ(s.notebook().exchanges.size(), 0u);
    EXPECT_EQ(s.shard().load().windows_lent, 0u) << "an idle stream costs no window";
}

TEST(EventStream, HasNoDeadline) {
    Scenario::Options options;
    options.limits.heartbeat = 0s;
    options.limits.first_byte = 5s;
    Scenario s(options);
    begin(s);
    s.advance(100h);
    EXPECT_EQ(s.client().take(), "");
    s.upstream().sends(chunk("data: 1\n\n"));
    EXPECT_EQ(s.client().take(), chunk("data: 1\n\n"));
}

TEST(EventStream, CostsNoWindowAfterALargeHead) {
    Scenario s;
    s.client().sends(get("/event", "Cookie: " + std::string(5000, 'c') + "\r\n"));
    s.upstream().sends(stream_head);
    EXPECT_EQ(s.shard().load().windows_lent, 0u);
    s.client().ends();
    EXPECT_TRUE(s.upstream().closed());
}

TEST(EventStream, FillsSilenceBetweenEvents) {
    Scenario s;
    begin(s);
    s.advance(14'999ms);
    EXPECT_EQ(s.client().take(), "");
    s.advance(1ms);
    EXPECT_EQ(s.client().take(), heartbeat);
    s.advance(10s);
    s.upstream().sends(chunk("data: 1\n\n"));
    EXPECT_EQ(s.client().take(), chunk("data: 1\n\n"));
    s.advance(14'999ms);
    EXPECT_EQ(s.client().take(), "");
    s.advance(15'001ms);
    EXPECT_EQ(s.client().take(), std::string(heartbeat) + std::string(heartbeat));
}

TEST(EventStream, NeverPutsACommentInsideAnEvent) {
    for (auto const* part :
         {"data: 1", "data: 1\n", "data: 1\r\n", "data: 1\r", ": comment\n", "data: 1\n\ndata: 2\n"}) {
        Scenario s;
        begin(s);
        s.upstream().sends(chunk(part));
        EXPECT_EQ(s.client().take(), chunk(part));
        s.advance(60s);
        EXPECT_EQ(s.client().take(), "") << part;
    }
    for (auto const* part : {"data: 1\n\n", "data: 1\r\n\r\n", "data: 1\r\r", "data: 1\n\r\n", "\n", ": comment\n\n"}) {
        Scenario s;
        begin(s);
        s.upstream().sends(chunk(part));
        s.client().take();
        s.advance(15s);
        EXPECT_EQ(s.client().take(), heartbeat) << part;
    }
}

TEST(EventStream, NeverPutsACommentInsideAChunkThatIsStillComing) {
    Scenario s;
    begin(s);
    s.upstream().sends("20\r\ndata: 1\n\n");  // the event is whole, its chunk is not; ours are our own
    EXPECT_EQ(s.client().take(), chunk("data: 1\n\n"));
    s.advance(15s);
    EXPECT_EQ(s.client().take(), heartbeat);
    s.upstream().sends("data: twenty-two bytes\n\r\n");
    EXPECT_EQ(s.client().take(), chunk("data: twenty-two bytes\n"));
    s.advance(15s);
    EXPECT_EQ(s.client().take(), "");
}

TEST(EventStream, EndsTheUpstreamAtOnceWhenTheClientLeaves) {
    for (bool reset : {false, true}) {
        Scenario s;
        begin(s);
        s.upstream().sends(chunk("data: 1\n\n"));
        reset ? s.client().resets() : s.client().ends();
        EXPECT_TRUE(s.upstream().closed());
        EXPECT_TRUE(s.client().closed());
        EXPECT_EQ(closed_for(s), Reason::gone);
        EXPECT_EQ(s.notebook().exchanges.at(0).response_bytes, 9u);
        EXPECT_TRUE(s.notebook().exchanges.at(0).stream);
    }
}

TEST(EventStream, EndsTheUpstreamWhenAClientThatDoesNotReadLeaves) {
    Scenario::Options options;
    options.capacity = 1000;
    Scenario s(options);
    begin(s);
    s.client().stops_reading();
    s.upstream().sends(chunk("data: " + std::string(50'000, 'x') + "\n\n"));
    s.client().ends();
    EXPECT_TRUE(s.upstream().closed()) << "it must not wait for a client that is gone";
    EXPECT_EQ(closed_for(s), Reason::gone);
}

TEST(EventStream, PassesItsEndOn) {
    Scenario s;
    begin(s);
    s.upstream().sends(chunk("data: 1\n\n") + std::string(last_chunk));
    EXPECT_EQ(s.client().take(), chunk("data: 1\n\n") + std::string(last_chunk));
    EXPECT_FALSE(s.client().saw_end());
    EXPECT_EQ(closed_for(s), Reason{});
    s.client().sends(get("/next"));
    EXPECT_THAT(s.upstream(1).received(), StartsWith("GET /next ")) << "the stream's connection is not used again";
}

TEST(EventStream, MakesChunksOfAStreamThatEndsWithItsConnection) {
    Scenario s;
    s.client().sends(get("/event"));
    s.upstream().sends("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    EXPECT_EQ(body(s.client().take()), chunk("data: 1\n\n"));
    s.advance(15s);
    EXPECT_EQ(s.client().take(), heartbeat);
    s.upstream().ends();
    EXPECT_EQ(s.client().take(), last_chunk);
}

TEST(EventStream, LooksCutWhenItWasCut) {
    for (bool reset : {false, true}) {
        Scenario s;
        begin(s);
        s.upstream().sends(chunk("data: 1\n\n"));
        s.client().take();
        reset ? s.upstream().resets() : s.upstream().ends();
        EXPECT_EQ(s.client().received(), "") << "no last chunk";
        EXPECT_TRUE(s.client().closed());
        EXPECT_EQ(closed_for(s), Reason::cut_short);
    }
}

TEST(EventStream, CutsAClientThatStopsReading) {
    Scenario::Options options;
    options.capacity = 4096;
    Scenario s(options);
    begin(s);
    s.client().stops_reading();
    for (int i = 0; i < 100; ++i) s.upstream().sends(chunk("data: " + std::string(1000, 'x') + "\n\n"));
    EXPECT_LE(s.shard().load().windows_lent, 1u);
    s.advance(29'999ms);
    EXPECT_FALSE(s.client().closed());
    s.advance(1ms);
    EXPECT_TRUE(s.client().closed());
    EXPECT_TRUE(s.client().saw_reset()) << "what the kernel holds for it is given up";
    EXPECT_TRUE(s.upstream().closed());
    EXPECT_EQ(closed_for(s), Reason::stalled);
    EXPECT_EQ(s.notebook().exchanges.at(0).failure.side, Side::client);
}

TEST(EventStream, CutsAClientThatOnlySips) {
    Scenario::Options options;
    options.capacity = 2000;
    Scenario s(options);
    begin(s);
    s.client().stops_reading();
    s.upstream().sends(chunk("data: " + std::string(200'000, 'x') + "\n\n"));
    for (int i = 0; i < 40 && !s.client().closed(); ++i) {
        s.client().sip(10);
        s.advance(1s);
    }
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(closed_for(s), Reason::stalled);
}

TEST(EventStream, KeepsASlowClientForAsLongAsItTakesSixteenKibibytesInTheTime) {
    Scenario::Options options;
    options.capacity = 2000;
    Scenario s(options);
    begin(s);
    s.client().stops_reading();
    s.upstream().sends(chunk("data: " + std::string(200'000, 'x') + "\n\n"));
    for (int i = 0; i < 150; ++i) {
        s.client().sip(900);  // a window of 32 KiB takes 36 s
        s.advance(1s);
    }
    EXPECT_FALSE(s.client().closed());
    s.advance(34s);
    EXPECT_TRUE(s.client().closed()) << "the progress of before is no credit";
    EXPECT_EQ(closed_for(s), Reason::stalled);
}

TEST(EventStream, CutsAClientThatTakesNotEvenTheHead) {
    Scenario::Options options;
    options.capacity = 50;
    Scenario s(options);
    s.client().stops_reading();
    s.client().sends(get("/event"));
    s.upstream().sends(stream_head);
    s.advance(30s);
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(closed_for(s), Reason::stalled);
}

TEST(EventStream, CutsAClientThatTakesNoHeartbeat) {
    Scenario::Options options;
    options.capacity = 400;
    Scenario s(options);
    begin(s);
    s.client().stops_reading();
    s.advance(1h);
    EXPECT_TRUE(s.client().closed());
    EXPECT_EQ(closed_for(s), Reason::stalled);
}

TEST(EventStream, PassesAnEventOfThirtyMegabytesInBoundedMemory) {
    Scenario s;
    begin(s);
    auto const part = pattern(300'000);
    s.upstream().sends("1c9c386\r\ndata: ");  // 6 + 100 * 300,000 - 6 + 6 bytes: 30,000,006 with the empty line
    std::string got;
    std::size_t content = 0;
    for (int i = 0; i < 100; ++i) {
        s.upstream().puts(i < 99 ? part : part.substr(0, part.size() - 2));
        s.settle();
        EXPECT_LE(s.shard().load().windows_lent, 1u);
        EXPECT_LE(s.client().in_flight(), 64u * 1024);
        content += unchunked(s.client().take()).size();
    }
    s.upstream().sends("\n\n\r\n");
    content += unchunked(s.client().take()).size();
    EXPECT_EQ(content, 30'000'006u);
    s.advance(15s);
    EXPECT_EQ(s.client().take(), heartbeat);
}

TEST(EventStream, EndsForADrainAfterAWholeEventWithoutTheLastChunk) {
    Scenario s;
    begin(s);
    s.upstream().sends(chunk("data: 1\n\n"));
    s.client().take();
    s.shard().drain();
    s.settle();
    EXPECT_EQ(s.client().received(), "") << "a clean end would tell the SDK that there is nothing more to come";
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_TRUE(s.upstream().closed());
    EXPECT_EQ(closed_for(s), Reason::draining);
    s.advance(1s);
    EXPECT_TRUE(s.client().closed());
    EXPECT_FALSE(s.client().saw_reset()) << "what was sent is still to arrive";
}

TEST(EventStream, LeavesACodedStreamAlone) {
    for (bool coded : {false, true}) {
        Scenario s;
        s.client().sends(get("/event"));
        s.upstream().sends("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: " +
                           std::string(coded ? "gzip" : "identity") + "\r\nTransfer-Encoding: chunked\r\n\r\n");
        s.upstream().sends(chunk("\n\n"));
        s.client().take();
        s.advance(15s);
        EXPECT_EQ(s.client().take(), coded ? "" : heartbeat);
        s.upstream().sends(chunk("abc"));
        s.client().take();
        s.shard().drain();
        s.settle();
        EXPECT_EQ(s.client().received(), "") << "no last chunk";
        EXPECT_EQ(s.client().saw_end(), coded) << "there is no event's end to wait for";
    }
}

TEST(EventStream, FinishesTheEventBeforeItEndsForADrain) {
    Scenario s;
    begin(s);
    s.upstream().sends(chunk("data: on"));
    s.client().take();
    s.shard().drain();
    s.advance(5s);
    EXPECT_FALSE(s.client().saw_end());
    s.upstream().sends(chunk("e\n\ndata: two\n\n"));
    EXPECT_EQ(s.client().take(), chunk("e\n\n"));
    EXPECT_TRUE(s.client().saw_end());
}

TEST(EventStream, IsForcedInTheMiddleOfAnEvent) {
    Scenario s;
    begin(s);
    s.upstream().sends(chunk("data: on"));
    s.shard().drain();
    s.settle();
    s.shard().insist();
    s.settle();
    EXPECT_TRUE(s.client().closed());
    EXPECT_TRUE(s.upstream().closed());
}

TEST(EventStream, ServesAnOldClientBare) {
    Scenario s;
    s.client().sends("GET /event HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    s.upstream().sends(std::string(stream_head) + chunk("data: 1\n\n"));
    auto const answer = s.client().take();
    EXPECT_EQ(field(answer, "Transfer-Encoding"), "");
    EXPECT_EQ(field(answer, "Connection"), "close");
    EXPECT_EQ(body(answer), "data: 1\n\n");
    s.advance(15s);
    EXPECT_EQ(s.client().take(), ": \n\n");
    s.client().sends(get("/pipelined"));
    s.upstream().sends(last_chunk);
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_EQ(s.upstreams(), 1u) << "nothing comes after a body that ends with its connection";
}

TEST(EventStream, BreaksOffForAnOldClientWhenItWasCut) {
    Scenario s;
    s.client().sends("GET /event HTTP/1.0\r\n\r\n");
    s.upstream().sends(std::string(stream_head) + chunk("data: 1\n\n"));
    s.upstream().ends();
    EXPECT_TRUE(s.client().saw_reset());
}

TEST(EventStream, AddsNothingToAStreamOfKnownLength) {
    Scenario s;
    s.client().sends(get("/event"));
    s.upstream().sends("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 18\r\n\r\ndata: 1\n\n");
    EXPECT_EQ(body(s.client().take()), "data: 1\n\n");
    s.advance(60s);
    EXPECT_EQ(s.client().take(), "");
    s.upstream().sends("data: 2\n\n");
    EXPECT_EQ(s.client().take(), "data: 2\n\n");
    EXPECT_EQ(closed_for(s), Reason{});
    s.client().sends(get("/next"));
    EXPECT_THAT(s.upstream(1).received(), StartsWith("GET /next "));
}

TEST(EventStream, KeepsARequestThatCameMeanwhile) {
    Scenario s;
    s.client().sends(get("/event") + get("/second", "X: " + std::string(3000, 'x') + "\r\n"));
    s.upstream().take();
    s.upstream().sends(stream_head);
    s.upstream().sends(chunk("data: 1\n\n"));
    EXPECT_EQ(s.upstreams(), 1u);
    EXPECT_EQ(body(s.client().take()), chunk("data: 1\n\n"));
    s.upstream().sends(last_chunk);
    EXPECT_THAT(s.upstream(1).received(), AllOf(StartsWith("GET /second "), HasSubstr(std::string(3000, 'x'))));
    s.upstream(1).sends(ok("2"));
    EXPECT_THAT(s.client().take(), EndsWith("2"));
}

TEST(EventStream, MayAnswerAPostWhoseContentIsStillComing) {
    Scenario s;
    s.client().sends("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    s.upstream().sends(stream_head);
    EXPECT_EQ(field(s.client().take(), "Connection"), "close");
    s.client().sends("def");
    EXPECT_THAT(s.upstream().received(), EndsWith("abcdef"));
    s.upstream().sends(chunk("data: 1\n\n"));
    EXPECT_EQ(s.client().take(), chunk("data: 1\n\n"));
    s.client().ends();
    EXPECT_TRUE(s.upstream().closed());
}

TEST(EventStream, IsEndedByAnUploadThatGoesWrongAndSaysSo) {
    for (bool stalls : {true, false}) {
        Scenario::Options options;
        options.limits.body_bytes = 10;
        Scenario s(options);
        s.client().sends("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("abc"));
        s.upstream().sends(stream_head);
        if (stalls) s.advance(60s);
        if (!stalls) s.client().sends(chunk("eleven bytes"));
        EXPECT_TRUE(s.client().closed());
        EXPECT_TRUE(s.upstream().closed());
        auto const reason = stalls ? Reason::timed_out : Reason::body_too_large;
        EXPECT_EQ(closed_for(s), reason);
        auto const& failure = s.notebook().exchanges.at(0).failure;
        EXPECT_EQ(failure.side, Side::client);
        EXPECT_EQ(failure.step, Step::request_body);
        EXPECT_EQ(reason_of(failure), reason);
    }
}

TEST(EventStream, EndsOneWhoseHeadComesDuringADrain) {
    Scenario s;
    s.client().sends(get("/event"));
    s.shard().drain();
    s.settle();
    s.upstream().sends(std::string(stream_head) + chunk("data: 1\n\n"));
    EXPECT_EQ(field(s.client().received(), "Connection"), "close");
    EXPECT_TRUE(s.client().saw_end());
    EXPECT_TRUE(s.upstream().closed());
}

}  // namespace
}  // namespace ocgate::test
