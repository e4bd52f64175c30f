// Whose page a request comes from, and whether it names this host: decided from the head alone. The rules and their
// reasons stand at the top of ocgate/auth/gatekeeper.hpp.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "ocgate/wire/head.hpp"

namespace ocgate::auth {

/// Whether only our own page may: everything but a plain GET or HEAD.
[[nodiscard]] bool needs_own_page(wire::RequestHead const& head) noexcept;

/// Whether a page that is neither ours nor allowed made this request, which is no plain GET or HEAD.
[[nodiscard]] bool is_foreign(wire::RequestHead const& head, std::span<std::string const> allowed_origins) noexcept;

/// Whether such a page makes a browser read this, where the browser says so (Sec-Fetch-Site, which it sends to https
/// and to loopback).
[[nodiscard]] bool is_foreign_read(wire::RequestHead const& head,
                                   std::span<std::string const> allowed_origins) noexcept;
/// Whether it is what a link makes of it: a page in a window of its own, no frame.
[[nodiscard]] bool opens_window(wire::RequestHead const& head) noexcept;

/// Whether any pattern takes this Host; no patterns take every one.
[[nodiscard]] bool host_allowed(std::string_view host, std::span<std::string const> allowed_hosts) noexcept;

/// Whether a browser's page made this request: what a 401 would make it forget is then worth keeping.
[[nodiscard]] bool is_from_browser(wire::RequestHead const& head) noexcept;

/// A CORS preflight (WHATWG Fetch §4.8) and nothing beside it: no body, no upgrade.
[[nodiscard]] bool is_preflight(wire::RequestHead const& head) noexcept;

}  // namespace ocgate::auth
