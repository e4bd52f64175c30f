// `ocgate pending`, `sessions` and `notify-test` against a control socket whose pages are scripted.
#include <gmock/gmock.h>

#include <mutex>
#include <nlohmann/json.hpp>

#include "config_kit.hpp"
#include "control_kit.hpp"

namespace ocgate::app {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Ran {
    int code;
    std::string out, err;
};

class PageCommands : public testing::Test {
protected:
    World world() { return World().variable("OCGATE_CONTROL_SOCKET", socket_.path()); }
    Ran pending(World const& world, bool as_json = false) {
        return run([&](auto& out, auto& err) { return app::pending(world.flags, world.sources(), as_json, out, err); });
    }
    Ran sessions(World const& world, bool as_json = false) {
        return run(
            [&](auto& out, auto& err) { return app::sessions(world.flags, world.sources(), as_json, out, err); });
    }
    Ran status(World const& world, bool as_json = false) {
        return run([&](auto& out, auto& err) { return app::status(world.flags, world.sources(), as_json, out, err); });
    }
    Ran top(World const& world, unsigned times) {
        return run([&](auto& out, auto& err) {
            return app::top(world.flags, world.sources(), milliseconds(1), times, out, err);
        });
    }
    Ran notify_test(World const& world, std::optional<std::string> const& target = {}) {
        return run(
            [&](auto& out, auto& err) { return app::notify_test(world.flags, world.sources(), target, out, err); });
    }
    Ran tested(std::string targets) {
        answers(200, "application/json", R"({"incident":"i1","targets":)" + std::move(targets) + "}");
        return notify_test(world());
    }
    void answers(unsigned status, std::string type, std::string body) {
        std::lock_guard const lock(mutex_);
        answer_ = {.status = status, .content_type = std::move(type), .body = std::move(body)};
    }
    proxy::PageRequest asked() {
        std::lock_guard const lock(mutex_);
        return request_;
    }

    template <class F>
    static Ran run(F const& command) {
        std::ostringstream out, err;
        auto const code = command(out, err);
        return {code, out.str(), err.str()};
    }

    std::mutex mutex_;
    proxy::PageAnswer answer_;
    proxy::PageRequest request_;
    ControlThread socket_{ControlActions{
        .drain = {},
        .reload = {},
        .page =
            [this](proxy::PageRequest request, std::function<void(proxy::PageAnswer)> const& done) {
                std::lock_guard const lock(mutex_);
                request_ = std::move(request);
                done(answer_);
            },
    }};
};

TEST_F(PageCommands, PrintTheTable) {
    answers(200, "text/plain; charset=utf-8", "ID   Directory\nses  /wörk\n");
    auto ran = pending(world());
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, "ID   Directory\nses  /wörk\n");
    EXPECT_EQ(ran.err, "");
    EXPECT_EQ(asked().method, "GET");
    EXPECT_EQ(asked().target, "/_ocgate/pending");
    EXPECT_EQ(asked().accept, "text/plain");

    ran = sessions(world());
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, "ID   Directory\nses  /wörk\n");
    EXPECT_EQ(asked().target, "/_ocgate/sessions");
}

TEST_F(PageCommands, StatusIsAPageLikeTheOthersAndTopAsksForItAgain) {
    answers(200, "text/plain; charset=utf-8", "ocgate\n");
    EXPECT_EQ(status(world()).out, "ocgate\n");
    EXPECT_EQ(asked().target, "/_ocgate/status");
    EXPECT_EQ(asked().accept, "text/plain");
    answers(200, "application/json", R"({"version":"9","time_ms":1000,"totals":{"requests":5}})");
    EXPECT_EQ(status(world(), true).out, R"({"version":"9","time_ms":1000,"totals":{"requests":5}})"
                                         "\n");
    auto ran = top(world(), 2);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(asked().accept, "application/json");
    auto const again = ran.out.find("ocgate 9", 1);
    EXPECT_NE(again, std::string::npos) << ran.out;
    EXPECT_EQ(ran.out.find("\x1b"), std::string::npos) << "this is no terminal";
    answers(200, "application/json", "[]");
    ran = top(world(), 2);
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.err, "ocgate top: what answers there is no status page\n");
    answers(404, "application/json", R"({"error":{"message":"No such page."}})");
    EXPECT_EQ(top(world(), 1).err, "ocgate top: No such page.\n");
}

TEST_F(PageCommands, PrintJsonAsItIs) {
    answers(200, "application/json", "{\"a\":[\"\\u001b\"]}");
    auto ran = pending(world(), true);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, "{\"a\":[\"\\u001b\"]}\n") << "with an end of the line";
    EXPECT_EQ(asked().accept, "application/json");
    answers(200, "application/json", "{}\n");
    EXPECT_EQ(sessions(world(), true).out, "{}\n");
    EXPECT_EQ(asked().target, "/_ocgate/sessions");
}

TEST_F(PageCommands, WhatOthersWroteDrivesNoTerminal) {
    auto const ran = tested(R"([{"name":"a","result":"failed","why":"\u001b[1mno\n\u009bway"}])");
    EXPECT_EQ(ran.out, "a: failed: [1mno way\n");
    answers(404, "application/json", R"({"error":{"code":"x","message":"\u0007no\nway"}})");
    EXPECT_EQ(pending(world()).err, "ocgate pending: no way\n");
}

TEST_F(PageCommands, ErrorPagesAreTold) {
    answers(503, "application/json", R"({"error":{"code":"starting","message":"Not yet.","request_id":""}})");
    for (bool const as_json : {false, true}) {
        auto const ran = pending(world(), as_json);
        EXPECT_EQ(ran.code, 1);
        EXPECT_EQ(ran.out, "");
        EXPECT_EQ(ran.err, "ocgate pending: Not yet.\n");
    }
    EXPECT_EQ(sessions(world()).err, "ocgate sessions: Not yet.\n");
    EXPECT_EQ(notify_test(world()).err, "ocgate notify-test: Not yet.\n");
    for (auto const* body : {"", "<html>", "[]", "{\"error\":7}", "{\"error\":{\"message\":null}}"}) {
        answers(502, "text/html", body);
        auto const ran = sessions(world());
        EXPECT_EQ(ran.code, 1);
        EXPECT_EQ(ran.err, "ocgate sessions: it answered with status 502\n") << body;
    }
}

TEST_F(PageCommands, ATestTellsALineForEachTarget) {
    auto ran = tested(R"([{"name":"phone","result":"sent","why":""},{"name":"team","result":"sent"}])");
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, "phone: sent\nteam: sent\n");
    EXPECT_EQ(ran.err, "");
    EXPECT_EQ(asked().method, "POST");
    EXPECT_EQ(asked().target, "/_ocgate/notifications/test");
    EXPECT_EQ(asked().accept, "application/json");
    EXPECT_EQ(asked().content_type, "application/json");
    EXPECT_EQ(nlohmann::json::parse(asked().body), nlohmann::json::object());

    ran = tested(R"([{"name":"phone","result":"sent","why":""},{"name":"team","result":"failed","why":"401"}])");
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.out, "phone: sent\nteam: failed: 401\n");
    ran = tested(R"([{"name":"a","result":"waiting","why":"no answer yet"},{"name":"b","result":"failed"}])");
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.out, "a: waiting: no answer yet\nb: failed\n");
    EXPECT_EQ(tested("[7]").code, 1) << "a target without a result was not told";
}

TEST_F(PageCommands, ATestNamesItsTarget) {
    answers(404, "application/json", R"({"error":{"code":"not_found","message":"There is no target of that name."}})");
    auto const ran = notify_test(world(), "pho\"ne\xFF");
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.err, "ocgate notify-test: There is no target of that name.\n");
    EXPECT_EQ(nlohmann::json::parse(asked().body), nlohmann::json({{"target", "pho\"ne\uFFFD"}}));
}

TEST_F(PageCommands, WithoutTargetsATestSaysHowToHaveOne) {
    auto const ran = tested("[]");
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.out, "");
    EXPECT_THAT(ran.err, AllOf(StartsWith("ocgate notify-test: "), HasSubstr("NTFY_TOPIC"),
                               HasSubstr("DISCORD_WEBHOOK_URL"), HasSubstr("\"notifications\"")));
}

TEST_F(PageCommands, AnswersThatSayNothingOfTargetsAreNoSuccess) {
    for (auto const* body : {"", "{}", "[]", "ok", R"({"targets":{}})"}) {
        answers(200, "application/json", body);
        auto const ran = notify_test(world());
        EXPECT_EQ(ran.code, 1) << body;
        EXPECT_THAT(ran.err, StartsWith("ocgate notify-test: ")) << body;
    }
}

TEST_F(PageCommands, AFileBrokenAfterTheStartIsNoObstacleWhereAFlagSaysWhere) {
    answers(200, "text/plain", "table\n");
    auto broken = World("{ not json");
    auto ran = pending(broken.flag("control_socket", socket_.path()));
    EXPECT_EQ(ran.code, 0);
    EXPECT_EQ(ran.out, "table\n");
    EXPECT_THAT(ran.err, HasSubstr("not JSON"));
    ran = pending(World("{ not json"));
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("--control-socket or OCGATE_CONTROL_SOCKET"));
}

TEST(PageCommandsAlone, SayThatNobodyAnswers) {
    for (auto const* command : {"pending", "sessions", "notify-test"}) {
        std::ostringstream out, err;
        auto const run = [&](World const& world) {
            auto const sources = world.sources();
            if (command == std::string_view("pending")) return pending(world.flags, sources, false, out, err);
            if (command == std::string_view("sessions")) return sessions(world.flags, sources, false, out, err);
            return notify_test(world.flags, sources, "phone", out, err);
        };
        auto const who = "ocgate " + std::string(command) + ": ";
        EXPECT_EQ(run(World().variable("OCGATE_CONTROL_SOCKET", "/nonexistent/nobody.sock")), 1);
        EXPECT_THAT(err.str(), StartsWith(who + "/nonexistent/nobody.sock: no gateway answers there"));
        err.str("");
        EXPECT_EQ(run(World().variable("OCGATE_CONTROL_SOCKET", "none")), 1);
        EXPECT_THAT(err.str(), AllOf(StartsWith(who + "no control socket is configured"),
                                     EndsWith("on the traffic port says the same\n")));
        EXPECT_EQ(out.str(), "");
    }
}

}  // namespace
}  // namespace ocgate::app
