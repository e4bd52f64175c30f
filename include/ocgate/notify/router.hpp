// Who is told of what, how loudly and how soon: ordered rules, quiet hours, presence and mutes, as a plain decision.
// Does no I/O and no waiting; time is handed in. For one thread.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ocgate/notify/center.hpp"

namespace ocgate::notify {

/// The events that rules can name. A closed set: also a metric label.
inline constexpr std::array<std::string_view, 8> all_events{"permission", "question",      "complete", "error",
                                                            "retry",      "upstream_down", "budget",   "digest"};

/// The first rule that matches decides; what it leaves open is the event's own default. An empty list matches all.
struct Rule {
    std::string place;                    ///< for people: `/notifications/routes/2`
    std::vector<std::string> events{};    ///< of `all_events`
    std::vector<std::string> projects{};  ///< globs, as `glob_matches` has them
    std::vector<std::string> directories{};
    std::vector<std::string> agents{};
    rt::Duration min_duration{0};        ///< a completed turn that is known to be shorter does not match
    std::vector<std::string> targets{};  ///< none: nobody is told (suppressed: `route`)
    std::optional<int> priority{};       ///< 1 to 5
    std::optional<Privacy> privacy{};
    std::optional<rt::Duration> hold{};
    /// These and `escalate_to` are for what waits for a person. Of anything else they hold only where `events` names
    /// it: a rule for everything does not say three times that a turn is complete.
    std::optional<std::vector<rt::Duration>> reminders{};
    std::optional<rt::Duration> expires{};
    std::vector<std::string> escalate_to{};
    rt::Duration escalate_after{0};
};

/// Hours of a week in a place's own time. `from` > `to` goes over midnight and belongs to the day it begins on; from
/// a time to the same time is nothing. Where the clocks skip a time, the skip itself stands for it; of a time that
/// comes twice, quiet begins at the first and ends at the second.
struct QuietHours {
    struct Span {
        std::chrono::minutes from{0}, to{0};  ///< since midnight, by the wall's clock there
        unsigned days = 0x7F;                 ///< bit 0: Monday
    };
    std::string time_zone;  ///< a name of the IANA database, `Europe/Berlin`
    std::vector<Span> spans{};
};
/// Whether the machine knows that zone (its tzdata). The answer for a name, and the zone, are kept until the end of the
/// process: newer tzdata takes a restart.
[[nodiscard]] bool is_time_zone(std::string const& name);
/// The end of the quiet hours that hold at `now`; nothing: it is not quiet, or the zone is unknown. Spans that touch
/// are one. Where quiet never ends, the end of the span that holds now stands for it, so there is one digest a day.
[[nodiscard]] std::optional<std::chrono::system_clock::time_point> quiet_until(
    QuietHours const& hours, std::chrono::system_clock::time_point now);

/// A person who has just done something about a session hears of it a little later, and not at all if they answer.
struct PresenceRules {
    rt::Duration window = std::chrono::seconds(45);
    rt::Duration grace = std::chrono::seconds(30);
};

struct RouterRules {
    std::vector<Rule> rules{};
    Privacy privacy = Privacy::full;          ///< where a rule says nothing
    std::optional<QuietHours> quiet{};        ///< blocks are silent, the rest waits for one digest
    std::optional<PresenceRules> presence{};  ///< none: off
};

/// `*` any characters but a slash, `**` any, `?` one but a slash; all of it has to match, case counts. There is no
/// escape. Takes at most the lengths' product of steps, whatever the pattern.
[[nodiscard]] bool glob_matches(std::string_view pattern, std::string_view text);

class Router {
public:
    static constexpr std::size_t max_present = 1000;  ///< subjects; beyond, the one longest not seen is forgotten
    static constexpr std::size_t max_mutes = 100;     ///< beyond, `mute` says no
    static constexpr rt::Duration longest_muted = std::chrono::hours(24);  ///< that a block is held for a mute

    Router(RouterRules rules, WallClock wall);
    void adopt(RouterRules rules);

    /// For CenterNeeds::route. No rule, or one without targets: suppressed (`route`). A block that is muted is held
    /// until the mute ends, and so is a digest, which is of what came before; anything else muted is suppressed
    /// (`muted`). Quiet hours are those of the time it would be told, when the hold is over: blocks are silent, the
    /// rest is held on for the digest. Asked again, after a restart, it says the same end. A `test` goes to all targets
    /// of all rules at once, whatever is muted.
    [[nodiscard]] Handling route(Raised const& raised, rt::Instant now);
    [[nodiscard]] bool quiet() const;

    /// A person did something about this subject.
    void seen(std::string_view subject, rt::Instant now);

    /// Nobody is told of `subject` (empty: of anything) until then. False: too many mutes.
    bool mute(std::string_view subject, std::chrono::system_clock::time_point until);
    /// False: it was not muted.
    bool unmute(std::string_view subject);
    struct Mute {
        std::string subject;
        std::chrono::system_clock::time_point until;
    };
    [[nodiscard]] std::vector<Mute> mutes() const;  ///< those that hold now
    /// For keeping them over a restart: JSON, and back (what is broken or over is left out).
    [[nodiscard]] std::string mutes_document() const;
    void restore_mutes(std::string_view document);

private:
    [[nodiscard]] std::optional<std::chrono::system_clock::time_point> muted_until(
        std::string_view subject, std::chrono::system_clock::time_point wall) const;
    void forget_mutes(std::chrono::system_clock::time_point wall);

    RouterRules rules_;
    WallClock wall_;
    std::map<std::string, rt::Instant, std::less<>> present_;
    std::map<std::string, std::chrono::system_clock::time_point, std::less<>> mutes_;
};

}  // namespace ocgate::notify
