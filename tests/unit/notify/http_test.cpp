#include "ocgate/notify/http.hpp"

#include <sys/stat.h>

#include <condition_variable>
#include <future>

#include "http_kit.hpp"

namespace ocgate::notify {
namespace {
using namespace std::chrono_literals;
namespace error = boost::asio::error;
using test::Conversation;
using test::Server;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::StartsWith;

TEST_F(HttpTest, AsksOverTlsAndReadsTheAnswer) {
    std::string seen, name;
    Server server([&, context = identity->context()](Conversation& c) {
        if (!c.start_tls(context)) return;
        name = c.server_name;
        seen = c.request();
        c.say(ok);
    });
    auto const answer = finish(start(url_of(server), "POST", "hello", {{"Authorization", "Bearer tk"}}));
    ASSERT_TRUE(answer.has_value()) << to_string(answer.error());
    EXPECT_EQ(answer->status, 200u);
    EXPECT_EQ(answer->body, "ok");
    EXPECT_THAT(answer->fields, ElementsAre(Pair("content-length", "2"), Pair("x-id", "7")));
    EXPECT_EQ(name, "ntfy.test");
    EXPECT_EQ(seen, "POST /t?x=1 HTTP/1.1\r\nHost: ntfy.test:" + std::to_string(server.port()) +
                        "\r\nConnection: close\r\nAccept-Encoding: identity\r\nAuthorization: Bearer tk\r\n"
                        "User-Agent: ocgate\r\nContent-Length: 5\r\n\r\nhello");
}

TEST_F(HttpTest, SpeaksTls12AndAnAddressAndNoServerNameForIt) {
    auto const by_address = test::Certificate::make({.names = {"127.0.0.1"}}, authority.get());
    std::string name = "unset";
    Server server([&, context = by_address->context(TLS1_2_VERSION)](Conversation& c) {
        if (!c.start_tls(context)) return;
        name = c.server_name;
        c.request();
        c.say(ok);
    });
    auto const answer = get(url_of(server, "127.0.0.1"));
    ASSERT_TRUE(answer.has_value()) << to_string(answer.error());
    EXPECT_EQ(name, "");
}

/// The request must not leave for a server that is not who it should be.
class WrongServer : public HttpTest {
protected:
    HttpFailure refused(std::shared_ptr<SSL_CTX> const& context, std::string const& host = "ntfy.test") {
        std::string heard;
        HttpFailure failure;
        {
            Server server([&](Conversation& c) {
                if (c.start_tls(context)) heard = c.request();
            });
            auto const answer = get(url_of(server, host));
            EXPECT_TRUE(answer.has_error());
            if (answer.has_error()) failure = answer.error();
        }
        EXPECT_EQ(heard, "");
        EXPECT_EQ(failure.step, HttpStep::tls);
        EXPECT_FALSE(failure.maybe_received);
        return failure;
    }
};

TEST_F(WrongServer, OfAnotherName) {
    EXPECT_THAT(to_string(refused(identity->context(), "other.test")), HasSubstr("hostname mismatch"));
}
TEST_F(WrongServer, OfAnotherAddress) {
    EXPECT_THAT(to_string(refused(identity->context(), "127.0.0.1")), HasSubstr("IP address mismatch"));
}
TEST_F(WrongServer, WithAPartialWildcard) {
    auto const wild = test::Certificate::make({.names = {"nt*.test"}}, authority.get());
    EXPECT_THAT(to_string(refused(wild->context())), HasSubstr("hostname mismatch"));
}
TEST_F(WrongServer, Expired) {
    auto const old = test::Certificate::make({.days_from = -10, .days_to = -1}, authority.get());
    EXPECT_THAT(to_string(refused(old->context())), HasSubstr("certificate has expired"));
}
TEST_F(WrongServer, NotYetValid) {
    auto const young = test::Certificate::make({.days_from = 1, .days_to = 2}, authority.get());
    EXPECT_THAT(to_string(refused(young->context())), HasSubstr("not yet valid"));
}
TEST_F(WrongServer, SignedByItself) {
    auto const own = test::Certificate::make({}, nullptr);
    EXPECT_THAT(to_string(refused(own->context())), HasSubstr("self-signed certificate"));
}
TEST_F(WrongServer, SignedByAnUnknownAuthority) {
    auto const other = test::Certificate::authority();
    auto const theirs = test::Certificate::make({}, other.get());
    EXPECT_THAT(to_string(refused(theirs->context())), HasSubstr("unable to get local issuer certificate"));
}
TEST_F(WrongServer, ThatTheSystemDoesNotTrust) {
    auto made = settings();
    std::string problem;
    made.trust = Trust::load("", problem);
    ASSERT_TRUE(made.trust) << problem;
    use(std::move(made));
    EXPECT_THAT(to_string(refused(identity->context())), HasSubstr("unable to get local issuer certificate"));
}
TEST_F(WrongServer, ThatIsTooOld) { EXPECT_TRUE(refused(identity->context(TLS1_1_VERSION)).why); }

TEST_F(HttpTest, AFileWithoutCertificatesIsNoTrust) {
    TemporaryFile const empty("no certificate\n");
    for (auto const& path : {std::string("/nowhere/ca.pem"), empty.path()}) {
        std::string problem;
        EXPECT_FALSE(Trust::load(path, problem));
        EXPECT_THAT(problem, StartsWith(path + ": "));
    }
}

TEST_F(HttpTest, APipeIsNoTrustAndIsNotWaitedFor) {
    auto const path = testing::TempDir() + "ca-pipe-" + std::to_string(::getpid());
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    std::string problem;
    EXPECT_FALSE(Trust::load(path, problem));
    EXPECT_EQ(problem, path + ": not a regular file");
    ::unlink(path.c_str());
}

TEST_F(HttpTest, AServerThatIsNoTlsServer) {
    Server server([](Conversation& c) { c.say("HTTP/1.1 400 Bad Request\r\n\r\n"); });
    auto const answer = get(url_of(server));
    ASSERT_TRUE(answer.has_error());
    EXPECT_EQ(answer.error().step, HttpStep::tls);
    EXPECT_FALSE(answer.error().maybe_received);
}

TEST_F(HttpTest, NobodyListens) {
    std::string url;
    {
        Server gone([](Conversation&) {});
        url = url_of(gone);
    }
    auto const answer = get(url);
    ASSERT_TRUE(answer.has_error());
    EXPECT_EQ(answer.error().step, HttpStep::dial);
    EXPECT_EQ(answer.error().why, error::connection_refused);
    EXPECT_FALSE(answer.error().maybe_received);
}

TEST_F(HttpTest, FailsWhereItIsCut) {
    // What the server does after the request; whether the request can have arrived is always yes.
    struct {
        char const* name;
        std::function<void(Conversation&)> after;
        error_code why;
    } const cuts[] = {
        {"says nothing, orderly", [](Conversation& c) { c.finish(); }, Reason::cut_short},
        {"says nothing, without close_notify", [](Conversation&) {}, Reason::cut_short},
        {"half a head", [](Conversation& c) { c.say("HTTP/1.1 200 OK\r\nContent-"); }, Reason::cut_short},
        {"garbage", [](Conversation& c) { c.say("\x01\x02 what\r\n\r\n"); }, Reason::malformed},
        {"an interim answer alone", [](Conversation& c) { c.say("HTTP/1.1 103 Early Hints\r\n\r\n"); },
         Reason::cut_short},
        {"an upgrade",
         [](Conversation& c) { c.say("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"); },
         Reason::bad_upgrade},
    };
    for (auto const& cut : cuts) {
        Server server([&, context = identity->context()](Conversation& c) {
            if (!c.start_tls(context)) return;
            c.request();
            cut.after(c);
        });
        auto const answer = finish(start(url_of(server), "POST", "hello"));
        ASSERT_TRUE(answer.has_error()) << cut.name;
        EXPECT_EQ(answer.error().step, HttpStep::answer) << cut.name;
        EXPECT_EQ(answer.error().why, cut.why) << cut.name << to_string(answer.error());
        EXPECT_TRUE(answer.error().maybe_received) << cut.name;
    }
}

// What the server says first is what it did with the request.
TEST_F(HttpTest, AnAnswerIsOneWhateverBecomesOfItsContent) {
    struct {
        char const* name;
        std::string said;
        unsigned status;
        std::string body;
    } const answers[] = {
        {"as Python's http.server says it: no length, no close_notify", "HTTP/1.0 200 OK\r\n\r\nall?", 200, "all?"},
        {"half a body", "HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\nhalf", 201, "half"},
        {"no body", "HTTP/1.1 503 Unavailable\r\nContent-Length: 9\r\n\r\n", 503, ""},
        {"half its chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", 200, "half"},
        {"chunks that are none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 200, ""},
        {"too large by its length", "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n", 200, ""},
        {"too large by what comes", "HTTP/1.1 200 OK\r\n\r\n" + std::string(70'000, 'x'), 200,
         std::string(65'536, 'x')},
    };
    for (auto const& row : answers) {
        Server server([&, context = identity->context()](Conversation& c) {
            if (!c.start_tls(context)) return;
            c.request();
            c.say(row.said);
        });
        auto const answer = finish(start(url_of(server), "POST", "hello"));
        ASSERT_TRUE(answer.has_value()) << row.name << to_string(answer.error());
        EXPECT_EQ(answer->status, row.status) << row.name;
        EXPECT_EQ(answer->body, row.body) << row.name;
        EXPECT_FALSE(answer->whole) << row.name;
    }
}

TEST_F(HttpTest, AnAnswerWhoseContentNeverEndsIsOneAtItsTime) {
    std::promise<void> said;
    Server server([&, context = identity->context()](Conversation& c) {
        if (!c.start_tls(context)) return;
        c.request();
        c.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        said.set_value();
        c.hold();
    });
    auto const answer = start(url_of(server), "POST", "hello");
    auto heard = said.get_future();
    ASSERT_TRUE(bench.wait_until([&] { return heard.wait_for(0s) == std::future_status::ready; }));
    // It has arrived; some turns of the loop, and it is read.
    ASSERT_TRUE(bench.wait_until([turns = 0]() mutable { return ++turns > 5; }));
    bench.advance(14999ms);
    EXPECT_FALSE(answer->has_value());
    bench.advance(1ms);
    ASSERT_TRUE(answer->has_value());
    ASSERT_TRUE((*answer)->has_value()) << to_string((*answer)->error());
    EXPECT_EQ((**answer)->status, 200u);
    EXPECT_EQ((**answer)->body, "half");
    EXPECT_FALSE((**answer)->whole);
}

TEST_F(HttpTest, ReadsABodyOfAllThatIsAllowedToAnOrderlyEnd) {
    std::string const body(64 * 1024, 'x');
    Server server([&, context = identity->context()](Conversation& c) {
        if (!c.start_tls(context)) return;
        c.request();
        c.say("HTTP/1.1 200 OK\r\n\r\n" + body);
        c.finish();
    });
    auto const answer = get(url_of(server));
    ASSERT_TRUE(answer.has_value()) << to_string(answer.error());
    EXPECT_EQ(answer->body, body);
    EXPECT_TRUE(answer->whole);
}

TEST_F(HttpTest, ARedirectIsAnAnswerLikeAnyOther) {
    Server server([](Conversation& c) {
        c.request();
        c.say("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    });
    auto const answer = get(url_of(server, "localhost", "http"));
    ASSERT_TRUE(answer.has_value()) << to_string(answer.error());
    EXPECT_EQ(answer->status, 302u);
    EXPECT_EQ(server.connections(), 1);
}

TEST_F(HttpTest, GivesUpOnASilentServerAtItsTime) {
    for (auto const* scheme : {"http", "https"}) {
        std::promise<void> asked;
        Server server([&, context = identity->context()](Conversation& c) {
            if (std::string(scheme) == "https" && !c.start_tls(context)) return;
            c.request();
            asked.set_value();
            c.hold();
        });
        auto const answer = start(url_of(server, "ntfy.test", scheme), "POST", "hello");
        auto heard = asked.get_future();
        ASSERT_TRUE(bench.wait_until([&] { return heard.wait_for(0s) == std::future_status::ready; }));
        bench.advance(14999ms);
        EXPECT_FALSE(answer->has_value());
        bench.advance(1ms);
        ASSERT_TRUE(answer->has_value());
        ASSERT_TRUE((*answer)->has_error());
        EXPECT_EQ((*answer)->error().why, Reason::timed_out);
        EXPECT_EQ((*answer)->error().step, HttpStep::answer);
        EXPECT_TRUE((*answer)->error().maybe_received);
    }
}

TEST_F(HttpTest, GivesUpOnAHandshakeThatStalls) {
    Server server([](Conversation& c) { c.hold(); });
    auto const answer = start(url_of(server));
    ASSERT_TRUE(bench.wait_until([&] { return server.connections() == 1; }));
    bench.advance(15s);
    ASSERT_TRUE(answer->has_value());
    EXPECT_EQ((*answer)->error().step, HttpStep::tls);
    EXPECT_EQ((*answer)->error().why, Reason::timed_out);
    EXPECT_FALSE((*answer)->error().maybe_received);
}

// ---- names

/// Names that are looked up when the test says so.
struct Slow {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    int asked = 0;
    int left = 0;
    std::vector<std::string> operator()(std::string const& name) {
        std::unique_lock lock(mutex);
        ++asked;
        if (name.starts_with("slow")) changed.wait(lock, [this] { return open; });
        ++left;
        return {"127.0.0.1"};
    }
    void let_go() {
        std::lock_guard const lock(mutex);
        open = true;
        changed.notify_all();
    }
    int gone() {
        std::lock_guard const lock(mutex);
        return left;
    }
};

TEST_F(HttpTest, ANameThatNobodyAnswersForDelaysNoOtherAndEndsAtItsTime) {
    auto const slow = std::make_shared<Slow>();
    auto made = settings();
    made.max_lookups = 2;
    made.resolve = [slow](std::string const& name, error_code&) { return (*slow)(name); };
    use(std::move(made));
    Server server([](Conversation& c) {
        c.request();
        c.say(ok);
    });
    auto const stuck = start("http://slow.test/");
    auto const same = start("http://slow.test/");
    auto const answer = get(url_of(server, "quick.test", "http"));
    EXPECT_TRUE(answer.has_value());
    EXPECT_FALSE(stuck->has_value());
    auto const other = start("http://slow2.test/");
    auto const third = start("http://slow3.test/");  // one thread too many
    ASSERT_TRUE(third->has_value());
    EXPECT_EQ((*third)->error().why, Reason::too_many);
    EXPECT_EQ((*third)->error().step, HttpStep::resolve);
    bench.advance(15s);
    for (auto const& late : {stuck, same, other}) {
        ASSERT_TRUE(late->has_value());
        EXPECT_EQ((*late)->error().step, HttpStep::resolve);
        EXPECT_EQ((*late)->error().why, Reason::timed_out);
        EXPECT_FALSE((*late)->error().maybe_received);
    }
    auto const joined = start("http://slow.test:" + std::to_string(server.port()) + "/");  // no second thread for it
    slow->let_go();
    EXPECT_TRUE(finish(joined).has_value());
    ASSERT_TRUE(bench.wait_until([&] { return slow->gone() == 3; }));
    EXPECT_EQ(slow->asked, 3);
}

TEST_F(HttpTest, AnAnswerForNobodyIsDropped) {
    auto const slow = std::make_shared<Slow>();
    auto made = settings();
    made.resolve = [slow](std::string const& name, error_code&) { return (*slow)(name); };
    use(std::move(made));
    auto const stuck = start("http://slow.test/");
    client.reset();
    ASSERT_TRUE(stuck->has_value());
    EXPECT_EQ((*stuck)->error().why, error::operation_aborted);
    slow->let_go();
    ASSERT_TRUE(bench.wait_until([&] { return slow->gone() == 1; }));
}

TEST_F(HttpTest, TriesTheNextAddressWhenOneSwallowsEverything) {
    test::ScriptedDialer silent;
    silent.mood = test::ScriptedDialer::Mood::hang;
    auto made = settings();
    made.resolve = [](std::string const&, error_code&) { return std::vector<std::string>{"192.0.2.1", "127.0.0.1"}; };
    made.dialer = [&](rt::Address address) -> std::unique_ptr<rt::Dialer> {
        if (address.host == "192.0.2.1") return std::make_unique<LentDialer>(silent);
        return std::make_unique<rt::SystemDialer>(std::move(address));
    };
    use(std::move(made));
    Server server([](Conversation& c) {
        c.request();
        c.say(ok);
    });
    auto const answer = start(url_of(server, "two.test", "http"));
    ASSERT_TRUE(bench.wait_until([&] { return silent.dials == 1; }));
    bench.advance(7500ms);
    EXPECT_TRUE(finish(answer).has_value());
    EXPECT_EQ(silent.dials, 1);
}

TEST_F(HttpTest, TheSystemsResolverKnowsWhatIsThere) {
    auto made = settings();
    made.resolve = {};
    use(std::move(made));
    auto const answer = get("http://no-such-name.invalid/");
    ASSERT_TRUE(answer.has_error());
    EXPECT_EQ(answer.error().step, HttpStep::resolve);
}

// ---- stopping

TEST_F(HttpTest, StopsWhateverItWaitsFor) {
    auto const slow = std::make_shared<Slow>();
    auto made = settings();
    test::ScriptedDialer silent;
    silent.mood = test::ScriptedDialer::Mood::hang;
    made.resolve = [slow](std::string const& name, error_code&) { return (*slow)(name); };
    made.dialer = [&](rt::Address address) -> std::unique_ptr<rt::Dialer> {
        if (address.port == 81) return std::make_unique<LentDialer>(silent);
        return std::make_unique<rt::SystemDialer>(std::move(address));
    };
    use(std::move(made));
    std::atomic<int> asked{0};
    Server server([&](Conversation& c) {
        c.request();
        ++asked;
        c.hold();
    });
    auto const resolving = start("http://slow.test/");
    auto const dialing = start("http://127.0.0.1:81/");
    auto const shaking = start(url_of(server, "127.0.0.1"));
    auto const waiting = start(url_of(server, "127.0.0.1", "http"));
    ASSERT_TRUE(bench.wait_until([&] { return asked == 1 && server.connections() == 2 && silent.dials == 1; }));
    client->stop();
    bench.settle();
    for (auto const& stopped : {resolving, dialing, shaking, waiting}) {
        ASSERT_TRUE(stopped->has_value());
        EXPECT_EQ((*stopped)->error().why, error::operation_aborted);
    }
    EXPECT_EQ((*waiting)->error().step, HttpStep::answer);
    EXPECT_TRUE((*waiting)->error().maybe_received);
    EXPECT_FALSE((*shaking)->error().maybe_received);
    EXPECT_EQ(get(url_of(server, "127.0.0.1", "http")).error().why, error::operation_aborted);
    slow->let_go();
    ASSERT_TRUE(bench.wait_until([&] { return slow->gone() == 1; }));
}

}  // namespace
}  // namespace ocgate::notify
