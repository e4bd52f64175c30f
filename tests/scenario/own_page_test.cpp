// The gateway's own pages: which they are, who may ask, and how a request and its answer look.
#include "own_page.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include "ocgate/auth/gatekeeper.hpp"
#include "ocgate/auth/throttle.hpp"
#include "ocgate/rt/descriptor.hpp"

namespace ocgate::test {
namespace {

TEST(OwnPage, IsAnsweredHereAndNowhereElse) {
    Reader r;
    r.book->says.body = R"({"pending":[]})";
    auto const answer = r.asks(get("/_ocgate/pending?x=1", "Accept: text/plain\r\nUser-Agent: t\r\n"));
    EXPECT_EQ(answer,
              "HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n"
              "Content-Length: 14\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: " +
                  field(answer, "X-Request-Id") + "\r\n\r\n{\"pending\":[]}");
    ASSERT_EQ(r.book->asked.size(), 1u);
    auto const& asked = r.book->asked[0];
    EXPECT_EQ(asked.method, "GET");
    EXPECT_EQ(asked.target, "/_ocgate/pending?x=1");
    EXPECT_EQ(asked.accept, "text/plain");
    EXPECT_EQ(asked.content_type, "");
    EXPECT_EQ(asked.body, "");
    EXPECT_EQ(asked.client_address, "192.0.2.7");
    EXPECT_EQ(asked.request_id, field(answer, "X-Request-Id"));
    EXPECT_EQ(r.last().path, "/_ocgate/pending");
    EXPECT_EQ(r.last().status, 200u);
    EXPECT_EQ(r.last().response_bytes, 14u);
    EXPECT_EQ(r.last().request_id, asked.request_id);
    EXPECT_FALSE(r.last().failed);
    EXPECT_EQ(r.s.upstreams(), 0u);

    // The connection is as good as before, for either.
    r.s.client().sends(get("/session"));
    EXPECT_THAT(r.s.upstream().take(), StartsWith("GET /session "));
    r.s.upstream().sends(ok("x"));
    EXPECT_THAT(r.s.client().take(), EndsWith("x"));
    EXPECT_THAT(r.asks(get("/_ocgate")), StartsWith("HTTP/1.1 200 "));
    EXPECT_EQ(r.s.shard().load().idle_upstreams, 1u);
    EXPECT_EQ(r.s.notebook().dials, 1);
    EXPECT_EQ(r.s.notebook().open[Notebook::index(Side::client)], 1);
}

TEST(OwnPage, IsOneByItsExactName) {
    Reader r;
    for (auto const* own : {"/_ocgate", "/_ocgate/", "/_ocgate?", "/_ocgate?a", "/_ocgate/a/b", "http://a/_ocgate/a"}) {
        r.asks(get(own));
        EXPECT_EQ(r.s.upstreams(), 0u) << own;
    }
    EXPECT_EQ(r.book->asked.size(), 6u);
    EXPECT_EQ(r.book->asked.back().target, "/_ocgate/a");
    for (auto const* other : {"/_ocgat", "/_ocgates", "/_OCGATE/a", "/%5Focgate/a", "//_ocgate/a", "/a/_ocgate", "/"}) {
        r.s.client().sends(get(other));
        EXPECT_THAT(r.s.upstream().take(), StartsWith("GET " + std::string(other) + " "));
        r.s.upstream().sends(ok("x"));
    }
    EXPECT_EQ(r.book->asked.size(), 6u);
}

TEST(OwnPage, IsTheUpstreamsWhereThereAreNone) {
    Scenario s;
    s.client().sends(get("/_ocgate/pending"));
    EXPECT_THAT(s.upstream().received(), StartsWith("GET /_ocgate/pending "));
}

TEST(OwnPage, SaysToHeadWhatThereWouldBe) {
    Reader r;
    r.book->says.body = "content";
    auto const answer = r.asks("HEAD /_ocgate/pending HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(field(answer, "Content-Length"), "7");
    EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
    EXPECT_EQ(r.last().response_bytes, 0u);
    EXPECT_EQ(r.last().status, 200u);
    EXPECT_EQ(body(r.asks(get("/_ocgate/pending"))), "content");
}

TEST(OwnPage, MaySayWhatOtherMethodsOrTimesThereAre) {
    Reader r;
    r.book->says = proxy::page_error(405, "method", "no", "1");
    r.book->says.allow = "GET, HEAD";
    auto const not_allowed = r.asks(post("/_ocgate/pending", ""));
    EXPECT_THAT(not_allowed, StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"));
    EXPECT_EQ(field(not_allowed, "Allow"), "GET, HEAD");
    EXPECT_EQ(field(not_allowed, "Connection"), "");
    EXPECT_EQ(r.last().status, 405u);
    EXPECT_FALSE(r.last().failed) << "it is an answer";
    r.book->says = proxy::page_error(503, "busy", "no", "1");
    EXPECT_EQ(field(r.asks(get("/_ocgate/pending")), "Retry-After"), "1");
    r.book->says = proxy::PageAnswer{204, "text/plain", "never sent"};
    auto const empty = r.asks(get("/_ocgate/pending"));
    EXPECT_THAT(empty, AllOf(StartsWith("HTTP/1.1 204 No Content\r\n"), EndsWith("\r\n\r\n")));
    EXPECT_EQ(field(empty, "Content-Length"), "");
    EXPECT_EQ(field(empty, "Content-Type"), "");
    r.book->says = {200, "text/plain; charset=utf-8", "a table"};
    EXPECT_EQ(field(r.asks(get("/_ocgate/pending")), "Content-Type"), "text/plain; charset=utf-8");
}

TEST(OwnPage, KeepsAnOldClientOnlyIfItAsked) {
    Reader r;
    auto& kept = r.s.connects();
    kept.sends("GET /_ocgate HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(field(kept.take(), "Connection"), "keep-alive");
    kept.sends("GET /_ocgate HTTP/1.0\r\n\r\n");
    EXPECT_EQ(field(kept.take(), "Connection"), "close");
    EXPECT_TRUE(kept.saw_end());
    auto& closing = r.s.connects();
    closing.sends(get("/_ocgate", "Connection: close\r\n"));
    EXPECT_EQ(field(closing.take(), "Connection"), "close");
    EXPECT_TRUE(closing.saw_end());
    EXPECT_EQ(r.book->asked.size(), 3u);
}

// ---- content

TEST(OwnPage, TakesContentWhole) {
    Reader r;
    auto const content = pattern(40'000);
    for (auto const& message : {post("/_ocgate/mute", content, "Content-Type: application/json\r\n"),
                                in_chunks(content, "Content-Type: application/json\r\n")}) {
        EXPECT_THAT(r.asks(message), StartsWith("HTTP/1.1 200 "));
        EXPECT_TRUE(r.book->asked.back().body == content);
        EXPECT_EQ(r.book->asked.back().method, "POST");
        EXPECT_EQ(r.book->asked.back().target, "/_ocgate/mute");
        EXPECT_EQ(r.book->asked.back().content_type, "application/json");
        EXPECT_EQ(r.last().request_bytes, 40'000u);
        EXPECT_EQ(r.last().path, "/_ocgate/mute");
    }
    EXPECT_EQ(r.s.client().closed(), false);
}

TEST(OwnPage, IsTheSameHoweverItsRequestIsSplit) {
    auto const requests = post("/_ocgate/mute", R"({"for":"2h"})") + in_chunks("abc") + get("/_ocgate/pending");
    for (std::size_t at = 0; at <= requests.size(); ++at) {
        Reader r;
        r.s.client().sends(std::string_view(requests).substr(0, at));
        r.s.client().sends(std::string_view(requests).substr(at));
        ASSERT_EQ(r.book->asked.size(), 3u) << at;
        EXPECT_EQ(r.book->asked[0].body, R"({"for":"2h"})") << at;
        EXPECT_EQ(r.book->asked[1].body, "abc") << at;
        EXPECT_EQ(r.book->asked[2].target, "/_ocgate/pending") << at;
        EXPECT_THAT(r.s.client().received(), EndsWith("{}\n")) << at;
    }
    for (std::size_t piece : {1u, 2u, 7u}) {
        Scenario::Options options;
        options.piece = piece;
        Reader r(options);
        r.s.client().sends(requests);
        EXPECT_EQ(r.book->asked.size(), 3u) << piece;
        EXPECT_THAT(r.s.client().received(), EndsWith("{}\n")) << piece;
    }
}

TEST(OwnPage, TellsAClientToGoOnThatWaitsForIt) {
    Reader r;
    auto const head = "POST /_ocgate/mute HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    EXPECT_EQ(r.asks(head), "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(r.asks("ab"), "") << "once";
    EXPECT_THAT(r.asks("c"), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(r.asks(head + std::string("abc")), StartsWith("HTTP/1.1 200 ")) << "it did not wait";
    EXPECT_THAT(r.asks(head + std::string("a")), "") << "nor does this one";
    EXPECT_THAT(r.asks("bc"), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(r.asks(get("/_ocgate/pending", "Expect: 100-continue\r\n")), StartsWith("HTTP/1.1 200 "));
}

TEST(OwnPage, TakesNoMoreThanItsBound) {
    auto const most = proxy::Pages::max_body_bytes;
    {
        Reader r;
        EXPECT_THAT(r.asks(post("/_ocgate/mute", std::string(most, 'x'))), StartsWith("HTTP/1.1 200 "));
        EXPECT_THAT(r.asks(in_chunks(std::string(most, 'x'))), StartsWith("HTTP/1.1 200 "));
        EXPECT_EQ(r.book->asked.size(), 2u);
    }
    for (auto const& message :
         {"POST /_ocgate/mute HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: " +
              std::to_string(most + 1) + "\r\n\r\n",
          post("/_ocgate/mute", std::string(most + 1, 'x')), in_chunks(std::string(most + 1, 'x'))}) {
        Reader r;
        auto const answer = r.asks(message);
        EXPECT_THAT(answer, StartsWith("HTTP/1.1 413 Content Too Large\r\n"));
        EXPECT_THAT(body(answer), HasSubstr(R"("message":"The request content is larger than this page takes.")"));
        EXPECT_EQ(field(answer, "Connection"), "close");
        EXPECT_TRUE(r.s.client().saw_end());
        EXPECT_TRUE(r.book->asked.empty());
        EXPECT_EQ(r.last().status, 413u);
        EXPECT_EQ(reason_of(r.last().failure), Reason::body_too_large);
    }
}

TEST(OwnPage, GivesUpOnContentThatDoesNotCome) {
    Reader r;
    r.s.client().sends("POST /_ocgate/mute HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    r.s.advance(59s);
    r.s.client().sends("d");  // which is no progress
    EXPECT_EQ(r.s.client().received(), "");
    r.s.advance(1s);
    EXPECT_THAT(r.s.client().received(), StartsWith("HTTP/1.1 408 "));
    EXPECT_TRUE(r.book->asked.empty());
}

TEST(OwnPage, IsNotAskedForHalfARequest) {
    for (bool reset : {false, true}) {
        Reader r;
        r.s.client().sends("POST /_ocgate/mute HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
        reset ? r.s.client().resets() : r.s.client().ends();
        EXPECT_TRUE(r.s.client().closed());
        EXPECT_TRUE(r.book->asked.empty());
        EXPECT_EQ(reason_of(r.last().failure), Reason::gone);
        EXPECT_EQ(r.last().status, 0u);
    }
    Reader r;
    EXPECT_THAT(r.asks("POST /_ocgate/mute HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX"),
                StartsWith("HTTP/1.1 400 "));
    EXPECT_TRUE(r.s.client().saw_end());
    EXPECT_TRUE(r.book->asked.empty());
}

// A real socket: the request and its end are told at once.
TEST(OwnPage, IsNotAskedByAClientThatHasLeft) {
    Reader r;
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    rt::Descriptor const theirs(ends[1]);
    auto const request = post("/_ocgate/mute", "{}");
    ASSERT_EQ(::write(theirs.get(), request.data(), request.size()), static_cast<ssize_t>(request.size()));
    ASSERT_EQ(::shutdown(theirs.get(), SHUT_WR), 0);
    r.s.shard().adopt(rt::PeerPtr(new rt::Peer(r.s.shard().resources(), rt::Descriptor(ends[0]))), "192.0.2.7");
    r.s.settle();
    EXPECT_TRUE(r.book->asked.empty());
    EXPECT_EQ(r.last().status, 0u);
    EXPECT_EQ(reason_of(r.last().failure), Reason::gone);
}

// ---- who may ask

class NoKnowledge final : public auth::UpstreamKnowledge {
public:
    [[nodiscard]] bool is_public_asset(std::string_view, std::string_view) const override { return false; }
    [[nodiscard]] std::optional<std::string> ticket_issued_by(std::string_view, std::string_view) const override {
        return {};
    }
    [[nodiscard]] std::optional<auth::TicketUse> ticket_used_by(std::string_view) const override { return {}; }
    [[nodiscard]] std::optional<std::string> read_ticket(std::string_view) const override { return {}; }
};

class NoJournal final : public auth::AuthObserver {
public:
    void decided(auth::AuthResult, std::string_view, std::string_view, std::string_view) noexcept override {}
    void hidden_by_forwarder(std::string_view, bool) noexcept override {}
};

TEST(OwnPage, IsForThoseWhoHaveLoggedIn) {
    rt::Worker worker(4);
    FakeClock clock;
    NoKnowledge knowledge;
    NoJournal journal;
    auth::Key const key{7};
    auto settings = std::make_shared<auth::Settings>();
    settings->accounts.resize(1);
    settings->accounts[0].name = "opencode";
    settings->accounts[0].password = Secret("password");
    settings->allowed_origins = {"https://ours.example"};
    auth::Gatekeeper::Parts const parts{.throttle = std::make_shared<auth::Throttle>(settings->throttle, key),
                                        .tickets = std::make_shared<auth::Tickets>(key),
                                        .worker = worker,
                                        .clock = clock,
                                        .knowledge = knowledge,
                                        .observer = journal,
                                        .key = key};
    Scenario::Options options;
    options.gatekeeper = std::make_shared<auth::Gatekeeper>(settings, parts);
    Reader r(options);
    std::string const login = "Authorization: Basic b3BlbmNvZGU6cGFzc3dvcmQ=\r\n";

    auto const stranger = r.asks(get("/_ocgate/pending"));
    EXPECT_THAT(stranger, StartsWith("HTTP/1.1 401 "));
    EXPECT_THAT(field(stranger, "WWW-Authenticate"), StartsWith("Basic "));
    EXPECT_THAT(r.asks(get("/_ocgate/pending", "Authorization: Basic YTpi\r\n")), StartsWith("HTTP/1.1 401 "));
    EXPECT_TRUE(r.book->asked.empty());

    // Comes in without a password, so that opencode can answer it; here nobody is served without one.
    auto const preflight = r.asks(
        "OPTIONS /_ocgate/notifications/mute HTTP/1.1\r\nHost: a\r\nOrigin: https://ours.example\r\n"
        "Access-Control-Request-Method: POST\r\n\r\n");
    EXPECT_THAT(preflight, StartsWith("HTTP/1.1 401 "));
    EXPECT_TRUE(r.book->asked.empty());

    EXPECT_EQ(field(preflight, "Connection"), "close") << "nobody has logged in for it";
    auto& known = r.s.connects();
    known.sends(get("/_ocgate/pending", login));
    EXPECT_THAT(known.take(), StartsWith("HTTP/1.1 200 "));
    ASSERT_EQ(r.book->asked.size(), 1u);
    EXPECT_EQ(r.book->asked[0].user, "opencode");

    auto& foreign = r.s.connects();
    foreign.sends(post("/_ocgate/notifications/mute", "{}", login + "Origin: https://evil.example\r\n"));
    EXPECT_THAT(foreign.take(), StartsWith("HTTP/1.1 403 "));
    auto& fetched = r.s.connects();
    fetched.sends(post("/_ocgate/notifications/mute", "{}", login + "Sec-Fetch-Site: cross-site\r\n"));
    EXPECT_THAT(fetched.take(), StartsWith("HTTP/1.1 403 "));
    EXPECT_EQ(r.book->asked.size(), 1u);
    EXPECT_TRUE(r.ear->heard.empty()) << "nothing of it was admitted";
    worker.stop();
}

TEST(OwnPage, SaysWhatWentWrongInJson) {
    auto const page = proxy::page_error(404, "not_found", "no \"x\\y\"\n\x01\x7f \xc3\xa9 \xff\xc3", "7f3a");
    EXPECT_EQ(page.status, 404u);
    EXPECT_EQ(page.content_type, "application/json");
    EXPECT_EQ(page.body,
              "{\"error\":{\"code\":\"not_found\",\"message\":\"no \\\"x\\\\y\\\"\\u000a\\u0001\\u007f \xc3\xa9 "
              "\xef\xbf\xbd\xef\xbf\xbd\",\"request_id\":\"7f3a\"}}\n");
}

}  // namespace
}  // namespace ocgate::test
