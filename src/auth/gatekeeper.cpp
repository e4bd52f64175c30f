#include "ocgate/auth/gatekeeper.hpp"

#include <algorithm>
#include <unordered_map>

#include "address.hpp"
#include "bounded_table.hpp"
#include "cross_site.hpp"
#include "directory.hpp"
#include "ocgate/auth/basic.hpp"
#include "ocgate/rt/signal.hpp"
#include "ocgate/wire/rewrite.hpp"

namespace ocgate::auth {
namespace {

constexpr std::size_t remembered_logins = 1024;
/// Passwords of one client, over all shards, that wait to be hashed at a time, of all that may (the worker's queue):
/// nobody fills it alone.
constexpr std::size_t most_in_queue = 8;

using proxy::Decision;
using proxy::Refusal;
using proxy::Visit;

Refusal refusal_for(Reason reason, std::string_view message) {
    return Refusal{{Side::client, Step::admission, reason}, message};
}

/// What a request without valid credentials is told. A browser that gets 401 for an upgrade forgets the login it has
/// and asks again and again (anomalyco/opencode #17376).
Refusal login_wanted(wire::RequestHead const& head, std::string_view message) {
    if (head.upgrade && is_from_browser(head)) return refusal_for(Reason::forbidden, message);
    auto refusal = refusal_for(Reason::unauthorized, message);
    refusal.challenge = true;
    return refusal;
}

Refusal try_later(std::chrono::seconds wait) {
    auto refusal = refusal_for(Reason::throttled, "too many failed logins; wait before the next one");
    refusal.retry_after = wait;
    return refusal;
}

Refusal queue_is_full() {
    Refusal refusal{{Side::gateway, Step::admission, Reason::too_many}, "too many logins are being checked; try again"};
    refusal.retry_after = std::chrono::seconds{1};
    return refusal;
}

/// A password on its way to being judged.
struct Login {
    Credentials credentials;
    Digest here;    ///< of the client's address and the whole field value
    Digest right;   ///< of name and password
    Digest flight;  ///< of the client's address, name and password
};

/// One hash under way; equal logins from the same address wait for it.
struct Flight {
    rt::Gate over;
    std::optional<AuthResult> refused;  ///< nothing: not judged yet, or right, or to be judged again
};

using Flights = std::unordered_map<Digest, std::shared_ptr<Flight>, DigestHash>;

/// Wakes who waits for a flight, however it ended.
class Landing {
public:
    Landing(Flights& flights, Digest const& key, std::shared_ptr<Flight> flight)
        : flights_(flights), key_(key), flight_(std::move(flight)) {
        flights_.emplace(key_, flight_);
    }
    Landing(Landing const&) = delete;
    Landing& operator=(Landing const&) = delete;
    ~Landing() {
        flights_.erase(key_);
        flight_->over.open();
    }

private:
    Flights& flights_;
    Digest const key_;
    std::shared_ptr<Flight> const flight_;
};

}  // namespace

struct Gatekeeper::State {
    State(std::shared_ptr<Settings const> given, Parts given_parts)
        : parts(std::move(given_parts)), hash(parts.key), here(remembered_logins), right(remembered_logins) {
        adopt(std::move(given));
    }

    void adopt(std::shared_ptr<Settings const> given) {
        // What may fail comes first: then nothing has changed.
        directory = std::make_shared<Directory const>(given, hash);
        settings = std::move(given);
        ++generation;
        here.clear();
        right.clear();
    }

    [[nodiscard]] bool trusts(std::string_view peer) const {
        return std::any_of(settings->trusted_proxies.begin(), settings->trusted_proxies.end(),
                           [&](Network const& network) { return network.contains(peer); });
    }

    [[nodiscard]] wire::ClientAddress whence(Visit const& visit) const {
        auto const trusted = [](void const* self, std::string_view address) {
            return static_cast<State const*>(self)->trusts(address);
        };
        return wire::client_address(visit.head, visit.peer, trusted, this);
    }

    /// Whom the throttle counts: the client, but loopback goes free there and is believed of the peer alone. Anybody in
    /// a network of trusted proxies could write 127.0.0.1 into X-Forwarded-For. A peer that passes on what it was sent,
    /// such as a tunnel beside us that nobody named as a trusted proxy or whose fields cannot be read, is no local
    /// program asking for itself. A view of what was visited.
    [[nodiscard]] Throttle::Source guesser(Visit const& visit) const {
        auto const [address, hidden] = whence(visit);
        auto const claimed = parse_address(address);
        return {claimed && claimed->is_loopback() ? visit.peer : address, hidden};
    }

    /// What a request that another site's page makes comes to; `open` for all others.
    [[nodiscard]] Linking linking(wire::RequestHead const& head) const {
        auto const& allowed = settings->allowed_origins;
        if (needs_own_page(head)) return is_foreign(head, allowed) ? Linking::refused : Linking::open;
        if (!is_foreign_read(head, allowed)) return Linking::open;
        return opens_window(head) ? parts.knowledge.linking(head.target) : Linking::refused;
    }

    /// Everything that needs no hashing. `login` is filled when the decision is `undecided`.
    Decision consider(Visit const& visit, std::optional<Login>& login);
    Decision by_credentials(Visit const& visit, Decision decision, std::optional<Login>& login);
    std::optional<std::string> spends_ticket(Visit const& visit);
    void remember(Login const& login);

    Decision admit(Visit const& visit, Decision decision, AuthResult result, std::string_view user) const {
        parts.observer.decided(result, decision.client_address, user, visit.request_id);
        decision.kind = Decision::Kind::admitted;
        decision.vouched = result == AuthResult::admitted;
        decision.exempt = result == AuthResult::exempt;
        decision.user = user;
        return decision;
    }
    Decision refuse(Visit const& visit, Decision decision, AuthResult result, Refusal const& refusal,
                    std::string_view user = {}) const {
        parts.observer.decided(result, decision.client_address, user, visit.request_id);
        decision.kind = Decision::Kind::refused;
        decision.refusal = refusal;
        return decision;
    }
    Decision call_wrong(Visit const& visit, Decision decision, std::string_view claimed) const {
        return refuse(visit, std::move(decision), AuthResult::wrong,
                      login_wanted(visit.head, "user name or password is wrong"), known(claimed));
    }
    /// The claimed name where it is an account's: anything else could be a password.
    [[nodiscard]] std::string_view known(std::string_view claimed) const {
        auto const* found = directory->find(claimed);
        return found == nullptr ? std::string_view() : found->first;
    }

    Parts const parts;
    KeyedHash const hash;
    std::shared_ptr<Settings const> settings;
    std::shared_ptr<Directory const> directory;
    std::uint64_t generation = 0;
    BoundedTable<std::string> here;  ///< Login::here of logins that were right, with the user's name
    struct Nothing {};
    BoundedTable<Nothing> right;  ///< Login::right of the same
    Flights flights;              ///< bounded by the worker's queue: who finds it full lands at once
};

std::optional<std::string> Gatekeeper::State::spends_ticket(Visit const& visit) {
    auto const& head = visit.head;
    if (!settings->ticket_upgrades || !head.websocket || head.method != "GET") return std::nullopt;
    auto const use = parts.knowledge.ticket_used_by(head.target);
    if (!use) return std::nullopt;
    return parts.tickets->redeem(use->pty_id, use->ticket, parts.clock.now());
}

void Gatekeeper::State::remember(Login const& login) {
    here.put(login.here, login.credentials.user);
    right.put(login.right, {});
}

Decision Gatekeeper::State::consider(Visit const& visit, std::optional<Login>& login) {
    auto const& head = visit.head;
    Decision decision;
    decision.peer_trusted = trusts(visit.peer);
    decision.client_address = decision.peer_trusted ? whence(visit).address : visit.peer;
    decision.foreign_content = parts.knowledge.serves_files(visit.route);

    if (!host_allowed(head.host, settings->allowed_hosts))
        return refuse(visit, std::move(decision), AuthResult::misdirected,
                      refusal_for(Reason::misdirected, "this Host is not served here"));
    if (auto const link = linking(head); link != Linking::open) {
        auto refusal = refusal_for(Reason::forbidden, "this request comes from another site's page");
        refusal.offers_link = link == Linking::by_hand;
        return refuse(visit, std::move(decision), AuthResult::cross_site, refusal);
    }
    bool const asset = !head.upgrade && head.body.empty() && parts.knowledge.is_public_asset(head.method, head.target);
    if (asset || is_preflight(head)) return admit(visit, std::move(decision), AuthResult::exempt, {});
    if (auto user = spends_ticket(visit)) return admit(visit, std::move(decision), AuthResult::ticket, *user);
    return by_credentials(visit, std::move(decision), login);
}

Decision Gatekeeper::State::by_credentials(Visit const& visit, Decision decision, std::optional<Login>& login) {
    auto const& head = visit.head;
    auto const count = head.fields.count("Authorization");
    if (count == 0) return refuse(visit, std::move(decision), AuthResult::missing, login_wanted(head, "log in first"));
    if (count > 1)
        return refuse(visit, std::move(decision), AuthResult::malformed,
                      refusal_for(Reason::malformed, "more than one Authorization field"));

    auto const value = *head.fields.find("Authorization");
    Digest const here_key =
        value.size() <= max_authorization_bytes ? hash({"here", decision.client_address, value}) : Digest{};
    if (auto const* user = here.find(here_key)) return admit(visit, std::move(decision), AuthResult::admitted, *user);

    auto credentials = parse_basic(value);
    if (!credentials)
        return refuse(visit, std::move(decision), AuthResult::malformed,
                      login_wanted(head, "Authorization is not Basic with a user name and a password"));
    auto const password = credentials->password.reveal();
    auto const source = guesser(visit);
    if (source.relayed) parts.observer.hidden_by_forwarder(visit.peer, decision.peer_trusted);
    Login attempted{.credentials = *credentials,
                    .here = here_key,
                    .right = hash({"right", credentials->user, password}),
                    .flight = hash({"flight", decision.client_address, credentials->user, password})};
    auto const& user = attempted.credentials.user;

    auto const now = parts.clock.now();
    if (auto const wait = parts.throttle->blocked(source, user, password, now); wait.count() > 0)
        return refuse(visit, std::move(decision), AuthResult::throttled, try_later(wait), known(user));

    if (right.find(attempted.right) != nullptr) {
        parts.throttle->passed(source, user, password, {});
        remember(attempted);
        return admit(visit, std::move(decision), AuthResult::admitted, user);
    }

    auto const* account = directory->find(user);
    auto const digest = password_digest(hash, password);
    static std::vector<Digest> const nobodys(1);  // a name that nobody has is compared, too: it takes as long
    bool matches = false;
    for (auto const& configured : account == nullptr ? nobodys : account->second.passwords)
        matches |= same_digest(configured, digest);
    matches &= account != nullptr;
    if (!matches && directory->hashes()) {
        login = std::move(attempted);
        return decision;
    }

    auto const attempt = parts.throttle->attempt(source, user, password, now);
    if (attempt.wait.count() > 0)
        return refuse(visit, std::move(decision), AuthResult::throttled, try_later(attempt.wait), known(user));
    if (!matches) return call_wrong(visit, std::move(decision), user);
    parts.throttle->passed(source, user, password, attempt);
    remember(attempted);
    return admit(visit, std::move(decision), AuthResult::admitted, user);
}

Gatekeeper::Gatekeeper(std::shared_ptr<Settings const> settings, Parts parts)
    : state_(std::make_shared<State>(std::move(settings), std::move(parts))) {}
Gatekeeper::~Gatekeeper() = default;

void Gatekeeper::adopt(std::shared_ptr<Settings const> settings) { state_->adopt(std::move(settings)); }

bool Gatekeeper::trusts(std::string_view peer) { return state_->trusts(peer); }

Decision Gatekeeper::consider(Visit const& visit) {
    std::optional<Login> login;
    return state_->consider(visit, login);
}

rt::Task<Decision> Gatekeeper::verify(Visit const& visit) {
    auto const state = state_;
    std::shared_ptr<Flight> flight;  // our own, kept through a reload so that who waits for it goes on waiting
    std::optional<Landing> landing;
    for (;;) {
        std::optional<Login> login;
        auto decision = state->consider(visit, login);
        if (!login) co_return decision;
        auto const& [user, password] = login->credentials;

        auto const found = landing ? state->flights.end() : state->flights.find(login->flight);
        if (found != state->flights.end()) {
            auto const other = found->second;
            co_await other->over.wait();
            if (other->refused == AuthResult::wrong) co_return state->call_wrong(visit, std::move(decision), user);
            if (other->refused == AuthResult::queue_full)
                co_return state->refuse(visit, std::move(decision), AuthResult::queue_full, queue_is_full(),
                                        state->known(user));
            continue;  // right: it is remembered by now; otherwise this one takes its turn
        }

        auto& throttle = *state->parts.throttle;
        auto const source = state->guesser(visit);
        auto place = state->parts.hashing->take(source.address);
        if (place.count > most_in_queue) {
            if (flight) flight->refused = AuthResult::queue_full;
            co_return state->refuse(visit, std::move(decision), AuthResult::queue_full, queue_is_full(),
                                    state->known(user));
        }
        auto const generation = state->generation;
        auto const reading = state->settings->reading;
        auto const attempt = throttle.attempt(source, user, password.reveal(), state->parts.clock.now(), reading);
        if (attempt.wait.count() > 0)
            co_return state->refuse(visit, std::move(decision), AuthResult::throttled, try_later(attempt.wait),
                                    state->known(user));

        if (attempt.wrong) {
            if (flight) flight->refused = AuthResult::wrong;
            co_return state->call_wrong(visit, std::move(decision), user);
        }

        if (!landing) {
            flight = std::make_shared<Flight>();
            landing.emplace(state->flights, login->flight, flight);
        }
        auto const shared = std::make_shared<std::pair<std::shared_ptr<Directory const>, Credentials> const>(
            state->directory, login->credentials);
        auto job = [shared]() noexcept -> std::optional<bool> {
            try {
                return shared->first->hash_matches(shared->second.user, shared->second.password.reveal());
            } catch (...) {
                return std::nullopt;  // out of memory: not judged, as when the queue is full
            }
        };
        auto const answered = co_await state->parts.worker.run(std::move(job));
        place.place.leave();
        auto const matches = answered.value_or(std::nullopt);
        if (!matches) {
            throttle.withdrawn(source, user, attempt);
            flight->refused = AuthResult::queue_full;
            co_return state->refuse(visit, std::move(decision), AuthResult::queue_full, queue_is_full(),
                                    state->known(user));
        }
        if (state->generation != generation) {
            throttle.withdrawn(source, user, attempt);
            continue;  // the accounts changed meanwhile: judged anew by those that hold now
        }
        if (!*matches) {
            throttle.wrong(source, user, password.reveal(), attempt, reading);
            flight->refused = AuthResult::wrong;
            co_return state->call_wrong(visit, std::move(decision), user);
        }
        throttle.passed(source, user, password.reveal(), attempt);
        state->remember(*login);
        co_return state->admit(visit, std::move(decision), AuthResult::admitted, user);
    }
}

bool Gatekeeper::watches(Visit const& visit) {
    return state_->settings->ticket_upgrades &&
           state_->parts.knowledge.ticket_issued_by(visit.head.method, visit.head.target).has_value();
}

void Gatekeeper::saw_answer(std::string_view target, unsigned status, std::string_view body, std::string_view user) {
    if (status != 200) return;
    auto const pty_id = state_->parts.knowledge.ticket_issued_by("POST", target);
    if (!pty_id) return;
    if (auto const ticket = state_->parts.knowledge.read_ticket(body))
        state_->parts.tickets->issued(*pty_id, *ticket, state_->parts.clock.now(), user);
}

}  // namespace ocgate::auth
