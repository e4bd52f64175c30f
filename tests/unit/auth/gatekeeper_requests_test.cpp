// What the gatekeeper makes of requests that are more than a login: upgrades, foreign pages, tickets, proxies.
#include "gatekeeper_kit.hpp"

namespace ocgate::auth {
namespace {

// A browser that gets 401 for an upgrade forgets the login it has (anomalyco/opencode #17376).
TEST_F(GatekeeperTest, AnUpgradeIsRefusedSoThatNobodyForgetsALogin) {
    Gate gate(settings);
    for (auto const& credentials : {std::string("X-A: b"), login("ann", "wrong"), std::string("Authorization: x")}) {
        auto const browser = gate.ask(Request("GET /c/p", {websocket, from_page, credentials}));
        EXPECT_EQ(status(browser), 403U) << credentials;
        EXPECT_FALSE(browser.refusal.challenge);
        auto const program = gate.ask(Request("GET /c/p", {websocket, credentials}));
        EXPECT_EQ(status(program), 401U) << credentials;
        EXPECT_TRUE(program.refusal.challenge);
    }
    EXPECT_EQ(gate.ask(Request("GET /c/p", {websocket, from_page, login("ann", "right")})).kind, Kind::admitted);
    auto const foreign =
        gate.consider(Request("GET /c/p", {websocket, "Origin: https://evil.example", login("ann", "right")}));
    EXPECT_EQ(status(foreign), 403U) << "remembered or not";
    EXPECT_EQ(gate.journal.entries.back().result, AuthResult::cross_site);
}

TEST_F(GatekeeperTest, ForeignPagesDoNothing) {
    Gate gate(settings);
    auto const credentials = login("cem", "plain");
    for (auto const* line : {"POST /session", "PUT /x", "DELETE /x", "PATCH /x"}) {
        EXPECT_EQ(status(gate.consider(Request(line, {credentials, "Origin: https://evil.example"}))), 403U);
        EXPECT_EQ(status(gate.consider(Request(line, {credentials, "Origin: null"}))), 403U);
        EXPECT_EQ(status(gate.consider(Request(line, {credentials, "Sec-Fetch-Site: cross-site"}))), 403U);
        EXPECT_EQ(gate.consider(Request(line, {credentials, from_page})).kind, Kind::admitted);
        EXPECT_EQ(gate.consider(Request(line, {credentials})).kind, Kind::admitted);
    }
    for (auto const* line : {"GET /x", "HEAD /x", "GET /page"}) {
        EXPECT_EQ(status(gate.consider(Request(line, {credentials, "Sec-Fetch-Site: cross-site"}))), 403U) << line;
        EXPECT_EQ(gate.consider(Request(line, {credentials, "Sec-Fetch-Site: none"})).kind, Kind::admitted) << line;
        EXPECT_EQ(gate.consider(Request(line, {credentials, "Origin: https://evil.example"})).kind, Kind::admitted);
    }
}

TEST_F(GatekeeperTest, AForeignPageMayOpenWhatIsForPeopleInAWindow) {
    Gate gate(settings);
    auto const open = [&](std::string_view line, std::string_view site, std::string_view mode, std::string_view to) {
        return status(gate.consider(Request(line, {login("cem", "plain"), site, mode, to})));
    };
    constexpr std::string_view far = "Sec-Fetch-Site: cross-site", near = "Sec-Fetch-Site: same-site";
    constexpr std::string_view navigate = "Sec-Fetch-Mode: navigate", document = "Sec-Fetch-Dest: document";
    EXPECT_EQ(open("GET /page", far, navigate, document), 0U);
    EXPECT_EQ(open("GET /page", near, navigate, document), 0U);
    EXPECT_EQ(open("HEAD /page", near, navigate, document), 0U);
    EXPECT_EQ(open("GET /data", far, navigate, document), 403U) << "nothing that is not for people";
    EXPECT_EQ(open("POST /page", far, navigate, document), 403U) << "a form";
    for (auto const* to : {"iframe", "frame", "object", "embed", "image", "script", "empty", ""})
        EXPECT_EQ(open("GET /page", far, navigate, "Sec-Fetch-Dest: " + std::string(to)), 403U) << to;
    for (auto const* mode : {"no-cors", "cors", "same-origin", "nested-navigate", ""})
        EXPECT_EQ(open("GET /page", far, "Sec-Fetch-Mode: " + std::string(mode), document), 403U) << mode;
    EXPECT_EQ(open("GET /page", far, navigate, "X-A: a"), 403U) << "not told";
    EXPECT_EQ(open("GET /page", far, navigate, navigate), 403U) << "told twice";
}

TEST_F(GatekeeperTest, AForeignPagesLinkToWhatActsIsShownToAPerson) {
    Gate gate(settings);
    constexpr std::string_view navigate = "Sec-Fetch-Mode: navigate", document = "Sec-Fetch-Dest: document";
    auto const ask = [&](std::string_view line, std::string_view site, std::string_view to) {
        return gate.consider(Request(line, {login("cem", "plain"), site, navigate, to}));
    };
    auto const asked = ask("GET /folder", "Sec-Fetch-Site: cross-site", document);
    EXPECT_EQ(status(asked), 403U);
    EXPECT_TRUE(asked.refusal.offers_link);
    EXPECT_EQ(gate.journal.entries.back().result, AuthResult::cross_site);
    EXPECT_EQ(ask("GET /folder", "Sec-Fetch-Site: same-origin", document).kind, Kind::admitted) << "from our page";
    EXPECT_EQ(ask("GET /folder", "Sec-Fetch-Site: none", document).kind, Kind::admitted) << "typed, or from an app";
    EXPECT_FALSE(ask("GET /folder", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: iframe").refusal.offers_link);
    EXPECT_FALSE(ask("POST /folder", "Sec-Fetch-Site: cross-site", document).refusal.offers_link);
    EXPECT_FALSE(ask("GET /data", "Sec-Fetch-Site: cross-site", document).refusal.offers_link);
}

TEST_F(GatekeeperTest, FilesAreAnybodysContentHoweverOneLoggedIn) {
    Gate gate(settings);
    for (auto const& credentials : {login("cem", "plain"), login("cem", "plain"), login("ann", "right")}) {
        Request const request("GET /file", {credentials});
        for (auto const route : {std::uint16_t{7}, std::uint16_t{8}}) {
            proxy::Visit const visit{request.head(), "192.0.2.1", "r1", route};
            auto const decision = gate.keeper->consider(visit);
            EXPECT_EQ(decision.foreign_content, route == 7);
        }
    }
}

TEST_F(GatekeeperTest, ForeignHostsAreMisdirected) {
    settings.allowed_hosts = {"code.example"};
    Gate gate(settings);
    auto const credentials = login("cem", "plain");
    EXPECT_EQ(gate.consider(Request("GET /", {credentials})).kind, Kind::admitted);
    for (auto const* line : {"GET /", "POST /", "GET /logo.png"})
        EXPECT_EQ(status(gate.consider(Request(line, {credentials, "Host: evil.example"}))), 421U) << line;
    EXPECT_EQ(gate.journal.entries.back().result, AuthResult::misdirected);
}

TEST_F(GatekeeperTest, WaivesCredentialsForAssetsAndPreflights) {
    Gate gate(settings);
    EXPECT_EQ(gate.consider(Request("GET /logo.png")).kind, Kind::admitted);
    EXPECT_FALSE(gate.consider(Request("GET /logo.png")).vouched);
    EXPECT_FALSE(gate.consider(Request("GET /logo.png", {login("cem", "plain")})).vouched) << "not looked at";
    EXPECT_TRUE(gate.consider(Request("GET /", {login("cem", "plain")})).vouched);
    EXPECT_TRUE(gate.ask(Request("GET /", {login("ann", "right")})).vouched);
    EXPECT_TRUE(gate.consider(Request("GET /", {login("ann", "right")})).vouched) << "remembered";
    EXPECT_EQ(gate.consider(Request("HEAD /logo.png", {"Authorization: junk"})).kind, Kind::admitted);
    EXPECT_EQ(gate.journal.entries.back().result, AuthResult::exempt);
    EXPECT_EQ(status(gate.consider(Request("POST /logo.png"))), 401U);
    EXPECT_EQ(status(gate.consider(Request("GET /logo.png?x"))), 401U);
    EXPECT_EQ(status(gate.consider(Request("GET /logo.png", {"Content-Length: 5"}))), 401U) << "no body comes along";
    EXPECT_EQ(status(gate.consider(Request("GET /logo.png", {websocket}))), 401U);

    constexpr std::string_view asks = "Access-Control-Request-Method: POST";
    EXPECT_EQ(gate.consider(Request("OPTIONS /session", {from_page, asks})).kind, Kind::admitted);
    EXPECT_FALSE(gate.consider(Request("OPTIONS /session", {from_page, asks})).vouched);
    EXPECT_EQ(status(gate.consider(Request("OPTIONS /session", {"Origin: https://evil.example", asks}))), 403U);
    EXPECT_EQ(status(gate.consider(Request("OPTIONS /session", {from_page}))), 401U);
    EXPECT_EQ(status(gate.consider(Request("OPTIONS /session"))), 401U);
}

TEST_F(GatekeeperTest, ATicketSeenIssuedOpensOneTerminalOnce) {
    Gate gate(settings);
    Request const asking("POST /t/p1", {login("cem", "plain")});
    EXPECT_TRUE(gate.keeper->watches(Gate::visit(asking, "192.0.2.1")));
    EXPECT_FALSE(gate.keeper->watches(Gate::visit(Request("GET /t/p1"), "192.0.2.1")));
    EXPECT_FALSE(gate.keeper->watches(Gate::visit(Request("POST /x"), "192.0.2.1")));
    auto const connects = [](std::string_view target) {
        return Request("GET " + std::string(target), {websocket, from_page});
    };

    EXPECT_EQ(status(gate.consider(connects("/c/p1?ticket=one"))), 403U) << "not seen issued";
    gate.keeper->saw_answer("/t/p1", 403, "ticket:one", "alice");
    gate.keeper->saw_answer("/t/p1", 200, "nonsense", "alice");
    gate.keeper->saw_answer("/x/p1", 200, "ticket:one", "alice");
    EXPECT_EQ(gate.tickets->size(), 0U);
    gate.keeper->saw_answer("/t/p1", 200, "ticket:one", "alice");
    EXPECT_EQ(gate.tickets->size(), 1U);

    EXPECT_EQ(status(gate.consider(connects("/c/p2?ticket=one"))), 403U);
    EXPECT_EQ(status(gate.consider(connects("/c/p1?ticket=&ticket=one"))), 403U);
    EXPECT_EQ(status(gate.consider(connects("/c/p1?ticket="))), 403U);
    EXPECT_EQ(status(gate.consider(Request("GET /c/p1?ticket=one"))), 401U) << "no upgrade";
    EXPECT_EQ(status(gate.consider(Request("POST /c/p1?ticket=one", {from_page}))), 401U);
    EXPECT_EQ(status(gate.consider(Request("GET /c/p1?ticket=one", {websocket, "Origin: https://evil.example"}))),
              403U);
    EXPECT_EQ(gate.tickets->size(), 1U) << "none of these used it up";

    // On another shard as well: they share the table.
    auto const shard = gate.another(settings);
    auto const opening = connects("/c/p1?ticket=one");
    auto const opened = shard->consider(Gate::visit(opening, "192.0.2.1"));
    EXPECT_EQ(opened.kind, Kind::admitted);
    EXPECT_FALSE(opened.vouched);
    EXPECT_EQ(opened.user, "alice") << "whoever it was issued to";
    EXPECT_EQ(gate.journal.entries.back().result, AuthResult::ticket);
    EXPECT_EQ(status(gate.consider(opening)), 403U) << "once";

    gate.keeper->saw_answer("/t/p1", 200, "ticket:two", "alice");
    gate.clock.advance(Tickets::lifetime);
    EXPECT_EQ(status(gate.consider(connects("/c/p1?ticket=two"))), 403U);

    settings.ticket_upgrades = false;
    gate.keeper->adopt(std::make_shared<Settings const>(settings));
    EXPECT_FALSE(gate.keeper->watches(Gate::visit(asking, "192.0.2.1")));
    gate.keeper->saw_answer("/t/p1", 200, "ticket:three", "alice");
    EXPECT_EQ(status(gate.consider(connects("/c/p1?ticket=three"))), 403U);
}

TEST_F(GatekeeperTest, BelievesXForwardedForOfTrustedProxiesOnly) {
    settings.trusted_proxies = {*Network::parse("10.0.0.0/8"), *Network::parse("unix")};
    Gate gate(settings);
    struct Row {
        char const *peer, *forwarded, *client;
        bool trusted;
    };
    Row const rows[] = {
        {"192.0.2.1", "203.0.113.9", "192.0.2.1", false},
        {"10.0.0.1", "203.0.113.9", "203.0.113.9", true},
        {"::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9", true},
        {"unix", "203.0.113.9", "203.0.113.9", true},
        {"10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2", "203.0.113.9", true},
        {"10.0.0.1", "127.0.0.1, 203.0.113.9", "203.0.113.9", true},
        {"10.0.0.1", "nonsense", "10.0.0.1", true},
        {"10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1", true},
        {"10.0.0.1", "unix", "10.0.0.1", true},
        {"10.0.0.1", "2001:db8::7", "2001:db8::7", true},
        {"10.0.0.1", "203.0.113.9:1234", "203.0.113.9", true},
        {"10.0.0.1", "[2001:db8::7]:1234, 10.0.0.2:80", "2001:db8::7", true},
    };
    for (auto const& row : rows) {
        auto const decision = gate.consider(
            Request("GET /", {login("cem", "plain"), "X-Forwarded-For: " + std::string(row.forwarded)}), row.peer);
        EXPECT_EQ(decision.client_address, row.client) << row.peer << ' ' << row.forwarded;
        EXPECT_EQ(decision.peer_trusted, row.trusted) << row.peer;
        EXPECT_EQ(gate.journal.entries.back().address, row.client);
    }
}

// Whoever sits in a network of trusted proxies could call himself 127.0.0.1 there, and would guess for ever.
TEST_F(GatekeeperTest, LoopbackIsExemptAsAPeerAndNotByHearsay) {
    settings.trusted_proxies = {*Network::parse("10.0.0.0/8")};
    settings.throttle.failures = 3;
    auto const plain = settings_of({clear_text("cem", "plain")});
    for (auto const* claim : {"127.0.0.1", "::1", "::ffff:127.0.0.1", "127.9.9.9, 10.0.0.7"}) {
        Gate gate(settings);
        for (int i = 0; i < 3; ++i)
            EXPECT_EQ(status(gate.ask(
                          Request("GET /", {login("ann", std::to_string(i)), "X-Forwarded-For: " + std::string(claim)}),
                          "10.0.0.7")),
                      401U)
                << claim;
        EXPECT_EQ(status(gate.ask(Request("GET /", {login("ann", "4"), "X-Forwarded-For: " + std::string(claim)}),
                                  "10.0.0.7")),
                  429U)
            << claim;
    }
    Gate gate(settings);
    for (int i = 0; i < 5; ++i)
        EXPECT_EQ(status(gate.ask(Request("GET /", {login("ann", std::to_string(i))}), "127.0.0.1")), 401U);
}

// A tunnel as sidecar that nobody named as a trusted proxy.
TEST_F(GatekeeperTest, ALoopbackPeerThatForwardsIsNotExempt) {
    settings.throttle.failures = 3;
    for (std::string const field :
         {"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.1", "Forwarded: for=_x"}) {
        for (std::string const peer : {"127.0.0.1", "::1", "unix"}) {
            Gate gate(settings);
            Request const right("GET /", {login("ann", "right"), field});
            EXPECT_EQ(gate.ask(right, peer).kind, Kind::admitted);
            EXPECT_THAT(gate.journal.forwarders, testing::Contains(peer));
            gate.journal.forwarders.clear();
            EXPECT_EQ(gate.ask(right, peer).kind, Kind::admitted);
            EXPECT_TRUE(gate.journal.forwarders.empty()) << "no password was judged";
            for (int i = 0; i < 3; ++i)
                EXPECT_EQ(status(gate.ask(Request("GET /", {login("ann", std::to_string(i)), field}), peer)), 401U);
            auto const decision = gate.ask(Request("GET /", {login("ann", "4"), field}), peer);
            EXPECT_EQ(status(decision), 429U) << peer << ' ' << field;
            EXPECT_EQ(decision.client_address, peer);
            EXPECT_EQ(gate.ask(right, peer).kind, Kind::admitted);
            gate.keeper->adopt(std::make_shared<Settings const>(settings));
            EXPECT_EQ(gate.ask(right, peer).kind, Kind::admitted) << "the throttle knows it too";
            EXPECT_EQ(status(gate.ask(Request("GET /", {login("ann", "5")}), peer)), 401U) << "a local program";
        }
    }
}

// Beside us and trusted, but it speaks a dialect: its clients must not be taken for local programs.
TEST_F(GatekeeperTest, ATrustedLoopbackPeerWhoseClientsCannotBeReadIsNotExempt) {
    settings.throttle.failures = 3;
    settings.trusted_proxies = {*Network::parse("127.0.0.0/8"), *Network::parse("unix")};
    auto const guesses = [](Gate& gate, std::string const& field, std::string_view peer) {
        std::vector<unsigned> statuses;
        for (int i = 0; i < 4; ++i)
            statuses.push_back(status(gate.ask(Request("GET /", {login("ann", std::to_string(i)), field}), peer)));
        return statuses;
    };
    std::vector<unsigned> const counted{401, 401, 401, 429}, exempt{401, 401, 401, 401};
    for (auto const* peer : {"127.0.0.1", "unix"}) {
        for (auto const* field : {"X-Forwarded-For: unknown", "X-Forwarded-For: 9.9.9.9:port", "X-Forwarded-For: ",
                                  "X-Forwarded-For: unknown, 127.0.0.1", "Forwarded: for=9.9.9.9"}) {
            Gate gate(settings);
            EXPECT_EQ(guesses(gate, field, peer), counted) << peer << ' ' << field;
            EXPECT_THAT(gate.journal.unreadable, testing::Contains(peer)) << field;
            EXPECT_THAT(gate.journal.forwarders, testing::IsEmpty());
            EXPECT_EQ(status(gate.ask(Request("GET /", {login("ann", "5")}), peer)), 401U) << "a local program";
        }
        for (auto const* field : {"X-Forwarded-For: 9.9.9.8:1234", "X-Forwarded-For: [2001:db8::9]:1234"}) {
            Gate gate(settings);
            EXPECT_EQ(guesses(gate, field, peer), counted) << peer << ' ' << field;
            EXPECT_THAT(gate.journal.unreadable, testing::IsEmpty()) << field;
            EXPECT_EQ(guesses(gate, "X-Forwarded-For: 9.9.9.7:1", peer), counted) << "each client for itself";
        }
        Gate gate(settings);
        EXPECT_EQ(guesses(gate, "X-Forwarded-For: 127.0.0.1", peer), exempt) << "a local program, by way of the proxy";
        EXPECT_THAT(gate.journal.unreadable, testing::IsEmpty());
    }
}

TEST_F(GatekeeperTest, RemembersABoundedNumberOfLogins) {
    Gate gate(settings_of({hashed("ann", "right")}));
    Request const request("GET /", {login("ann", "right")});
    EXPECT_EQ(gate.ask(request).kind, Kind::admitted);
    auto const before = crypt_calls();
    for (int i = 0; i < 1500; ++i)
        EXPECT_EQ(gate.consider(request, "198.51." + std::to_string(i / 250) + "." + std::to_string(i % 250)).kind,
                  Kind::admitted);
    EXPECT_EQ(gate.consider(request).kind, Kind::admitted);
    EXPECT_EQ(crypt_calls(), before);
}

TEST_F(GatekeeperTest, MayGoWhileHashing) {
    Gate gate(settings);
    test::Busy busy(gate.io, gate.worker);
    Request const request("GET /", {login("ann", "right")});
    auto const first = gate.start(request);
    auto const second = gate.start(request);
    gate.keeper.reset();
    busy.let_go();
    gate.run();
    EXPECT_EQ((*first)->kind, Kind::admitted);
    EXPECT_EQ((*second)->kind, Kind::admitted);
}

// The io_context goes with the coroutines in it: what they hold must be enough to take them down.
TEST_F(GatekeeperTest, MayBeAbandonedWhileHashing) {
    Request const request("GET /", {login("ann", "right")});
    std::shared_ptr<std::optional<Decision>> first, second;
    {
        Gate gate(settings);
        test::Busy busy(gate.io, gate.worker);
        first = gate.start(request);
        second = gate.start(request);
    }
    EXPECT_FALSE(first->has_value());
    EXPECT_FALSE(second->has_value());
}

TEST_F(GatekeeperTest, AWorkerThatStopsLetsNobodyInAndLeavesNobodyWaiting) {
    Gate gate(settings);
    Request const request("GET /", {login("ann", "right")});
    std::shared_ptr<std::optional<Decision>> first, second;
    {
        test::Busy busy(gate.io, gate.worker);
        first = gate.start(request);
        second = gate.start(request);
        std::jthread stopping([&] { gate.worker.stop(); });
        busy.let_go();
    }
    gate.run();
    ASSERT_TRUE(first->has_value());
    ASSERT_TRUE(second->has_value());
    // Judged when the worker took it up before it heard of the end, else turned away: never left hanging.
    EXPECT_TRUE(status(**first) == 503U || (*first)->kind == Kind::admitted);
    EXPECT_EQ(status(gate.ask(Request("GET /", {login("bob", "right")}))), 503U);
}

// It is on the path of every request.
TEST_F(GatekeeperTest, ARememberedLoginAllocatesNothing) {
    Gate gate(settings);
    Request const get("GET /session", {login("ann", "right"), "Accept: */*"});
    Request const post("POST /session", {login("ann", "right"), from_page, "Sec-Fetch-Site: same-origin"});
    EXPECT_EQ(gate.ask(get).kind, Kind::admitted);
    gate.journal.quiet = true;
    (void)gate.consider(get);
    auto const before = test::allocations();
    for (int i = 0; i < 100; ++i) {
        (void)gate.consider(get);
        (void)gate.consider(post);
    }
    EXPECT_EQ(test::allocations(), before);
}

}  // namespace
}  // namespace ocgate::auth
