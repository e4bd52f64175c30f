#include "adapters.hpp"

#include "ocgate/auth/tickets.hpp"
#include "ocgate/opencode/routes.hpp"

namespace ocgate::app {
namespace {

std::uint16_t route_of(std::string_view method, std::string_view target) noexcept {
    if (proxy::Pages::cover(target)) return static_cast<std::uint16_t>(opencode::route_names().size());
    return opencode::route_of(method, target);
}

}  // namespace

ops::RouteTable route_table() {
    ops::RouteTable table{&route_of, opencode::route_names()};
    table.names.emplace_back("/_ocgate/*");
    return table;
}

bool Knowledge::is_public_asset(std::string_view method, std::string_view target) const {
    return opencode::is_public_asset(method, target);
}

// The interface has a folder's name in its path, and asks for that folder at once: opencode loads the configuration it
// finds there, and starts what that names.
auth::Linking Knowledge::linking(std::string_view target) const {
    if (target == "/") return auth::Linking::open;
    bool const interface = opencode::route_of("GET", target) == opencode::ui_route && !proxy::Pages::cover(target);
    return interface ? auth::Linking::by_hand : auth::Linking::refused;
}

bool Knowledge::serves_files(std::uint16_t route) const {
    return route == opencode::file_route() && route != opencode::ui_route;
}

std::optional<std::string> Knowledge::ticket_issued_by(std::string_view method, std::string_view target) const {
    return opencode::ticket_issued_by(method, target);
}

std::optional<auth::TicketUse> Knowledge::ticket_used_by(std::string_view target) const {
    auto pty = opencode::pty_connected_by(target);
    if (!pty) return std::nullopt;
    auto ticket = auth::sole_query_value(target, "ticket");
    if (!ticket) return std::nullopt;
    return auth::TicketUse{std::move(*pty), std::move(*ticket)};
}

std::optional<std::string> Knowledge::read_ticket(std::string_view body) const { return opencode::read_ticket(body); }

void AuthJournal::hidden_by_forwarder(std::string_view peer, bool trusted) noexcept {
    auto& told = trusted ? not_readable_told_ : not_trusted_told_;
    if (told.test_and_set(std::memory_order_relaxed)) return;
    ops::LogField const fields[] = {{"peer", peer}};
    log_.write(ops::LogLevel::warn, ops::LogKind::auth, trusted ? "forwarder_not_readable" : "forwarder_not_trusted",
               trusted
                   ? "it is a trusted proxy, but no client's address can be read from its X-Forwarded-For: all such "
                     "clients count as one when passwords are guessed (told once)"
                   : "it sends X-Forwarded-For; if it is yours, name it in trusted_proxies: until then all its clients "
                     "count as one when passwords are guessed (told once)",
               fields);
}

std::vector<std::string> AuthJournal::labels() {
    std::vector<std::string> labels;
    for (auto const result : auth::all_auth_results) labels.emplace_back(to_string(result));
    return labels;
}

void AuthJournal::decided(auth::AuthResult result, std::string_view client_address, std::string_view user,
                          std::string_view request_id) noexcept {
    metrics_.auth_decided(static_cast<std::size_t>(result));
    using auth::AuthResult;
    // Who got in is in the access line; a request without credentials is how every browser begins.
    bool const usual = result == AuthResult::admitted || result == AuthResult::ticket || result == AuthResult::exempt ||
                       result == AuthResult::missing;
    auto const level = usual ? ops::LogLevel::debug : ops::LogLevel::warn;
    if (!log_.wants(level)) return;
    ops::LogField const fields[] = {
        {"result", to_string(result)}, {"client", client_address}, {"user", user}, {"request_id", request_id}};
    log_.write(level, ops::LogKind::auth, usual ? "login" : "refused", {}, fields);
}

}  // namespace ocgate::app
