#include "ocgate/base/failure.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>

namespace ocgate {
namespace {

class ReasonCategory final : public boost::system::error_category {
public:
    [[nodiscard]] char const* name() const noexcept override { return "ocgate"; }
    [[nodiscard]] std::string message(int value) const override {
        return std::string(to_string(static_cast<Reason>(value)));
    }
};

ReasonCategory const category;

}  // namespace

error_code make_error_code(Reason reason) noexcept { return {static_cast<int>(reason), category}; }

std::string_view to_string(Side side) noexcept {
    switch (side) {
        case Side::client:
            return "client";
        case Side::upstream:
            return "upstream";
        case Side::gateway:
            return "gateway";
    }
    return "gateway";
}

std::string_view to_string(Step step) noexcept {
    switch (step) {
        case Step::accept:
            return "accept";
        case Step::request_head:
            return "request_head";
        case Step::admission:
            return "admission";
        case Step::dial:
            return "dial";
        case Step::request_body:
            return "request_body";
        case Step::response_head:
            return "response_head";
        case Step::response_body:
            return "response_body";
        case Step::event_stream:
            return "event_stream";
        case Step::tunnel:
            return "tunnel";
    }
    return "accept";
}

std::string_view to_string(Reason reason) noexcept {
    switch (reason) {
        case Reason::malformed:
            return "malformed";
        case Reason::unsupported_version:
            return "unsupported_version";
        case Reason::unsupported_method:
            return "unsupported_method";
        case Reason::unsupported_coding:
            return "unsupported_coding";
        case Reason::head_too_large:
            return "head_too_large";
        case Reason::target_too_long:
            return "target_too_long";
        case Reason::body_too_large:
            return "body_too_large";
        case Reason::unauthorized:
            return "unauthorized";
        case Reason::throttled:
            return "throttled";
        case Reason::over_budget:
            return "over_budget";
        case Reason::forbidden:
            return "forbidden";
        case Reason::misdirected:
            return "misdirected";
        case Reason::timed_out:
            return "timed_out";
        case Reason::cut_short:
            return "cut_short";
        case Reason::stalled:
            return "stalled";
        case Reason::gone:
            return "gone";
        case Reason::refused:
            return "refused";
        case Reason::too_many:
            return "too_many";
        case Reason::draining:
            return "draining";
        case Reason::bad_upgrade:
            return "bad_upgrade";
        case Reason::internal:
            return "internal";
    }
    return "internal";
}

Reason reason_of(Failure const& failure) noexcept {
    namespace error = boost::asio::error;
    if (failure.why.category() == category) return static_cast<Reason>(failure.why.value());
    if (failure.why == error::timed_out) return Reason::timed_out;
    // A connection that is reset while it is made was not taken: nothing has been sent on it.
    if (failure.step == Step::dial) return is_shortage(failure.why) ? Reason::too_many : Reason::refused;
    if (failure.why == error::eof || failure.why == error::connection_reset || failure.why == error::broken_pipe ||
        failure.why == error::connection_aborted)
        return Reason::cut_short;
    return Reason::internal;
}

bool is_shortage(error_code why) noexcept {
    if (why.category() != boost::system::system_category()) return false;
    return why.value() == EMFILE || why.value() == ENFILE || why.value() == ENOBUFS || why.value() == ENOMEM;
}

unsigned status_for(Failure const& failure) noexcept {
    switch (reason_of(failure)) {
        case Reason::unsupported_version:
            return failure.side == Side::client ? 505 : 502;
        case Reason::unsupported_method:
            return failure.side == Side::client ? 405 : 502;
        case Reason::unsupported_coding:
            return failure.side == Side::client ? 501 : 502;
        case Reason::head_too_large:
            return failure.side == Side::client ? 431 : 502;
        case Reason::target_too_long:
            return 414;
        case Reason::body_too_large:
            return 413;
        case Reason::unauthorized:
            return failure.side == Side::upstream ? 502 : 401;  // upstream: it is the gateway that is not let in
        case Reason::throttled:
        case Reason::over_budget:
            return 429;
        case Reason::forbidden:
            return 403;
        case Reason::misdirected:
            return 421;
        case Reason::too_many:
            return failure.side == Side::client ? 429 : 503;
        case Reason::draining:
            // opencode has it whole and goes on with it: not to be asked again, which 503 invites to.
            return failure.step == Step::response_head ? 504 : 503;
        case Reason::refused:
            return 503;
        case Reason::timed_out:
            if (failure.side == Side::client) return 408;
            // A dial that is not answered is an upstream that is not there (503, worth retrying), not a slow answer.
            return failure.step == Step::dial ? 503 : 504;
        default:
            break;
    }
    if (failure.side == Side::client) return 400;
    return failure.side == Side::upstream ? 502 : 500;
}

std::string to_string(Failure const& failure) {
    std::string text(to_string(failure.side));
    text += ' ';
    text += to_string(failure.step);
    text += ": ";
    text += to_string(reason_of(failure));
    if (failure.why.category() != category) {
        text += " (";
        text += failure.why.message();
        text += ')';
    }
    return text;
}

void throw_exception_from_error(Failure const& failure, boost::source_location const&) {
    throw boost::system::system_error(failure.why, to_string(failure));
}

}  // namespace ocgate
