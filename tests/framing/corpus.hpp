// The corpus as it stands in cases/*.cases: what is sent, what may arrive, what must be answered. How a case is written
// is told in README.md beside this file.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ocgate::framing {

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Step {
    enum class Kind { client, upstream, client_ends, client_resets, upstream_ends, upstream_resets, wait };
    Kind kind = Kind::client;
    std::string bytes;
    std::chrono::milliseconds time{0};
    bool with_next = false;  ///< arrives in the same moment as the next step
};

/// Of one message, what the case says about its fields.
struct Wanted {
    Fields has;
    std::vector<std::string> lacks;
};

/// A request that has to arrive upstream, or, with `part`, whose beginning may.
struct Sees : Wanted {
    std::string method, target, content;
    bool part = false;
    bool anew = false;  ///< on a connection that carried nothing before
};

/// How the client's connection stands at the end.
enum class Ending {
    open,    ///< between two messages: the next request is answered
    waits,   ///< in the middle of one
    close,   ///< ended in order
    reset,   ///< broken off
    tunnel,  ///< a WebSocket
};

struct Case {
    std::string file, name, rfc;
    int line = 0;
    std::vector<Step> steps;
    std::vector<unsigned> answers;
    bool cut = false;  ///< the last answer is not whole, and the client can tell
    Ending ending = Ending::open;
    std::optional<std::string> got;  ///< content of the last answer
    Wanted answer;                   ///< of the last answer
    std::vector<Sees> sees;
    std::optional<std::string> to_upstream, to_client;  ///< through the tunnel
    bool scripted = false;  ///< the upstream says what the case says; otherwise 200 to each request
};

/// The credential the corpus' requests carry: it follows each `Host: a`, and must never arrive upstream.
inline constexpr std::string_view client_credential = "Basic Y2xpZW50OnNlY3JldA==";

/// All cases of a file, families spelled out. Throws std::runtime_error with file and line where it cannot be read.
std::vector<Case> read_cases(std::string const& path);

}  // namespace ocgate::framing
