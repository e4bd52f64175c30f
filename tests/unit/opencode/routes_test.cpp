#include "ocgate/opencode/routes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "route_table.hpp"

namespace ocgate::opencode {
namespace {

std::string name_of(std::string_view target) { return route_names().at(route_of("GET", target)); }

struct Spelling {
    std::string target, route;
};

class Routes : public testing::TestWithParam<Spelling> {};

TEST_P(Routes, FallUnderTheTemplateTheServerWouldTake) { EXPECT_EQ(name_of(GetParam().target), GetParam().route); }

INSTANTIATE_TEST_SUITE_P(Plain, Routes,
                         testing::Values(Spelling{"/global/health", "/global/health"}, Spelling{"/session", "/session"},
                                         Spelling{"/session?directory=%2Fhome", "/session"},
                                         Spelling{"/session/ses_1/message?limit=1", "/session/{sessionID}/message"},
                                         Spelling{"/session/s/message/m/part/p",
                                                  "/session/{sessionID}/message/{messageID}/part/{partID}"},
                                         Spelling{"/mcp/x/auth/callback", "/mcp/{name}/auth/callback"},
                                         Spelling{"/api/session/s/permission/r/reply",
                                                  "/api/session/{sessionID}/permission/{requestID}/reply"},
                                         Spelling{"/experimental/workspace/w", "/experimental/workspace/{id}"},
                                         Spelling{"/pty/p/connect", "/pty/{ptyID}/connect"},
                                         Spelling{"/api/fs/read/a/b/c/d/e/f/g/h/i", "/api/fs/read/*"}));

INSTANTIATE_TEST_SUITE_P(
    NamesBeatParameters, Routes,
    testing::Values(Spelling{"/session/status", "/session/status"},
                    Spelling{"/session/status1", "/session/{sessionID}"},
                    Spelling{"/session/status/message", "/session/{sessionID}/message"},
                    Spelling{"/api/session/active", "/api/session/active"},
                    Spelling{"/api/session/active/wait", "/api/session/{sessionID}/wait"},
                    Spelling{"/project/current", "/project/current"},
                    Spelling{"/project/current/directories", "/project/{projectID}/directories"},
                    Spelling{"/pty/shells", "/pty/shells"}, Spelling{"/pty/shells/connect", "/pty/{ptyID}/connect"},
                    Spelling{"/api/integration/attempt/a", "/api/integration/attempt/{attemptID}"},
                    Spelling{"/api/integration/attempt/connect/key", "/api/integration/{integrationID}/connect/key"},
                    Spelling{"/experimental/workspace/status", "/experimental/workspace/status"}));

INSTANTIATE_TEST_SUITE_P(
    HostileSpellingsThatHit, Routes,
    testing::Values(Spelling{"/Global/HEALTH", "/global/health"}, Spelling{"//global///health", "/global/health"},
                    Spelling{"/global/health/", "/global/health"}, Spelling{"/global/health//?x", "/global/health"},
                    Spelling{"/%67lobal/health", "/global/health"}, Spelling{"/%47lobal/he%61LTH", "/global/health"},
                    Spelling{"/session//s//message", "/session/{sessionID}/message"},
                    Spelling{"/session/a%2fb", "/session/{sessionID}"},
                    Spelling{"/session/%73tatus", "/session/status"},
                    Spelling{"/session/" + std::string(5000, 'x'), "/session/{sessionID}"},
                    Spelling{"/session/" + std::string(400, '%') + "41", "ui"},
                    // The router takes `;` for the beginning of a query, as it does `?`.
                    Spelling{"/global/health;", "/global/health"}, Spelling{"/global/health;x=/y", "/global/health"},
                    Spelling{"/global/health/;%zz", "/global/health"}, Spelling{"/global/health;?x", "/global/health"},
                    Spelling{"/session/s/message;/part", "/session/{sessionID}/message"},
                    Spelling{"/session;/s/message", "/session"}));

INSTANTIATE_TEST_SUITE_P(
    EverythingElseIsTheWebUi, Routes,
    testing::Values(
        Spelling{"/", "ui"}, Spelling{"", "ui"}, Spelling{"*", "ui"}, Spelling{"////", "ui"},
        Spelling{"/?/session", "ui"}, Spelling{"global/health", "ui"}, Spelling{"/global", "ui"},
        Spelling{"/global%2fhealth", "ui"}, Spelling{"/global%2Fhealth", "ui"}, Spelling{"/x/../global/health", "ui"},
        Spelling{"/./global/health", "ui"}, Spelling{"/global/health/..", "ui"}, Spelling{"/%2567lobal/health", "ui"},
        Spelling{"/global/health%", "ui"}, Spelling{"/global/health%2", "ui"}, Spelling{"/global/health%zz", "ui"},
        Spelling{"/session/%", "ui"}, Spelling{"/global/health%00", "ui"}, Spelling{"/global/health%20", "ui"},
        Spelling{"/global/health%3bx", "ui"}, Spelling{"/;/global/health", "ui"}, Spelling{"/globalhealth", "ui"},
        Spelling{"/api/fs/read", "ui"}, Spelling{"/session/s/nothing", "ui"},
        Spelling{"/a/b/c/d/e/f/g/h/i/j/k/l", "ui"}, Spelling{"/api/fs/read/a/b/c/d/e/f/g/h/i/%", "ui"},
        Spelling{"/session/s/message/m/part/p/q/r/s", "ui"}, Spelling{"/assets/index-abc.js", "ui"},
        Spelling{"/" + std::string(8000, '/'), "ui"}, Spelling{"/" + std::string(8000, 'a'), "ui"},
        Spelling{"/ui", "ui"}));

INSTANTIATE_TEST_SUITE_P(OneLetterBeyondAsciiIsFoldedIntoIt, Routes,
                         testing::Values(Spelling{"/s%E2%84%AAill", "/skill"}, Spelling{"/s%e2%84%aaill/", "/skill"},
                                         Spelling{"/s\xE2\x84\xAAill", "/skill"}, Spelling{"/s%E2%84ill", "ui"},
                                         Spelling{"/s%E2%84%ABill", "ui"}));

TEST(RouteTable, IsWhatTheVersionHas) {
    auto const& names = route_names();
    ASSERT_EQ(names.size(), route_count);
    EXPECT_EQ(names[ui_route], "ui");
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
}

TEST(RouteTable, EveryTemplateIsFoundUnderItsOwnNumberWhateverTheMethodAndCase) {
    auto const& names = route_names();
    for (std::size_t number = 1; number < names.size(); ++number) {
        std::string target, loud;
        for (std::size_t i = 0; i < names[number].size(); ++i) {
            char const c = names[number][i];
            if (c == '{') {
                i = names[number].find('}', i);
                target += "an-id";
            } else {
                target += c == '*' ? 'x' : c;
            }
        }
        std::transform(target.begin(), target.end(), std::back_inserter(loud),
                       [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        EXPECT_EQ(route_of("GET", target), number) << target;
        EXPECT_EQ(route_of("POST", target + "/?q=/session"), number) << target;
        EXPECT_EQ(route_of("BREW", loud), number) << loud;
    }
}

TEST(RouteTable, SaysHowLongALookupTakes) {
    constexpr int rounds = 200'000;
    std::size_t sum = route_of("GET", "/");
    auto const began = std::chrono::steady_clock::now();
    for (int i = 0; i < rounds; ++i) sum += route_of("GET", "/session/ses_0123456789abcdefghijkl/message/msg_0123");
    auto const took = std::chrono::steady_clock::now() - began;
    EXPECT_GT(sum, 0u);
    RecordProperty("nanoseconds", std::to_string(std::chrono::nanoseconds(took).count() / rounds));
}

TEST(PublicAssets, AreTheThreeFilesAndNothingThatOnlyLooksLikeThem) {
    for (std::string const asset :
         {"/site.webmanifest", "/web-app-manifest-192x192.png", "/web-app-manifest-512x512.png"}) {
        EXPECT_TRUE(is_public_asset("GET", asset));
        for (auto const* method : {"HEAD", "POST", "get", "OPTIONS", ""}) EXPECT_FALSE(is_public_asset(method, asset));
        for (auto const& target : {asset + "?", asset + "?auth_token=x", asset + "/", "/" + asset, asset.substr(1),
                                   asset + "%00", "/x/.." + asset, asset + "#"}) {
            EXPECT_FALSE(is_public_asset("GET", target)) << target;
        }
    }
    for (auto const* target : {"/Site.webmanifest", "/%73ite.webmanifest", "/web-app-manifest-256x256.png", "/", ""}) {
        EXPECT_FALSE(is_public_asset("GET", target)) << target;
    }
}

TEST(Acts, SayWhatAPersonsRequestDoesToWhichSession) {
    using Kind = Act::Kind;
    struct Row {
        std::string method, target;
        Kind kind;
        std::string session, request;
    };
    for (auto const& row : {
             Row{"POST", "/session/ses_1/abort?directory=/x", Kind::abort, "ses_1", ""},
             Row{"POST", "//Session/ses_1/ABORT/", Kind::abort, "ses_1", ""},
             Row{"POST", "/api/session/ses_1/interrupt", Kind::abort, "ses_1", ""},
             Row{"POST", "/permission/per_1/reply", Kind::permission, "", "per_1"},
             Row{"POST", "/session/ses_1/permissions/per%5F1", Kind::permission, "ses_1", "per_1"},
             Row{"POST", "/api/session/ses_1/permission/per_1/reply", Kind::permission, "ses_1", "per_1"},
             Row{"POST", "/question/que_1/reply", Kind::question, "", "que_1"},
             Row{"POST", "/question/que_1/reject", Kind::question, "", "que_1"},
             Row{"POST", "/api/session/ses_1/question/que_1/reject", Kind::question, "ses_1", "que_1"},
             Row{"POST", "/session/ses_1/prompt_async", Kind::other, "ses_1", ""},
             Row{"PATCH", "/session/ses_1", Kind::other, "ses_1", ""},
             Row{"POST", "/api/session/ses_1/prompt", Kind::other, "ses_1", ""},
         }) {
        auto const act = act_of(row.method, row.target);
        ASSERT_TRUE(act) << row.target;
        EXPECT_EQ(act->kind, row.kind) << row.target;
        EXPECT_EQ(act->session, row.session) << row.target;
        EXPECT_EQ(act->request, row.request) << row.target;
    }
    for (auto const* target : {"/session", "/pty/pty_1", "/", "/_ocgate/pending", "/session/a%2Fb/abort", "/global/x",
                               "/session/%zz/abort", "/permission//reply"}) {
        EXPECT_FALSE(act_of("POST", target)) << target;
    }
    EXPECT_FALSE(act_of("GET", "/session/ses_1"));
    EXPECT_FALSE(act_of("HEAD", "/session/ses_1/abort"));
}

// A prompt that is spelled so that the server takes it and we do not would cost what nobody allowed.
TEST(Work, IsStartedByWhateverTheServerTakesForAPrompt) {
    for (std::string const path : {"/session/ses_1/message", "/session/ses_1/prompt_async", "/session/ses_1/command",
                                   "/session/ses_1/summarize", "/session/ses_1/init", "/api/session/ses_1/prompt",
                                   "/api/session/ses_1/compact", "/experimental/project/global/copy/generate-name"}) {
        std::string loud, doubled, coded = path;
        for (char const c : path) {
            loud += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
            doubled += c == '/' ? "//" : std::string(1, c);
        }
        auto const last = path.rfind('/') + 1;
        constexpr char hex[] = "0123456789abcdef";
        coded.replace(last, 1, {'%', hex[path[last] >> 4], hex[path[last] & 15]});
        for (auto const& spelled :
             {path, loud, doubled, coded, path + "/", path + "//", path + "?directory=/x", path + "/?a=/b", "/" + path,
              path + "?", path + ";", path + ";a?b", path + "/;%zz", path + ";/x"}) {
            EXPECT_TRUE(starts_work("POST", spelled)) << spelled;
            for (auto const* method : {"post", "Post", "PUT", "PATCH", "BREW"})
                EXPECT_TRUE(starts_work(method, spelled)) << method << spelled;
            for (auto const* method : {"GET", "HEAD", "OPTIONS"})
                EXPECT_FALSE(starts_work(method, spelled)) << method << spelled;
        }
        // None of these reaches it there either.
        for (auto const& other : {path + "/x", path + "%2f", path + "%3b", "/x/.." + path, path + "%", path + "x",
                                  "/;" + path, "/." + path, "/%2e" + path})
            EXPECT_FALSE(starts_work("POST", other)) << other;
    }
}

TEST(Work, IsNotStartedByWhatEndsItAnswersItOrCostsNothing) {
    for (auto const* target :
         {"/session", "/session/ses_1", "/session/ses_1/abort", "/session/ses_1/shell", "/session/ses_1/fork",
          "/session/ses_1/revert", "/session/ses_1/share", "/session/ses_1/message/msg_1",
          "/session/ses_1/permissions/per_1", "/permission/per_1/reply", "/question/que_1/reply",
          "/api/session/ses_1/interrupt", "/api/session/ses_1/permission/per_1/reply", "/api/session", "/pty", "/",
          "/_ocgate/notifications/test", "", "*"})
        EXPECT_FALSE(starts_work("POST", target)) << target;
}

}  // namespace
}  // namespace ocgate::opencode
