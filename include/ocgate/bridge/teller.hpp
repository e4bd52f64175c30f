// What happened in opencode, as incidents somebody may have to hear of: which of it, under which key, with which facts.
// Decides nothing about when, to whom and how.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ocgate/bridge/purse.hpp"
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
    /// All of which `matches` says so.
    std::function<void(std::function<bool(notify::Raised const&)> matches, std::string_view outcome)> resolve_where;
    /// Who answered this permission or question, as far as that is known; may be empty.
    std::function<std::string(std::string_view request)> who{};
    notify::WallClock wall;
};

class Teller {
public:
    static constexpr std::size_t max_errors = 1000;  ///< remembered; beyond, the oldest is forgotten

    Teller(TellerNeeds needs, TellerRules rules) : needs_(std::move(needs)), rules_(rules) {}
    void adopt(TellerRules rules) noexcept { rules_ = rules; }

    void happened(opencode::Happening const& happening, rt::Instant now);
    /// Whether opencode can be reached. Told once when it cannot, and withdrawn when it can again.
    void upstream(bool up, std::string_view why, rt::Instant now);
    /// A part of a budget is spent. Not withdrawn: it stays true.
    void crossed(Crossed const& what);

    // After a restart, when this knows nothing yet, and beside `happened`.

    /// An earlier run has raised this, and it has not ended: it is not told again, and its end is seen. Resolves what
    /// is known to be over.
    void knows(notify::Raised const& raised, rt::Instant now);
    /// opencode was asked what is true in `directory`: what an earlier run left and is not so any more is over.
    void looked(std::string_view directory, std::function<bool(std::string_view session)> const& retries);
    /// Under this key an earlier run has told of a request that does not wait any more.
    void waits_no_more(std::string const& key);
    /// It ended before anybody heard of it (CenterNeeds::never_told): the same error is news when it comes again.
    void never_told(notify::Raised const& raised);

    /// opencode's name of the question or permission that an incident is about.
    [[nodiscard]] static std::string request_of(notify::Raised const& raised);
    /// Whether opencode lists it for as long as it waits. Of one that it does not list, only an event tells the end.
    [[nodiscard]] static bool stands_in_a_list(notify::Raised const& raised);
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
    void tell(opencode::TurnBegan const& what);
    void tell(opencode::TurnCompleted const& what);
    void tell(opencode::TurnFailed const& what);
    void tell(opencode::TurnAborted const& what);
    void tell(opencode::Retrying const& what);
    void tell(opencode::RetryOver const& what);
    void tell(opencode::SessionDeleted const& what);
    [[nodiscard]] std::int64_t now_ms() const;
    [[nodiscard]] std::string who(std::string_view request) const;
    void remember_error(std::string print, std::string key, rt::Instant when);
    void end_left_retries(std::string_view root, std::string_view outcome);
    [[nodiscard]] std::string key_of(std::string_view kind, std::string const& request, bool again);
    [[nodiscard]] std::string last_key_of(std::string_view kind, std::string const& request);

    /// A provider that is told to be failing.
    struct Retry {
        std::string key;
        std::string root{}, directory{};  ///< only of those that an earlier run left
        bool left = false;                ///< by an earlier run, and not seen to be true since
    };
    struct Error {
        std::string key;
        rt::Instant told;
    };

    TellerNeeds needs_;
    TellerRules rules_;
    rt::Instant now_{};
    std::map<std::string, Error, std::less<>> errors_;    ///< by fingerprint
    std::map<std::string, Retry, std::less<>> retrying_;  ///< by session; bounded by the model and the center
    /// Requests that were told as gone and waited still: the usual key → that of the present incident. Bounded by the
    /// model, and by what an earlier run left.
    std::map<std::string, std::string, std::less<>> again_;
    std::optional<bool> up_;
    std::string down_key_;  ///< of the incident that tells of this outage
};

}  // namespace ocgate::bridge
