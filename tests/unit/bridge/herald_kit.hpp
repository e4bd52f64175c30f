// A herald on a clock moved by hand; its network and its targets are the test's.
#pragma once

#include <nlohmann/json.hpp>

#include "ocgate/bridge/herald.hpp"
#include "support/heap.hpp"
#include "unit/notify/courier_kit.hpp"

namespace ocgate::bridge {

using namespace std::chrono_literals;
using namespace opencode;
using notify::answer;
using notify::PlainSink;
using notify::ScriptedHttp;

class HeraldTest : public testing::Test {
protected:
    HeraldTest() : store(std::make_unique<notify::Store>(std::move(*notify::Outbox::in_memory()))) {
        names = {"phone"};
        settings.rules.rules = {{.place = "all", .targets = {"phone"}}};
    }
    ~HeraldTest() override {
        if (herald) stop();
        EXPECT_TRUE(bench.nothing_left()) << "a task or deadline is left";
    }

    HeraldSettings made() {
        auto copy = settings;
        copy.targets_mark.clear();
        for (auto const& name : names) copy.targets_mark += name + ";";
        copy.targets = [this, wanted = names] {
            // Each courier has a network of its own: the last one's was stopped with it.
            networks.push_back(std::make_shared<ScriptedHttp>(bench.deadlines));
            networks.back()->script = script;
            std::vector<notify::CourierTarget> targets;
            for (auto const& name : wanted) {
                auto sink = std::make_unique<PlainSink>(name, "plain");
                sink->can.resolves = sink->can.replaces = true;
                notify::CourierTarget target;
                target.name = name;
                target.sink = std::move(sink);
                target.http = networks.back();
                targets.push_back(std::move(target));
            }
            return targets;
        };
        return copy;
    }
    void begin() {
        HeraldListener listener;
        listener.told = [this](notify::Told const& told) {
            said.push_back(std::string(to_string(told.what)) + " " + told.due.ticket.dedupe);
        };
        listener.disabled = [this](std::string const& target, std::string const& why) {
            said.push_back("disabled " + target + ": " + why);
        };
        listener.escaped = [this](std::exception_ptr const& error) {
            if (!may_fail) std::rethrow_exception(error);
            ++failures;
        };
        herald = std::make_unique<Herald>(
            HeraldNeeds{.executor = bench.io.get_executor(),
                        .deadlines = bench.deadlines,
                        .store = *store,
                        .disk = std::nullopt,
                        .wall = [this] { return std::chrono::system_clock::time_point(wall()); },
                        .random = [] { return 0.5; },
                        .pending = [this](std::string_view id) { return std::string(id) == still_pending; },
                        .retries = [](std::string_view) { return false; },
                        .look_at = [this](std::string const& directory) { looks.push_back(directory); },
                        .root_of = [](Act const& act) { return act.session; },
                        .listener = std::move(listener)},
            made());
        herald->start();
        if (at_start) at_start();
        bench.settle();
    }
    void stop() {
        auto const stopped = bench.start(herald->stop(bench.clock.now() + 1s));
        bench.advance(Herald::exchange_patience + 1s);
        EXPECT_TRUE(*stopped);
        herald.reset();
    }
    [[nodiscard]] std::chrono::milliseconds wall() const {
        return 1'700'000'000'000ms +
               std::chrono::duration_cast<std::chrono::milliseconds>(bench.clock.now().time_since_epoch());
    }
    /// What `target` was asked, in order, over all couriers.
    std::vector<std::string> said_to(std::string const& target) const {
        std::vector<std::string> bodies;
        for (auto const& network : networks) {
            for (auto const& one : network->asked) {
                if (one.target == target) bodies.push_back(one.body);
            }
        }
        return bodies;
    }
    void asks(std::string id, bool again = false, bool newer = false) {
        PermissionPending pending;
        pending.again = again;
        pending.permission.newer = newer;
        pending.permission.id = std::move(id);
        pending.permission.session = "ses_1";
        pending.permission.kind = "bash";
        pending.permission.command = "git push";
        pending.root = root;
        pending.directory = root.directory;
        herald->happened(pending);
        bench.settle();
    }
    void answered(std::string id, PermissionOver::Outcome outcome = PermissionOver::Outcome::once) {
        herald->happened(PermissionOver{.id = std::move(id), .session = "ses_1", .outcome = outcome, .root = root});
        bench.settle();
    }
    notify::Incident incident(std::string const& key) {
        auto const kept = bench.start(herald->ledger(100));
        for (auto const& one : (*kept)->value().incidents) {
            if (one.key == key) return one;
        }
        ADD_FAILURE() << "no incident " << key;
        return {};
    }

    test::Bench bench;
    std::unique_ptr<notify::Store> store;
    HeraldSettings settings;
    std::vector<std::string> names;
    std::map<std::string, std::function<notify::Reply(notify::HttpRequest const&)>> script;
    std::vector<std::shared_ptr<ScriptedHttp>> networks;
    std::vector<std::string> said, looks;
    std::string still_pending;
    std::function<void()> at_start;
    bool may_fail = false;  ///< exceptions are counted
    int failures = 0;
    SessionInfo root{.id = "ses_1", .parent = {}, .title = "Fix it", .directory = "/workspaces/shop", .agent = "build"};
    std::unique_ptr<Herald> herald;
};

}  // namespace ocgate::bridge
