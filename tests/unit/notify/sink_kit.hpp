// What the sinks' tests share: facts as the bridge gives them, a clock that stands, answers.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "ocgate/notify/sinks.hpp"
#include "ocgate/notify/words.hpp"

namespace ocgate::notify {

inline constexpr std::int64_t test_now_s = 1787392800;  // 2026-08-22T10:00:00Z

inline WallClock standing(std::int64_t seconds = test_now_s) {
    return [seconds] { return std::chrono::system_clock::time_point(std::chrono::seconds(seconds)); };
}

inline nlohmann::json permission_facts() {
    return {{"event", "permission"},
            {"incident", "permission:per_01"},
            {"at_ms", test_now_s * 1000},
            {"project", "project-1"},
            {"directory", "/workspaces/project-1"},
            {"session", {{"id", "abc123"}, {"title", "Fix the login"}}},
            {"request",
             {{"id", "per_01"},
              {"kind", "bash"},
              {"command", "git push origin main"},
              {"patterns", {"git push *"}},
              {"always", {"git *"}}}}};
}

inline Message permission_message() { return compose(permission_facts(), Privacy::full); }

/// The same with one text put in everywhere that others write.
inline Message message_full_of(std::string const& text) {
    auto facts = permission_facts();
    facts["project"] = text;
    facts["session"]["title"] = text;
    facts["session"]["id"] = text;
    facts["request"]["kind"] = text;
    facts["request"]["command"] = text;
    facts["request"]["patterns"] = {text, text};
    return compose(facts, Privacy::full);
}

inline Delivery delivery(std::string remote_id = {}) { return {"d1", "per_01", std::move(remote_id)}; }

inline HttpResponse answer(unsigned status, std::string body = {},
                           std::vector<std::pair<std::string, std::string>> fields = {}) {
    return {status, std::move(fields), std::move(body)};
}

inline std::string field_of(HttpRequest const& request, std::string_view name) {
    for (auto const& [known, value] : request.fields)
        if (known == name) return value;
    return {};
}

inline nlohmann::json body_of(HttpRequest const& request) { return nlohmann::json::parse(request.body); }

inline bool holds(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace ocgate::notify
