// A target of notifications as a table of rules: what to send, and what an answer means. Opens no socket, waits for
// nothing, knows no queue; the courier sends what it makes. One object per configured target, used by one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ocgate/notify/message.hpp"

namespace ocgate::notify {

struct HttpRequest {
    std::string method;
    std::string url;    ///< absolute, may hold a secret: never log it
    std::string shown;  ///< method and place without secrets, for logs: `POST discord.com/…/webhooks/123/***`
    std::vector<std::pair<std::string, std::string>> fields;  ///< without Host and Content-Length; may hold secrets
    std::string body;
    std::int64_t made_ms = 0;  ///< Unix time, where the sink minds when it was asked
};

struct HttpResponse {
    unsigned status = 0;
    std::vector<std::pair<std::string, std::string>> fields;  ///< names in lower case
    std::string body;
    /// False: `body` is what came of it before it was cut off, or became too much. Status and fields are whole.
    bool whole = true;
};

/// One delivery of a message to one target.
struct Delivery {
    std::string id;         ///< [A-Za-z0-9_-]+; the same on each attempt, another for each publish, reminder, resolve
    std::string sequence;   ///< the same for all deliveries of one incident to this target
    std::string remote_id;  ///< Verdict::remote_id of what was published last; empty before
};

/// What an answer means for the delivery and for its target.
struct Verdict {
    enum class Kind : std::uint8_t {
        delivered,
        retry,     ///< later; not before `wait`, when it is given
        rejected,  ///< the target will never take this payload: `plain` once, then dead
        disable,   ///< no further request to this target until a person changes something
        gone,      ///< what was to be changed is not there any more: done, nothing to do
    };
    /// Whom `wait` holds back.
    enum class Pause : std::uint8_t {
        delivery,
        target,
        type,  ///< every target of the same Sink::type()
    };
    Kind kind = Kind::retry;
    std::string remote_id{};  ///< of what was published; opaque, to be given back in Delivery
    /// A floor the target asked for. Also with `delivered`: the next request has to wait.
    std::chrono::milliseconds wait{0};
    Pause pause = Pause::delivery;
    std::string why{};  ///< for people; holds no secret, whatever the answer said
};

struct Capabilities {
    bool replaces = false;   ///< publishing a sequence again shows one message: a repetition after a cut does no harm
    bool resolves = false;   ///< what was published can be withdrawn or edited
    bool line_only = false;  ///< no HTTP: the courier logs HttpRequest::body and judges an answer of 200
    /// A pace that the target is known to bear: so many at once, then one per `every`; 0: no such bound.
    unsigned burst = 0;
    std::chrono::milliseconds every{0};
};

class Sink {
public:
    virtual ~Sink() = default;

    /// ntfy, discord, webhook, log: a closed set, also a metric label.
    [[nodiscard]] virtual std::string_view type() const noexcept = 0;
    /// What it can do as far as is known; changes as `judge` learns.
    [[nodiscard]] virtual Capabilities capabilities() const noexcept = 0;

    /// Made anew for each attempt: it may carry the time of the attempt.
    [[nodiscard]] virtual HttpRequest publish(Message const& message, Delivery const& delivery) const = 0;
    /// The least that says it, after the target rejected the whole.
    [[nodiscard]] virtual HttpRequest plain(Message const& message, Delivery const& delivery) const = 0;
    /// Withdraws or edits what was published; nothing when the target cannot.
    [[nodiscard]] virtual std::optional<HttpRequest> resolve(Message const& message, Resolution const& resolution,
                                                             Delivery const& delivery) const = 0;
    /// In order, each judged by itself: `delivered` and `gone` go on to the next, `rejected` means the last one's
    /// `plain`, anything else ends the attempt, and the next attempt starts from the first.
    [[nodiscard]] virtual std::vector<HttpRequest> remind(Message const& message, Delivery const& delivery) const = 0;
    /// What the answer to one of its requests means. Never throws, whatever the answer is.
    [[nodiscard]] virtual Verdict judge(HttpRequest const& request, HttpResponse const& response) = 0;
};

}  // namespace ocgate::notify
