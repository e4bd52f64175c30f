#include <gmock/gmock.h>

#include "ocgate/opencode/event.hpp"

namespace ocgate::opencode {
namespace {

using testing::ElementsAre;

template <class T>
T const& as(Event const& event) {
    auto const* what = std::get_if<T>(&event.what);
    if (!what) throw std::runtime_error(event.type + " was read as alternative " + std::to_string(event.what.index()));
    return *what;
}

template <class T>
bool is(Event const& event) {
    return std::holds_alternative<T>(event.what);
}

/// As /global/event says it.
Event global(std::string const& type, std::string const& properties) {
    return read_event(R"({"directory":"/work","project":"p","payload":{"id":"evt_1","type":")" + type +
                      R"(","properties":)" + properties + "}}");
}

TEST(Dialect, KnowsTheThreeEnvelopes) {
    auto const expect = [](std::string const& json, std::string const& directory) {
        auto const event = read_event(json);
        EXPECT_EQ(event.type, "session.idle");
        EXPECT_EQ(event.id, "evt_1");
        EXPECT_EQ(event.directory, directory);
        EXPECT_EQ(as<WentIdle>(event).session, "ses_1");
    };
    expect(R"({"id":"evt_1","type":"session.idle","properties":{"sessionID":"ses_1"}})", "");
    expect(R"({"directory":"/w","payload":{"id":"evt_1","type":"session.idle","properties":{"sessionID":"ses_1"}}})",
           "/w");
    expect(R"({"id":"evt_1","type":"session.idle","location":{"directory":"/w"},"data":{"sessionID":"ses_1"}})", "/w");
}

TEST(Dialect, WhatTheServerSaysOfItself) {
    EXPECT_TRUE(is<Connected>(read_event(R"({"payload":{"type":"server.connected","properties":{}}})")));
    EXPECT_TRUE(is<Heartbeat>(read_event(R"({"payload":{"type":"server.heartbeat","properties":{}}})")));
    EXPECT_EQ(as<InstanceGone>(global("server.instance.disposed", R"({"directory":"/other"})")).directory, "/other");
    EXPECT_EQ(as<InstanceGone>(global("server.instance.disposed", "{}")).directory, "/work");
    EXPECT_TRUE(
        is<AllGone>(read_event(R"({"directory":"global","payload":{"type":"global.disposed","properties":{}}})")));
}

TEST(Dialect, ASyncCopyIsIgnored) {
    auto const event = read_event(
        R"({"directory":"/w","payload":{"type":"sync","syncEvent":{"id":"evt_1","type":"session.created.1","seq":0,)"
        R"("aggregateID":"ses_1","data":{"sessionID":"ses_1","info":{"id":"ses_1"}}},"id":"evt_1"}})");
    EXPECT_TRUE(is<Ignored>(event));
    EXPECT_EQ(event.type, "sync");
}

TEST(Dialect, UnknownAndBroken) {
    EXPECT_TRUE(is<Unknown>(global("brand.new", "{}")));
    EXPECT_EQ(global("brand.new", "{}").type, "brand.new");
    EXPECT_TRUE(is<Ignored>(global("todo.updated", "{}")));
    for (auto const* text : {"", "x", "{", "[]", "null", "7", "{}", R"({"payload":7})", R"({"type":7})",
                             R"({"type":"session.idle","properties":)", "{\"type\":\"session.idle\xff\"}"}) {
        auto const event = read_event(text);
        EXPECT_TRUE(is<Unknown>(event)) << text;
        EXPECT_EQ(event.type, "invalid") << text;
    }
    // A known type that lacks what makes it one.
    for (auto const* type :
         {"session.idle", "session.status", "session.created", "session.deleted", "message.updated", "permission.asked",
          "permission.replied", "question.asked", "question.replied", "question.rejected"}) {
        EXPECT_FALSE(is<SessionSeen>(global(type, "{}"))) << type;
        for (auto const* properties : {"{}", "[]", "7", "null", R"({"sessionID":7,"info":[],"id":{}})"}) {
            auto const event = global(type, properties);
            EXPECT_TRUE(is<Unknown>(event) || is<Ignored>(event)) << type << properties;
        }
    }
}

TEST(Dialect, Sessions) {
    auto const event =
        global("session.updated", R"({"sessionID":"ses_2","info":{"id":"ses_2","parentID":"ses_1","title":"A title",)"
                                  R"("directory":"/work","agent":"general","time":{"created":1,"updated":2}}})");
    auto const& info = as<SessionSeen>(event).info;
    EXPECT_EQ(info.id, "ses_2");
    EXPECT_EQ(info.parent, "ses_1");
    EXPECT_EQ(info.title, "A title");
    EXPECT_EQ(info.directory, "/work");
    EXPECT_EQ(info.agent, "general");
    EXPECT_EQ(info.created_ms, 1);
    EXPECT_EQ(info.updated_ms, 2);
    EXPECT_FALSE(as<SessionSeen>(event).created);
    EXPECT_TRUE(as<SessionSeen>(global("session.created", R"({"info":{"id":"ses_2"}})")).created);
    EXPECT_EQ(as<SessionGone>(global("session.deleted", R"({"info":{"id":"ses_2"}})")).id, "ses_2");
    EXPECT_EQ(as<SessionGone>(global("session.deleted", R"({"sessionID":"ses_2","info":{}})")).id, "ses_2");
}

TEST(Dialect, StatusAsObjectAndAsString) {
    auto const state = [](std::string const& status) {
        return as<StatusChanged>(global("session.status", R"({"sessionID":"ses_1","status":)" + status + "}")).status;
    };
    EXPECT_EQ(state(R"({"type":"busy"})").state, State::busy);
    EXPECT_EQ(state(R"("busy")").state, State::busy);
    EXPECT_EQ(state(R"({"type":"idle"})").state, State::idle);
    EXPECT_EQ(state(R"("idle")").state, State::idle);
    EXPECT_EQ(state(R"({"type":"something-new"})").state, State::busy);
    auto const retry = state(R"({"type":"retry","attempt":3,"message":"try later","next":1795390347953})");
    EXPECT_EQ(retry.state, State::retry);
    EXPECT_EQ(retry.attempt, 3U);
    EXPECT_EQ(retry.message, "try later");
    EXPECT_EQ(retry.next_ms, 1795390347953);
    EXPECT_EQ(state(R"({"type":"retry","attempt":-3,"next":1e300})").attempt, 0U);
}

TEST(Dialect, Failures) {
    auto const event =
        global("session.error", R"({"sessionID":"ses_1","error":{"name":"APIError","data":{"message":"bad key",)"
                                R"("statusCode":401,"responseBody":"x","isRetryable":false}}})");
    auto const& failed = as<SessionFailed>(event);
    EXPECT_EQ(failed.session, "ses_1");
    EXPECT_EQ(failed.name, "APIError");
    EXPECT_EQ(failed.text, "bad key");
    EXPECT_EQ(failed.status_code, 401);
    EXPECT_EQ(as<SessionFailed>(global("session.error", "{}")).session, "");
    auto const traced =
        global("session.error", R"({"error":{"name":"UnknownError","data":{"message":"No\nway\n    at f /x:1:2"}}})");
    EXPECT_EQ(as<SessionFailed>(traced).text, "No\nway");
}

struct Naming {
    std::string type, properties;
};
class PermissionNames : public testing::TestWithParam<Naming> {};

TEST_P(PermissionNames, SayTheSame) {
    auto const asked = as<PermissionAsked>(global(GetParam().type, GetParam().properties)).permission;
    EXPECT_EQ(asked.id, "per_1");
    EXPECT_EQ(asked.session, "ses_1");
    EXPECT_EQ(asked.message, "msg_1");
    EXPECT_EQ(asked.kind, "bash");
    EXPECT_EQ(asked.command, "echo hi");
    EXPECT_THAT(asked.patterns, ElementsAre("echo hi"));
    EXPECT_EQ(asked.newer, GetParam().type == "permission.v2.asked");
}

INSTANTIATE_TEST_SUITE_P(
    All, PermissionNames,
    testing::Values(
        Naming{"permission.asked", R"({"id":"per_1","sessionID":"ses_1","permission":"bash","patterns":["echo hi"],)"
                                   R"("metadata":{"command":"echo hi"},"always":["echo *"],)"
                                   R"("tool":{"messageID":"msg_1","callID":"c"}})"},
        Naming{"permission.updated", R"({"id":"per_1","type":"bash","pattern":"echo hi","sessionID":"ses_1",)"
                                     R"("messageID":"msg_1","title":"echo hi","metadata":{}})"},
        Naming{"permission.updated", R"({"id":"per_1","type":"bash","pattern":["echo hi"],"sessionID":"ses_1",)"
                                     R"("messageID":"msg_1","title":"Run it","metadata":{"command":"echo hi"}})"},
        Naming{"permission.v2.asked", R"({"id":"per_1","sessionID":"ses_1","action":"bash","resources":["echo hi"],)"
                                      R"("save":["echo *"],"metadata":{"command":"echo hi"},)"
                                      R"("source":{"type":"tool","messageID":"msg_1","callID":"c"}})"}));

TEST(Dialect, AnEditNamesItsFile) {
    auto const asked = as<PermissionAsked>(
        global("permission.asked", R"({"id":"per_1","sessionID":"ses_1","permission":"edit","patterns":["a.txt"],)"
                                   R"("metadata":{"filepath":"/workspaces/a.txt","diff":"+++"},"always":["*"]})"));
    EXPECT_EQ(asked.permission.command, "/workspaces/a.txt");
    EXPECT_THAT(asked.permission.always, ElementsAre("*"));
}

TEST(Dialect, RepliesUnderAllNames) {
    for (auto const& [type, properties] : {
             Naming{"permission.replied", R"({"sessionID":"ses_1","requestID":"per_1","reply":"always"})"},
             Naming{"permission.replied", R"({"sessionID":"ses_1","permissionID":"per_1","response":"always"})"},
             Naming{"permission.v2.replied", R"({"sessionID":"ses_1","requestID":"per_1","reply":"always"})"},
         }) {
        auto const answered = as<PermissionAnswered>(global(type, properties));
        EXPECT_EQ(answered.session, "ses_1");
        EXPECT_EQ(answered.id, "per_1");
        EXPECT_EQ(answered.reply, "always");
    }
    for (std::string const v : {"question.", "question.v2."}) {
        auto const replied = global(v + "replied", R"({"sessionID":"s","requestID":"que_1","answers":[["Blue"]]})");
        EXPECT_EQ(as<QuestionAnswered>(replied).id, "que_1");
        EXPECT_FALSE(as<QuestionAnswered>(replied).rejected);
        EXPECT_TRUE(as<QuestionAnswered>(global(v + "rejected", R"({"sessionID":"s","requestID":"que_1"})")).rejected);
    }
}

TEST(Dialect, Questions) {
    for (std::string const type : {"question.asked", "question.v2.asked"}) {
        auto const event = global(
            type,
            R"({"id":"que_1","sessionID":"ses_1","questions":[{"question":"Which colour?","header":"Colour","options":)"
            R"([{"label":"Red","description":"r"},{"label":"Blue"}]},{"question":"Sizes?","header":"Size","options":)"
            R"([{"label":"S"}],"multiple":true}],"tool":{"messageID":"msg_1","callID":"c"}})");
        auto const& question = as<QuestionAsked>(event).question;
        EXPECT_EQ(question.id, "que_1");
        EXPECT_EQ(question.message, "msg_1");
        ASSERT_EQ(question.asks.size(), 2U);
        EXPECT_EQ(question.asks[0].header, "Colour");
        EXPECT_EQ(question.asks[0].text, "Which colour?");
        EXPECT_THAT(question.asks[0].options, ElementsAre("Red", "Blue"));
        EXPECT_FALSE(question.asks[0].multiple);
        EXPECT_TRUE(question.asks[1].multiple);
    }
}

TEST(Dialect, Steps) {
    auto const event =
        global("message.updated",
               R"({"sessionID":"ses_1","info":{"id":"msg_2","parentID":"msg_1","role":"assistant","mode":"build",)"
               R"("agent":"build","cost":0.5,"tokens":{"total":1050,"input":800,"output":40,"reasoning":10,)"
               R"("cache":{"write":3,"read":200}},"modelID":"m","providerID":"p","time":{"created":5,"completed":9},)"
               R"("sessionID":"ses_1","finish":"stop"}})");
    auto const& step = as<StepChanged>(event).step;
    EXPECT_EQ(step.message, "msg_2");
    EXPECT_EQ(step.session, "ses_1");
    EXPECT_EQ(step.agent + step.provider + step.model + step.finish, "buildpmstop");
    EXPECT_TRUE(step.completed);
    EXPECT_EQ(step.created_ms, 5);
    EXPECT_EQ(step.completed_ms, 9);
    EXPECT_EQ(step.usage.cost, 0.5);
    EXPECT_EQ(step.usage.input, 800);
    EXPECT_EQ(step.usage.output, 40);
    EXPECT_EQ(step.usage.reasoning, 10);
    EXPECT_EQ(step.usage.cache_read, 200);
    EXPECT_EQ(step.usage.cache_write, 3);
    EXPECT_EQ(step.error_name, "");

    auto const failed = global("message.updated", R"({"info":{"id":"msg_2","sessionID":"ses_1","role":"assistant",)"
                                                  R"("error":{"name":"MessageAbortedError","data":{"message":"A"}}}})");
    EXPECT_EQ(as<StepChanged>(failed).step.error_name, aborted_error);
    EXPECT_EQ(as<StepChanged>(failed).step.error_text, "A");
    EXPECT_FALSE(as<StepChanged>(failed).step.completed);
    EXPECT_TRUE(is<Ignored>(global("message.updated", R"({"info":{"id":"msg_1","role":"user"}})")));
}

TEST(Dialect, OnlyTextsOfMessagesAreRead) {
    auto const text = global("message.part.updated", R"({"part":{"id":"prt_1","sessionID":"ses_1","messageID":"msg_1",)"
                                                     R"("type":"text","text":"All done"}})");
    EXPECT_EQ(as<TextWritten>(text).text, "All done");
    EXPECT_EQ(as<TextWritten>(text).message, "msg_1");
    EXPECT_TRUE(is<Ignored>(global("message.part.updated", R"({"part":{"type":"tool","tool":"bash"}})")));
    EXPECT_TRUE(is<Ignored>(global("message.part.updated", R"({"part":{"type":"tool","text":"x"}})")));
    EXPECT_TRUE(is<Ignored>(global("message.part.delta", R"({"field":"text","delta":"x"})")));
}

TEST(Dialect, TextsAreCutAtTheEndOfACharacter) {
    std::string title;
    for (int i = 0; i < 300; ++i) title += "\xe2\x82\xac";
    auto const event = global("session.created", R"({"info":{"id":"ses_1","title":"a)" + title + R"("}})");
    auto const& kept = as<SessionSeen>(event).info.title;
    EXPECT_EQ(kept.size(), 199U);  // 'a' and 66 signs of 3 bytes, of at most 200
    EXPECT_EQ(kept.substr(kept.size() - 3), "\xe2\x82\xac");
    // An id is whole or none: cut, two could become one.
    EXPECT_TRUE(is<Unknown>(global("session.idle", R"({"sessionID":"ses_)" + std::string(300, 'x') + R"("})")));
}

TEST(Dialect, SurvivesDepthAndSize) {
    std::string const deep = std::string(300'000, '[');
    EXPECT_EQ(read_event(deep).type, "invalid");
    auto const closed = global("permission.asked", R"({"id":"per_1","sessionID":"ses_1","metadata":{"a":)" +
                                                       std::string(100'000, '[') + std::string(100'000, ']') + "}}");
    EXPECT_EQ(as<PermissionAsked>(closed).permission.id, "per_1");
    EXPECT_EQ(global("session.error", R"({"error":{"data":{"statusCode":1e999}}})").type, "invalid");
    std::string patterns = "\"x\"";
    for (int i = 0; i < 1000; ++i) patterns += ",\"x\"";
    auto const many = global("permission.asked", R"({"id":"per_1","sessionID":"ses_1","patterns":[)" + patterns + "]}");
    EXPECT_EQ(as<PermissionAsked>(many).permission.patterns.size(), 16U);
}

/// A third of a million of them in the largest event: with any work that grows with their square, this takes minutes.
std::string many_objects(std::size_t bytes) {
    std::string list = "[{}";
    while (list.size() < bytes) list += ",{}";
    return list + "]";
}

TEST(Dialect, WhatAToolTookAndGaveIsOfAnySize) {
    auto const much = many_objects(std::size_t{1} << 19);
    auto const event =
        global("message.part.updated",
               R"({"part":{"id":"prt_1","sessionID":"ses_1","type":"tool","tool":"x","state":{"input":{"type":)" +
                   much + R"(},"time":{"start":1,"end":7},"status":"completed","metadata":)" + much + "}}}");
    EXPECT_EQ(as<ToolEnded>(event).call, "prt_1");
    EXPECT_EQ(as<ToolEnded>(event).ended_ms, 7);
    // Where it is kept, its number is bounded, and nothing hides behind it.
    auto const asked = global("permission.asked", R"({"patterns":)" + much + R"(,"id":"per_1","sessionID":"ses_1"})");
    EXPECT_EQ(as<PermissionAsked>(asked).permission.id, "per_1");
}

TEST(Dialect, ListsAreReadToABound) {
    std::string list = "[";
    for (int i = 0; i < 100'000; ++i) list += R"({"id":"pty_)" + std::to_string(i) + R"(","x":{"id":[1]}},)";
    auto const found = read_terminals(list + "{}]");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->size(), 65'536U);
    EXPECT_EQ(found->back(), "pty_65535");
    EXPECT_TRUE(read_sessions(many_objects(std::size_t{4} << 20)));
}

TEST(TypeOfLong, IsFoundInWhateverBeginningThereIs) {
    std::string const text =
        R"({"directory":"/a\"type\":\"no\"","project":"p","payload":{"id":"evt_1","type":"message.updated","properties":)";
    EXPECT_EQ(type_of_long(text), "message.updated");
    auto const known_at = text.find("message.updated") + std::string_view("message.updated\"").size();
    for (std::size_t n = 0; n < text.size(); ++n)
        EXPECT_EQ(type_of_long(text.substr(0, n)), n < known_at ? "" : "message.updated") << n;
    EXPECT_EQ(type_of_long(R"({"id":"evt_1","type":"a.b"})"), "a.b");
    EXPECT_EQ(type_of_long(R"({"payload":{"type":"sync","syncEvent":{"type":"session.created.1")"), "sync");
    EXPECT_EQ(type_of_long(R"({ "payload" : { "type" : "a" )"), "a");
}

TEST(TypeOfLong, IsNotTakenFromElsewhere) {
    for (auto const* text :
         {R"({"properties":{"type":"no"},"id":"evt_1")", R"({"x":[{"type":"no"}])", R"([{"type":"no"}])",
          R"({"payload":{"properties":{"type":"no"})", R"({"payload":["type","no"])", R"({"x":"type","y":"no"})",
          R"({"type":{"type":"no"}})", R"({"type":7,"x":"no")", R"({"type":"has space"})", R"({"type":""})",
          R"({"other":{"type":"no"}})", R"("type")", "type", "{\"type\":\"cut", "{\"type\":\"esc\\\"aped\"}",
          R"(1,"part":{"type":"no"})", R"("x":{"type":"no"})"}) {
        EXPECT_EQ(type_of_long(text), "") << text;
    }
    EXPECT_EQ(type_of_long(R"({"type":")" + std::string(65, 'x') + R"("})"), "");
}

TEST(Lists, Statuses) {
    auto const found =
        read_statuses(R"({"ses_1":{"type":"busy"},"ses_2":"idle","ses_3":{"type":"retry","attempt":2}})");
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), 3U);
    EXPECT_EQ((*found)[0].first, "ses_1");
    EXPECT_EQ((*found)[0].second.state, State::busy);
    EXPECT_EQ((*found)[1].second.state, State::idle);
    EXPECT_EQ((*found)[2].second.attempt, 2U);
    EXPECT_TRUE(read_statuses("{}"));
    // What is no answer must not look like "nothing runs".
    for (auto const* text : {"", "[]", "<html>", "null", R"({"name":"BadRequest","data":{"message":"m"}})",
                             R"({"_tag":"UnauthorizedError","message":"m"})", R"({"ses_1":{"type":"busy"})"})
        EXPECT_FALSE(read_statuses(text)) << text;
}

TEST(Lists, Requests) {
    auto const permissions = read_permissions(R"([{"id":"per_1","sessionID":"ses_1","permission":"bash"},7,{},)"
                                              R"({"id":"per_2","sessionID":"ses_1"}])");
    ASSERT_TRUE(permissions);
    ASSERT_EQ(permissions->size(), 2U);
    EXPECT_EQ((*permissions)[0].kind, "bash");
    EXPECT_FALSE((*permissions)[0].newer);
    auto const questions = read_questions(R"([{"id":"que_1","sessionID":"ses_1","questions":[{"header":"H"}]}])");
    ASSERT_TRUE(questions);
    EXPECT_EQ(questions->at(0).asks.at(0).header, "H");
    EXPECT_TRUE(read_permissions("[]"));
    EXPECT_FALSE(read_permissions("{}"));
    EXPECT_FALSE(read_questions("<html>"));
}

TEST(Lists, Sessions) {
    auto const sessions = read_sessions(
        R"([{"id":"ses_1","title":"t","directory":"/w","parentID":"ses_0","time":{"created":1,"updated":2},)"
        R"("project":null},7,{},{"id":"ses_2"}])");
    ASSERT_TRUE(sessions);
    ASSERT_EQ(sessions->size(), 2U);
    EXPECT_EQ(sessions->at(0).parent, "ses_0");
    EXPECT_EQ(sessions->at(0).updated_ms, 2);
    EXPECT_TRUE(read_sessions("[]"));
    EXPECT_FALSE(read_sessions(R"({"name":"NotFoundError"})"));
    EXPECT_FALSE(read_sessions("<html>"));
}

TEST(Lists, OneSessionAndItsLastStep) {
    EXPECT_EQ(read_session(R"({"id":"ses_1","title":"t"})")->title, "t");
    EXPECT_FALSE(read_session(R"({"name":"NotFoundError"})"));
    auto const last = read_last_step(R"([{"info":{"id":"msg_1","sessionID":"ses_1","role":"assistant"}},)"
                                     R"({"info":{"id":"msg_2","sessionID":"ses_1","role":"assistant"}},)"
                                     R"({"info":{"id":"msg_3","sessionID":"ses_1","role":"user"}}])");
    ASSERT_TRUE(last && *last);
    EXPECT_EQ((*last)->message, "msg_2");
    EXPECT_TRUE(read_last_step("[]"));
    EXPECT_FALSE(*read_last_step("[]"));
    EXPECT_FALSE(read_last_step("{}"));
}

}  // namespace
}  // namespace ocgate::opencode
