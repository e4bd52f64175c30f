// What admission has to know about the upstream and does not: which requests it answers without credentials itself,
// and how its tickets travel. Whoever knows that server fills this in; `auth` names none of its paths.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ocgate::auth {

/// What becomes of a link on a page elsewhere that leads here, in a window of its own.
enum class Linking : std::uint8_t {
    refused,
    /// What is opened may make the upstream do something. A person has to want that: they are told, and follow the link
    /// from a page of ours.
    by_hand,
    open,  ///< it does nothing by being opened
};

struct TicketUse {
    std::string pty_id;  ///< decoded; comparable with what `ticket_issued_by` gave
    std::string ticket;  ///< decoded; never empty
};

/// Const and without state that changes: every shard asks the same object. `target` is origin-form as sent, with query.
class UpstreamKnowledge {
public:
    virtual ~UpstreamKnowledge() = default;

    /// The few files that browsers fetch without credentials: exact raw target, GET only.
    [[nodiscard]] virtual bool is_public_asset(std::string_view method, std::string_view target) const = 0;

    /// Asked for GET and HEAD only.
    [[nodiscard]] virtual Linking linking(std::string_view) const { return Linking::refused; }

    /// Whether an answer on this route (Visit::route) is a file as it lies in a workspace, with a type to match:
    /// whoever wrote it, a page in it would have the person's login.
    [[nodiscard]] virtual bool serves_files(std::uint16_t) const { return false; }

    /// The PTY whose ticket this request asks for. Issuing is an act, so the method is POST; where only the target of
    /// an answer is known, it is asked with "POST".
    [[nodiscard]] virtual std::optional<std::string> ticket_issued_by(std::string_view method,
                                                                      std::string_view target) const = 0;

    /// The PTY and the ticket of a connect request. Nothing when the ticket is missing, empty or given twice: see
    /// `sole_query_value` in tickets.hpp.
    [[nodiscard]] virtual std::optional<TicketUse> ticket_used_by(std::string_view target) const = 0;

    /// The ticket in the answer to an issuing request, at most 4 KiB of content.
    [[nodiscard]] virtual std::optional<std::string> read_ticket(std::string_view body) const = 0;
};

}  // namespace ocgate::auth
