// What the center knows of an incident that has not ended. center.cpp has its way from the raise to the last reminder,
// center_ending.cpp its end, center_restart.cpp what an earlier run left and what other rules change, center_digest.cpp
// what is told together, center_letter.cpp what a delivery says.
#pragma once

#include "ocgate/notify/center.hpp"

namespace ocgate::notify {

/// An incident that has not ended, and what comes next of it.
struct Center::Active {
    Active(Center& center, std::shared_ptr<Raised const> r, Handling h, rt::Instant now)
        : shared(std::move(r)),
          raised(*shared),
          weighed(center.held_bytes_, Center::apiece + raised.facts.size() + h.targets.size() * Center::per_target),
          handling(std::move(h)),
          began(now),
          held_from(now),
          deadline(
              center.needs_.deadlines,
              [](void* self) {
                  auto& active = *static_cast<Active*>(self);
                  active.home.time_came(active);
              },
              this),
          home(center) {}

    [[nodiscard]] rt::Instant hold_end() const noexcept { return held_from + handling.hold; }
    /// When something that is due `after` the opening is done: not while a mute holds it back.
    [[nodiscard]] rt::Instant due(rt::Duration after) const noexcept { return std::max(opened + after, hold_end()); }
    [[nodiscard]] bool reminds() const noexcept { return told && reminded < handling.reminders.size(); }
    [[nodiscard]] bool hands_up() const noexcept { return told && !escalated && handling.escalate_after.count() > 0; }

    std::shared_ptr<Raised const> const shared;  ///< with the steps that write it: facts are large
    Raised const& raised;
    Weighed weighed;
    Handling handling;
    rt::Instant began;      ///< raised
    rt::Instant held_from;  ///< what the hold is counted from
    rt::Instant opened{};   ///< with `open`
    bool open = false;
    bool told = false;      ///< deliveries of its own were enqueued
    bool gathered = false;  ///< a digest that is being written has it
    std::string leader;     ///< told together with this one
    std::size_t reminded = 0;
    bool escalated = false;
    rt::Deadline deadline;
    Center& home;
};

/// As the outbox takes it: made where it is written, so that there is one copy more for a moment only.
[[nodiscard]] inline NewIncident incident_of(Raised const& raised) {
    return {raised.key, raised.kind, raised.subject, raised.weight, raised.facts};
}

/// Whether whoever is told of the one hears no less than what the other's route says: then both can be told as one.
[[nodiscard]] bool speaks_for(Handling const& one, Handling const& other);

/// A full table or a text too long does not get better by waiting; a disk does.
[[nodiscard]] inline bool is_hopeless(OutboxError const& error) noexcept {
    return error.trouble == Trouble::invalid || error.trouble == Trouble::full || error.trouble == Trouble::unknown ||
           error.trouble == Trouble::newer;
}

/// Of the facts as they are kept: that it is held for a digest, so that a restart does not tell it by itself.
[[nodiscard]] std::string marked_for_digest(std::string_view facts);
[[nodiscard]] bool is_marked_for_digest(std::string_view facts);
/// Of the facts of a digest: the keys of the incidents it tells of, as far as they were kept.
[[nodiscard]] std::vector<std::string> told_in_digest(std::string_view facts);

}  // namespace ocgate::notify
