// The status page as people read it.
#include "status_text.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "page_text.hpp"

namespace ocgate::app {
namespace {
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

json exchange(std::string id, double up, double down, json stalled = nullptr) {
    return {{"request_id", id},     {"stage", "tunnel"},      {"waits_for", nullptr},      {"method", "GET"},
            {"path", "/pty/" + id}, {"user", "alice"},        {"client", "192.0.2.7"},     {"age_seconds", 7205.5},
            {"request_bytes", up},  {"response_bytes", down}, {"stalled_seconds", stalled}};
}

json page() {
    return {{"version", "0.1.0"},
            {"phase", "ready"},
            {"uptime_seconds", 7300},
            {"time_ms", 1'000'000},
            {"upstream", {{"address", "127.0.0.1:4096"}, {"up", true}, {"version", "1.18.33"}}},
            {"events", {{"connected", true}, {"heard_seconds_ago", 3.2}}},
            {"sessions", {{"idle", 4}, {"busy", 1}, {"retry", 0}}},
            {"pending", {{"permissions", 2}, {"questions", 0}}},
            {"outbox", {{"durable", true}, {"wanted", true}}},
            {"audit", {{"dropped", 0}}},
            {"targets", json::array()},
            {"silent_shards", json::array()},
            {"totals",
             {{"connections", 12},
              {"idle", 4},
              {"exchanges", 2},
              {"stages", {{"tunnel", 2}, {"dial", 0}}},
              {"upstreams_in_use", 2},
              {"upstreams_idle", 1},
              {"requests", 100},
              {"request_bytes", 1000},
              {"response_bytes", 5000}}},
            {"exchanges", {exchange("one", 10, 1000), exchange("two", 20, 2'500'000)}}};
}

TEST(StatusText, SaysWhatIsTrueOfAllOfItAndThenEachExchange) {
    EXPECT_EQ(status_text(page()),
              "ocgate 0.1.0, ready, up 2 h; 127.0.0.1:4096 answers, opencode 1.18.33; events heard 3 s ago\n"
              "12 connections, 4 of them idle; 2 exchanges: 2 tunnel; upstream: 2 in use, 1 idle\n"
              "1 sessions busy, 0 retrying; waiting for an answer: 2 permissions, 0 questions\n"
              "\n"
              "Age | Stage  | Waits For | Up   | Down   | Stalled | User  | Client    | Request ID | Request\n"
              "----+--------+-----------+------+--------+---------+-------+-----------+------------+-------------\n"
              "2 h | tunnel |           | 10 B | 1.0 kB |         | alice | 192.0.2.7 | one        | GET /pty/one\n"
              "2 h | tunnel |           | 20 B | 2.5 MB |         | alice | 192.0.2.7 | two        | GET /pty/two\n");
}

TEST(StatusText, SaysWhatIsWrong) {
    auto broken = page();
    broken["upstream"] = {{"address", "127.0.0.1:4096"}, {"up", false}, {"reason", "refused\x1b[31m"}};
    broken["events"]["connected"] = false;
    broken["silent_shards"] = {1, 3};
    broken["targets"] = {{{"name", "phone"}, {"breaker", "open"}, {"disabled", nullptr}, {"last_failure", "timed out"}},
                         {{"name", "team"}, {"breaker", "closed"}, {"disabled", "401"}, {"last_failure", nullptr}},
                         {{"name", "fine"}, {"breaker", "closed"}, {"disabled", nullptr}, {"last_failure", "once"}}};
    broken["outbox"]["durable"] = false;
    broken["audit"]["dropped"] = 7;
    broken["spending"] = {{"blocked_until", "2026-11-27T00:00:00Z"},
                          {"periods",
                           {{{"period", "day"}, {"spent_usd", 20.125}, {"budget_usd", 20}},
                            {{"period", "month"}, {"spent_usd", 31}, {"budget_usd", nullptr}}}}};
    auto const text = status_heading(broken);
    EXPECT_THAT(text, AllOf(HasSubstr("does not answer: refused"), HasSubstr("events not heard"),
                            HasSubstr("no answer from thread 1 3"), HasSubstr("target phone fails: timed out\n"),
                            HasSubstr("target team is disabled: 401\n"), HasSubstr("in memory only\n"),
                            HasSubstr("7 lines of the audit were lost\n"),
                            HasSubstr("; spent 20.12 USD of 20.00 this day, 31.00 USD this month\n"),
                            HasSubstr("new prompts are refused until 2026-11-27T00:00:00Z\n"), Not(HasSubstr("fine")),
                            Not(HasSubstr("\x1b"))));
}

TEST(StatusText, APageOfAnotherVersionIsReadAsFarAsItGoes) {
    for (auto const& odd : {json::object(), json{{"exchanges", 7}, {"totals", "x"}, {"targets", {1, "a", nullptr}}},
                            json{{"exchanges", {1, nullptr, {{"path", 3}}}}}}) {
        EXPECT_THAT(status_text(odd), StartsWith("ocgate "));
        EXPECT_THAT(top_text(odd, &odd, 10), StartsWith("ocgate "));
    }
}

TEST(TopText, HasRatesSinceTheLastLook) {
    auto const before = page();
    auto now = page();
    now["time_ms"] = 1'002'000;
    now["totals"]["requests"] = 107;
    now["totals"]["response_bytes"] = 5000 + 4'000'000;
    now["exchanges"] = {exchange("one", 10, 1000), exchange("two", 120, 6'500'000), exchange("new", 0, 300)};
    now["totals"]["exchanges"] = 3;
    auto const text = top_text(now, &before, 10);
    EXPECT_THAT(text, HasSubstr("3.5 requests/s; 0 B/s up, 2.0 MB/s down\n"));
    EXPECT_THAT(text, HasSubstr("| 50 B | 2.0 MB | 120 B | 6.5 MB |"));
    EXPECT_LT(text.find("/pty/two"), text.find("/pty/new")) << "who moves most comes first";
    EXPECT_LT(text.find("/pty/new"), text.find("/pty/one"));
    EXPECT_THAT(top_text(now, nullptr, 10), Not(HasSubstr("/s up"))) << "nothing to compare it with";
    auto restarted = now;
    restarted["totals"]["requests"] = 3;
    EXPECT_THAT(top_text(restarted, &before, 10), HasSubstr("0.0 requests/s")) << "not less than none";
}

TEST(TopText, ShowsWhoStallsFirstAndAsManyAsThereIsRoomFor) {
    auto now = page();
    now["exchanges"].push_back(exchange("stuck", 0, 1, 12.0));
    now["totals"]["exchanges"] = 30;
    auto const text = top_text(now, nullptr, 2);
    EXPECT_LT(text.find("/pty/stuck"), text.find("/pty/one"));
    EXPECT_THAT(text, AllOf(HasSubstr("| 12 s "), Not(HasSubstr("/pty/two")), HasSubstr("\n(and 28 more)\n")));
}

TEST(BytesText, CountsInThousands) {
    EXPECT_EQ(bytes_text(0), "0 B");
    EXPECT_EQ(bytes_text(999), "999 B");
    EXPECT_EQ(bytes_text(1000), "1.0 kB");
    EXPECT_EQ(bytes_text(9949), "9.9 kB");
    EXPECT_EQ(bytes_text(9950), "10 kB");
    EXPECT_EQ(bytes_text(999'499), "999 kB");
    EXPECT_EQ(bytes_text(999'500), "1.0 MB");
    EXPECT_EQ(bytes_text(12'345'678'901), "12 GB");
    EXPECT_EQ(bytes_text(1e19), "10000 PB");
}

}  // namespace
}  // namespace ocgate::app
