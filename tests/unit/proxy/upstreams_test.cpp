#include "upstreams.hpp"

#include <gmock/gmock.h>

#include "support/bench.hpp"
#include "support/scenario.hpp"

namespace ocgate::proxy {
namespace {

using namespace std::chrono_literals;

class Pool : public ::testing::Test {
protected:
    ~Pool() override {
        upstreams.clear();
        EXPECT_EQ(notebook.open[test::Notebook::index(Side::upstream)], 0) << "every connection is counted out";
        EXPECT_TRUE(bench.nothing_left());
    }
    /// A connection given to the pool; its other end is the test's.
    test::PipeEnd give(std::size_t max_idle = 4, rt::Duration keep = 60s) {
        test::PipeEnd end(nullptr);
        auto peer = bench.peer(end);
        notebook.connection_opened(Side::upstream);
        upstreams.give(std::move(peer), max_idle, keep);
        bench.settle();
        return end;
    }
    /// Takes one and tells which.
    std::string taken() {
        auto const peer = upstreams.take();
        if (!peer) return "none";
        rt::Gather bytes{"taken"};
        EXPECT_FALSE(peer->write_now(bytes));
        peer->close();
        notebook.connection_closed(Side::upstream);
        return "one";
    }

    test::Bench bench;
    test::Notebook notebook;
    Upstreams upstreams{bench.resources, notebook};
};

TEST_F(Pool, GivesTheMostRecentlyUsedFirst) {
    auto old = give();
    auto recent = give();
    EXPECT_EQ(taken(), "one");
    EXPECT_EQ(recent.take(), "taken");
    EXPECT_EQ(taken(), "one");
    EXPECT_EQ(old.take(), "taken");
    EXPECT_EQ(taken(), "none");
}

TEST_F(Pool, LosesWhatItsOtherEndCloses) {
    auto first = give();
    auto second = give();
    second.end();
    bench.settle();
    EXPECT_EQ(upstreams.idle(), 1u);
    EXPECT_TRUE(second.closed());
    first.reset();
    bench.settle();
    EXPECT_EQ(upstreams.idle(), 0u);
}

TEST_F(Pool, NeverHandsOutOneThatHasSpokenUnasked) {
    auto quiet = give();
    auto talking = give();
    talking.send("HTTP/1.1 200 OK\r\n");
    bench.settle();
    EXPECT_EQ(taken(), "one");
    EXPECT_EQ(quiet.take(), "taken");
    EXPECT_TRUE(talking.closed());
    EXPECT_EQ(upstreams.idle(), 0u);
}

TEST_F(Pool, KeepsEachForItsTimeAndTheOldestGivesWay) {
    auto first = give(2);
    bench.advance(30s);
    auto second = give(2);
    auto third = give(2);
    EXPECT_TRUE(first.closed());
    EXPECT_EQ(upstreams.idle(), 2u);
    bench.advance(59'999ms);
    EXPECT_EQ(upstreams.idle(), 2u);
    bench.advance(1ms);
    EXPECT_EQ(upstreams.idle(), 0u);
    EXPECT_TRUE(second.closed());
    EXPECT_TRUE(third.closed());
}

TEST_F(Pool, MayKeepNone) {
    auto end = give(0);
    EXPECT_TRUE(end.closed());
    EXPECT_EQ(upstreams.idle(), 0u);
}

TEST_F(Pool, IsClearedAtOnce) {
    auto first = give();
    auto second = give();
    upstreams.clear();
    EXPECT_TRUE(first.closed());
    EXPECT_TRUE(second.closed());
}

}  // namespace
}  // namespace ocgate::proxy
