#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sink_kit.hpp"
#include "sinks/rules.hpp"

namespace ocgate::notify {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Kind = Verdict::Kind;

constexpr std::string_view url = "https://hooks.example.com/in/s3cr3t-path?key=s3cr3t-key";
constexpr std::string_view key_text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

WebhookSettings settings() {
    auto made = webhook_at(url).value();
    made.keys.push_back(signing_key(key_text).value());
    return made;
}

std::unique_ptr<Sink> webhook(WebhookSettings made = settings(), std::int64_t now = test_now_s) {
    return make_webhook(std::move(made), standing(now));
}

std::string signature_of(HttpRequest const& request, std::string_view key) {
    return "v1," + base64(hmac_sha256(signing_key(key)->reveal(), field_of(request, "webhook-id") + "." +
                                                                      field_of(request, "webhook-timestamp") + "." +
                                                                      request.body));
}

TEST(Webhook, SignsAsStandardWebhooksDoes) {
    // The specification's own example.
    auto const key = signing_key(key_text).value();
    EXPECT_EQ(base64(hmac_sha256(key.reveal(), "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}")),
              "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    // And through the sink: id, time of the attempt, exact content.
    Delivery const one{"p5jXN8AQM9LWM0D4loKWxJek", "s", ""};
    auto const request = webhook(settings(), 1614265330)->publish(permission_message(), one);
    EXPECT_EQ(field_of(request, "webhook-id"), "msg_p5jXN8AQM9LWM0D4loKWxJek");
    EXPECT_EQ(field_of(request, "webhook-timestamp"), "1614265330");
    EXPECT_EQ(field_of(request, "webhook-signature"), signature_of(request, key_text));
}

TEST(Webhook, TwoKeysWhileOneReplacesTheOther) {
    std::string const next = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    auto both = settings();
    both.keys.push_back(signing_key(next).value());
    auto const request = webhook(both)->publish(permission_message(), delivery());
    EXPECT_EQ(field_of(request, "webhook-signature"),
              signature_of(request, key_text) + " " + signature_of(request, next));
    auto none = settings();
    none.keys.clear();
    EXPECT_EQ(field_of(webhook(none)->publish(permission_message(), delivery()), "webhook-signature"), "");
}

TEST(Webhook, KeysAreCheckedAndNeverRepeated) {
    EXPECT_EQ(signing_key(key_text)->reveal().size(), 24U);
    std::string const wrong[] = {"",
                                 "whsec_",
                                 "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                 "whsec_MfKQ",
                                 "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
                                 "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La!aSw",
                                 "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaL===",
                                 "whsec_" + std::string(88, 'A'),
                                 "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwA==="};
    for (auto const& text : wrong) {
        auto const read = signing_key(text);
        ASSERT_FALSE(read) << text;
        EXPECT_FALSE(holds(read.error().why, "MfKQ"));
    }
}

TEST(Webhook, TheEnvelopeIsStandardAndHoldsEverything) {
    auto const request = webhook()->publish(permission_message(), delivery());
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.url, url);
    EXPECT_EQ(field_of(request, "Content-Type"), "application/json");
    auto const body = body_of(request);
    EXPECT_EQ(body["type"], "opencode.permission.asked");
    EXPECT_EQ(body["timestamp"], "2026-08-22T10:00:00Z");
    EXPECT_EQ(body["data"]["incident"], "permission:per_01");
    EXPECT_EQ(body["data"]["project"], "project-1");
    EXPECT_EQ(body["data"]["session"]["title"], "Fix the login");
    EXPECT_EQ(body["data"]["request"]["command"], "git push origin main");
    EXPECT_EQ(body["data"]["title"], "project-1 needs permission: bash");
    EXPECT_EQ(body["data"]["blocks"], true);
}

TEST(Webhook, IsToldOfTheEndAndOfReminders) {
    auto const sink = webhook();
    auto const over = body_of(*sink->resolve(permission_message(), {"once", "alice", test_now_s * 1000}, delivery()));
    EXPECT_EQ(over["type"], "opencode.permission.over");
    EXPECT_EQ(over["data"]["resolution"]["outcome"], "once");
    EXPECT_EQ(over["data"]["resolution"]["by"], "alice");
    auto const reminder = sink->remind(permission_message(), delivery());
    ASSERT_EQ(reminder.size(), 1U);
    EXPECT_EQ(body_of(reminder[0])["data"]["reminder"], true);
}

TEST(Webhook, AFormOfTheOperatorsOwnStaysJson) {
    auto own = settings();
    own.body = std::make_shared<JsonTemplate const>(
        JsonTemplate::parse(
            R"({"text":"{{data.title}}: {{data.request.command}}","n":"{{data.priority}}","all":"{{data.request.patterns}}",
                "fixed":{"a":[1,true,null,"x"]}})")
            .value());
    std::string const hostile = R"(","admin":true,"x":"\u0000{{data.title}})";
    auto const sink = make_webhook(own, standing());
    auto const request = sink->publish(message_full_of(hostile), delivery());
    auto const body = body_of(request);
    EXPECT_EQ(body.size(), 4U);
    EXPECT_FALSE(body.contains("admin"));
    EXPECT_TRUE(holds(body["text"].get<std::string>(), hostile));  // and is not expanded a second time
    EXPECT_EQ(body["n"], 4);
    EXPECT_EQ(body["all"], json::array({hostile, hostile}));
    EXPECT_EQ(body["fixed"], json::parse(R"({"a":[1,true,null,"x"]})"));
    EXPECT_EQ(field_of(request, "webhook-signature"), signature_of(request, key_text));
}

TEST(Webhook, EachAttemptSaysTheSameUnderTheSameId) {
    auto message = permission_message();
    auto const early = webhook(settings(), test_now_s + 5)->publish(message, delivery());
    auto const late = webhook(settings(), test_now_s + 500)->publish(message, delivery());
    EXPECT_EQ(field_of(early, "webhook-id"), field_of(late, "webhook-id"));
    EXPECT_NE(field_of(early, "webhook-timestamp"), field_of(late, "webhook-timestamp"));
    EXPECT_EQ(early.body, late.body);
    EXPECT_EQ(body_of(late)["timestamp"], "2026-08-22T10:00:00Z") << "when it happened";
    Resolution const over{"once", "alice", (test_now_s + 60) * 1000};
    EXPECT_EQ(body_of(*webhook(settings(), test_now_s + 500)->resolve(message, over, delivery()))["timestamp"],
              "2026-08-22T10:01:00Z");
    message.at_ms = 0;
    EXPECT_EQ(body_of(webhook()->publish(message, delivery()))["timestamp"], "2026-08-22T10:00:00Z");
}

TEST(Webhook, HeadersOfTheOperatorsOwnAreSentInPlaceOfOurs) {
    auto own = settings();
    own.headers.emplace_back("Authorization", Secret("Bearer x"));
    own.headers.emplace_back("user-agent", Secret("theirs"));
    own.headers.emplace_back("CONTENT-TYPE", Secret("application/vnd.own+json"));
    auto const request = webhook(own)->publish(permission_message(), delivery());
    EXPECT_EQ(field_of(request, "Authorization"), "Bearer x");
    EXPECT_EQ(field_of(request, "user-agent"), "theirs");
    EXPECT_EQ(field_of(request, "User-Agent"), "");
    EXPECT_EQ(field_of(request, "CONTENT-TYPE"), "application/vnd.own+json");
    EXPECT_EQ(field_of(request, "Content-Type"), "");
}

TEST(Webhook, EachStatusHasItsVerdict) {
    struct Row {
        unsigned status;
        Kind kind;
        std::chrono::milliseconds wait;
    };
    std::vector<std::pair<std::string, std::string>> const fields = {{"retry-after", "30"}};
    Row const rows[] = {
        {200, Kind::delivered, 0s}, {202, Kind::delivered, 0s}, {204, Kind::delivered, 0s}, {301, Kind::disable, 0s},
        {302, Kind::retry, 0s},     {307, Kind::retry, 0s},     {400, Kind::rejected, 0s},  {401, Kind::retry, 0s},
        {404, Kind::retry, 0s},     {407, Kind::retry, 30s},    {410, Kind::disable, 0s},   {413, Kind::rejected, 0s},
        {422, Kind::rejected, 0s},  {429, Kind::retry, 30s},    {500, Kind::retry, 30s},    {503, Kind::retry, 30s},
    };
    for (auto const& row : rows) {
        auto const sink = webhook();
        auto const verdict =
            sink->judge(sink->publish(permission_message(), delivery()), answer(row.status, "", fields));
        EXPECT_EQ(verdict.kind, row.kind) << row.status;
        EXPECT_EQ(verdict.wait, row.wait) << row.status;
        // It goes by the status alone: what became of the content does not matter.
        auto cut = answer(row.status, "", fields);
        cut.whole = false;
        EXPECT_EQ(webhook()->judge(sink->publish(permission_message(), delivery()), cut).kind, row.kind) << row.status;
    }
}

TEST(Webhook, SecretsAppearInNoVerdictAndNoName) {
    auto const sink = webhook();
    auto const request = sink->publish(permission_message(), delivery());
    EXPECT_EQ(request.shown, "POST hooks.example.com/***");
    for (unsigned status = 200; status < 600; ++status) {
        auto const told = std::string(url) + " " + std::string(key_text);
        auto const verdict = sink->judge(request, answer(status, told, {{"location", told}, {"retry-after", told}}));
        EXPECT_FALSE(holds(verdict.why, "s3cr3t") || holds(verdict.why, "MfKQ")) << verdict.why;
    }
    for (std::string const bad : {"ftp://s3cr3t", "s3cr3t", "https://s3cr3t host/"}) {
        auto const read = webhook_at(bad);
        ASSERT_FALSE(read);
        EXPECT_FALSE(holds(read.error().why, "s3cr3t")) << read.error().why;
    }
}

TEST(Log, WritesOneLine) {
    auto const sink = make_log();
    EXPECT_TRUE(sink->capabilities().line_only);
    auto message = permission_message();
    message.title = "a\nb\x1B[0m";
    auto const request = sink->publish(message, delivery());
    EXPECT_EQ(request.body, "a b[0m – “Fix the login” asks to use bash: git push origin main");
    EXPECT_EQ(sink->judge(request, answer(200)).kind, Kind::delivered);
    EXPECT_EQ(sink->resolve(permission_message(), {"reject", "bob", 0}, delivery())->body,
              "project-1 needs permission: bash – rejected by bob");
}

}  // namespace
}  // namespace ocgate::notify
