// Nobody comes in but with a login that is right, as a file that is public, as a preflight, or once with a ticket that
// was issued; no foreign page changes anything; and fields that other software listens to change no decision. Parts:
// the first line of a request, its fields, a ticket. Accounts are ann:right and, with a hash, bob.
#include "ocgate/auth/gatekeeper.hpp"

#include <algorithm>

#include "adapters.hpp"
#include "ocgate/auth/basic.hpp"
#include "property.hpp"
#include "support/fake_clock.hpp"

using namespace ocgate;

namespace {

using Kind = proxy::Decision::Kind;

struct Silent final : auth::AuthObserver {
    void decided(auth::AuthResult, std::string_view, std::string_view user, std::string_view) noexcept override {
        MUST(user.empty() || user == "ann" || user == "bob");  // an unknown name may be a password
    }
    void hidden_by_forwarder(std::string_view, bool) noexcept override {}
};

struct House {
    rt::Worker worker{1};
    test::FakeClock clock;
    app::Knowledge knowledge;
    Silent silent;
    std::shared_ptr<auth::Settings> settings = std::make_shared<auth::Settings>();

    House() {
        auth::Account ann;
        ann.name = "ann";
        ann.password = Secret("right");
        auth::Account bob;
        bob.name = "bob";
        bob.hash = "$2y$05$abcdefghijklmnopqrstuuhfmYv4qoyvFA3Gj8CXz5vmYjY0oGvqC";
        settings->accounts = {ann, bob};
        settings->allowed_origins = {"https://code.example", "https://*.example.org"};
        settings->trusted_proxies = {*auth::Network::parse("10.0.0.0/8")};
    }
    ~House() { worker.stop(); }
};

std::string lower(std::string_view text) {
    std::string made(text);
    for (char& c : made) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    return made;
}

/// Of `https://host:port` or `host:port` the host.
std::string host_of(std::string_view text) {
    if (auto const scheme = text.find("://"); scheme != text.npos) text.remove_prefix(scheme + 3);
    auto const end = text.starts_with('[') ? text.find(']') + 1 : text.find(':');
    return lower(text.substr(0, end));
}

bool may_change_things(wire::RequestHead const& head) {
    auto const origins = head.fields.count("Origin");
    if (origins > 1) return false;
    if (origins == 0) {
        auto const site = head.fields.find("Sec-Fetch-Site");
        return !site || *site == "same-origin" || *site == "none";
    }
    auto const origin = host_of(*head.fields.find("Origin"));
    return origin == host_of(head.host) || origin == "code.example" || origin.ends_with(".example.org");
}

bool is_login(wire::RequestHead const& head, std::string& user) {
    if (head.fields.count("Authorization") != 1) return false;
    auto const read = auth::parse_basic(*head.fields.find("Authorization"));
    if (!read) return false;
    user = read->user;
    return read->user == "ann" && read->password.reveal() == "right";
}

bool is_exempt(wire::RequestHead const& head) {
    if (head.upgrade || !head.body.empty()) return false;
    for (auto const* file : {"/site.webmanifest", "/web-app-manifest-192x192.png", "/web-app-manifest-512x512.png"})
        if (head.is_safe() && head.target == file) return true;
    auto const wants = head.fields.find("Access-Control-Request-Method");
    return head.method == "OPTIONS" && head.fields.count("Origin") == 1 && wants && wire::is_token(*wants) &&
           head.fields.count("Access-Control-Request-Method") == 1;
}

bool names_ticket(wire::RequestHead const& head, std::string_view ticket) {
    return head.method == "GET" && head.websocket && head.target.find("ticket=") != head.target.npos && !ticket.empty();
}

struct Came {
    proxy::Decision decision;
    bool read = false;
};

Came decide(House& house, std::string const& text, std::string_view ticket) {
    Came came;
    auto const bytes = fuzz::exactly(text);
    wire::RequestHead head;
    std::size_t seen = 0;
    auto const parsed = wire::parse_request_head(fuzz::view(bytes), {}, seen, head);
    came.read = parsed && *parsed == wire::Progress::complete;
    if (!came.read) return came;

    auto const tickets = std::make_shared<auth::Tickets>(auth::Key{8});
    auto const throttle = std::make_shared<auth::Throttle>(house.settings->throttle, auth::Key{});
    auth::Gatekeeper keeper(
        house.settings, {throttle, tickets, house.worker, house.clock, house.knowledge, house.silent, auth::Key{9}});
    tickets->issued("pty_1", ticket, house.clock.now(), "ann");
    auto const held = tickets->size();
    proxy::Visit const visit{head, "192.0.2.1", "r1"};
    came.decision = keeper.consider(visit);
    auto const& decision = came.decision;
    MUST(decision.client_address == "192.0.2.1" && !decision.peer_trusted);
    std::string user;
    bool const right = is_login(head, user);
    bool const spent = tickets->size() < held;
    if (spent) MUST(names_ticket(head, ticket) && decision.kind == Kind::admitted && decision.user == "ann");
    if (decision.kind == Kind::admitted) {
        MUST(right || is_exempt(head) || spent);
        MUST(head.is_safe() || may_change_things(head));
        if (head.upgrade) MUST(may_change_things(head));
        MUST(decision.vouched == (right && !is_exempt(head) && !spent));
    }
    // A hash is asked for no request that brings no login.
    if (decision.kind == Kind::undecided) MUST(!user.empty() || head.fields.count("Authorization") == 1);
    bool const browsed = head.fields.count("Sec-Fetch-Site") > 0;
    if (right && head.is_safe() && !head.upgrade && !browsed) MUST(decision.kind == Kind::admitted);
    if (decision.kind == Kind::admitted && head.fields.find("Sec-Fetch-Site") == "cross-site")
        MUST(head.fields.count("Origin") + head.fields.count("Referer") + head.fields.count("Sec-Fetch-Mode") > 0);
    // The same once more: a ticket is gone, everything else stands.
    auto const again = keeper.consider(visit);
    if (spent) {
        MUST(right || again.kind != Kind::admitted);
    } else {
        MUST(again.kind == decision.kind && again.vouched == decision.vouched);
    }
    return came;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static House house;
    auto const part = fuzz::parts(fuzz::as_text(data, size), 3, 3);
    auto const start = std::string(part[0]) + "\r\nHost: a.example\r\n";
    auto const rest = std::string(part[1]) + "\r\n\r\n";
    auto const came = decide(house, start + rest, part[2]);
    if (!came.read) return 0;
    auto const other =
        decide(house,
               start +
                   "User-Agent: curl/8\r\nX-HTTP-Method-Override: GET\r\nX-Original-URL: "
                   "/site.webmanifest\r\nX-Rewrite-URL: /site.webmanifest\r\nX-Forwarded-Host: "
                   "code.example\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Real-Ip: "
                   "127.0.0.1\r\nForwarded: for=127.0.0.1;host=code.example\r\nCookie: "
                   "auth_token=YW5uOnJpZ2h0\r\n" +
                   rest,
               part[2]);
    if (!other.read) return 0;  // too large, now
    MUST(other.decision.kind == came.decision.kind && other.decision.user == came.decision.user);
    if (came.decision.kind == Kind::refused)
        MUST(status_for(other.decision.refusal.failure) == status_for(came.decision.refusal.failure));
    return 0;
}
