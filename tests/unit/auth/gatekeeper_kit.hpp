// What the tests of the gatekeeper share.
#pragma once

#include <gmock/gmock.h>

#include "directory.hpp"
#include "gate.hpp"
#include "ocgate/auth/gatekeeper.hpp"
#include "support/heap.hpp"

namespace ocgate::auth {
using namespace std::chrono_literals;
using proxy::Decision;
using test::clear_text;
using test::crypt_calls;
using test::Gate;
using test::hashed;
using test::login;
using test::Request;
using test::websocket;
using Kind = proxy::Decision::Kind;

inline constexpr std::string_view from_page = "Origin: https://code.example";

inline unsigned status(Decision const& decision) {
    return decision.kind == Kind::refused ? status_for(decision.refusal.failure) : 0;
}

inline Settings settings_of(std::vector<Account> accounts) {
    Settings settings;
    settings.accounts = std::move(accounts);
    return settings;
}

struct GatekeeperTest : testing::Test {
    Settings settings = settings_of({hashed("ann", "right"), clear_text("cem", "plain")});
};

}  // namespace ocgate::auth
