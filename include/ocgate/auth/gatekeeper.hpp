// Who may come in, decided in this order: the Host is ours (else 421); the request is no foreign page's (else 403);
// it is one that needs no credentials (public asset, CORS preflight, one-time ticket); its credentials are right
// (else 401, or 403 for a browser's upgrade). Fills proxy's door; knows no path of the upstream.
//
// Cross-site, for every method but GET and HEAD, and for every upgrade. With an Origin field: one that
// `allowed_origins` lists passes; one whose host and port are those of Host passes, unless Sec-Fetch-Site says
// `cross-site` or `same-site` (then the scheme differs: a page loaded over http speaking to https); `null`, several
// Origin fields and all others are foreign. An upgrade goes by Origin alone, since browsers disagree on how a ws: URL
// relates to its page's origin. Without Origin: Sec-Fetch-Site may be absent (no browser), `same-origin` or `none`;
// `same-site` is foreign, because a neighbouring subdomain is somebody else's page. A preflight from a foreign page
// is refused like the request it asks for.
//
// A GET or HEAD acts, too: opencode loads the configuration of whatever `directory` it is asked about, and starts the
// programs that it names. So a page elsewhere may not make a browser read either (Sec-Fetch-Site `cross-site` or
// `same-site`; `allowed_origins` go by Origin or Referer), be it as image, script, frame or stream. It may lead there:
// a link opens, in a window of its own, what UpstreamKnowledge says does nothing by that, and shows a person where it
// leads otherwise.
//
// Credentials are read from exactly one Authorization field. Two are 400: which one the upstream or a proxy in front
// would have taken cannot be known. `auth_token` in the query is no credential here, though it is one for opencode:
// URLs are logged, bookmarked and sent as Referer.
#pragma once

#include <memory>

#include "ocgate/auth/keyed_hash.hpp"
#include "ocgate/auth/knowledge.hpp"
#include "ocgate/auth/observer.hpp"
#include "ocgate/auth/settings.hpp"
#include "ocgate/auth/throttle.hpp"
#include "ocgate/auth/tickets.hpp"
#include "ocgate/proxy/clients.hpp"
#include "ocgate/proxy/doors.hpp"
#include "ocgate/rt/clock.hpp"
#include "ocgate/rt/worker.hpp"

namespace ocgate::auth {

/// One per shard, used on its thread only. Remembers up to 1,024 logins that were right (least recently used
/// forgotten), as keyed hashes: a remembered login from the same client address passes without a lock and whatever
/// the throttle says; from another address it passes without hashing unless that address is throttled.
///
/// Time tells little: whatever is wrong costs one password hash when any account has one, unknown names included
/// (of the kind and cost that most accounts have). Equal logins from one address that arrive while theirs is being
/// hashed wait for that one hash.
///
/// The throttle's exemption of loopback is for peers: an X-Forwarded-For that says 127.0.0.1 is counted as the peer
/// that sent it, since anybody in a network of trusted proxies could write that. A peer on loopback or `unix` that
/// sends X-Forwarded-For or Forwarded speaks for others: it is counted like any address when it is no trusted proxy,
/// and when no client's address can be read from what it sends.
class Gatekeeper final : public proxy::Gatekeeper {
public:
    /// What it works with. The references outlive the gatekeeper and every `verify`.
    struct Parts {
        std::shared_ptr<Throttle> throttle;  ///< one for all shards
        std::shared_ptr<Tickets> tickets;    ///< one for all shards
        rt::Worker& worker;                  ///< hashes; its bound is that of the hashing queue
        rt::Clock const& clock;
        UpstreamKnowledge const& knowledge;
        AuthObserver& observer;
        Key key;  ///< 32 random bytes
        /// One for all shards: by client, passwords that wait to be hashed.
        std::shared_ptr<proxy::ClientCount> hashing = std::make_shared<proxy::ClientCount>();
    };

    Gatekeeper(std::shared_ptr<Settings const> settings, Parts parts);
    ~Gatekeeper() override;

    /// Takes a new snapshot and forgets every remembered login. A `verify` under way is judged anew by it. The
    /// throttle's limits are adopted by whoever owns the throttle.
    void adopt(std::shared_ptr<Settings const> settings);

    bool trusts(std::string_view peer) override;
    proxy::Decision consider(proxy::Visit const& visit) override;
    rt::Task<proxy::Decision> verify(proxy::Visit const& visit) override;
    bool watches(proxy::Visit const& visit) override;
    void saw_answer(std::string_view target, unsigned status, std::string_view body, std::string_view user) override;

private:
    struct State;
    std::shared_ptr<State> state_;  ///< shared with the `verify` calls under way
};

}  // namespace ocgate::auth
