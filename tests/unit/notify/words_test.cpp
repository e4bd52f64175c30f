#include "ocgate/notify/words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sink_kit.hpp"

namespace ocgate::notify {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json facts_of(std::string const& event) {
    auto facts = permission_facts();
    facts.erase("request");
    facts["event"] = event;
    facts["agent"] = "build";
    return facts;
}

TEST(Words, SayProjectSessionAndWhatIsAsked) {
    auto question = facts_of("question");
    question["questions"] = {
        {{"header", "Database"}, {"text", "Which one?"}, {"options", {"Postgres", "SQLite"}}, {"multiple", true}},
        {{"text", "Why?"}}};
    auto complete = facts_of("complete");
    complete["turn"] = {{"duration_ms", 200'000}, {"cost", 0.1234}, {"words", "All tests pass."}};
    auto longer = complete;
    longer["turn"]["at_least"] = true;
    auto error = facts_of("error");
    error["error"] = {{"name", "APIError"}, {"status", 529}, {"text", "Overloaded"}};
    auto retry = facts_of("retry");
    retry["retry"] = {{"attempt", 3}, {"message", "Rate limited"}};
    auto down = facts_of("upstream_down");
    down["upstream"] = {{"since_ms", test_now_s * 1000}, {"why", "connection refused"}};
    auto budget = facts_of("budget");
    budget["budget"] = {{"period", "day"}, {"name", "2026-11-26"}, {"spent", 16.2},   {"limit", 20},
                        {"part", 0.8},     {"block", true},        {"refused", false}};
    auto over_budget = budget;
    over_budget["budget"].update({{"spent", 20.04}, {"part", 1}, {"refused", true}});
    over_budget["budget"]["until"] = "2026-11-27 00:00 Europe/Berlin";
    auto month = budget;
    month["budget"] = {{"period", "month"}, {"spent", 151.0}, {"limit", 100}, {"part", 1.5}};
    auto no_budget = facts_of("budget");
    auto digest = facts_of("digest");
    digest["items"] = {"project-1 is done", "project-2 failed"};
    auto edit = permission_facts();
    edit["request"] = {{"kind", "edit"}, {"patterns", {"src/a.cpp", "src/b.cpp"}}};

    struct Row {
        json facts;
        bool blocks;
        std::string_view title, body;
    };
    Row const rows[] = {
        {permission_facts(), true, "project-1 needs permission: bash",
         "“Fix the login” asks to use bash:\ngit push origin main"},
        {edit, true, "project-1 needs permission: edit", "“Fix the login” asks to use edit:\nsrc/a.cpp\nsrc/b.cpp"},
        {question, true, "project-1 asks: Database",
         "“Fix the login” has a question:\nWhich one?\n• Postgres\n• SQLite\n(several may be chosen)\nWhy?"},
        {complete, false, "project-1 is done", "“Fix the login” has finished after 3 min 20 s, $0.12\nAll tests pass."},
        {longer, false, "project-1 is done",
         "“Fix the login” has finished after at least 3 min 20 s, $0.12\nAll tests pass."},
        {error, false, "project-1 failed: APIError", "“Fix the login” ended with an error 529:\nOverloaded"},
        {retry, false, "project-1 is held up by its provider", "“Fix the login” tries again, attempt 3:\nRate limited"},
        {down, false, "opencode does not answer",
         "project-1 cannot be reached since 2026-08-22T10:00:00Z:\nconnection refused"},
        {budget, false, "80 % of the day's budget is spent",
         "$16.20 of $20.00 (81 %), 2026-11-26\nNew prompts are refused once it is spent."},
        {over_budget, false, "The day's budget is spent",
         "$20.04 of $20.00 (100 %), 2026-11-26\nNew prompts are refused until 2026-11-27 00:00 Europe/Berlin."},
        {month, false, "150 % of the month's budget is spent",
         "$151.00 of $100.00 (151 %)\nNew prompts are not refused."},
        {no_budget, false, "A budget has reached a limit", "What agents cost has reached a limit that was set to it"},
        {digest, false, "2 while it was quiet", "project-1 is done\nproject-2 failed"},
        {facts_of("test"), false, "Test from ocgate", "Notifications of project-1 reach this place."},
        {facts_of("new"), false, "project-1: new", "“Fix the login”"},
    };
    for (auto const& row : rows) {
        auto const message = compose(row.facts, Privacy::full);
        EXPECT_EQ(message.title, row.title);
        EXPECT_EQ(message.body, row.body);
        EXPECT_EQ(message.blocks, row.blocks) << row.title;
        EXPECT_EQ(message.incident_key, "permission:per_01");
    }
}

TEST(Words, SeveralThatWaitAreCounted) {
    auto facts = permission_facts();
    facts["waiting"] = 3;
    auto const message = compose(facts, Privacy::full);
    EXPECT_EQ(message.title, "project-1: 3 waiting");
    EXPECT_THAT(message.body, HasSubstr("git push origin main\nand 2 more"));
}

TEST(Words, ADigestSaysHowManyItDoesNotName) {
    auto facts = facts_of("digest");
    facts["items"] = {"one", "two"};
    facts["waiting"] = 5;
    EXPECT_EQ(compose(facts, Privacy::full).title, "5 while it was quiet");
    EXPECT_EQ(compose(facts, Privacy::full).body, "one\ntwo\nand 3 more");
    EXPECT_EQ(compose(facts, Privacy::summary).body, "5 while it was quiet");
}

TEST(Words, PrivacyKeepsTheRestHere) {
    auto facts = permission_facts();
    facts["agent"] = "build";
    facts["unknown"] = "private";
    facts["request"]["metadata"] = "private";
    auto const all = [&](Privacy privacy) {
        auto const message = compose(facts, privacy);
        auto text = message.title + message.body + message.data + message.directory + message.session_title;
        for (auto const& field : message.fields) text += field.name + field.text;
        return text;
    };
    for (auto const* part : {"git push", "/workspaces/", "private"}) {
        EXPECT_FALSE(holds(all(Privacy::minimal), part)) << part;
        EXPECT_FALSE(holds(all(Privacy::summary), part)) << part;
    }
    for (auto const* part : {"bash", "Fix the login", "build"}) {
        EXPECT_FALSE(holds(all(Privacy::minimal), part)) << part;
        EXPECT_TRUE(holds(all(Privacy::summary), part)) << part;
    }
    for (auto const privacy : {Privacy::minimal, Privacy::summary, Privacy::full}) {
        EXPECT_TRUE(holds(all(privacy), "project-1"));
        EXPECT_TRUE(holds(all(privacy), "abc123"));  // names the session to who may look, and nobody else
    }
    EXPECT_TRUE(holds(all(Privacy::full), "git push origin main") &&
                holds(all(Privacy::full), "/workspaces/project-1"));
    EXPECT_FALSE(holds(all(Privacy::full), "private"));
    EXPECT_EQ(compose(facts, Privacy::minimal).body, "A session asks to go on");
}

TEST(Words, SecretsDoNotLeaveEvenWhenTheyAreTakenApart) {
    std::string const secret = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    for (auto const& text : {secret, "gh\x01" + secret.substr(2), "ghp\xE2\x80\xAE" + secret.substr(3)}) {
        auto const message = message_full_of(text);
        auto told = message.title + message.body + message.data;
        for (auto const& field : message.fields) told += field.text;
        EXPECT_FALSE(holds(told, "0123456789abc")) << told;
        EXPECT_TRUE(holds(told, "ghp_***"));
    }
}

TEST(Words, FactsOfAnyShapeAreBorne) {
    json const shapes[] = {nullptr,
                           1,
                           -1,
                           1e308,
                           "text",
                           true,
                           json::array(),
                           json::array({1, nullptr, "x"}),
                           json::object(),
                           json{{"a", 1}},
                           std::string(100'000, 'x'),
                           "\xFF\xFE"};
    for (auto const& shape : shapes) {
        (void)compose(shape, Privacy::full);
        for (auto const* key : {"event", "project", "session", "request", "questions", "turn", "error", "retry",
                                "upstream", "budget", "items", "waiting", "at_ms", "incident", "url"}) {
            for (auto const* event :
                 {"permission", "question", "complete", "error", "retry", "upstream_down", "budget", "digest"}) {
                auto facts = permission_facts();
                facts["event"] = event;
                facts[key] = shape;
                auto message = compose(facts, Privacy::full);
                EXPECT_FALSE(message.title.empty());
                EXPECT_LE(message.title.size(), 200U);
                EXPECT_LE(message.data.size(), 128U * 1024);
                facts[key] = json::array({{{"text", shape}, {"header", shape}, {"options", shape}}});
                (void)compose(facts, Privacy::full);
                for (auto const* inner : {"id",     "title", "kind",   "command", "patterns", "duration_ms", "cost",
                                          "tokens", "name",  "status", "text",    "attempt",  "message",     "since_ms",
                                          "why",    "spent", "limit",  "part",    "refused",  "until"}) {
                    facts[key] = {{inner, shape}};
                    (void)compose(facts, Privacy::full);
                }
            }
        }
    }
}

TEST(Words, OutcomesAreSaidForPeople) {
    EXPECT_EQ(outcome_words({"once", "alice", 0}), "allowed once by alice");
    EXPECT_EQ(outcome_words({"always", "", 0}), "allowed for good");
    EXPECT_EQ(outcome_words({"odd\n", "", 0}), "odd");
    EXPECT_EQ(outcome_words({"continued", "", 0}), "it went on");
    EXPECT_EQ(outcome_words({"digest", "", 0}), "told together with others");
    EXPECT_EQ(outcome_words({}), "over");
}

}  // namespace
}  // namespace ocgate::notify
