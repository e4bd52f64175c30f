// A keeper and the store it keeps, on a disk in memory and a clock moved by hand.
#pragma once

#include <gmock/gmock.h>

#include "memory_disk.hpp"
#include "ocgate/notify/keeper.hpp"
#include "outbox_kit.hpp"
#include "support/bench.hpp"

namespace ocgate::notify {

class KeeperKit {
public:
    /// `disk` and `folder` stay; without `worker` jobs are done at once.
    KeeperKit(std::optional<OutboxOptions> options, rt::Worker* worker = nullptr) {
        auto memory = kept(Outbox::in_memory());
        store = worker != nullptr ? std::make_unique<Store>(*worker, std::move(memory))
                                  : std::make_unique<Store>(std::move(memory));
        keeper = std::make_unique<Keeper>(KeeperNeeds{
            .executor = bench.io.get_executor(),
            .deadlines = bench.deadlines,
            .store = *store,
            .wall = [this] { return std::chrono::system_clock::time_point(wall()); },
            .options = std::move(options),
            .changed = [this](KeeperState const& state) { changes.push_back(state.durable ? "disk" : "memory"); },
            .moved = [this](std::string const& path, std::string const& what) { moved.push_back(path + ": " + what); },
            .escaped = [](std::exception_ptr const& error) { std::rethrow_exception(error); }});
    }
    ~KeeperKit() {
        auto const stopped = bench.start(keeper->stop());
        EXPECT_TRUE(bench.wait_until([&] { return *stopped; }));
        keeper.reset();
        EXPECT_TRUE(bench.nothing_left()) << "a task or deadline is left";
    }
    KeeperKit(KeeperKit const&) = delete;
    KeeperKit& operator=(KeeperKit const&) = delete;

    void start() {
        auto const started = bench.start(keeper->start());
        EXPECT_TRUE(bench.wait_until([&] { return *started; }));
    }
    template <class Job>
    auto run(Job job) {
        auto const result = bench.start(store->run(std::move(job)));
        EXPECT_TRUE(bench.wait_until([&] { return result->has_value(); }));
        return std::move(**result);
    }
    /// As the courier and the center do: a failure is told to the keeper, and a second later it is tried again.
    template <class Job>
    auto insist(Job job) {
        for (int tries = 0;; ++tries) {
            auto result = run(job);
            if (result || tries == 50) {
                EXPECT_TRUE(result.has_value()) << result.error().text;
                return std::move(*result);
            }
            EXPECT_NE(result.error().trouble, Trouble::unknown) << result.error().text;
            keeper->trouble(result.error());
            bench.advance(std::chrono::seconds(1));
        }
    }
    void tell(std::string const& key, std::vector<std::string> const& targets, std::string const& facts = "{}") {
        insist([=, at = ms()](Outbox& outbox) {
            auto incident = an_incident(key);
            incident.facts = facts;
            return outbox.raise(incident, at);
        });
        std::vector<NewDelivery> deliveries;
        for (auto const& target : targets) deliveries.push_back(a_delivery(key + '@' + target, target));
        insist([=, at = ms()](Outbox& outbox) { return outbox.open(key, deliveries, at); });
    }
    std::vector<Due> lease(std::string const& target, std::size_t most = 10) {
        auto job = [=, at = ms()](Outbox& outbox) { return outbox.lease(target, most, at + 300'000, at); };
        return insist(std::move(job)).due;
    }
    DeliveryState sent(Ticket const& ticket) {
        return insist([=, at = ms()](Outbox& outbox) { return outbox.sent(ticket, "r", at); });
    }
    std::string all() {
        auto job = [](Outbox& outbox) -> Kept<std::string> { return contents(outbox); };
        return *run(std::move(job));
    }
    std::vector<std::string> keys() {
        auto job = [](Outbox& outbox) { return outbox.unended(); };
        std::vector<std::string> found;
        for (auto const& one : kept(run(std::move(job)))) found.push_back(one.key);
        return found;
    }
    [[nodiscard]] KeeperState const& state() const { return keeper->state(); }
    [[nodiscard]] std::chrono::milliseconds wall() const {
        return std::chrono::hours(480'000) +
               std::chrono::duration_cast<std::chrono::milliseconds>(bench.clock.now().time_since_epoch());
    }
    [[nodiscard]] std::int64_t ms() const { return wall().count(); }

    test::Bench bench;
    std::vector<std::string> changes, moved;
    std::unique_ptr<Store> store;
    std::unique_ptr<Keeper> keeper;
};

}  // namespace ocgate::notify
