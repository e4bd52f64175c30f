// What events and lists say of work that is done: calls of tools, compactions, terminals, steps of the newer API.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>

#include "dialect_types.hpp"
#include "ocgate/opencode/event.hpp"
#include "recordings_kit.hpp"

namespace ocgate::opencode {
namespace {

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
Event global(std::string const& type, std::string const& properties) {
    return read_event(R"({"directory":"/work","project":"p","payload":{"id":"evt_1","type":")" + type +
                      R"(","properties":)" + properties + "}}");
}
Event part(std::string const& part) {
    return global("message.part.updated", R"({"sessionID":"ses_1","part":)" + part + "}");
}

std::string tool(std::string const& state) {
    return R"({"type":"tool","tool":"bash","callID":"call_1","state":)" + state +
           R"(,"id":"prt_1","sessionID":"ses_1","messageID":"msg_1"})";
}

TEST(Work, TheEndOfATool) {
    auto const done =
        part(tool(R"({"status":"completed","input":{"type":"x"},"output":"once\n","time":{"start":1,"end":7}})"));
    EXPECT_EQ(as<ToolEnded>(done).call, "prt_1");
    EXPECT_EQ(as<ToolEnded>(done).tool, "bash");
    EXPECT_EQ(as<ToolEnded>(done).session, "ses_1");
    EXPECT_EQ(as<ToolEnded>(done).ended_ms, 7);
    EXPECT_FALSE(as<ToolEnded>(done).failed);
    EXPECT_EQ(done.directory, "/work");
    EXPECT_TRUE(as<ToolEnded>(part(tool(R"({"status":"error","error":"no","time":{"end":7}})"))).failed);
    EXPECT_TRUE(as<ToolEnded>(part(tool(R"({"metadata":{"status":"running"},"status":"error"})"))).failed);
    // The id may stand in front, and the call's own has to do when there is none.
    EXPECT_EQ(as<ToolEnded>(part(R"({"id":"prt_2","type":"tool","tool":"x","state":{"status":"completed"}})")).call,
              "prt_2");
    EXPECT_EQ(
        as<ToolEnded>(part(R"({"state":{"status":"completed"},"messageID":"m","callID":"c","type":"tool"})")).call,
        "m/c");
}

/// In nanoseconds they have to fit into 64 bits: what is made of them is added to, and told.
TEST(Work, TimesAreWhatAClockCanHold) {
    constexpr auto most = std::chrono::nanoseconds::max() / std::chrono::milliseconds(1);
    for (auto const& [said, read] : {std::pair{"9223372036854775807", most}, std::pair{"-9223372036854775808", -most},
                                     std::pair{"1e300", most}, std::pair{"1795000000000", 1'795'000'000'000}}) {
        auto const done = part(tool(R"({"status":"completed","time":{"end":)" + std::string(said) + "}}"));
        EXPECT_EQ(as<ToolEnded>(done).ended_ms, read) << said;
    }
}

TEST(Work, AToolThatRunsIsNotRead) {
    EXPECT_TRUE(is<Ignored>(part(tool(R"({"status":"pending","input":{},"raw":""})"))));
    EXPECT_TRUE(is<Ignored>(
        part(tool(R"({"metadata":{"output":"\"completed\""},"status":"running","input":{"text":"error"}})"))));
    EXPECT_TRUE(is<Ignored>(part(tool(R"("completed")"))));
    EXPECT_TRUE(is<Ignored>(part(tool("{}"))));
    EXPECT_TRUE(is<Ignored>(part(R"({"type":"tool","state":{"status":"completed"}})"))) << "which, nobody can tell";
    auto const running = part(tool(R"({"status":"running"})"));
    EXPECT_TRUE(running.directory.empty()) << "not read on";
}

TEST(Work, AnOldOutputThatIsThrownAwayIsNoNewEnd) {
    EXPECT_TRUE(is<Ignored>(part(tool(R"({"status":"completed","time":{"start":1,"end":7,"compacted":9}})"))));
}

TEST(Work, OtherPartsAreNotRead) {
    for (auto const* text :
         {R"({"id":"prt_1","type":"step-start"})", R"({"id":"prt_1","type":"step-finish","cost":1})",
          R"({"type":"reasoning","text":"hm"})", R"({"type":"file","url":"data:text"})", R"({"type":"compaction"})"}) {
        auto const event = part(text);
        EXPECT_TRUE(is<Ignored>(event)) << text;
        EXPECT_TRUE(event.directory.empty()) << text;
    }
    EXPECT_EQ(as<TextWritten>(part(R"({"id":"prt_1","text":"t","type":"text","messageID":"m","sessionID":"s"})")).text,
              "t");
}

TEST(Work, CompactionsAndTerminals) {
    EXPECT_EQ(as<Compacted>(global("session.compacted", R"({"sessionID":"ses_1"})")).session, "ses_1");
    EXPECT_EQ(as<TerminalOpened>(global("pty.created", R"({"info":{"id":"pty_1","title":"lab"}})")).id, "pty_1");
    EXPECT_EQ(as<TerminalClosed>(global("pty.exited", R"({"id":"pty_1","exitCode":0})")).id, "pty_1");
    EXPECT_EQ(as<TerminalClosed>(global("pty.deleted", R"({"id":"pty_1"})")).id, "pty_1");
    for (auto const* type : {"session.compacted", "pty.created", "pty.exited", "pty.deleted",
                             "session.next.step.started", "session.next.step.ended", "session.next.step.failed",
                             "session.next.tool.called", "session.next.tool.success", "session.next.tool.failed",
                             "session.next.retried", "session.next.compaction.ended"}) {
        for (auto const* properties : {"{}", "[]", "7", R"({"sessionID":7,"info":[],"id":{},"callID":[]})"})
            EXPECT_TRUE(is<Unknown>(global(type, properties))) << type << properties;
    }
    EXPECT_TRUE(is<Ignored>(global("pty.updated", R"({"info":{"id":"pty_1"}})")));
}

TEST(Work, StepsOfTheNewerApi) {
    auto const of = R"("sessionID":"ses_1","assistantMessageID":"msg_1","timestamp":)";
    auto const began = global("session.next.step.started",
                              std::string("{") + of + R"(5,"agent":"build","model":{"id":"m","providerID":"p"}})");
    auto const& begun = as<NewerStepBegan>(began).step;
    EXPECT_EQ(begun.agent + begun.provider + begun.model + begun.message + begun.session, "buildpmmsg_1ses_1");
    EXPECT_EQ(begun.created_ms, 5);
    EXPECT_FALSE(begun.completed);
    auto const over =
        global("session.next.step.ended", std::string("{") + of +
                                              R"(9,"finish":"stop","cost":0.5,"tokens":{"input":8,"output":4,)"
                                              R"("reasoning":3,"cache":{"read":2,"write":1}}})");
    auto const& ended = as<NewerStepEnded>(over).step;
    EXPECT_EQ(ended.usage, (Usage{0.5, 8, 4, 3, 2, 1}));
    EXPECT_EQ(ended.finish, "stop");
    EXPECT_EQ(ended.completed_ms, 9);
    EXPECT_TRUE(ended.completed);
    auto const failed =
        global("session.next.step.failed", std::string("{") + of + R"(9,"error":{"type":"unknown","message":"no"}})");
    EXPECT_EQ(as<NewerStepEnded>(failed).step.error_name, "UnknownError");
    EXPECT_EQ(as<NewerStepEnded>(failed).step.error_text, "no");

    auto const called = global("session.next.tool.called", std::string("{") + of + R"(6,"callID":"c","tool":"bash"})");
    EXPECT_EQ(as<ToolCalled>(called).tool, "bash");
    EXPECT_EQ(as<ToolCalled>(called).call, "msg_1/c");
    auto const success = global("session.next.tool.success", std::string("{") + of + R"(7,"callID":"c"})");
    EXPECT_EQ(as<ToolEnded>(success).call, as<ToolCalled>(called).call);
    EXPECT_EQ(as<ToolEnded>(success).ended_ms, 7);
    EXPECT_FALSE(as<ToolEnded>(success).failed);
    EXPECT_TRUE(as<ToolEnded>(global("session.next.tool.failed", std::string("{") + of + R"(7,"callID":"c"})")).failed);
    EXPECT_EQ(as<NewerRetry>(global("session.next.retried", std::string("{") + of + R"(7,"attempt":1})")).session,
              "ses_1");
    EXPECT_TRUE(is<Compacted>(global("session.next.compaction.ended", std::string("{") + of + R"(7,"text":"x"})")));
    // In the envelope of the newer stream.
    EXPECT_TRUE(is<NewerStepEnded>(read_event(R"({"id":"evt_1","type":"session.next.step.ended","data":{)" +
                                              std::string(of) + R"(9,"finish":"stop"}})")));
}

TEST(Work, WhatIsAddedUpNeitherGoesDownNorOverflows) {
    auto const usage = [](std::string const& numbers) {
        return as<StepChanged>(global("message.updated",
                                      R"({"info":{"id":"m","sessionID":"s","role":"assistant",)" + numbers + "}}"))
            .step.usage;
    };
    EXPECT_EQ(usage(R"("cost":-1,"tokens":{"input":-5,"output":-1e300,"cache":{"read":-1}})"), Usage{});
    auto const huge = usage(R"("cost":1e300,"tokens":{"input":18446744073709551615,"output":1e300})");
    EXPECT_EQ(huge.cost, 1e6);
    EXPECT_EQ(huge.input, 1'000'000'000'000);
    EXPECT_EQ(huge.output, 1'000'000'000'000);
    EXPECT_EQ(usage(R"("cost":"1","tokens":[])"), Usage{});
}

TEST(Work, StepsAndTheirCallsInAList) {
    auto const steps = read_steps(
        R"([{"info":{"id":"msg_1","sessionID":"ses_1","role":"user"},"parts":[{"type":"text"}]},7,{},{"info":7},)"
        R"({"info":{"id":"msg_2","sessionID":"ses_1","role":"assistant","cost":0.5,"time":{"created":1,"completed":2}},)"
        R"("parts":[{"type":"step-start"},7,)" +
        tool(R"({"status":"completed"})") + "," + tool(R"({"status":"running"})") +
        R"(]},{"info":{"id":"msg_3","sessionID":"ses_1","role":"assistant"},"parts":7}])");
    ASSERT_TRUE(steps);
    ASSERT_EQ(steps->size(), 2U);
    EXPECT_EQ(steps->at(0).message, "msg_2");
    EXPECT_EQ(steps->at(0).usage.cost, 0.5);
    ASSERT_EQ(steps->at(0).calls.size(), 1U);
    EXPECT_EQ(steps->at(0).calls[0].tool, "bash");
    EXPECT_FALSE(steps->at(1).completed);
    EXPECT_TRUE(read_steps("[]")->empty());
    for (auto const* text : {"", "{}", "<html>", R"({"name":"NotFoundError"})", "[{"})
        EXPECT_FALSE(read_steps(text)) << text;
}

TEST(Work, Terminals) {
    EXPECT_THAT(*read_terminals(R"([{"id":"pty_1","status":"running"},7,{},{"id":7},{"id":"pty_2"}])"),
                testing::ElementsAre("pty_1", "pty_2"));
    EXPECT_TRUE(read_terminals("[]")->empty());
    for (auto const* text : {"", "{}", "<html>", "null"}) EXPECT_FALSE(read_terminals(text)) << text;
}

// ---- what a glance tells

TEST(Glance, SeesTheKindOfAPartInEveryEnvelope) {
    auto const text = R"({"part":{"id":"p","type":"tool","state":{"input":{"status":"x"},"status":"error"}}})";
    for (std::string const& event :
         {R"({"directory":"/w","payload":{"type":"message.part.updated","properties":)" + std::string(text) + "}}",
          R"({"type":"message.part.updated","properties":)" + std::string(text) + "}",
          R"({"type":"message.part.updated","data":)" + std::string(text) + "}",
          R"( { "type" : "message.part.updated" , "data" : )" + std::string(text) + " } "}) {
        auto const found = glance_at_part(event);
        EXPECT_EQ(found.type, "tool") << event;
        EXPECT_EQ(found.status, "error") << event;
    }
}

TEST(Glance, LooksNoFurtherThanItHasTo) {
    EXPECT_EQ(glance_at_part(R"({"properties":{"part":{"type":"step-start",)").type, "step-start");
    EXPECT_EQ(glance_at_part(R"({"properties":{"part":{"state":{"status":"completed"},"type":"tool")").status,
              "completed");
    EXPECT_EQ(glance_at_part(R"({"properties":{"part":{"type":"tool","state":{"status":"running")").status, "running");
    EXPECT_EQ(glance_at_part(R"({"properties":{"part":{"type":"tool","state":{}},"state":{"status":"x"}})").status, "");
}

TEST(Glance, TakesNothingFromElsewhere) {
    for (auto const* text :
         {"", "{", "[]", "\"", "\"type\"", R"({"part":{"type":"x"}})", R"({"properties":{"type":"x"}})",
          R"({"properties":{"x":{"part":{"type":"x"}}}})", R"({"properties":{"part":[{"type":"x"}]}})",
          R"({"properties":[{"part":{"type":"x"}}]})", R"([{"properties":{"part":{"type":"x"}}}])",
          R"({"properties":{"part":{"x":"type","y":"x"}}})", R"({"properties":{"part":{"x":{"type":"x"}}}})",
          R"({"properties":{"part":{"x":"\",\"type\":\"x"}}})",
          R"({"payload":{"payload":{"properties":{"part":{"type":"x"}}}}})",
          R"({"properties":{"part":{"x":"\\\"","y":1}}},"type":"x")", "}}}}", "]]]]{",
          R"({"properties":{"part":{"type":7}}})"}) {
        EXPECT_EQ(glance_at_part(text).type, "") << text;
    }
    auto const* const quotes = R"({"properties":{"part":{"a\"b\\":"c\"","x\\\\":"\\\"\\\\","type":"y","z":1}}})";
    EXPECT_EQ(glance_at_part(quotes).type, "y");
    std::string const deep =
        R"({"properties":{"part":{"a":)" + std::string(100'000, '[') + std::string(100'000, ']') + R"(,"type":"x"}}})";
    EXPECT_EQ(glance_at_part(deep).type, "x");
}

TEST(Glance, SeesInTheRecordingsWhatAReaderOfJsonSees) {
    std::set<std::string> kinds;
    for (auto const& entry : std::filesystem::directory_iterator(recordings_folder())) {
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);) {
            if (!line.starts_with("data: ")) continue;
            auto const payload = nlohmann::json::parse(line.substr(6))["payload"];
            if (payload["type"] != "message.part.updated") continue;
            auto const& part = payload["properties"]["part"];
            auto const kind = part["type"].get<std::string>();
            auto const status = kind == "tool" ? part["state"]["status"].get<std::string>() : std::string();
            kinds.insert(kind + " " + status);
            auto const text = line.substr(6);
            auto const found = glance_at_part(text);
            EXPECT_EQ(found.type, kind);
            EXPECT_EQ(found.status, status);
        }
    }
    EXPECT_EQ(kinds, (std::set<std::string>{"compaction ", "step-finish ", "step-start ", "text ", "tool completed",
                                            "tool error", "tool pending", "tool running"}));
}

}  // namespace
}  // namespace ocgate::opencode
