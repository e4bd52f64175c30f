// What a person is to hear, before any target's own rules. Knows no target, no opencode and does no I/O; the text in it
// is redacted and may still hold anything else that others wrote: each sink cleans and escapes for its target.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ocgate::notify {

/// The time of day, for what is stored, signed and shown; waits use rt::Clock.
using WallClock = std::function<std::chrono::system_clock::time_point()>;

/// How much of what an event says may leave for a target.
enum class Privacy : std::uint8_t {
    minimal,  ///< that something happened in which project
    summary,  ///< and in which session, of what kind; no commands, paths, questions or error texts
    full,
};

/// One thing worth a line of its own: Command, Patterns, Question …
struct Field {
    std::string name;
    std::string text;   ///< plain
    bool code = false;  ///< to be shown letter by letter
};

struct Message {
    std::string incident_key;  ///< the same for all that is said of one incident
    std::string event;         ///< permission, question, complete, error, retry, upstream_down, budget, digest, test
    bool blocks = false;       ///< a person is waited for
    bool silent = false;       ///< deliver without a sound (quiet hours)
    bool escalated = false;    ///< others did not answer: a target that can name people names its own
    int priority = 3;          ///< 1 (least) to 5
    std::string title;         ///< one line, plain text
    std::string body;          ///< lines of plain text
    std::string project;
    std::string session_title;
    std::string session_id;
    std::string directory;
    std::vector<Field> fields;
    std::string click_url;   ///< http(s), ours; empty: none
    std::int64_t at_ms = 0;  ///< when it happened, Unix time
    /// What templates and webhooks see: a JSON object, as text (the keys: words.hpp). Holds no more than `privacy`
    /// lets.
    std::string data = "{}";
};

/// How an incident ended.
struct Resolution {
    std::string outcome;  ///< once, always, reject, answered, rejected, gone, expired …
    std::string by;       ///< who, where that is known; may be empty
    std::int64_t at_ms = 0;
};

}  // namespace ocgate::notify
