// One delivery: what is sent for it, what the answers mean, and what the outbox is told.
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <boost/asio/error.hpp>

#include "courier_inside.hpp"

namespace ocgate::notify {
namespace {

/// Within one attempt, between two requests: its lease goes on meanwhile.
constexpr rt::Duration longest_wait = std::chrono::seconds(5);
/// What is added at most to a pause that a target asked for: all who were told the same must not come back together.
constexpr rt::Duration longest_jitter = std::chrono::seconds(30);
constexpr std::size_t max_sequence_bytes = 64;  // what ntfy takes; opencode's own ids are shorter

bool is_plain(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

/// A name of 32 letters for a text of any letters, the same each time.
std::string digest_of(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
    unsigned size = 0;
    EVP_Digest(text.data(), text.size(), bytes.data(), &size, EVP_sha256(), nullptr);
    std::string name;
    for (std::size_t i = 0; i < 16; ++i) {
        constexpr char digits[] = "0123456789abcdef";
        name += digits[bytes[i] >> 4];
        name += digits[bytes[i] & 15];
    }
    return name;
}

Delivery delivery_of(Due const& due) {
    auto const& key = due.incident.key;
    bool const fits = !key.empty() && key.size() <= max_sequence_bytes && is_plain(key);
    return {digest_of(due.ticket.dedupe), fits ? key : digest_of(key), due.remote_id};
}

std::vector<HttpRequest> requests_of(Sink const& sink, Due const& due, Letter const& letter) {
    auto const delivery = delivery_of(due);
    std::vector<HttpRequest> requests;
    switch (due.action) {
        case Action::publish:
            requests.push_back(sink.publish(letter.message, delivery));
            break;
        case Action::update:
            // What cannot replace would tell the same thing twice.
            if (due.sent_ms != 0 && !sink.capabilities().replaces) break;
            requests.push_back(sink.publish(letter.message, delivery));
            break;
        case Action::remind:
            requests = sink.remind(letter.message, delivery);
            break;
        case Action::clear:
            if (auto request = sink.resolve(letter.message, letter.resolution, delivery)) {
                requests.push_back(std::move(*request));
            }
            break;
    }
    return requests;
}

bool done(Verdict const& verdict) noexcept {
    return verdict.kind == Verdict::Kind::delivered || verdict.kind == Verdict::Kind::gone;
}

}  // namespace

rt::Task<void> Courier::Inside::deliver(Lane& lane, Due due) {
    std::exception_ptr escaped;
    try {
        co_await carry(lane, due);
    } catch (...) {
        escaped = std::current_exception();  // it stays leased, and is tried again when that is over
    }
    std::erase(lane.under_way, due.ticket.dedupe);
    lane.wake.notify();
    if (escaped) std::rethrow_exception(escaped);
}

rt::Task<void> Courier::Inside::carry(Lane& lane, Due const& due) {
    auto const at = now();
    auto const letter = needs.compose(due);
    if (!letter) {
        co_await keep_dead(lane, due, "its document cannot be read");
    } else if (!lane.disabled.empty() || lane.paused_until > at) {  // since it was leased
        if (down(lane, at)) co_await divert(lane, due);
        co_await put_back(lane, due, std::max(lane.paused_until - at, rt::Duration::zero()), "held back");
    } else {
        if (lane.breaker.open_since()) remember(lane, due);  // it may hang beyond the time that others are told
        if (down(lane, at)) co_await divert(lane, due);
        Attempt attempt;
        co_await this->attempt(lane, due, *letter, attempt);
        co_await settle(lane, due, attempt);
    }
}

rt::Task<void> Courier::Inside::attempt(Lane& lane, Due const& due, Letter const& letter, Attempt& attempt) {
    auto& sink = *lane.target.sink;
    auto requests = requests_of(sink, due, letter);
    if (requests.empty()) attempt.nothing = true;
    std::string remote_id;
    for (auto& request : requests) {
        co_await ask(lane, std::move(request), attempt);
        if (!attempt.verdict.remote_id.empty()) remote_id = attempt.verdict.remote_id;
        if (!done(attempt.verdict)) break;
    }
    bool const refused = attempt.answered && attempt.verdict.kind == Verdict::Kind::rejected;
    if (refused && due.action != Action::clear) {
        ++lane.counts.rejected;
        tell(lane, Told::What::rejected, due, attempt.verdict.why);
        auto plain = sink.plain(letter.message, delivery_of(due));
        co_await ask(lane, std::move(plain), attempt);
        if (!attempt.verdict.remote_id.empty()) remote_id = attempt.verdict.remote_id;
    }
    attempt.verdict.remote_id = remote_id;
}

rt::Task<void> Courier::Inside::ask(Lane& lane, HttpRequest request, Attempt& attempt) {
    auto& sink = *lane.target.sink;
    attempt = {};
    // The one before it, of the same attempt or beside it, may have been told to be the last, for a while or for good.
    auto wait = lane.paused_until - now();
    if (wait > rt::Duration::zero() && wait <= longest_wait && !stopping) {
        co_await nap(wait);  // shorter when the courier stops
        wait = lane.paused_until - now();
    }
    if (wait > rt::Duration::zero() || !lane.disabled.empty()) {
        attempt.verdict.wait = std::chrono::ceil<std::chrono::milliseconds>(std::max(wait, rt::Duration::zero()));
        attempt.verdict.why = lane.disabled.empty() ? "the target asked for a pause" : lane.disabled;
        attempt.answered = true;
        co_return;
    }
    ++lane.counts.requests;
    lane.budget.take(now());
    if (sink.capabilities().line_only) {
        if (needs.write_line) needs.write_line(lane.target.name, request.body);
        attempt.answered = true;
        attempt.verdict = sink.judge(request, HttpResponse{.status = 200, .fields = {}, .body = {}});
        co_return;
    }
    auto const asked = request;
    auto const result = co_await lane.target.http->send(std::move(request), now() + rules.request_limit);
    if (result) {
        attempt.answered = true;
        attempt.verdict = sink.judge(asked, *result);
        pause(lane, attempt.verdict);
        // It was taken, but what would have said more did not come.
        attempt.maybe_received = !result->whole && result->status < 300 && attempt.verdict.kind == Verdict::Kind::retry;
        if (attempt.maybe_received) ++lane.counts.failed.at(static_cast<std::size_t>(HttpStep::answer));
        // Who says "too often" is well, and so is who has no use for what we sent.
        if (attempt.verdict.kind != Verdict::Kind::retry || result->status == 429) {
            lane.breaker.succeeded();
        } else if (lane.breaker.failed(now())) {
            ++lane.counts.opened;
        }
        co_return;
    }
    auto const& failure = result.error();
    attempt.verdict.why = to_string(failure);
    attempt.maybe_received = failure.maybe_received;
    attempt.broken_off = failure.why == boost::asio::error::operation_aborted;
    if (attempt.broken_off) co_return;
    ++lane.counts.failed.at(static_cast<std::size_t>(failure.step));
    if (failure.step == HttpStep::request) {  // the fault is ours: trying again is of no use
        attempt.answered = true;
        attempt.verdict.kind = Verdict::Kind::rejected;
    } else if (lane.breaker.failed(now())) {
        ++lane.counts.opened;
    }
}

rt::Task<void> Courier::Inside::settle(Lane& lane, Due const& due, Attempt const& attempt) {
    auto const& verdict = attempt.verdict;
    if (attempt.nothing) co_return co_await keep_dropped(lane, due, lane.counts.unable, "the target cannot do that");
    switch (verdict.kind) {
        case Verdict::Kind::delivered:
        case Verdict::Kind::gone:
            lane.last_failure.clear();
            co_await keep_sent(lane, due, verdict.remote_id.empty() ? due.remote_id : verdict.remote_id);
            co_return;
        case Verdict::Kind::rejected:
            lane.last_failure = verdict.why;
            co_return co_await keep_dead(lane, due, verdict.why);
        case Verdict::Kind::disable:
            lane.last_failure = verdict.why;
            co_return co_await disable(lane, due, verdict.why);
        case Verdict::Kind::retry:
            break;
    }
    if (!attempt.broken_off) lane.last_failure = verdict.why;
    // It may have arrived. A block is told twice rather than never; "done" is not worth a second time, unless the
    // target shows the same thing once anyway.
    bool const once = due.incident.weight == Weight::complete && due.action != Action::clear &&
                      !lane.target.sink->capabilities().replaces;
    if (attempt.maybe_received && once) {
        auto const why = "it may have arrived: " + verdict.why;
        co_return co_await keep_dropped(lane, due, lane.counts.ambiguous, why);
    }
    if (attempt.broken_off && stopping) {
        co_await put_back(lane, due, rt::Duration::zero(), verdict.why);
        co_return;
    }
    auto delay = back_off(due.ticket.attempt, rules.first_pause, rules.longest_pause, needs.random());
    delay = std::max<rt::Duration>(delay, verdict.wait);
    co_await keep_retry(lane, due, delay, verdict.why);
}

void Courier::Inside::pause(Lane& lane, Verdict const& verdict) {
    if (verdict.wait <= verdict.wait.zero() || verdict.pause == Verdict::Pause::delivery) return;
    auto until = now() + verdict.wait;
    if (verdict.kind == Verdict::Kind::retry) {
        auto const most = std::min<rt::Duration>(verdict.wait / 10, longest_jitter);
        until += std::chrono::duration_cast<rt::Duration>(most * std::clamp(needs.random(), 0.0, 1.0));
    }
    auto const type = lane.target.sink->type();
    for (auto const& other : lanes) {
        bool const meant =
            other.get() == &lane || (verdict.pause == Verdict::Pause::type && other->target.sink->type() == type);
        if (meant) other->paused_until = std::max(other->paused_until, until);
    }
}

// ---- what the outbox is told

rt::Task<void> Courier::Inside::keep_sent(Lane& lane, Due const& due, std::string_view remote_id) {
    ++lane.counts.sent.at(static_cast<std::size_t>(due.action));
    forget(lane, due);
    auto job = [ticket = due.ticket, id = std::string(remote_id), at = wall_ms()](Outbox& outbox) {
        return outbox.sent(ticket, id, at);
    };
    co_await insist(&lane, std::move(job));
    tell(lane, Told::What::sent, due, {});
}

rt::Task<void> Courier::Inside::keep_retry(Lane& lane, Due const& due, rt::Duration delay, std::string_view why) {
    remember(lane, due);
    bool const waits = co_await put_back(lane, due, delay, why);
    if (!waits) co_return;
    ++lane.counts.retried;
    tell(lane, Told::What::retried, due, why);
}

/// False: there was no need any more, its incident had ended.
rt::Task<bool> Courier::Inside::put_back(Lane& lane, Due const& due, rt::Duration delay, std::string_view why) {
    auto job = [ticket = due.ticket, why = std::string(why), at = wall_ms(), later = wall_ms(delay)](Outbox& outbox) {
        return outbox.retry(ticket, later, why, at);
    };
    auto const state = co_await insist(&lane, std::move(job));
    if (state != DeliveryState::dropped) co_return true;
    ++lane.counts.ended;
    forget(lane, due);
    tell(lane, Told::What::dropped, due, "ended");
    co_return false;
}

rt::Task<void> Courier::Inside::keep_dead(Lane& lane, Due const& due, std::string_view why) {
    ++lane.counts.dead;
    forget(lane, due);
    // Somebody waits: who stands in for the target may take what it will never take. First, so that a crash loses none.
    auto job = [ticket = due.ticket, key = due.incident.key, others = instead(lane, due), why = std::string(why),
                at = wall_ms()](Outbox& outbox) -> Kept<unsigned> {
        unsigned enqueued = 0;
        if (!others.empty()) {
            auto const change = outbox.enqueue(key, others, std::nullopt, at);
            if (change) enqueued = change->enqueued;
            bool const hopeless =
                !change && (change.error().trouble == Trouble::unknown || change.error().trouble == Trouble::invalid);
            if (!change && !hopeless) return change.error();
        }
        auto const state = outbox.dead(ticket, why, at);
        if (!state) return state.error();
        return enqueued;
    };
    auto const enqueued = co_await insist(&lane, std::move(job));
    tell(lane, Told::What::dead, due, why);
    if (enqueued) diverted(lane, due, *enqueued);
}

rt::Task<void> Courier::Inside::keep_dropped(Lane& lane, Due const& due, std::uint64_t& counter, std::string_view why) {
    ++counter;
    forget(lane, due);
    auto job = [ticket = due.ticket, why = std::string(why), at = wall_ms()](Outbox& outbox) {
        return outbox.drop(ticket, why, at);
    };
    co_await insist(&lane, std::move(job));
    tell(lane, Told::What::dropped, due, why);
}

rt::Task<void> Courier::Inside::disable(Lane& lane, Due const& due, std::string_view why) {
    bool const first = lane.disabled.empty();
    lane.disabled = why.empty() ? "disabled" : std::string(why);  // from here on nothing more is sent
    co_await divert(lane, due);
    if (first) {
        ++lane.counts.disabled;
        co_await divert_failed(lane);
        co_await sweep(lane, rules.store_pause);  // while its deliveries can still be leased
        auto job = [target = lane.target.name, why = std::string(why), mark = lane.target.mark,
                    at = wall_ms()](Outbox& outbox) -> Kept<bool> {
            auto const disabled = outbox.disable(target, why, mark, at);
            if (!disabled) return disabled.error();
            return true;
        };
        co_await insist(&lane, std::move(job));
        if (lane.disabled.empty()) {  // a person enabled it meanwhile, and what they said was said last
            auto enable = [target = lane.target.name, at = wall_ms()](Outbox& outbox) {
                return outbox.enable(target, at);
            };
            co_await insist(&lane, std::move(enable));
        } else if (needs.disabled) {
            needs.disabled(lane.target.name, lane.disabled);
        }
    }
    co_await put_back(lane, due, rt::Duration::zero(), why);
}

}  // namespace ocgate::notify
