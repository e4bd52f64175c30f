// How the outbox's file came to be what it is, step by step. A step that has been released is never changed: files out
// there have taken it.
#pragma once

#include <span>

#include "sqlite.hpp"

namespace ocgate::notify {

/// The step at index n makes version n + 1 of version n.
[[nodiscard]] std::span<char const* const> outbox_steps() noexcept;

/// What `user_version` says; 0 for a fresh file.
[[nodiscard]] int schema_version(sqlite::Database& database);

/// Takes the steps that are missing, each in a transaction of its own together with its number: a crash between two
/// leaves the older of both versions, whole.
void take_steps(sqlite::Database& database, std::span<char const* const> steps);

}  // namespace ocgate::notify
