#include "witness.hpp"

#include <gmock/gmock.h>

#include "audit_kit.hpp"

namespace ocgate::app {
namespace {
using testing::ElementsAre;
using testing::IsEmpty;

proxy::Deed deed(std::string_view target, std::string_view user, std::string_view id = "r1") {
    return {.method = "POST", .target = target, .user = user, .client_address = "192.0.2.7", .request_id = id};
}

TEST(ActWitness, TellsTheLoopWhoDidWhatAndOnlyAbortsThatSucceeded) {
    boost::asio::io_context io;
    AuditFile file;
    std::vector<std::string> heard;
    ActWitness witness(io.get_executor(), file.auditor(),
                       {.acted =
                            [&](opencode::Act const& act, Who const& who) {
                                heard.push_back(who.user + "@" + who.client_address + " " + who.request_id + " " +
                                                act.session + " " + act.request);
                            },
                        .aborted = [&](std::string const& session) { heard.push_back("aborted " + session); },
                        .not_taken = [&](std::string const& id) { heard.push_back("not taken " + id); }});
    witness.began(deed("/permission/per_1/reply?directory=x", "alice"));
    witness.began(deed("/session/ses_1/abort", "bob", "r2"));
    witness.began(deed("/config", "bob"));
    EXPECT_THAT(heard, IsEmpty()) << "not on the shard's thread";
    io.run();
    EXPECT_THAT(heard, ElementsAre("alice@192.0.2.7 r1  per_1", "bob@192.0.2.7 r2 ses_1 "));
    heard.clear();
    io.restart();
    witness.ended(deed("/session/ses_1/abort", "bob"), 404, {});
    witness.ended(deed("/session/ses_1/abort", "bob"), 0, {});
    witness.ended(deed("/session/ses_2/message", "bob"), 200, {});
    witness.ended(deed("/session/ses_1/abort", "bob"), 200, {});
    witness.ended(deed("/permission/per_1/reply", "bob", "r3"), 404, {});
    witness.ended(deed("/permission/per_1/reply", "bob", "r4"), 200, {});
    witness.ended(deed("/permission/per_1/reply", "bob", "r5"), 0, {});
    io.run();
    EXPECT_THAT(heard, ElementsAre("aborted ses_1", "not taken r3")) << "whoever left may have been heard";
}

TEST(ActWitness, WritesTheAuditOnItsWay) {
    boost::asio::io_context io;
    AuditFile file;
    ActWitness witness(io.get_executor(), file.auditor(),
                       {.acted = [](opencode::Act const&, Who const&) {}, .aborted = [](std::string const&) {}});
    witness.began(deed("/session/ses_1/shell?directory=/x", "alice"));
    witness.ended(deed("/session/ses_1/shell", "alice"), 200, std::chrono::milliseconds(1500));
    auto const lines = file.lines();
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0]["outcome"], "begun");
    EXPECT_EQ(lines[1]["outcome"], "done");
    EXPECT_EQ(lines[1]["duration_ms"], 1500);
}

}  // namespace
}  // namespace ocgate::app
