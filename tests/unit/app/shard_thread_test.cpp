#include "shard_thread.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <future>

#include "support/heap.hpp"
#include "support/scenario.hpp"
#include "unit/auth/gate.hpp"

namespace ocgate::app {
namespace {

/// Owned by the shard that takes it over.
int listening_on_loopback() {
    int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(::listen(fd, 1), 0);
    return fd;
}

class ShardThreadTest : public testing::Test {
protected:
    static constexpr std::size_t long_bytes = 64 * 1024;

    static ShardThread::Plan plan_of(std::string realm) {
        ShardThread::Plan plan;
        plan.snapshot.realm = std::move(realm);
        auth::Settings settings;
        settings.accounts = {test::clear_text("ann", "right")};
        plan.admission = std::make_shared<auth::Settings const>(std::move(settings));
        return plan;
    }
    std::exception_ptr configure(ShardThread::Plan plan) {
        std::promise<std::exception_ptr> told;
        auto result = told.get_future();
        shard_.configure(std::move(plan), [&told](std::exception_ptr failed) { told.set_value(std::move(failed)); });
        auto const failed = result.get();
        // What was handed in for it is gone once the shard does something else.
        std::promise<void> looked;
        auto done = looked.get_future();
        shard_.look(0, proxy::First::oldest, [&looked](proxy::ShardView const&) { looked.set_value(); });
        done.get();
        return failed;
    }

    rt::SystemClock clock_;
    test::Notebook notebook_;
    std::atomic<std::size_t> connections_{0};
    proxy::Clients clients_;
    std::atomic<int> escaped_{0};
    test::Gate gate_{*plan_of("first").admission};
    ShardThread shard_{ShardThread::Parts{.clock = clock_,
                                          .recorder = notebook_,
                                          .connections = connections_,
                                          .clients = clients_,
                                          .escaped = [this](std::exception_ptr const&) { ++escaped_; },
                                          .seed = 1},
                       plan_of("first"), gate_.parts()};
};

TEST_F(ShardThreadTest, SaysWhatKeptItFromAPlanAndTakesTheNextOne) {
    shard_.start(listening_on_loopback());
    std::weak_ptr<auth::Settings const> failed, taken;
    {
        auto plan = plan_of(std::string(long_bytes, 'r'));
        failed = plan.admission;
        test::NoMemory const none(long_bytes);
        auto const why = configure(std::move(plan));
        ASSERT_TRUE(why);
        EXPECT_THROW(std::rethrow_exception(why), std::bad_alloc);
    }
    EXPECT_TRUE(failed.expired()) << "nothing of it is in use";
    auto plan = plan_of(std::string(long_bytes, 'r'));
    taken = plan.admission;
    EXPECT_FALSE(configure(std::move(plan)));
    EXPECT_FALSE(taken.expired());
    EXPECT_EQ(escaped_, 0);
}

}  // namespace
}  // namespace ocgate::app
