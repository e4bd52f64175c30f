#include "ocgate/auth/gatekeeper.hpp"

#include <openssl/evp.h>

#include "gatekeeper_kit.hpp"

namespace ocgate::test {

std::string login(std::string_view user, std::string_view password) {
    auto const pair = std::string(user) + ":" + std::string(password);
    std::string encoded(4 * (pair.size() / 3 + 1) + 1, '\0');
    auto const length =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()),
                        reinterpret_cast<unsigned char const*>(pair.data()), static_cast<int>(pair.size()));
    encoded.resize(static_cast<std::size_t>(length));
    return "Authorization: Basic " + encoded;
}

}  // namespace ocgate::test

namespace ocgate::auth {
namespace {

TEST_F(GatekeeperTest, LetsInWhoIsRight) {
    Gate gate(settings);
    auto const decision = gate.ask(Request("GET /", {login("ann", "right")}));
    EXPECT_EQ(decision.kind, Kind::admitted);
    EXPECT_EQ(decision.user, "ann");
    EXPECT_EQ(decision.client_address, "192.0.2.1");
    EXPECT_FALSE(decision.peer_trusted);
    ASSERT_EQ(gate.journal.entries.size(), 1U);
    EXPECT_EQ(gate.journal.entries[0].result, AuthResult::admitted);
    EXPECT_EQ(gate.journal.entries[0].user, "ann");
    EXPECT_EQ(gate.journal.entries[0].request_id, "r1");
    auto const plain = gate.consider(Request("GET /", {login("cem", "plain")}));
    EXPECT_EQ(plain.kind, Kind::admitted) << "clear text needs no hash";
    EXPECT_EQ(plain.user, "cem");
}

TEST_F(GatekeeperTest, RefusesWithAChallenge) {
    Gate gate(settings);
    struct Row {
        std::string field;
        AuthResult result;
    };
    Row const rows[] = {
        {"X-A: b", AuthResult::missing},
        {"Authorization:", AuthResult::malformed},
        {"Authorization: Bearer abc", AuthResult::malformed},
        {"Authorization: Basic !", AuthResult::malformed},
        {login("ann", "right") + "\r\nX-Long: a", AuthResult::admitted},
        {login("ann", "wrong"), AuthResult::wrong},
        {login("ann", ""), AuthResult::wrong},
        {login("Ann", "right"), AuthResult::wrong},
        {login("", "right"), AuthResult::wrong},
        {login("nobody", "right"), AuthResult::wrong},
        {login("cem", "right"), AuthResult::wrong},
        {login("cem", ""), AuthResult::wrong},
        {login("ann", "plain"), AuthResult::wrong},
    };
    for (auto const& row : rows) {
        auto const decision = gate.ask(Request("GET /", {row.field}));
        EXPECT_EQ(gate.journal.entries.back().result, row.result) << row.field;
        if (row.result == AuthResult::admitted) continue;
        EXPECT_EQ(status(decision), 401U) << row.field;
        EXPECT_TRUE(decision.refusal.challenge);
        EXPECT_TRUE(decision.user.empty());
    }
    EXPECT_EQ(gate.journal.count, std::size(rows)) << "once per decision";
}

TEST_F(GatekeeperTest, NamesNoUserThatDoesNotExist) {
    Gate gate(settings);
    (void)gate.ask(Request("GET /", {login("my-password", "x")}));
    EXPECT_EQ(gate.journal.entries.back().user, "");
    (void)gate.ask(Request("GET /", {login("ann", "x")}));
    EXPECT_EQ(gate.journal.entries.back().user, "ann");
}

// Which field the upstream or a proxy in front would have taken cannot be known.
TEST_F(GatekeeperTest, TwoAuthorizationFieldsAreABadRequest) {
    Gate gate(settings);
    auto const right = login("cem", "plain");
    for (auto const& second : {right, login("ann", "x"), std::string("authorization: Bearer x")}) {
        auto const decision = gate.consider(Request("GET /", {right, second}));
        EXPECT_EQ(status(decision), 400U);
        EXPECT_FALSE(decision.refusal.challenge);
        EXPECT_EQ(gate.journal.entries.back().result, AuthResult::malformed);
    }
}

TEST_F(GatekeeperTest, AQueryIsNoCredential) {
    Gate gate(settings);
    EXPECT_EQ(status(gate.consider(Request("GET /?auth_token=Y2VtOnBsYWlu"))), 401U);
}

TEST_F(GatekeeperTest, HashesOnceAndRemembers) {
    Gate gate(settings);
    Request const request("GET /", {login("ann", "right")});
    auto const before = crypt_calls();
    EXPECT_EQ(gate.ask(request).kind, Kind::admitted);
    EXPECT_EQ(crypt_calls(), before + 1);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(gate.consider(request).kind, Kind::admitted);
    EXPECT_EQ(gate.consider(request, "198.51.100.7").kind, Kind::admitted) << "the same login from elsewhere";
    auto spelling = login("ann", "right");
    while (spelling.ends_with('=')) spelling.pop_back();
    EXPECT_EQ(gate.consider(Request("GET /", {spelling})).kind, Kind::admitted) << "padding left out";
    EXPECT_EQ(crypt_calls(), before + 1);

    // What was wrong is remembered for those alone who tried it.
    for (auto const* from : {"192.0.2.1", "198.51.100.7"}) {
        for (int i = 0; i < 3; ++i) EXPECT_EQ(status(gate.ask(Request("GET /", {login("ann", "wrong")}), from)), 401U);
    }
    EXPECT_EQ(crypt_calls(), before + 3);
}

/// `opencode attach` asks ten times at once before it gives up, and a program with an old password goes on asking.
TEST_F(GatekeeperTest, AnOldPasswordLocksNobodyOut) {
    settings.throttle.failures = 3;
    for (bool const kept_as_hash : {true, false}) {
        settings = settings_of({kept_as_hash ? hashed("ann", "new") : clear_text("ann", "new")});
        settings.throttle.failures = 3;
        Gate gate(settings);
        Request const old("GET /", {login("ann", "old")});
        auto const before = crypt_calls();
        for (int i = 0; i < 20; ++i) EXPECT_EQ(status(gate.ask(old)), 401U) << i;
        EXPECT_EQ(crypt_calls(), before + (kept_as_hash ? 1 : 0));
        EXPECT_EQ(gate.ask(Request("GET /", {login("ann", "new")})).kind, Kind::admitted);
        // Rotated back: it is not known as a wrong one any more.
        ++settings.reading;
        settings.accounts = {kept_as_hash ? hashed("ann", "old") : clear_text("ann", "old")};
        gate.keeper->adopt(std::make_shared<Settings const>(settings));
        EXPECT_EQ(gate.ask(old).kind, Kind::admitted);
    }
}

/// The throttle takes a /64 for one guesser: what is a repeated guess of it must not cost a hash for each address.
TEST_F(GatekeeperTest, TheSamePasswordFromEachAddressOfAHostCostsOneHash) {
    Gate gate(settings);
    Request const request("GET /", {login("ann", "wrong")});
    auto const before = crypt_calls();
    for (int i = 1; i <= 50; ++i) EXPECT_EQ(status(gate.ask(request, "2001:db8::" + std::to_string(i))), 401U) << i;
    EXPECT_EQ(crypt_calls(), before + 1);
}

/// Whoever may not guess any more may ask for what was judged, as often as it likes: nothing of it is hashed again.
TEST_F(GatekeeperTest, ManyWrongPasswordsInTurnCostOneHashEach) {
    Gate gate(settings);
    auto const before = crypt_calls();
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 1200; ++i) {
            auto const from = "198.51.100." + std::to_string(i / 100);
            auto const decision = gate.ask(Request("GET /", {login("u" + std::to_string(i), "wrong")}), from);
            ASSERT_EQ(status(decision), round == 0 ? 401U : 429U) << i;
        }
    }
    EXPECT_EQ(crypt_calls(), before + 1200);
}

// No clock is asked: the proof that an unknown name costs what a known one does is the count of hashes.
TEST_F(GatekeeperTest, UnknownUsersCostTheSameHash) {
    Gate gate(settings);
    for (auto const& [user, password] : std::vector<std::pair<std::string, std::string>>{
             {"ann", "wrong"}, {"nobody", "wrong"}, {"", ""}, {"cem", "wrong"}, {"nobody", std::string(2000, 'x')}}) {
        auto const before = crypt_calls();
        Request const request("GET /", {login(user, password)});
        EXPECT_EQ(gate.consider(request).kind, Kind::undecided) << user;
        EXPECT_EQ(status(gate.ask(request)), 401U) << user;
        EXPECT_EQ(crypt_calls(), before + 1) << user;
    }
    // Where no account is kept as a hash nothing is hashed for anybody.
    Gate plain(settings_of({clear_text("cem", "plain")}));
    auto const before = crypt_calls();
    EXPECT_EQ(status(plain.consider(Request("GET /", {login("cem", "wrong")}))), 401U);
    EXPECT_EQ(status(plain.consider(Request("GET /", {login("nobody", "wrong")}))), 401U);
    EXPECT_EQ(crypt_calls(), before);
}

TEST_F(GatekeeperTest, OneNameMayHaveSeveralPasswords) {
    Gate gate(settings_of({clear_text("ann", "one"), hashed("ann", "two"), hashed("ann", "three")}));
    for (auto const* password : {"one", "two", "three"})
        EXPECT_EQ(gate.ask(Request("GET /", {login("ann", password)})).kind, Kind::admitted) << password;
    EXPECT_EQ(status(gate.ask(Request("GET /", {login("ann", "four")}))), 401U);
}

TEST_F(GatekeeperTest, ReloadForgets) {
    Gate gate(settings);
    Request const request("GET /", {login("ann", "right")});
    Request const plain("GET /", {login("cem", "plain")});
    EXPECT_EQ(gate.ask(request).kind, Kind::admitted);
    EXPECT_EQ(gate.ask(plain).kind, Kind::admitted);
    gate.keeper->adopt(std::make_shared<Settings const>(settings_of({hashed("ann", "new")})));
    EXPECT_EQ(status(gate.ask(request)), 401U);
    EXPECT_EQ(status(gate.ask(request, "198.51.100.7")), 401U);
    EXPECT_EQ(status(gate.ask(plain)), 401U);
    EXPECT_EQ(gate.ask(Request("GET /", {login("ann", "new")})).kind, Kind::admitted);
}

// The hash under way is of the old password: what it says holds no more.
TEST_F(GatekeeperTest, ReloadWhileHashingJudgesAnew) {
    for (bool const right_before : {true, false}) {
        Gate gate(settings_of({hashed("ann", right_before ? "typed" : "other")}));
        test::Busy busy(gate.io, gate.worker);
        Request const request("GET /", {login("ann", "typed")});
        auto const first = gate.start(request);
        auto const second = gate.start(request);  // waits for the first's hash
        EXPECT_EQ(gate.worker.queued(), 1U);
        gate.keeper->adopt(
            std::make_shared<Settings const>(settings_of({hashed("ann", right_before ? "other" : "typed")})));
        auto const before = crypt_calls();
        busy.let_go();
        gate.run();
        ASSERT_TRUE(first->has_value());
        ASSERT_TRUE(second->has_value());
        EXPECT_EQ(status(**first), right_before ? 401U : 0U);
        EXPECT_EQ(status(**second), right_before ? 401U : 0U);
        EXPECT_EQ(crypt_calls(), before + 2) << "the old hash, and the new one once for both";
        EXPECT_EQ(gate.throttle->sizes().pairs, right_before ? 1U : 0U) << "counted once, or not at all";
    }
}

TEST_F(GatekeeperTest, EqualLoginsInFlightShareOneHash) {
    for (auto const* password : {"right", "wrong"}) {
        Gate gate(settings);
        test::Busy busy(gate.io, gate.worker);
        Request const request("GET /", {login("ann", password)});
        Request const other("GET /", {login("bob", password)});
        std::vector<std::shared_ptr<std::optional<Decision>>> results;
        for (int i = 0; i < 5; ++i) results.push_back(gate.start(request));
        EXPECT_EQ(gate.worker.queued(), 1U);
        auto const elsewhere = gate.start(request, "198.51.100.7");
        EXPECT_EQ(gate.worker.queued(), 2U) << "another address has its own account with the throttle";
        auto const different = gate.start(other);
        EXPECT_EQ(gate.worker.queued(), 3U);
        auto const before = crypt_calls();
        busy.let_go();
        gate.run();
        unsigned const expected = password == std::string_view("right") ? 0U : 401U;
        for (auto const& result : results) {
            ASSERT_TRUE(result->has_value());
            EXPECT_EQ(status(**result), expected);
        }
        EXPECT_EQ(status(**elsewhere), expected);
        EXPECT_EQ(status(**different), 401U);
        EXPECT_EQ(crypt_calls(), before + 3);
        EXPECT_EQ(gate.journal.count, 7U);
    }
}

TEST_F(GatekeeperTest, AFullQueueIsSaidAtOnce) {
    Gate gate(settings, 1);
    test::Busy busy(gate.io, gate.worker);
    Request const waiting("GET /", {login("ann", "right")});
    auto const first = gate.start(waiting);
    EXPECT_EQ(gate.worker.queued(), 1U);
    auto const turned_away = gate.start(Request("GET /", {login("bob", "right")}));
    ASSERT_TRUE(turned_away->has_value()) << "at once";
    EXPECT_EQ(status(**turned_away), 503U);
    EXPECT_EQ((*turned_away)->refusal.retry_after, 1s);
    EXPECT_FALSE((*turned_away)->refusal.challenge);
    EXPECT_EQ(gate.journal.entries.back().result, AuthResult::queue_full);
    EXPECT_EQ(gate.throttle->sizes().pairs, 1U) << "what was never judged is not counted";
    EXPECT_EQ(gate.consider(Request("GET /", {login("cem", "plain")})).kind, Kind::admitted) << "needs no hash";
    busy.let_go();
    gate.run();
    EXPECT_EQ((*first)->kind, Kind::admitted);
    EXPECT_EQ(gate.throttle->sizes().pairs, 0U);
    EXPECT_EQ(status(gate.ask(Request("GET /", {login("bob", "right")}))), 401U);
}

TEST_F(GatekeeperTest, OneClientDoesNotFillTheQueue) {
    Gate gate(settings);
    auto const other_shard = gate.another(settings);
    std::optional<test::Busy> busy(std::in_place, gate.io, gate.worker);
    std::vector<std::shared_ptr<std::optional<Decision>>> guesses;
    std::vector<Request> requests;
    requests.reserve(20);
    for (int i = 0; i < 10; ++i) {
        auto const field = login("n" + std::to_string(i), "x");
        requests.emplace_back("GET /", std::initializer_list<std::string_view>{field});
    }
    for (auto const& request : requests)
        guesses.push_back(gate.start(request, "2001:db8::" + std::to_string(1 + guesses.size()),
                                     guesses.size() % 2 ? other_shard.get() : nullptr));
    EXPECT_EQ(gate.worker.queued(), 8U) << "of one IPv6 subscriber, over all shards";
    for (std::size_t i = 0; i < guesses.size(); ++i) EXPECT_EQ(guesses[i]->has_value(), i >= 8) << i;
    EXPECT_EQ(status(**guesses.back()), 503U);
    EXPECT_EQ(gate.journal.entries.back().result, AuthResult::queue_full);
    EXPECT_EQ(gate.throttle->sizes().pairs, 8U) << "what was never judged is not counted";
    Request const honest("GET /", {login("ann", "right")});
    auto const elsewhere = gate.start(honest, "2001:db8:0:1::1");
    EXPECT_FALSE(elsewhere->has_value()) << "there is room for others";
    busy->let_go();
    gate.run();
    EXPECT_EQ((*elsewhere)->kind, Kind::admitted);
    EXPECT_EQ(gate.hashing->clients(), 0U);
    EXPECT_EQ(status(gate.ask(requests.back(), "2001:db8::1")), 401U) << "and for this one again";
}

TEST_F(GatekeeperTest, WithoutMemoryToHashNobodyIsJudged) {
    Gate gate(settings);
    Request const request("GET /", {login("ann", "right")});
    {
        test::NoMemory const none(16 * 1024);  // crypt(3) works in 32 KiB
        EXPECT_EQ(status(gate.ask(request)), 503U);
    }
    EXPECT_EQ(gate.journal.entries.back().result, AuthResult::queue_full);
    EXPECT_EQ(gate.throttle->sizes().pairs, 0U) << "what was never judged is not counted";
    EXPECT_EQ(gate.ask(request).kind, Kind::admitted);
}

TEST_F(GatekeeperTest, SlowsGuessesDown) {
    settings.throttle.failures = 3;
    Gate gate(settings);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(status(gate.ask(Request("GET /", {login("ann", std::to_string(i))}))), 401U);
    auto const before = crypt_calls();
    Request const right("GET /", {login("ann", "right")});
    auto const decision = gate.consider(right);
    EXPECT_EQ(status(decision), 429U);
    EXPECT_EQ(decision.refusal.retry_after, 300s);
    EXPECT_FALSE(decision.refusal.challenge);
    EXPECT_EQ(gate.journal.entries.back().result, AuthResult::throttled);
    EXPECT_EQ(gate.journal.entries.back().user, "ann");
    EXPECT_EQ(crypt_calls(), before);
    EXPECT_EQ(gate.ask(right, "198.51.100.7").kind, Kind::admitted) << "a valid login elsewhere is not locked out";
    EXPECT_EQ(status(gate.consider(right)), 429U) << "though it is known to be right: this address has to wait";
    EXPECT_EQ(gate.ask(right, "127.0.0.1").kind, Kind::admitted);
    EXPECT_EQ(gate.consider(Request("GET /", {login("cem", "plain")})).kind, Kind::admitted) << "another user";
    gate.clock.advance(300s);
    EXPECT_EQ(gate.consider(right).kind, Kind::admitted);
}

TEST_F(GatekeeperTest, SlowsGuessesOfClearTextDownToo) {
    settings = settings_of({clear_text("cem", "plain")});
    settings.throttle.failures = 3;
    Gate gate(settings);
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(status(gate.consider(Request("GET /", {login("cem", std::to_string(i))}))), 401U);
    EXPECT_EQ(status(gate.consider(Request("GET /", {login("cem", "plain")}))), 429U);
}

TEST_F(GatekeeperTest, OthersGuessesLockNobodyOutWhoIsIn) {
    settings.throttle.failures = 3;
    Gate gate(settings);
    Request const right("GET /", {login("ann", "right")});
    EXPECT_EQ(gate.ask(right).kind, Kind::admitted);
    for (int i = 0; i < 4; ++i) (void)gate.ask(Request("GET /", {login("ann", std::to_string(i))}));
    EXPECT_EQ(gate.journal.entries.back().result, AuthResult::throttled);
    EXPECT_EQ(gate.consider(right).kind, Kind::admitted);
    // Nor on another shard, which has not seen this login: they share the throttle.
    auto const shard = gate.another(settings);
    EXPECT_EQ(shard->consider(Gate::visit(right, "192.0.2.1")).kind, Kind::undecided);
    // Nor after a reload.
    gate.keeper->adopt(std::make_shared<Settings const>(settings));
    EXPECT_EQ(gate.ask(right).kind, Kind::admitted);
}

/// Threads that share a throttle may have read the configuration differently often, after one that failed in some.
TEST_F(GatekeeperTest, WhatEarlierAccountsCalledWrongIsJudgedAnewByEachThread) {
    Gate gate(settings);
    auto const other = gate.another(settings);
    auto const ask_other = [&](Request const& request) {
        auto const result = gate.start(request, "192.0.2.1", other.get());
        gate.run();
        return result->value_or(proxy::Decision{});
    };
    auto next = settings_of({hashed("ann", "next")});
    next.reading = settings.reading + 1;
    Request const request("GET /", {login("ann", "next")});
    gate.keeper->adopt(std::make_shared<Settings const>(settings));  // once more than the other
    EXPECT_EQ(status(gate.ask(request)), 401U);
    other->adopt(std::make_shared<Settings const>(next));
    EXPECT_EQ(ask_other(request).kind, Kind::admitted);
    auto const before = crypt_calls();
    EXPECT_EQ(status(gate.ask(request)), 401U) << "by the accounts it has";
    EXPECT_EQ(crypt_calls(), before) << "and they have judged it";
    gate.keeper->adopt(std::make_shared<Settings const>(next));
    EXPECT_EQ(gate.ask(request).kind, Kind::admitted);
}

TEST_F(GatekeeperTest, AReloadWithoutMemoryChangesNothing) {
    auto const next = [] {
        auto made = settings_of({hashed("ann", "next"), hashed("bob", "other"), clear_text("dan", "plain")});
        made.reading = 2;
        return std::make_shared<Settings const>(std::move(made));
    }();
    std::size_t failures = 0;
    for (std::size_t nth = 1;; ++nth) {
        Gate gate(settings);
        Request const before("GET /", {login("ann", "right")});
        EXPECT_EQ(gate.ask(before).kind, Kind::admitted);
        test::fail_allocation(nth);
        bool threw = false;
        try {
            gate.keeper->adopt(next);
        } catch (std::bad_alloc const&) {
            threw = true;
        }
        bool const failed = test::fail_allocation(0);
        EXPECT_EQ(threw, failed) << nth;
        if (!failed) break;
        ++failures;
        EXPECT_EQ(gate.consider(before).kind, Kind::admitted) << nth << ": still known";
        EXPECT_EQ(status(gate.ask(Request("GET /", {login("ann", "next")}))), 401U) << nth;
        gate.keeper->adopt(next);
        EXPECT_EQ(gate.ask(Request("GET /", {login("ann", "next")})).kind, Kind::admitted) << nth;
        EXPECT_EQ(status(gate.ask(before)), 401U) << nth;
    }
    EXPECT_GE(failures, 3U);
}

TEST_F(GatekeeperTest, ParallelGuessesCannotOutrunTheCount) {
    settings.throttle.failures = 3;
    Gate gate(settings, 100);
    test::Busy busy(gate.io, gate.worker);
    std::vector<Request> requests;
    std::vector<std::shared_ptr<std::optional<Decision>>> results;
    for (int i = 0; i < 10; ++i)
        requests.emplace_back("GET /", std::initializer_list<std::string_view>{login("ann", std::to_string(i))});
    for (auto const& request : requests) results.push_back(gate.start(request));
    EXPECT_EQ(gate.worker.queued(), 3U);
    for (std::size_t i = 3; i < 10; ++i) EXPECT_EQ(status(**results[i]), 429U) << i;
    busy.let_go();
    gate.run();
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(status(**results[i]), 401U) << i;
}

}  // namespace
}  // namespace ocgate::auth
