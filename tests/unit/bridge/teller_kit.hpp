// A teller, and what it raises and ends.
#pragma once

#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "ocgate/bridge/teller.hpp"

namespace ocgate::bridge {

using namespace std::chrono_literals;
using namespace opencode;
using nlohmann::json;

class TellerTest : public testing::Test {
protected:
    TellerTest() : teller(needs(), TellerRules{}) {}
    TellerNeeds needs() {
        return TellerNeeds{.raise = [this](notify::Raised raised) { raises.push_back(std::move(raised)); },
                           .resolve =
                               [this](std::string_view key, std::string_view outcome, std::string_view by) {
                                   auto end = std::string(key) + " " + std::string(outcome);
                                   if (!by.empty()) end += " by " + std::string(by);
                                   ends.push_back(std::move(end));
                               },
                           .resolve_where =
                               [this](auto const& matches, std::string_view outcome) {
                                   for (auto const& raised : raises) {
                                       if (matches(raised)) ends.push_back(raised.key + " " + std::string(outcome));
                                   }
                               },
                           .who = [this](std::string_view request) { return answered_by[std::string(request)]; },
                           .wall = [this] { return std::chrono::system_clock::time_point(wall); }};
    }
    void happens(Happening const& what) { teller.happened(what, now); }
    void asks(std::string id, bool again = false) {
        PermissionPending pending;
        pending.permission.id = std::move(id);
        pending.root = root;
        pending.again = again;
        happens(pending);
    }
    void is_over(std::string id, PermissionOver::Outcome outcome) {
        happens(PermissionOver{.id = std::move(id), .session = "ses_0", .outcome = outcome, .root = root});
    }
    std::vector<std::string> keys() const {
        std::vector<std::string> found;
        for (auto const& one : raises) found.push_back(one.key);
        return found;
    }
    json facts() const { return json::parse(raises.back().facts); }
    TurnFailed failure(std::string text) const {
        return {.root = root, .session = "ses_1", .name = "APIError", .text = std::move(text)};
    }

    SessionInfo root{.id = "ses_0", .parent = {}, .title = "Fix it", .directory = "/workspaces/shop", .agent = "build"};
    std::vector<notify::Raised> raises;
    std::vector<std::string> ends;
    std::map<std::string, std::string> answered_by;
    std::chrono::milliseconds wall{1'700'000'000'000};
    rt::Instant now{1h};
    Teller teller;
};

}  // namespace ocgate::bridge
