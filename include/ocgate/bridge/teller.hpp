// What happened in opencode, as incidents somebody may have to hear of: which of it, under which key, with which facts.
// Decides nothing about when, to whom and how.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "ocgate/notify/center.hpp"
#include "ocgate/opencode/model.hpp"

namespace ocgate::bridge {

struct TellerRules {
    rt::Duration shortest_turn = std::chrono::seconds(20);  ///< a shorter one was watched by whoever asked for it
    rt::Duration same_error = std::chrono::minutes(10);     ///< the same error is told once in this time
    unsigned retries = 3;                                   ///< attempts that failed before it is told
};

/// Where incidents go: notify::Center, or what a test puts in its place.
struct TellerNeeds {
    std::function<void(notify::Raised)> raise;
    std::function<void(std::string_view key, std::string_view outcome, std::string_view by)> resolve;
    /// All that are about this subject.
    std::function<void(std::string_view subject, std::string_view outcome)> resolve_subject;
    notify::WallClock wall;
};

class Teller {
public:
    static constexpr std::size_t max_errors = 1000;  ///< remembered; beyond, the oldest is forgotten

    Teller(TellerNeeds needs, TellerRules rules) : needs_(std::move(needs)), rules_(rules) {}

    void happened(opencode::Happening const& happening, rt::Instant now);

    /// The last component of a path: what people call the project.
    [[nodiscard]] static std::string project_of(std::string_view directory);
    /// An error without what differs from one time to the next: numbers, ids.
    [[nodiscard]] static std::string fingerprint(std::string_view project, std::string_view name,
                                                 std::string_view text);

private:
    void tell(opencode::PermissionPending const& what);
    void tell(opencode::PermissionOver const& what);
    void tell(opencode::QuestionPending const& what);
    void tell(opencode::QuestionOver const& what);
    void tell(opencode::TurnCompleted const& what);
    void tell(opencode::TurnFailed const& what);
    void tell(opencode::TurnAborted const& what);
    void tell(opencode::Retrying const& what);
    void tell(opencode::RetryOver const& what);
    void tell(opencode::SessionDeleted const& what);
    [[nodiscard]] std::int64_t now_ms() const;

    TellerNeeds needs_;
    TellerRules rules_;
    rt::Instant now_{};
    std::map<std::string, rt::Instant, std::less<>> errors_;  ///< told, by fingerprint
    std::map<std::string, std::string, std::less<>>
        retrying_;  ///< session → key of what was told; bounded by the model
};

}  // namespace ocgate::bridge
