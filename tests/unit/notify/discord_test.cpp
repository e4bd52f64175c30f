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

constexpr std::string_view token = "AbC-123_tokentokentokentokentoken";
std::string const configured = "https://discord.com/api/webhooks/42/" + std::string(token);
std::string const stand_in = "http://127.0.0.1:8080/hook/" + std::string(token);

std::unique_ptr<Sink> discord(std::string const& url = configured) {
    return make_discord(discord_at(url).value(), standing());
}

json embed_of(HttpRequest const& request) { return body_of(request)["embeds"][0]; }

/// The sum that Discord bounds by 6000.
std::size_t measure(json const& embed) {
    auto sum = utf16_units(embed.value("title", "")) + utf16_units(embed.value("description", ""));
    if (embed.contains("footer")) sum += utf16_units(embed["footer"]["text"].get<std::string>());
    for (auto const& field : embed["fields"])
        sum += utf16_units(field["name"].get<std::string>()) + utf16_units(field["value"].get<std::string>());
    return sum;
}

TEST(Discord, APermissionLooksExactlyAsThePlanHasIt) {
    auto const request = discord()->publish(permission_message(), delivery());
    auto const body = body_of(request);
    EXPECT_EQ(body["content"], "🔔 **OpenCode Alert**");
    auto const& embed = body["embeds"][0];
    EXPECT_EQ(body["embeds"].size(), 1U);
    EXPECT_EQ(embed["title"], "Interaction Required");
    EXPECT_EQ(embed["description"], "Session `project-1` needs your input");
    EXPECT_EQ(embed["color"], 15844367);
    EXPECT_EQ(embed["fields"][0], (json{{"name", "Event"}, {"value", "permission"}, {"inline", true}}));
    EXPECT_EQ(embed["fields"][1], (json{{"name", "Session"}, {"value", "abc123"}, {"inline", true}}));
    EXPECT_EQ(embed["fields"][2], (json{{"name", "Title"}, {"value", "Fix the login"}, {"inline", false}}));
    EXPECT_EQ(embed["fields"][3],
              (json{{"name", "Command"}, {"value", "```\ngit push origin main\n```"}, {"inline", false}}));
    EXPECT_EQ(embed["timestamp"], "2026-08-22T10:00:00Z");
    EXPECT_EQ(embed["footer"]["text"], "project-1 · per_01");
    EXPECT_EQ(body["allowed_mentions"], (json{{"parse", json::array()}}));
}

TEST(Discord, AsksAsDiscordWantsToBeAsked) {
    auto const request = discord()->publish(permission_message(), delivery());
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.url, "https://discord.com/api/v10/webhooks/42/" + std::string(token) + "?wait=true");
    EXPECT_THAT(field_of(request, "User-Agent"), testing::MatchesRegex("DiscordBot \\(https://[^ ]+, [^ ]+\\)"));
    auto named = discord_at(configured).value();
    named.project = "https://code.example/ocgate";
    named.version = "1.2.3";
    EXPECT_EQ(field_of(make_discord(named, standing())->publish(permission_message(), delivery()), "User-Agent"),
              "DiscordBot (https://code.example/ocgate, 1.2.3)");
    EXPECT_EQ(field_of(request, "Content-Type"), "application/json");
}

TEST(Discord, ItsOwnUrlsBecomeVersionTenAndOthersStay) {
    auto const rest = "/42/" + std::string(token);
    auto const v10 = "https://discord.com/api/v10/webhooks" + rest;
    for (std::string const place :
         {"https://discord.com/api/webhooks", "https://discord.com/api/v6/webhooks",
          "https://discord.com/api/v10/webhooks", "https://discordapp.com/api/webhooks",
          "https://ptb.discord.com/api/v9/webhooks", "https://canary.discordapp.com/api/webhooks",
          "https://DISCORD.com/api/webhooks", "http://discord.com:80/api/webhooks"}) {
        auto const read = discord_at(place + rest);
        ASSERT_TRUE(read) << place;
        EXPECT_EQ(read->url.reveal(), v10) << place;
    }
    EXPECT_EQ(discord_at(configured + "?thread_id=7")->url.reveal(), v10 + "?thread_id=7");
    for (std::string const other : {"http://127.0.0.1:99/x", "https://discord.com.evil.example/api/webhooks/1/t",
                                    "https://notdiscord.com/api/webhooks/1/t"})
        EXPECT_EQ(discord_at(other)->url.reveal(), other);
    EXPECT_EQ(discord("http://127.0.0.1:99")->publish(permission_message(), delivery()).url,
              "http://127.0.0.1:99/?wait=true");
    for (std::string const asked : {"?wait=false", "?thread_id=7&wait=false", "?wait=true&wait=0", "?wait"}) {
        auto const url = discord(configured + asked)->publish(permission_message(), delivery()).url;
        EXPECT_THAT(url, testing::EndsWith("wait=true"));
        EXPECT_EQ(url.find("wait"), url.rfind("wait")) << url;
        EXPECT_EQ(holds(url, "thread_id=7"), holds(asked, "thread_id=7")) << url;
    }
    EXPECT_EQ(discord("http://127.0.0.1:99/h?a=1&wait=false")->publish(permission_message(), delivery()).url,
              "http://127.0.0.1:99/h?a=1&wait=false");
    for (std::string const bad :
         {"", "discord", "https://discord.com/", "https://discord.com/api/webhooks/42",
          "https://discord.com/api/webhooks/x/y", "https://discord.com/api/webhooks/1/a/slack",
          "https://u:p@discord.com/api/webhooks/1/a", "https://discord.com/api/webhooks/1/a%2Fb"}) {
        auto const read = discord_at(bad);
        ASSERT_FALSE(read) << bad;
        EXPECT_FALSE(holds(read.error().why, "42/AbC")) << read.error().why;
    }
}

TEST(Discord, EveryEventHasItsOwnFace) {
    std::vector<std::pair<std::string, int>> seen;
    for (std::string const event : {"permission", "question", "complete", "error", "retry", "upstream_down", "budget",
                                    "digest", "test", "something_new"}) {
        auto facts = permission_facts();
        facts["event"] = event;
        auto const embed = embed_of(discord()->publish(compose(facts, Privacy::full), delivery()));
        auto const title = embed["title"].get<std::string>();
        EXPECT_FALSE(title.empty() || embed["description"].get<std::string>().empty()) << event;
        for (auto const& [other, colour] : seen) EXPECT_NE(title, other) << event;
        seen.emplace_back(title, embed["color"].get<int>());
    }
    EXPECT_EQ(seen[1].second, 3447003);   // question
    EXPECT_EQ(seen[2].second, 3066993);   // complete
    EXPECT_EQ(seen[3].second, 15158332);  // error
}

TEST(Discord, AQuestionIsAskedInFull) {
    auto facts = permission_facts();
    facts.erase("request");
    facts["event"] = "question";
    facts["questions"] = {{{"header", "Database"}, {"text", "Which one?"}, {"options", {"Postgres", "SQLite"}}}};
    auto const embed = embed_of(discord()->publish(compose(facts, Privacy::full), delivery()));
    EXPECT_EQ(embed["fields"][3]["value"], "Which one?\n• Postgres\n• SQLite");
}

TEST(Discord, LimitsHoldWhateverTheTextIs) {
    for (auto const& piece : {"x", "🔔", "`", "```", "*", "\\", "\n", "ä", "\xFF", "a "}) {
        std::string text;
        while (text.size() < 12000) text += piece;
        auto message = message_full_of(text);
        for (int i = 0; i < 40; ++i) message.fields.push_back({text, text, i % 2 == 0});
        message.event = "other";  // its description is the body
        message.body = text;
        auto const sink = discord();
        for (auto const& request :
             {sink->publish(message, delivery()), *sink->resolve(message, {"once", text, 0}, delivery("7"))}) {
            auto const body = body_of(request);
            auto const& embed = body["embeds"][0];
            EXPECT_LE(utf16_units(body["content"].get<std::string>()), 2000U);
            EXPECT_LE(utf16_units(embed.value("title", "")), 256U);
            EXPECT_LE(utf16_units(embed.value("description", "")), 4096U) << piece;
            EXPECT_LE(embed["fields"].size(), 25U);
            EXPECT_LE(measure(embed), 6000U) << piece;
            for (auto const& field : embed["fields"]) {
                auto const value = field["value"].get<std::string>();
                EXPECT_TRUE(utf16_units(value) >= 1 && utf16_units(value) <= 1024) << piece;
                EXPECT_LE(utf16_units(field["name"].get<std::string>()), 256U);
                EXPECT_EQ(value.starts_with("```"), value.ends_with("\n```")) << piece;
            }
        }
        EXPECT_LE(utf16_units(body_of(sink->plain(message, delivery()))["content"].get<std::string>()), 2000U);
    }
}

TEST(Discord, NothingOthersWriteCanMention) {
    auto const body = body_of(discord()->publish(message_full_of("@everyone <@1> <@&2> @here"), delivery()));
    EXPECT_EQ(body["allowed_mentions"], (json{{"parse", json::array()}}));
    EXPECT_FALSE(holds(body["content"].get<std::string>(), "@"));
    for (auto const& field : body["embeds"][0]["fields"]) {
        auto const value = field["value"].get<std::string>();
        EXPECT_TRUE(value.starts_with("```") || !holds(value, "<@1>")) << value;
    }
    auto const plain = body_of(discord()->plain(message_full_of("@everyone"), delivery()));
    EXPECT_EQ(plain["allowed_mentions"], (json{{"parse", json::array()}}));
    auto const edit = discord()->resolve(message_full_of("@everyone"), {"once", "@here", 0}, delivery("7"));
    EXPECT_EQ(body_of(*edit)["allowed_mentions"], (json{{"parse", json::array()}}));
}

TEST(Discord, AnEscalationNamesWhomTheOperatorNamed) {
    auto settings = discord_at(configured).value();
    settings.mentions = {"123456789012345678", "@everyone", ""};
    auto message = permission_message();
    auto const sink = make_discord(settings, standing());
    EXPECT_FALSE(holds(body_of(sink->publish(message, delivery()))["content"].get<std::string>(), "<@"));
    message.escalated = true;
    auto const body = body_of(sink->publish(message, delivery()));
    EXPECT_EQ(body["content"], "🔔 **OpenCode Alert** <@123456789012345678>");
    EXPECT_EQ(body["allowed_mentions"], (json{{"parse", json::array()}, {"users", {"123456789012345678"}}}));
}

TEST(Discord, CodeCannotBeLeft) {
    for (std::string const text : {"```", "a``` @everyone", "`", "``", "x`y", "```\n# big\n```"}) {
        auto const embed = embed_of(discord()->publish(message_full_of(text), delivery()));
        for (auto const& field : embed["fields"]) {
            auto value = field["value"].get<std::string>();
            if (field["name"] != "Command" && field["name"] != "Patterns") continue;
            ASSERT_TRUE(value.starts_with("```\n") && value.ends_with("\n```")) << value;
            value = value.substr(4, value.size() - 8);
            EXPECT_FALSE(holds(value, "``")) << value;
        }
        auto const description = embed["description"].get<std::string>();
        EXPECT_EQ(std::count(description.begin(), description.end(), '`'), 2) << description;
    }
}

TEST(Discord, MarkupAndLinksStayLetters) {
    auto const title = [](std::string const& text) {
        auto message = permission_message();
        message.session_title = text;
        return embed_of(discord()->publish(message, delivery()))["fields"][2]["value"].get<std::string>();
    };
    EXPECT_EQ(title("**bold** _x_ ~~y~~ ||z||"), R"(\*\*bold\*\* \_x\_ \~\~y\~\~ \|\|z\|\|)");
    EXPECT_EQ(title("[click](https://evil.example)"), R"(\[click\]\(https\://evil.example\))");
    EXPECT_EQ(title("# big\n> quote\n- list"), "\\# big\n\\> quote\n\\- list");
    EXPECT_EQ(title(R"(\*)"), R"(\\\*)");
    EXPECT_EQ(title("<t:1:R> `code`"), R"(\<t\:1\:R\> \`code\`)");
    EXPECT_EQ(title("a\xE2\x80\xAE"
                    "b\x1B"
                    "c\xC2\x85"
                    "d"),
              "abcd");
}

TEST(Discord, LinksAreOursOrNone) {
    auto message = permission_message();
    message.click_url = "https://gw.example/s/abc123";
    auto const sink = discord();
    auto const request = sink->publish(message, delivery());
    EXPECT_THAT(request.url, HasSubstr("?wait=true&with_components=true"));
    EXPECT_EQ(embed_of(request)["url"], message.click_url);
    auto const button = body_of(request)["components"][0]["components"][0];
    EXPECT_EQ(button, (json{{"type", 2}, {"style", 5}, {"label", "Open"}, {"url", message.click_url}}));
    EXPECT_FALSE(holds(body_of(request)["content"].get<std::string>(), "http"));
    message.click_url += std::string(512, 'x');
    EXPECT_FALSE(body_of(sink->publish(message, delivery())).contains("components"));
    EXPECT_FALSE(embed_of(sink->publish(message, delivery())).contains("url"));
}

TEST(Discord, IsEditedWhenItIsOver) {
    auto const sink = discord(configured + "?thread_id=7");
    EXPECT_FALSE(sink->resolve(permission_message(), {"once", "", 0}, delivery()));
    EXPECT_FALSE(sink->resolve(permission_message(), {"once", "", 0}, delivery("../x")));
    auto const edit = sink->resolve(permission_message(), {"once", "alice", 0}, delivery("99"));
    ASSERT_TRUE(edit);
    EXPECT_EQ(edit->method, "PATCH");
    EXPECT_EQ(edit->url, "https://discord.com/api/v10/webhooks/42/" + std::string(token) +
                             "/messages/99?thread_id=7&with_components=true");
    auto const body = body_of(*edit);
    EXPECT_EQ(body["components"], json::array());
    EXPECT_EQ(body["embeds"][0]["color"], 9807270);
    EXPECT_EQ(body["embeds"][0]["description"], "Session `project-1`: allowed once by alice");
    EXPECT_TRUE(body.contains("allowed_mentions"));
}

TEST(Discord, AReminderIsANewMessageInPlaceOfTheOldOne) {
    auto const sink = discord();
    EXPECT_EQ(sink->remind(permission_message(), delivery()).size(), 1U);
    auto const requests = sink->remind(permission_message(), delivery("99"));
    ASSERT_EQ(requests.size(), 2U);
    EXPECT_EQ(requests[0].method, "DELETE");
    EXPECT_THAT(requests[0].url, testing::EndsWith("/messages/99"));
    EXPECT_EQ(requests[0].body, "");
    EXPECT_EQ(requests[1].method, "POST");
    EXPECT_EQ(sink->judge(requests[0], answer(204)).kind, Kind::delivered);
    EXPECT_EQ(sink->judge(requests[0], answer(404, R"({"code":10008})")).kind, Kind::gone);
}

TEST(Discord, SilentMeansNoSound) {
    auto message = permission_message();
    EXPECT_FALSE(body_of(discord()->publish(message, delivery())).contains("flags"));
    message.silent = true;
    EXPECT_EQ(body_of(discord()->publish(message, delivery()))["flags"], 4096);
}

TEST(Discord, KeepsTheIdAndMindsTheBucket) {
    auto const sink = discord();
    auto const request = sink->publish(permission_message(), delivery());
    auto const body = R"({"id":"1100000000000000001","channel_id":"5"})";
    auto verdict = sink->judge(request, answer(200, body, {{"x-ratelimit-remaining", "1"}}));
    EXPECT_EQ(verdict.kind, Kind::delivered);
    EXPECT_EQ(verdict.remote_id, "1100000000000000001");
    EXPECT_EQ(verdict.wait, 0ms);
    verdict =
        sink->judge(request, answer(200, body, {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset-after", "1.52"}}));
    EXPECT_EQ(verdict.kind, Kind::delivered);
    EXPECT_EQ(verdict.wait, 1520ms);
    EXPECT_EQ(verdict.pause, Pause::target);
    EXPECT_EQ(sink->judge(request, answer(200, "<html>")).kind, Kind::retry);
    auto cut = answer(200, body);
    cut.whole = false;
    EXPECT_EQ(sink->judge(request, cut).remote_id, "1100000000000000001");
    cut.body.resize(cut.body.size() / 2);
    EXPECT_EQ(sink->judge(request, cut).kind, Kind::retry);
    EXPECT_TRUE(holds(sink->judge(request, cut).why, "cut off"));
    EXPECT_EQ(discord(stand_in)->judge(request, answer(200, "ok")).kind, Kind::delivered);
    EXPECT_EQ(discord(stand_in)->judge(request, answer(204)).remote_id, "");
}

TEST(Discord, EachKindOf429Holds) {
    struct Row {
        std::string body;
        std::vector<std::pair<std::string, std::string>> fields;
        std::chrono::milliseconds wait;
        Pause pause;
    };
    Row const rows[] = {
        {R"({"message":"m","retry_after":64.57,"global":false})", {{"retry-after", "64"}}, 64570ms, Pause::target},
        {R"({"retry_after":0.3,"global":false})",
         {{"retry-after", "65"}, {"x-ratelimit-scope", "shared"}},
         65s,
         Pause::target},
        {R"({"retry_after":2,"global":true})", {}, 2s, Pause::type},
        {R"({"retry_after":2.0})", {{"x-ratelimit-global", "true"}}, 2s, Pause::type},
        {R"({"retry_after":2.0})", {{"x-ratelimit-scope", "global"}}, 2s, Pause::type},
        {R"({"retry_after":"soon"})", {}, 1s, Pause::target},
        {R"({"retry_after":-1})", {}, 1s, Pause::target},
        {R"({"retry_after":1e300})", {}, 24h, Pause::target},
        {"<html>", {{"retry-after", "1800"}}, 30min, Pause::type},
        {"<html>", {}, 10min, Pause::type},
        {"", {}, 10min, Pause::type},
    };
    for (auto const& row : rows) {
        auto const sink = discord();
        auto const verdict =
            sink->judge(sink->publish(permission_message(), delivery()), answer(429, row.body, row.fields));
        EXPECT_EQ(verdict.kind, Kind::retry) << row.body;
        EXPECT_EQ(verdict.wait, row.wait) << row.body;
        EXPECT_EQ(verdict.pause, row.pause) << row.body;
    }
}

TEST(Discord, AnOverloadThatNamesATimeIsLeftAloneForSoLong) {
    auto const sink = discord();
    auto const request = sink->publish(permission_message(), delivery());
    auto const verdict = sink->judge(request, answer(503, R"({"code":130000})", {{"retry-after", "40"}}));
    EXPECT_EQ(verdict.kind, Kind::retry);
    EXPECT_EQ(verdict.wait, 40s);
    EXPECT_EQ(verdict.pause, Pause::target);
}

TEST(Discord, WhatIsNothingButWhiteSpaceIsLeftOut) {
    // Discord trims it, and refuses fields that are empty then.
    for (std::string const space : {" ", "\xC2\xA0", "\xE3\x80\x80", "\xE2\x80\x83\n", "\xE1\x9A\x80 \xE2\x80\xAF"}) {
        auto message = permission_message();
        message.session_title = space;
        auto const embed = embed_of(discord()->publish(message, delivery()));
        for (auto const& field : embed["fields"]) EXPECT_NE(field["name"], "Title") << space;
        message.session_title = space + "a" + space + "b" + space;
        auto const title = embed_of(discord()->publish(message, delivery()))["fields"][2]["value"];
        EXPECT_EQ(title, "a" + space + "b");
    }
}

TEST(Discord, EachStatusHasItsVerdict) {
    struct Row {
        unsigned status;
        int code;
        Kind publish, edit;
    };
    Row const rows[] = {
        {404, 10015, Kind::disable, Kind::disable}, {401, 50027, Kind::disable, Kind::disable},
        {403, 50013, Kind::disable, Kind::disable}, {403, 40333, Kind::disable, Kind::disable},
        {404, 0, Kind::retry, Kind::retry},         {404, 10008, Kind::gone, Kind::gone},
        {400, 50035, Kind::rejected, Kind::gone},   {400, 50006, Kind::rejected, Kind::gone},
        {400, 220001, Kind::rejected, Kind::gone},  {413, 40005, Kind::rejected, Kind::gone},
        {400, 30046, Kind::gone, Kind::gone},       {500, 0, Kind::retry, Kind::retry},
        {503, 130000, Kind::retry, Kind::retry},    {400, 130000, Kind::retry, Kind::retry},
        {301, 0, Kind::disable, Kind::disable},     {307, 0, Kind::retry, Kind::retry},
    };
    for (auto const& row : rows) {
        auto const sink = discord();
        auto const body = row.code ? json{{"code", row.code}, {"message", "m"}}.dump() : "<html>";
        EXPECT_EQ(sink->judge(sink->publish(permission_message(), delivery()), answer(row.status, body)).kind,
                  row.publish)
            << row.status << '/' << row.code;
        auto const edit = *sink->resolve(permission_message(), {}, delivery("9"));
        EXPECT_EQ(sink->judge(edit, answer(row.status, body)).kind, row.edit) << row.status << '/' << row.code;
    }
    auto const other = discord(stand_in);
    EXPECT_EQ(other->judge(*other->resolve(permission_message(), {}, delivery("9")), answer(404)).kind, Kind::gone);
    EXPECT_EQ(other->judge(other->publish(permission_message(), delivery()), answer(404)).kind, Kind::disable);
}

// A person has to mend what Discord says itself; a page of a proxy's goes away again.
TEST(Discord, WhatAProxySaysIsNotDiscordsWord) {
    for (unsigned const status : {401U, 403U, 404U}) {
        auto const sink = discord();
        auto const request = sink->publish(permission_message(), delivery());
        for (auto const* page : {"<html>sign in</html>", "", "[]", R"({"error":"maintenance"})", R"({"message":)"}) {
            auto const refused = sink->judge(request, answer(status, page));
            EXPECT_EQ(refused.kind, Kind::retry) << status << page;
            EXPECT_EQ(refused.wait, 10min) << "so that it counts as down";
            EXPECT_EQ(refused.pause, Pause::target);
            EXPECT_TRUE(holds(refused.why, "not by Discord")) << refused.why;
        }
        EXPECT_EQ(sink->judge(request, answer(status, R"({"message":"401: Unauthorized","code":0})")).kind,
                  Kind::disable);
        // What a stand-in's own words are nobody knows.
        EXPECT_EQ(discord(stand_in)->judge(request, answer(status, "<html>")).kind, Kind::disable);
    }
}

TEST(Discord, SecretsAppearInNoVerdictAndNoName) {
    for (auto const& url : {configured, stand_in}) {
        auto const sink = discord(url);
        std::vector<HttpRequest> requests = sink->remind(permission_message(), delivery("9"));
        requests.push_back(*sink->resolve(permission_message(), {}, delivery("9")));
        requests.push_back(sink->plain(permission_message(), delivery()));
        for (auto const& request : requests) {
            EXPECT_TRUE(holds(request.url, token));
            EXPECT_FALSE(holds(request.shown, token)) << request.shown;
            for (unsigned status = 200; status < 600; ++status) {
                json const echo = {{"message", url}, {"code", status}, {"id", url}, {"retry_after", 1}};
                auto const verdict = sink->judge(request, answer(status, echo.dump(), {{"retry-after", url}}));
                EXPECT_FALSE(holds(verdict.why, token) || holds(verdict.remote_id, token)) << verdict.why;
            }
        }
    }
}

}  // namespace
}  // namespace ocgate::notify
