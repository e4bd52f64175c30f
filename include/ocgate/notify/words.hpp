// The words for each event when nobody configured others. What an incident is about arrives as JSON ("facts"); what
// leaves is a message cut down to what the route's privacy allows, cleaned of control characters and of secrets.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "ocgate/notify/message.hpp"

namespace ocgate::notify {

/// The facts of an incident; all keys but `event` may be missing, unknown ones do not leave:
///   event       permission, question, complete, error, retry, upstream_down, budget, digest, test
///   incident    its stable key; at_ms: Unix time; waiting: how many wait together (coalesced), this one included
///   project, directory, agent, url (a page of ours), session {id, title}
///   request     {id, kind, command, patterns [], always []}                      permission
///   questions   [{header, text, options [], multiple}]                           question
///   turn        {duration_ms, at_least (it took longer: its beginning was not heard), cost,
///                tokens {input, output, reasoning}, words}                       complete
///   error       {name, text, status}                                             error
///   retry       {attempt, message, next_ms}                                      retry
///   upstream    {since_ms, why}                                                  upstream_down
///   budget      {period, name, spent, limit, part (told at it), block, refused, until}   budget
///   items       [text]; with waiting: how many there are in all                  digest
[[nodiscard]] Message compose(nlohmann::json const& facts, Privacy privacy);

/// What of the facts may leave: known keys only, cleaned, redacted and bounded. Templates see this.
[[nodiscard]] nlohmann::json let_out(nlohmann::json const& facts, Privacy privacy);

/// `allowed once by alice`, of a resolution; for people.
[[nodiscard]] std::string outcome_words(Resolution const& resolution);

}  // namespace ocgate::notify
