#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sink_kit.hpp"
#include "text.hpp"

namespace ocgate::notify {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;
using Kind = Verdict::Kind;
using Pause = Verdict::Pause;

NtfySettings settings() {
    auto made = ntfy_at("oc-alerts", "https://ntfy.example.com").value();
    made.token = Secret("tk_0123456789abcdefghijklmnopqrs");
    return made;
}

std::unique_ptr<Sink> ntfy() { return make_ntfy(settings(), standing()); }

std::string error_body(int code) {
    return json{{"code", code}, {"http", code / 100}, {"error", "e"}, {"link", "l"}}.dump();
}

TEST(Ntfy, SaysWhatIsAskedInOneJsonPublish) {
    auto const sink = ntfy();
    auto const request = sink->publish(permission_message(), delivery());
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.url, "https://ntfy.example.com/");
    EXPECT_EQ(field_of(request, "Authorization"), "Bearer tk_0123456789abcdefghijklmnopqrs");
    EXPECT_EQ(field_of(request, "Content-Type"), "application/json");
    json const expected = {{"topic", "oc-alerts"},
                           {"title", "project-1 needs permission: bash"},
                           {"message", "“Fix the login” asks to use bash:\ngit push origin main"},
                           {"priority", 4},
                           {"tags", {"lock"}},
                           {"sequence_id", "per_01"}};
    EXPECT_EQ(body_of(request), expected);
}

TEST(Ntfy, TopicIsAUrlOrANameAtAServer) {
    struct Row {
        std::string_view topic, server, to_server, to_topic;
    };
    Row const good[] = {
        {"oc-1", "https://ntfy.sh", "https://ntfy.sh", "oc-1"},
        {"oc-1", "http://10.0.0.1:8080/", "http://10.0.0.1:8080", "oc-1"},
        {"oc-1", "https://a.example/base/", "https://a.example/base", "oc-1"},
        {"https://ntfy.sh/oc-1", "https://other.example", "https://ntfy.sh", "oc-1"},
        {"https://a.example/base/oc-1/", "", "https://a.example/base", "oc-1"},
        {"http://localhost:80/oc-1?x=1#y", "", "http://localhost:80", "oc-1"},
    };
    for (auto const& row : good) {
        auto const read = ntfy_at(row.topic, row.server);
        ASSERT_TRUE(read) << row.topic << ": " << read.error().why;
        EXPECT_EQ(read->server, row.to_server) << row.topic;
        EXPECT_EQ(read->topic, row.to_topic) << row.topic;
    }
    for (std::string_view const bad :
         {"", "a b", "ntfy.sh/x", "https://ntfy.sh", "https://ntfy.sh/", "docs", "ftp://a/b",
          "https://user:pass@ntfy.sh/oc", "https://ntfy.sh/a%20b", "https:///oc"})
        EXPECT_FALSE(ntfy_at(bad)) << bad;
    EXPECT_FALSE(ntfy_at(std::string(65, 'x')));
    EXPECT_FALSE(ntfy_at("oc", "ntfy.sh"));
    EXPECT_FALSE(ntfy_at("oc", "https://ntfy.sh/?q=1"));
    EXPECT_EQ(ntfy_at("oc")->message_bytes, 1000U);
    EXPECT_EQ(ntfy_at("oc", "https://own.example")->message_bytes, 4000U);
}

TEST(Ntfy, UserAndPasswordAreBasic) {
    auto with_user = settings();
    with_user.token = Secret();
    with_user.user = "u";
    with_user.password = Secret("p");
    EXPECT_EQ(field_of(make_ntfy(with_user, standing())->publish(permission_message(), delivery()), "Authorization"),
              "Basic dTpw");
    with_user.user.clear();
    EXPECT_EQ(field_of(make_ntfy(with_user, standing())->publish(permission_message(), delivery()), "Authorization"),
              "");
}

TEST(Ntfy, LimitsHoldWhateverTheTextIs) {
    for (auto const& piece : {"x", "ä", "🔔", "\"", "\\", "\n", "=?UTF-8?Q?a?= ", "\xFF", "e\xCC\x81"}) {
        std::string text;
        while (text.size() < 9000) text += piece;
        auto message = permission_message();
        message.title = message.body = text;
        for (auto const& request : {ntfy()->publish(message, delivery()), ntfy()->plain(message, delivery())}) {
            EXPECT_LT(request.body.size(), 8192U) << piece;
            auto const body = body_of(request);  // so it is well-formed UTF-8, too
            EXPECT_LE(body["message"].get<std::string>().size(), 4000U) << piece;
            EXPECT_LE(body.value("title", "").size(), 200U) << piece;
        }
        EXPECT_LE(body_of(ntfy()->plain(message, delivery()))["message"].get<std::string>().size(), 500U);
    }
    auto message = permission_message();
    message.body = std::string(3999, 'x') + "🔔🔔";
    auto const cut = body_of(ntfy()->publish(message, delivery()))["message"].get<std::string>();
    EXPECT_EQ(cut, std::string(3997, 'x') + "…");
}

TEST(Ntfy, EncodedWordsComeApartWhereTheServerWouldDecodeThem) {
    std::string const word = "=?UTF-8?B?eyJhIjoxfQ==?=";
    auto message = message_full_of(word);
    message.click_url = "https://gw.example/?" + word;
    auto body = body_of(ntfy()->publish(message, delivery()));
    EXPECT_THAT(body["message"].get<std::string>(), HasSubstr(word));  // the one field that is not decoded
    body.erase("message");
    EXPECT_FALSE(holds(body.dump(), "=?")) << body;
    EXPECT_THAT(body["title"].get<std::string>(), HasSubstr("=\xE2\x80\x8B?UTF-8?B?"));
    EXPECT_FALSE(body.contains("click"));
    // Not even when the halves meet only after what is invisible between them has gone.
    for (std::string const between : {"\x01", "\xE2\x80\xAE", "\xEF\xBB\xBF", "\xC2\x85"}) {
        auto hidden = body_of(ntfy()->publish(message_full_of("=" + between + "?UTF-8?B?eA==?="), delivery()));
        hidden.erase("message");
        EXPECT_FALSE(holds(hidden.dump(), "=?")) << hidden;
    }
}

TEST(Ntfy, ControlsAndBidiNeverLeave) {
    std::string const text =
        "a\x1B[31m\x07"
        "b\xE2\x80\xAE"
        "c\xE2\x81\xA6"
        "d\xEF\xBB\xBF"
        "e\xC2\x9B"
        "f\r\ng\x7F"
        "h";
    auto message = permission_message();
    message.title = message.body = text;
    auto const body = body_of(ntfy()->publish(message, delivery()));
    EXPECT_EQ(body["message"], "a[31mbcdef\ngh");
    EXPECT_EQ(body["title"], "a[31mbcdef gh");
}

TEST(Ntfy, JsonInATextStaysText) {
    auto const body = body_of(ntfy()->publish(message_full_of(R"(","topic":"evil","x":"\u0000)"), delivery()));
    EXPECT_EQ(body["topic"], "oc-alerts");
    EXPECT_FALSE(body.contains("x"));
}

TEST(Ntfy, OnlyHarmlessLinksAreClicked) {
    auto message = permission_message();
    for (std::string_view const good : {"https://gw.example/s/abc?x=1&y=2#z", "http://10.0.0.1:8080/a"}) {
        message.click_url = good;
        EXPECT_EQ(body_of(ntfy()->publish(message, delivery())).value("click", ""), good);
    }
    for (std::string_view const bad : {"javascript:alert(1)", "https://a/\n", "https://a/ b", "https://a/\"", ""}) {
        message.click_url = bad;
        EXPECT_FALSE(body_of(ntfy()->publish(message, delivery())).contains("click")) << bad;
    }
}

TEST(Ntfy, PriorityFollowsSilenceAndEscalation) {
    auto message = permission_message();
    auto const priority = [&] { return body_of(ntfy()->publish(message, delivery()))["priority"].get<int>(); };
    EXPECT_EQ(priority(), 4);
    message.silent = true;
    EXPECT_EQ(priority(), 2);
    message.silent = false;
    message.escalated = true;
    EXPECT_EQ(priority(), 5);
    message.escalated = false;
    message.priority = 99;
    EXPECT_EQ(priority(), 5);
}

TEST(Ntfy, OperatorsWordsTakeThePlaceOfOurs) {
    auto own = settings();
    own.words["permission"].title =
        std::make_shared<Template const>(Template::parse("{{project|upper}}: {{request.kind}}").value());
    auto const body = body_of(make_ntfy(own, standing())->publish(permission_message(), delivery()));
    EXPECT_EQ(body["title"], "PROJECT-1: bash");
    EXPECT_THAT(body["message"].get<std::string>(), HasSubstr("git push origin main"));
}

TEST(Ntfy, ClearsOnResolveAndClearsBeforeAReminder) {
    auto const sink = ntfy();
    EXPECT_TRUE(sink->capabilities().resolves);
    auto const cleared = sink->resolve(permission_message(), {"once", "alice", 0}, delivery("m1"));
    ASSERT_TRUE(cleared);
    EXPECT_EQ(cleared->method + " " + cleared->url, "PUT https://ntfy.example.com/oc-alerts/per_01/clear");
    EXPECT_EQ(field_of(*cleared, "Authorization"), "Bearer tk_0123456789abcdefghijklmnopqrs");
    auto const reminder = sink->remind(permission_message(), delivery("m1"));
    ASSERT_EQ(reminder.size(), 2U);
    EXPECT_EQ(reminder[0].url, cleared->url);
    EXPECT_EQ(body_of(reminder[1])["sequence_id"], "per_01");
    EXPECT_EQ(sink->judge(*cleared, answer(200, R"({"id":"a","event":"message_clear"})")).kind, Kind::delivered);
}

TEST(Ntfy, SequencesThatAreNoneBecomeSome) {
    auto const sequence = [](std::string of) {
        return body_of(ntfy()->publish(permission_message(), {"d", std::move(of), ""}))["sequence_id"]
            .get<std::string>();
    };
    auto const made = sequence("permission:per_1");
    EXPECT_THAT(made, testing::MatchesRegex("[-_A-Za-z0-9]+"));
    EXPECT_LE(made.size(), 64U);
    EXPECT_EQ(made, sequence("permission:per_1"));
    EXPECT_NE(made, sequence("permission:per_2"));
    EXPECT_EQ(sequence("per_2"), "per_2");
}

TEST(Ntfy, ServersWithoutSequencesAreNoticed) {
    auto const sink = ntfy();
    auto const request = sink->publish(permission_message(), delivery());
    auto const told = sink->judge(request, answer(200, R"({"id":"abc","sequence_id":"per_01","event":"message"})"));
    EXPECT_EQ(told.kind, Kind::delivered);
    EXPECT_EQ(told.remote_id, "abc");
    EXPECT_TRUE(sink->capabilities().resolves && sink->capabilities().replaces);
    EXPECT_EQ(sink->judge(request, answer(200, R"({"id":"abc","event":"message"})")).kind, Kind::delivered);
    EXPECT_FALSE(sink->capabilities().resolves || sink->capabilities().replaces);
    EXPECT_FALSE(sink->resolve(permission_message(), {}, delivery("abc")));
    EXPECT_EQ(sink->remind(permission_message(), delivery("abc")).size(), 1U);
    EXPECT_FALSE(body_of(sink->publish(permission_message(), delivery())).contains("sequence_id"));

    auto const other = ntfy();
    auto const clear = *other->resolve(permission_message(), {}, delivery("abc"));
    EXPECT_EQ(other->judge(clear, answer(404, error_body(40401))).kind, Kind::gone);
    EXPECT_FALSE(other->capabilities().resolves);
}

struct Row {
    unsigned status;
    int code;
    Kind kind;
    std::chrono::milliseconds wait;
    Pause pause;
};

TEST(Ntfy, EachCodeHasItsVerdict) {
    // 10:00:00 UTC: 14 hours to the new day.
    Row const rows[] = {
        {429, 42901, Kind::retry, 5s, Pause::target},      {429, 42908, Kind::retry, 14h, Pause::target},
        {429, 42909, Kind::disable, 0s, Pause::delivery},  {429, 42904, Kind::retry, 60s, Pause::target},
        {429, 42911, Kind::retry, 60s, Pause::target},     {429, 42999, Kind::retry, 0s, Pause::delivery},
        {401, 40101, Kind::disable, 0s, Pause::delivery},  {403, 40301, Kind::retry, 5s, Pause::target},
        {404, 40401, Kind::disable, 0s, Pause::delivery},  {400, 40014, Kind::rejected, 0s, Pause::delivery},
        {400, 40024, Kind::rejected, 0s, Pause::delivery}, {413, 41303, Kind::rejected, 0s, Pause::delivery},
        {507, 50701, Kind::rejected, 0s, Pause::delivery}, {507, 0, Kind::retry, 0s, Pause::delivery},
        {407, 0, Kind::retry, 0s, Pause::delivery},        {500, 50001, Kind::retry, 0s, Pause::delivery},
        {503, 0, Kind::retry, 0s, Pause::delivery},
    };
    for (auto const& row : rows) {
        auto const sink = ntfy();
        auto const verdict = sink->judge(sink->publish(permission_message(), delivery()),
                                         answer(row.status, row.code ? error_body(row.code) : "<html>"));
        EXPECT_EQ(verdict.kind, row.kind) << row.status << '/' << row.code;
        EXPECT_EQ(verdict.wait, row.wait) << row.status << '/' << row.code;
        EXPECT_EQ(verdict.pause, row.pause) << row.status << '/' << row.code;
        EXPECT_THAT(verdict.why, HasSubstr(std::to_string(row.status)));
    }
}

// The server answers 403 to whatever keeps it from reading its table of users, and not only to "no".
TEST(Ntfy, ASecond403IsBelieved) {
    auto now = test_now_s;
    auto const sink = make_ntfy(settings(), [&] { return standing(now)(); });
    auto const request = sink->publish(permission_message(), delivery());
    auto const no = answer(403, error_body(40301));
    auto const asked = [&] { return sink->judge(sink->publish(permission_message(), delivery()), no).kind; };
    EXPECT_EQ(asked(), Kind::retry);
    EXPECT_EQ(asked(), Kind::retry) << "it was under way with the first";
    now += 4;
    EXPECT_EQ(asked(), Kind::retry);
    now += 1;
    EXPECT_EQ(sink->judge(request, answer(503)).kind, Kind::retry) << "neither yes nor no";
    EXPECT_EQ(asked(), Kind::disable);
    EXPECT_EQ(asked(), Kind::retry) << "whoever enables it again has a doubt of their own";
    now += 5;
    EXPECT_EQ(sink->judge(request, answer(200, R"({"id":"a1"})")).kind, Kind::delivered);
    EXPECT_EQ(asked(), Kind::retry) << "it was let in meanwhile";
    now += 601;
    EXPECT_EQ(asked(), Kind::retry) << "that was long ago";
    now -= 3600;  // the clock was set back
    EXPECT_EQ(asked(), Kind::retry);
    now += 5;
    EXPECT_EQ(asked(), Kind::disable);
}

// The server waits for its table for seconds before it gives up, and for longer where it looks twice.
TEST(Ntfy, WhatWasSentBeforeTheFirst403IsNoSecondOne) {
    auto now = test_now_s;
    auto const sink = make_ntfy(settings(), [&] { return standing(now)(); });
    auto const made = [&] { return sink->publish(permission_message(), delivery()); };
    auto const no = answer(403, error_body(40301));
    auto const first = made();
    now += 4;
    auto const beside = made();
    now += 1;
    EXPECT_EQ(sink->judge(first, no).kind, Kind::retry);
    now += 9;
    EXPECT_EQ(sink->judge(beside, no).kind, Kind::retry) << "nobody doubted when it was sent";
    auto const again = made();
    auto const last = made();
    now += 5;
    EXPECT_EQ(sink->judge(again, no).kind, Kind::disable);
    EXPECT_EQ(sink->judge(last, no).kind, Kind::retry);
    now += 60;  // a person enables it
    EXPECT_EQ(sink->judge(made(), no).kind, Kind::retry) << "what was under way before is no doubt of theirs";
    now += 5;
    EXPECT_EQ(sink->judge(made(), no).kind, Kind::disable);
    now -= 300;  // the clock is set back, and a person enables it
    EXPECT_EQ(sink->judge(made(), no).kind, Kind::retry);
    now += 5;
    EXPECT_EQ(sink->judge(made(), no).kind, Kind::disable);
}

TEST(Ntfy, AnAnswerThatIsCutOffCountsIfItHoldsTheId) {
    auto const sink = ntfy();
    auto const request = sink->publish(permission_message(), delivery());
    auto cut = answer(200, R"({"id":"a1","sequence_id":"per_01"})");
    cut.whole = false;
    EXPECT_EQ(sink->judge(request, cut).kind, Kind::delivered);
    cut.body = R"({"id":"a1","sequence_id":"per)";
    auto const verdict = sink->judge(request, cut);
    EXPECT_EQ(verdict.kind, Kind::retry);
    EXPECT_THAT(verdict.why, HasSubstr("cut off"));
    EXPECT_TRUE(sink->capabilities().resolves) << "nothing was learnt of the server";
}

TEST(Ntfy, AnEmptyBucketNarrowsThePace) {
    auto now = test_now_s;
    auto const sink = make_ntfy(settings(), [&] { return standing(now)(); });
    EXPECT_EQ(sink->capabilities().burst, 60U);
    (void)sink->judge(sink->publish(permission_message(), delivery()), answer(429, error_body(42901)));
    EXPECT_EQ(sink->capabilities().burst, 1U);
    EXPECT_EQ(sink->capabilities().every, 5s);
    now += 3600;
    EXPECT_EQ(sink->capabilities().burst, 60U);
}

TEST(Ntfy, WhatAProxySaysIsNotTheServersWord) {
    auto const sink = ntfy();
    auto const request = sink->publish(permission_message(), delivery());
    auto const page = "<html>captive</html>";
    EXPECT_EQ(sink->judge(request, answer(200, page)).kind, Kind::retry);
    EXPECT_EQ(sink->judge(request, answer(404, page)).kind, Kind::retry);
    EXPECT_EQ(sink->judge(request, answer(302, page)).kind, Kind::retry);
    EXPECT_EQ(sink->judge(request, answer(301, page)).kind, Kind::disable);
    // A person has to mend what ntfy says itself; a page of a proxy's goes away again.
    for (unsigned const status : {401U, 403U}) {
        for (auto const& body : {std::string(page), std::string(), error_body(4010), error_body(40501)}) {
            auto const refused = sink->judge(request, answer(status, body));
            EXPECT_EQ(refused.kind, Kind::retry) << status << body;
            EXPECT_EQ(refused.wait, 10min) << "so that it counts as down";
            EXPECT_EQ(refused.pause, Pause::target);
            EXPECT_THAT(refused.why, HasSubstr("not by ntfy"));
        }
        EXPECT_EQ(sink->judge(request, answer(status, error_body(static_cast<int>(status) * 100 + 9))).kind,
                  status == 401 ? Kind::disable : Kind::retry);
    }
    auto const busy = sink->judge(request, answer(503, page, {{"retry-after", "120"}}));
    EXPECT_EQ(busy.wait, 120s);
    EXPECT_EQ(busy.pause, Pause::target);
    auto const dated = sink->judge(request, answer(429, page, {{"retry-after", "Sat, 22 Aug 2026 10:02:00 GMT"}}));
    EXPECT_EQ(dated.wait, 120s);
    for (auto const* nonsense : {"-5", "soon", "1e9", "inf", ""})
        EXPECT_EQ(sink->judge(request, answer(503, page, {{"retry-after", nonsense}})).wait, 0s) << nonsense;
    EXPECT_EQ(sink->judge(request, answer(503, page, {{"retry-after", "99999999"}})).wait, 24h);
}

TEST(Ntfy, AClearThatIsRefusedIsNoMessageRefused) {
    auto const sink = ntfy();
    auto const clear = *sink->resolve(permission_message(), {}, delivery("abc"));
    EXPECT_EQ(sink->judge(clear, answer(400, error_body(40049))).kind, Kind::gone);
    EXPECT_EQ(sink->judge(clear, answer(404, "<html>")).kind, Kind::retry);
    EXPECT_TRUE(sink->capabilities().resolves);
    EXPECT_EQ(sink->judge(clear, answer(503)).kind, Kind::retry);
    EXPECT_EQ(sink->judge(clear, answer(401, error_body(40101))).kind, Kind::disable);
}

TEST(Ntfy, SecretsAppearInNoVerdictAndNoName) {
    auto const sink = ntfy();
    std::string const token = "tk_0123456789abcdefghijklmnopqrs";
    auto const request = sink->publish(permission_message(), delivery());
    EXPECT_FALSE(holds(request.shown, token) || holds(request.shown, "oc-alerts")) << request.shown;
    for (unsigned status = 200; status < 600; ++status) {
        for (int const code : {0, 40101, 40301, 40401, 42901, 42908, 42909}) {
            json const echo = {{"code", code}, {"error", "Bearer " + token}, {"link", token}, {"id", token + "!"}};
            auto const verdict = ntfy()->judge(request, answer(status, echo.dump(), {{"retry-after", token}}));
            EXPECT_FALSE(holds(verdict.why, token) || holds(verdict.remote_id, token)) << verdict.why;
            EXPECT_FALSE(verdict.kind != Kind::delivered && verdict.why.empty()) << status;
        }
    }
}

}  // namespace
}  // namespace ocgate::notify
