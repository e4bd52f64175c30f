// The things that events and lists have in common, as opencode writes them.
#pragma once

#include <optional>

#include "dialect_json.hpp"
#include "ocgate/opencode/event.hpp"

namespace ocgate::opencode::dialect {

[[nodiscard]] SessionInfo session_info(json const& info);
[[nodiscard]] Status status_of(json const& status);
[[nodiscard]] Permission permission_of(json const& asked, bool newer);
[[nodiscard]] Question question_of(json const& asked, bool newer);
void read_error(json const& error, std::string& name, std::string& words);
[[nodiscard]] Usage usage_of(json const& info);
[[nodiscard]] StepInfo step_of(json const& info);
/// Nothing of another part, and of a call that runs still.
[[nodiscard]] std::optional<ToolEnded> ended_call(json const& part);
/// What tells a call from all others where it has no part; empty without a call.
[[nodiscard]] std::string newer_call(std::string const& message, std::string const& call);

}  // namespace ocgate::opencode::dialect
