// Where modules that do not know each other meet: admission asks what opencode's requests mean, and tells metrics and
// log what it decided; metrics and log ask what a request's route is called.
#pragma once

#include <atomic>

#include "ocgate/auth/knowledge.hpp"
#include "ocgate/auth/observer.hpp"
#include "ocgate/ops/metrics.hpp"

namespace ocgate::app {

/// opencode's routes, and behind them one for all of the gateway's own pages: `/_ocgate/*`.
[[nodiscard]] ops::RouteTable route_table();

/// opencode's paths and tickets for the gatekeeper. Without state.
class Knowledge final : public auth::UpstreamKnowledge {
public:
    [[nodiscard]] bool is_public_asset(std::string_view method, std::string_view target) const override;
    [[nodiscard]] auth::Linking linking(std::string_view target) const override;
    [[nodiscard]] bool serves_files(std::uint16_t route) const override;
    [[nodiscard]] std::optional<std::string> ticket_issued_by(std::string_view method,
                                                              std::string_view target) const override;
    [[nodiscard]] std::optional<auth::TicketUse> ticket_used_by(std::string_view target) const override;
    [[nodiscard]] std::optional<std::string> read_ticket(std::string_view body) const override;
};

/// Counts every decision and logs those that a person may want to see. Any thread.
class AuthJournal final : public auth::AuthObserver {
public:
    AuthJournal(ops::Metrics& metrics, ops::Log& log) : metrics_(metrics), log_(log) {}
    void decided(auth::AuthResult result, std::string_view client_address, std::string_view user,
                 std::string_view request_id) noexcept override;
    /// Each kind is said once: it is a hint about the configuration, and whoever wants to could cause it with every
    /// request.
    void hidden_by_forwarder(std::string_view peer, bool trusted) noexcept override;

    /// The metric's labels, in the order of their numbers.
    [[nodiscard]] static std::vector<std::string> labels();

private:
    ops::Metrics& metrics_;
    ops::Log& log_;
    std::atomic_flag not_trusted_told_;
    std::atomic_flag not_readable_told_;
};

}  // namespace ocgate::app
