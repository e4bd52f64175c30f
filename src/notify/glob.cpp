// All the places in the pattern where the text so far can have led are followed side by side, so nothing is tried
// twice.
#include <cstdint>

#include "ocgate/notify/router.hpp"

namespace ocgate::notify {
namespace {

/// What may stand before a step.
enum class Gap : std::uint8_t { none, within_name, anything };

/// One character of the text; the last of a pattern is no character but the end.
struct Step {
    Gap before = Gap::none;
    bool any = false;  ///< `?`
    char letter = 0;
};

/// Of a character in UTF-8, what follows its first byte.
bool continues(char c) noexcept { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::vector<Step> steps_of(std::string_view pattern) {
    std::vector<Step> steps;
    steps.reserve(pattern.size() + 1);
    Step step;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] == '*') {
            bool const more = i + 1 < pattern.size() && pattern[i + 1] == '*';
            step.before = more || step.before == Gap::anything ? Gap::anything : Gap::within_name;
            if (more) ++i;
            continue;
        }
        step.any = pattern[i] == '?';
        step.letter = pattern[i];
        steps.push_back(step);
        step = {};
    }
    steps.push_back(step);
    return steps;
}

bool takes(Step const& step, char c) noexcept { return step.any ? c != '/' && !continues(c) : c == step.letter; }

/// Before step `at`, still there after `c`.
bool stays(std::vector<Step> const& steps, std::size_t at, char c) noexcept {
    auto const before = steps[at].before;
    if (before == Gap::anything || (before == Gap::within_name && c != '/')) return true;
    return at > 0 && steps[at - 1].any && continues(c);
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
    auto const steps = steps_of(pattern);
    auto const end = steps.size() - 1;
    std::vector<std::size_t> here{0}, next;  // ascending
    for (char const c : text) {
        next.clear();
        auto const reach = [&next](std::size_t at) {
            if (next.empty() || next.back() < at) next.push_back(at);
        };
        for (auto const at : here) {
            if (stays(steps, at, c)) reach(at);
            if (at < end && takes(steps[at], c)) reach(at + 1);
        }
        if (next.empty()) return false;
        here.swap(next);
    }
    return here.back() == end;
}

}  // namespace ocgate::notify
