#include "witness.hpp"

#include <gmock/gmock.h>

namespace ocgate::app {
namespace {
using testing::ElementsAre;
using testing::IsEmpty;

TEST(ActWitness, TellsTheLoopWhoDidWhatAndOnlyAbortsThatSucceeded) {
    boost::asio::io_context io;
    std::vector<std::string> heard;
    ActWitness witness(
        io.get_executor(),
        {.acted = [&](opencode::Act const& act,
                      std::string const& user) { heard.push_back(user + " " + act.session + " " + act.request); },
         .aborted = [&](std::string const& session) { heard.push_back("aborted " + session); }});
    witness.began("POST", "/permission/per_1/reply?directory=x", "alice");
    witness.began("POST", "/session/ses_1/abort", "bob");
    witness.began("POST", "/config", "bob");
    EXPECT_THAT(heard, IsEmpty()) << "not on the shard's thread";
    io.run();
    EXPECT_THAT(heard, ElementsAre("alice  per_1", "bob ses_1 "));
    heard.clear();
    io.restart();
    witness.ended("POST", "/session/ses_1/abort", "bob", 404);
    witness.ended("POST", "/session/ses_1/abort", "bob", 0);
    witness.ended("POST", "/session/ses_2/message", "bob", 200);
    witness.ended("POST", "/session/ses_1/abort", "bob", 200);
    io.run();
    EXPECT_THAT(heard, ElementsAre("aborted ses_1"));
}

}  // namespace
}  // namespace ocgate::app
