// Takes keys and passwords out of text before it leaves. It knows their usual shapes, not the secrets themselves, and
// would rather hide too much. Linear in the text, which it expects cleaned: a control character hides a key's shape.
#pragma once

#include <string>
#include <string_view>

namespace ocgate::notify {

/// `text` with `***` for what looks like a secret: known prefixes (sk-, ghp_, AKIA …), Bearer and Basic, `password=…`
/// and the like, `--password …`, user and password in URLs, JSON web tokens, webhook URLs, private key blocks.
/// Redacting again changes nothing.
[[nodiscard]] std::string redact(std::string_view text);

}  // namespace ocgate::notify
