// The center by a clock moved by hand: the courier is real, its targets and network are the test's.
#pragma once

#include "courier_kit.hpp"
#include "ocgate/notify/center.hpp"

namespace ocgate::notify {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

class CenterTest : public CourierTest {
protected:
    CenterTest() {
        handling.targets = {"a"};
        handling.hold = 1s;
    }
    ~CenterTest() override { end_center(); }

    void begin_all() {
        if (sinks.empty()) add("a").can.replaces = true;
        for (auto& [name, sink] : sinks) sink->can.resolves = true;
        begin();
        begin_center();
    }
    void begin_center() {
        CenterNeeds needs{bench.io.get_executor(), bench.deadlines, *store, *courier, {}, {}};
        needs.wall = [this] { return std::chrono::system_clock::time_point(wall()); };
        needs.route = [this](Raised const& raised) {
            auto const own = of_kind.find(raised.kind);
            return own == of_kind.end() ? handling : own->second;
        };
        needs.quiet = [this] { return quiet; };
        needs.taken_up = [this](Raised const& raised) {
            taken.push_back(raised.key);
            if (when_taken) when_taken(raised);
        };
        needs.never_told = [this](Raised const& raised) { never_told.push_back(raised.key); };
        needs.trouble = [this](OutboxError const& error) { center_troubles.push_back(error.trouble); };
        needs.escaped = [](std::exception_ptr const& error) { std::rethrow_exception(error); };
        needs.accepted = [this](rt::Duration took) { accepted.push_back(took); };
        center = std::make_unique<Center>(std::move(needs));
        center->start();
        bench.settle();
    }
    void end_center() {
        if (!center) return;
        auto const stopped = bench.start(center->stop());
        // What the disk does not take is tried a few times more.
        if (!*stopped) bench.advance((Center::most_last_tries + 1) * Center::store_pause);
        EXPECT_TRUE(*stopped);
        center.reset();
    }
    void happens(std::string key, std::string subject = "ses_1", Weight weight = Weight::block) {
        auto kind = weight == Weight::block ? "permission" : weight == Weight::error ? "error" : "complete";
        center->raise({.key = std::move(key), .kind = kind, .subject = std::move(subject), .weight = weight});
        bench.settle();
    }
    /// A crash: nothing is said any more, and the next center finds what was written.
    void crash() {
        end_center();
        begin_center();
    }
    void answered(std::string_view key, std::string_view outcome = "once") {
        center->resolve(key, outcome, "alice");
        bench.settle();
    }
    Incident incident_of(std::string const& key) {
        auto job = [key](Outbox& outbox) { return outbox.find(key); };
        auto found = in_outbox(job);
        EXPECT_TRUE(found.has_value()) << key;
        return found ? *found : Incident{};
    }
    IncidentState incident(std::string const& key) { return incident_of(key).state; }
    std::vector<std::string> keys_of(std::string const& kind) {
        auto job = [](Outbox& outbox) { return outbox.list_incidents(1000); };
        std::vector<std::string> keys;
        for (auto const& one : in_outbox(job)) {
            if (one.kind == kind) keys.push_back(one.key);
        }
        return keys;
    }
    /// The first words of what `target` was asked.
    std::vector<std::string> said_to(std::string const& target) {
        std::vector<std::string> found;
        for (auto const& body : bodies(target)) found.push_back(body.substr(0, body.find("/{")));
        return found;
    }

    Handling handling;
    std::map<std::string, Handling> of_kind;  ///< instead, for these
    bool quiet = false;
    std::vector<std::string> taken, never_told;
    std::function<void(Raised const&)> when_taken;
    std::vector<Trouble> center_troubles;
    std::vector<rt::Duration> accepted;
    std::unique_ptr<Center> center;
};

}  // namespace ocgate::notify
