// The gateway's own pages, asked as anybody who has logged in may ask them. What fills them is in
// tests/integration/notify_test.py.
#include "own_pages.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ocgate/notify/sinks.hpp"
#include "support/bench.hpp"

namespace ocgate::app {
namespace {
using namespace std::chrono_literals;
using nlohmann::json;
using proxy::PageAnswer;
using proxy::PageRequest;
using testing::HasSubstr;
using testing::StartsWith;

class OwnPagesTest : public testing::Test {
protected:
    OwnPagesTest() {
        herald.start();
        bench.settle();
    }
    ~OwnPagesTest() override {
        auto const stopped = bench.start(herald.stop(bench.clock.now() + 1s));
        bench.advance(2s);
        EXPECT_TRUE(*stopped);
        bool gone = false;
        follower.stop([&] { gone = true; });
        bench.advance(1s);
        EXPECT_TRUE(gone);
    }

    bridge::HeraldNeeds needs() {
        bridge::HeraldListener listener;
        listener.line = [this](std::string_view, std::string_view) { ++lines; };
        return {.executor = bench.io.get_executor(),
                .deadlines = bench.deadlines,
                .store = store,
                .disk = std::nullopt,
                .wall = wall,
                .random = [] { return 0.5; },
                .pending = [](std::string_view) { return false; },
                .retries = [](std::string_view) { return false; },
                .look_at = [](std::string const&) {},
                .root_of = [](opencode::Act const& act) { return act.session; },
                .listener = std::move(listener)};
    }
    static bridge::HeraldSettings settings() {
        bridge::HeraldSettings made;
        made.targets = [] {
            std::vector<notify::CourierTarget> targets(1);
            targets[0].name = "lines";
            targets[0].sink = notify::make_log();
            return targets;
        };
        return made;
    }

    PageAnswer ask(std::string method, std::string path, std::string body = {}, std::string type = "application/json",
                   std::string accept = {}) {
        PageRequest request;
        request.method = std::move(method);
        request.target = "/_ocgate" + std::move(path);
        request.body = std::move(body);
        request.content_type = std::move(type);
        request.accept = std::move(accept);
        request.request_id = "7f3a";
        auto const answer = bench.start(pages.answer(std::move(request)));
        bench.advance(1s);
        EXPECT_TRUE(answer->has_value());
        return answer->has_value() ? **answer : PageAnswer{};
    }
    /// opencode says so on its event stream; whatever else it is asked it does not answer.
    void hear(std::vector<std::string> const& events) {
        follower.start();
        bench.settle();
        auto& stream = dialer->ends.at(0);
        stream.take();
        stream.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        stream.send("data: {\"payload\":{\"type\":\"server.connected\",\"properties\":{}}}\n\n");
        for (auto const& event : events) stream.send("data: " + event + "\n\n");
        bench.settle();
    }
    PageAnswer mute(std::string body) { return ask("POST", "/notifications/mute", std::move(body)); }

    test::Bench bench;
    notify::WallClock wall = [this] {
        return std::chrono::system_clock::time_point(1'700'000'000s) +
               std::chrono::duration_cast<std::chrono::system_clock::duration>(bench.clock.now().time_since_epoch());
    };
    int lines = 0;
    std::shared_ptr<test::ScriptedDialer> dialer = std::make_shared<test::ScriptedDialer>();
    notify::Store store{std::move(*notify::Outbox::in_memory())};
    bridge::Herald herald{needs(), settings()};
    opencode::Follower follower{
        bench.resources, {.tap = {.dialer = dialer, .host = "h", .authorization = {}}}, {}, [] { return 0.0; }};
    ops::Log log{{.level = ops::LogLevel::off}};
    ops::Audit audit{log};
    ops::Health health;
    std::vector<std::string> changed;
    // What the two shards say; one that says nothing keeps its asker.
    std::array<std::optional<proxy::ShardView>, 2> views;
    std::vector<std::function<void(proxy::ShardView)>> kept;
    std::pair<std::size_t, proxy::First> last_asked{};
    StatusNeeds status() {
        return {.executor = bench.io.get_executor(),
                .deadlines = bench.deadlines,
                .wall = wall,
                .health = health,
                .log = log,
                .audit = audit,
                .herald = herald,
                .follower = follower,
                .shards = views.size(),
                .look =
                    [this](std::size_t shard, std::size_t most, proxy::First first,
                           std::function<void(proxy::ShardView)> told) {
                        last_asked = {most, first};
                        if (views[shard]) return told(*views[shard]);
                        kept.push_back(std::move(told));
                    },
                .route_name = [](std::uint16_t route) { return "/route/" + std::to_string(route); },
                .upstream = [] { return std::string("127.0.0.1:4096"); },
                .started = wall() - 90s};
    }
    OwnPages pages{herald,
                   follower,
                   bench.deadlines,
                   wall,
                   status(),
                   [this](PageRequest const& request, PageAnswer const& answer) {
                       changed.push_back(request.method + " " + request.target + " " + std::to_string(answer.status));
                   }};
};

proxy::ExchangeView exchange(std::string id, rt::Duration age) {
    proxy::ExchangeView made;
    made.request_id = std::move(id);
    made.method = "GET";
    made.path = "/event";
    made.user = "alice";
    made.client_address = "192.0.2.7";
    made.route = 7;
    made.stage = proxy::Stage::event_stream;
    made.awaited = Side::client;
    made.age = age;
    made.request_bytes = 1;
    made.response_bytes = 2000;
    made.stalled = 1500ms;
    return made;
}

proxy::ShardView shard(std::vector<proxy::ExchangeView> exchanges) {
    proxy::ShardView view;
    view.at[static_cast<std::size_t>(proxy::Stage::event_stream)] = exchanges.size();
    view.connections = exchanges.size() + 1;
    view.idle = 1;
    view.upstreams_in_use = exchanges.size();
    view.upstreams_idle = 2;
    view.requests = 10;
    view.request_bytes = 100;
    view.response_bytes = 1000;
    view.exchanges = std::move(exchanges);
    return view;
}

TEST_F(OwnPagesTest, TheStatusIsThatOfAllShards) {
    health.enter(ops::Phase::ready);
    health.set_upstream({.known = true, .up = true, .version = "1.18.33", .reason = {}, .took = 3ms});
    views = {shard({exchange("a", 10s), exchange("b", 3s)}), shard({exchange("c", 5s)})};
    hear({});
    auto const answer = ask("GET", "/status");
    ASSERT_EQ(answer.status, 200u);
    auto const page = json::parse(answer.body);
    EXPECT_EQ(page["phase"], "ready");
    EXPECT_EQ(page["uptime_seconds"], 90);
    EXPECT_EQ(page["upstream"]["up"], true);
    EXPECT_EQ(page["upstream"]["version"], "1.18.33");
    EXPECT_EQ(page["upstream"]["address"], "127.0.0.1:4096");
    EXPECT_EQ(page["events"]["connected"], true);
    EXPECT_EQ(page["targets"][0]["name"], "lines");
    EXPECT_EQ(page["silent_shards"], json::array());
    EXPECT_EQ(page["totals"]["connections"], 5);
    EXPECT_EQ(page["totals"]["exchanges"], 3);
    EXPECT_EQ(page["totals"]["stages"]["event_stream"], 3);
    EXPECT_EQ(page["totals"]["stages"]["dial"], 0);
    EXPECT_EQ(page["totals"]["upstreams_idle"], 4);
    EXPECT_EQ(page["totals"]["requests"], 20);
    EXPECT_EQ(page["shards"].size(), 2u);
    std::string order;
    for (auto const& one : page["exchanges"]) order += one["request_id"].get<std::string>();
    EXPECT_EQ(order, "acb");
    auto first = page["exchanges"][0];
    EXPECT_EQ(first, json::parse(R"({"request_id":"a","shard":0,"stage":"event_stream","waits_for":"client",
        "method":"GET","route":"/route/7","path":"/event","user":"alice","client":"192.0.2.7","age_seconds":10.0,
        "request_bytes":1,"response_bytes":2000,"stalled_seconds":1.5})"));
    EXPECT_TRUE(changed.empty());
}

TEST_F(OwnPagesTest, AShardThatDoesNotAnswerIsNamed) {
    views = {shard({exchange("a", 10s)}), std::nullopt};
    auto const page = json::parse(ask("GET", "/status").body);
    EXPECT_EQ(page["silent_shards"], json::array({1}));
    EXPECT_EQ(page["totals"]["exchanges"], 1);
    auto const text = ask("GET", "/status", {}, {}, "text/plain").body;
    EXPECT_THAT(text, HasSubstr("no answer from thread 1"));
    ASSERT_EQ(kept.size(), 2u);
    for (auto const& late : kept) late(shard({}));  // nobody waits for it any more
    bench.settle();
}

TEST_F(OwnPagesTest, WhoWaitsForAShardIsLetGoWhenTheGatewayEnds) {
    PageRequest request;
    request.method = "GET";
    request.target = "/_ocgate/status";
    auto const answer = bench.start(pages.answer(std::move(request)));
    bench.settle();
    EXPECT_FALSE(answer->has_value());
    pages.stop();
    bench.settle();
    ASSERT_TRUE(answer->has_value());
    EXPECT_EQ(json::parse((*answer)->body)["silent_shards"], json::array({0, 1}));
}

TEST_F(OwnPagesTest, TheStatusListsAsManyAsItIsAskedFor) {
    std::vector<proxy::ExchangeView> many;
    for (int i = 0; i < 1000; ++i) many.push_back(exchange("m" + std::to_string(i), std::chrono::seconds(i)));
    views = {shard(many), shard(many)};
    EXPECT_EQ(json::parse(ask("GET", "/status").body)["exchanges"].size(), 1000u);
    EXPECT_EQ(last_asked, std::pair(std::size_t{1000}, proxy::First::oldest));
    auto const page = json::parse(ask("GET", "/status?most=3&first=newest").body);
    EXPECT_EQ(last_asked, std::pair(std::size_t{3}, proxy::First::newest));
    ASSERT_EQ(page["exchanges"].size(), 3u);
    EXPECT_EQ(page["exchanges"][0]["request_id"], "m0");
    EXPECT_EQ(page["totals"]["exchanges"], 2000);
    for (auto const* wrong : {"most=1001", "most=x", "most=", "first=last", "what=1"})
        EXPECT_EQ(ask("GET", std::string("/status?") + wrong).status, 400u) << wrong;
    EXPECT_THAT(ask("GET", "/status?most=2", {}, {}, "text/plain").body, HasSubstr("\n(and 1998 more)\n"));
}

TEST_F(OwnPagesTest, WhatIsChangedIsTold) {
    mute(R"({"for":"2h"})");
    mute("[");
    (void)ask("GET", "/pending");
    (void)ask("DELETE", "/status");
    EXPECT_THAT(changed, testing::ElementsAre("POST /_ocgate/notifications/mute 200",
                                              "POST /_ocgate/notifications/mute 400", "DELETE /_ocgate/status 405"));
}

TEST_F(OwnPagesTest, AnswersWhatThereIsWithTheMethodsThereAre) {
    struct Case {
        char const *method, *path;
        unsigned status;
        char const* allow;
    };
    for (auto const& [method, path, status, allow] : std::initializer_list<Case>{
             {"GET", "/pending", 200, ""},
             {"HEAD", "/sessions/", 200, ""},
             {"GET", "/notifications?x=/pending", 200, ""},
             {"POST", "/pending", 405, "GET, HEAD"},
             {"GET", "/notifications/test", 405, "POST"},
             {"DELETE", "/notifications/targets/lines/enable", 405, "POST"},
             {"POST", "/notifications/targets/lines/enable", 200, ""},
             {"POST", "/notifications/targets/nobody/enable", 404, ""},
             {"POST", "/notifications/targets/lines%2Fenable", 404, ""},
             {"POST", "/notifications/targets//enable", 404, ""},
             {"POST", "/notifications/targets/enable", 404, ""},
             {"GET", "", 404, ""},
             {"GET", "?", 404, ""},
             {"GET", "/", 404, ""},
             {"GET", "//pending", 404, ""},
         }) {
        auto const answer = ask(method, path);
        EXPECT_EQ(answer.status, status) << method << ' ' << path;
        EXPECT_EQ(answer.allow, allow) << method << ' ' << path;
        if (status == 200) continue;
        EXPECT_EQ(json::parse(answer.body)["error"]["request_id"], "7f3a") << path;
    }
}

TEST_F(OwnPagesTest, TakesNothingButSmallObjectsOfTheRightSort) {
    EXPECT_EQ(mute(R"({"for":"2h"})").status, 200u);
    EXPECT_EQ(ask("POST", "/notifications/mute", R"({"for":"2h"})", "text/plain").status, 415u);
    for (auto const* body : {"", "{", "[]", "\"2h\"", "{}", R"({"for":2})", R"({"for":"-1h"})", R"({"for":"8d"})",
                             R"({"for":"1h","session":7})", "{\"for\":\"1h\",\"session\":\"\xff\"}"}) {
        EXPECT_EQ(mute(body).status, 400u) << body;
    }
    EXPECT_EQ(mute(json{{"for", "1h"}, {"session", std::string(129, 's')}}.dump()).status, 400u);
    EXPECT_EQ(mute(std::string(60'000, '[')).status, 400u) << "deep, and no end";
    EXPECT_EQ(mute("{\"for\":" + std::string(30'000, '[') + std::string(30'000, ']') + "}").status, 400u);
    EXPECT_EQ(ask("POST", "/notifications/test", R"({"target":7})").status, 400u);
    EXPECT_EQ(ask("POST", "/notifications/test", R"({"target":"\u001b[31m"})").status, 404u);
}

TEST_F(OwnPagesTest, MutesAreListedUntilTheyAreEnded) {
    auto const muted = json::parse(mute(R"({"for":"2h","session":"ses_1"})").body)["mutes"];
    ASSERT_EQ(muted.size(), 1u);
    EXPECT_EQ(muted[0]["session"], "ses_1");
    EXPECT_EQ(json::parse(ask("GET", "/notifications").body)["mutes"], muted);
    EXPECT_EQ(json::parse(mute(R"({"for":"0","session":"ses_1"})").body)["mutes"], json::array());
}

TEST_F(OwnPagesTest, WhatOpencodeNamesIsShownWithoutItsCommandsAndASubagentIsMutedWithItsRoot) {
    auto const session = [](char const* id, char const* parent, char const* title) {
        json info{{"id", id}, {"directory", "/w"}, {"title", title}, {"time", {{"created", 1}, {"updated", 2}}}};
        if (*parent != 0) info["parentID"] = parent;
        json const payload{{"type", "session.updated"}, {"properties", {{"sessionID", id}, {"info", info}}}};
        return json{{"directory", "/w"}, {"payload", payload}}.dump();
    };
    json const asked{{"id", "per_1"},
                     {"sessionID", "ses_2"},
                     {"permission", "bash"},
                     {"patterns", {"ls"}},
                     {"metadata", {{"command", "ls \x1b]0;x\x07"}}},
                     {"always", json::array()}};
    json const payload{{"type", "permission.asked"}, {"properties", asked}};
    hear({session("ses_1", "", "Fix\x1b[31m\u009b\u202e it"), session("ses_2", "ses_1", "helper"),
          json{{"directory", "/w"}, {"payload", payload}}.dump()});
    auto const sessions = json::parse(ask("GET", "/sessions").body);
    EXPECT_EQ(sessions["connected"], true);
    EXPECT_EQ(sessions["total"], 2);
    auto const waiting = json::parse(ask("GET", "/pending").body)["pending"];
    ASSERT_EQ(waiting.size(), 1u);
    EXPECT_EQ(waiting[0]["session"]["id"], "ses_1") << "named after its root";
    EXPECT_EQ(waiting[0]["asked_by"], "ses_2");
    for (auto const* page : {"/sessions", "/pending"}) {
        // As JSON it is escaped: U+009B begins a terminal's command as ESC [ does, U+202E turns what follows round.
        auto const as_json = ask("GET", page).body;
        EXPECT_THAT(as_json, HasSubstr(R"(Fix\u001b[31m\u009b\u202e it)")) << page;
        EXPECT_TRUE(
            std::all_of(as_json.begin(), as_json.end(), [](char c) { return static_cast<signed char>(c) > 0; }));
        auto const table = ask("GET", page, {}, {}, "text/plain").body;
        EXPECT_THAT(table, HasSubstr("Fix [31m  it")) << page;
        EXPECT_EQ(table.find_first_of("\x1b\x07"), std::string::npos) << page;
    }
    auto const muted = json::parse(mute(R"({"for":"1h","session":"ses_2"})").body)["mutes"];
    ASSERT_EQ(muted.size(), 1u);
    EXPECT_EQ(muted[0]["session"], "ses_1");
}

TEST_F(OwnPagesTest, ATargetNobodyWasToldThroughHasItsFiguresToo) {
    auto const target = json::parse(ask("GET", "/notifications").body)["targets"][0];
    for (auto const* name : {"queued", "sent", "dead", "dropped", "retried"})
        EXPECT_EQ(target.value(name, -1), 0) << name;
    EXPECT_EQ(target["disabled"], nullptr);
    EXPECT_EQ(target["breaker"], "closed");
}

TEST_F(OwnPagesTest, ATestIsSentAndShownAsATable) {
    auto const sent = json::parse(ask("POST", "/notifications/test", R"({"target":"lines"})").body)["targets"];
    EXPECT_EQ(sent, json::parse(R"([{"name":"lines","result":"sent"}])"));
    EXPECT_EQ(lines, 1);
    auto const table = ask("GET", "/notifications", {}, {}, "text/plain");
    EXPECT_THAT(table.content_type, StartsWith("text/plain"));
    EXPECT_THAT(table.body, HasSubstr("\nlines  | log  | closed  | 0      | 1"));
    EXPECT_THAT(ask("GET", "/pending", {}, {}, "text/plain, application/json").body, StartsWith("ID | Kind"));
    EXPECT_THAT(ask("GET", "/pending", {}, {}, "application/json, text/plain").body, StartsWith("{"));
    EXPECT_THAT(ask("GET", "/sessions", {}, {}, "text/plain").body, HasSubstr("not connected"));
}

}  // namespace
}  // namespace ocgate::app
