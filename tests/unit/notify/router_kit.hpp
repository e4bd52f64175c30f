// What the router's tests share: an event of each kind, one rule that takes all, and a time of day that stands still.
#pragma once

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "ocgate/notify/router.hpp"

namespace ocgate::notify::router_kit {
using namespace std::chrono;
using namespace std::chrono_literals;
using nlohmann::json;
using Time = system_clock::time_point;

/// A Monday, noon in UTC.
inline Time const noon = sys_days(2026y / January / 5) + 12h;

inline json const usual_facts{{"project", "api-gateway"},
                              {"directory", "/workspaces/api-gateway"},
                              {"agent", "build"},
                              {"turn", {{"duration_ms", 30'000}}}};

inline Raised raised(std::string kind, json const& facts = usual_facts) {
    bool const block = kind == "permission" || kind == "question";
    auto const weight = block ? Weight::block : kind == "error" ? Weight::error : Weight::complete;
    bool const session = kind != "upstream_down" && kind != "budget" && kind != "digest";
    return {
        .key = kind + "/1", .kind = kind, .subject = session ? "ses_1" : "", .weight = weight, .facts = facts.dump()};
}

/// Of what rules look at.
inline std::string said(Handling const& handling) {
    if (!handling.suppressed.empty()) return "suppressed: " + handling.suppressed;
    std::string text;
    for (auto const& target : handling.targets) text += (text.empty() ? "" : ",") + target;
    return text;
}

class RouterTest : public ::testing::Test {
protected:
    RouterTest() { rules.rules = {to("phone")}; }

    static Rule to(std::string target) {
        Rule rule{.place = "/notifications/routes/0"};
        rule.targets = {std::move(target)};
        return rule;
    }
    /// By `rules` as they are now.
    Router router() {
        return {rules, [this] { return wall; }};
    }
    Handling route(Raised const& what) { return router().route(what, now); }
    std::string to_whom(Raised const& what) { return said(route(what)); }
    /// One rule before one for the rest.
    void first(Rule rule) {
        rule.targets = {"first"};
        rules.rules = {std::move(rule), to("rest")};
    }

    RouterRules rules;
    Time wall = noon;
    rt::Instant now{1000h};
};

}  // namespace ocgate::notify::router_kit
