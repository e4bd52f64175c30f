// Of the herald, private to bridge.
#pragma once

#include <algorithm>

#include "ocgate/bridge/herald.hpp"

namespace ocgate::bridge {

/// A test under way: what became of it at each target.
struct Herald::Test {
    Test(rt::Deadlines& deadlines, std::vector<std::string> const& names)
        : patience(
              deadlines, [](void* self) { static_cast<Test*>(self)->changed.notify(); }, this) {
        for (auto const& name : names) results.push_back({name, "waiting", "no answer yet"});
    }

    void set(std::string_view target, std::string_view result, std::string_view why) {
        for (auto& one : results) {
            if (one.target != target || one.result != "waiting") continue;
            one.result = result;
            one.why = why;
        }
        if (over()) changed.notify();
    }
    void note(std::string_view target, std::string_view why) {
        for (auto& one : results) {
            if (one.target == target && one.result == "waiting") one.why = why;
        }
    }
    [[nodiscard]] bool over() const {
        return std::none_of(results.begin(), results.end(), [](auto const& one) { return one.result == "waiting"; });
    }

    std::vector<TestResult> results;
    rt::Signal changed;
    rt::Deadline patience;
};

}  // namespace ocgate::bridge
