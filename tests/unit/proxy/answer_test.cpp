#include "answer.hpp"

#include <gmock/gmock.h>

#include <array>
#include <ctime>
#include <nlohmann/json.hpp>
#include <vector>

namespace ocgate::proxy {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace std::chrono_literals;

std::string written(Answer const& answer) {
    std::array<char, answer_bytes> out;
    auto const size = write_answer(out, answer);
    std::string const text(out.data(), size.bytes);
    EXPECT_EQ(text.size() - text.find("\r\n\r\n") - 4, size.content);
    return text;
}

Answer answer_for(Side side, Step step, error_code why) {
    Answer answer;
    answer.refusal.failure = {side, step, why};
    answer.request_id = "0123456789abcdef";
    answer.realm = "opencode";
    answer.date = "Sun, 06 Nov 1994 08:49:37 GMT";
    return answer;
}

TEST(Answer, IsWrittenByteForByte) {
    auto answer = answer_for(Side::client, Step::admission, Reason::unauthorized);
    answer.refusal.challenge = true;
    answer.close = false;
    EXPECT_EQ(
        written(answer),
        "HTTP/1.1 401 Unauthorized\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: application/json\r\n"
        "Content-Length: 129\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: 0123456789abcdef\r\n"
        "X-Ocgate-Error: client admission unauthorized\r\n"
        "WWW-Authenticate: Basic realm=\"opencode\", charset=\"UTF-8\"\r\n\r\n"
        "{\"error\":{\"code\":\"unauthorized\",\"message\":\"Credentials are needed: HTTP Basic authentication.\","
        "\"request_id\":\"0123456789abcdef\"}}\n");
}

TEST(Answer, OffersALinkToAPersonWhoMayGoOn) {
    auto answer = answer_for(Side::client, Step::admission, Reason::forbidden);
    answer.refusal.offers_link = true;
    auto const shown = [&](std::string_view target, std::size_t room = offer_bytes) {
        answer.target = target;
        std::vector<char> out(room);
        auto const size = write_answer(out, answer);
        std::string text(out.data(), size.bytes);
        auto const content = text.find("\r\n\r\n") + 4;
        EXPECT_EQ(text.size() - content, answer.head_only ? 0 : size.content);
        EXPECT_THAT(text, HasSubstr("X-Ocgate-Error: client admission forbidden\r\n"));
        return text;
    };
    auto const page = shown("/L3dvcms/session?a='\"<b>&c");
    EXPECT_THAT(page, StartsWith("HTTP/1.1 403 Forbidden\r\n"));
    EXPECT_THAT(page, HasSubstr("Content-Type: text/html; charset=utf-8\r\n"));
    EXPECT_THAT(page, HasSubstr("Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "));
    EXPECT_THAT(page, HasSubstr("frame-ancestors 'none'\r\n"));
    EXPECT_THAT(page, HasSubstr("href=\"/L3dvcms/session?a=&#39;&quot;&lt;b&gt;&amp;c\">"));
    EXPECT_THAT(page, Not(HasSubstr("<b>")));
    EXPECT_THAT(shown("/" + std::string(499, '"')), EndsWith("0123456789abcdef</small>\n")) << "all of it fits";
    auto const plain = HasSubstr("Content-Type: application/json\r\n");
    EXPECT_THAT(shown("/" + std::string(500, 'x')), plain) << "too long to look at";
    EXPECT_THAT(shown("//elsewhere.example/x"), plain) << "it leads to another host";
    EXPECT_THAT(shown("/\\elsewhere.example/x"), plain) << "for browsers the same";
    EXPECT_THAT(shown("/x", offer_bytes - 1), plain) << "no room";
    answer.head_only = true;
    EXPECT_THAT(shown("/x"), EndsWith("\r\n\r\n"));
    answer.head_only = false;
    answer.refusal.offers_link = false;
    EXPECT_THAT(shown("/x"), plain);
}

TEST(Answer, DatesAsRfc9110Does) {
    using namespace std::chrono;
    auto const text = [](sys_seconds when) {
        auto const date = http_date(when);
        return std::string(date.data(), date.size());
    };
    EXPECT_EQ(text(sys_seconds(784111777s)), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(text(sys_seconds(0s)), "Thu, 01 Jan 1970 00:00:00 GMT");
    EXPECT_EQ(text(sys_days{2028y / 2 / 29} + 86399s), "Tue, 29 Feb 2028 23:59:59 GMT");
    // Every day of some years, as the C library has it.
    for (auto day = sys_days{2023y / 12 / 30}; day < sys_days{2029y / 1 / 3}; day += days(1)) {
        auto const seconds = static_cast<std::time_t>(sys_seconds(day).time_since_epoch().count()) + 12345;
        std::tm parts{};
        ::gmtime_r(&seconds, &parts);
        char expected[64];
        std::strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        EXPECT_EQ(text(sys_seconds(day) + 12345s), expected);
    }
}

// What may be wrong with either message is told of the one it is wrong with.
TEST(Answer, SaysWhoseMessageItSpeaksOf) {
    for (auto const reason : {Reason::malformed, Reason::unsupported_version, Reason::unsupported_coding,
                              Reason::head_too_large, Reason::unauthorized, Reason::timed_out, Reason::cut_short}) {
        auto const clients = message_for({Side::client, Step::request_head, reason});
        auto const upstreams = message_for({Side::upstream, Step::response_head, reason});
        EXPECT_THAT(std::string(upstreams), HasSubstr("opencode")) << clients;
        EXPECT_THAT(std::string(upstreams), Not(HasSubstr("request"))) << clients;
        EXPECT_THAT(std::string(clients), Not(HasSubstr("opencode"))) << upstreams;
    }
}

TEST(Answer, SaysWhatBecomesOfTheConnection) {
    auto answer = answer_for(Side::upstream, Step::dial, Reason::timed_out);
    EXPECT_THAT(written(answer), HasSubstr("\r\nConnection: close\r\n"));
    answer.close = false;
    EXPECT_THAT(written(answer), Not(HasSubstr("Connection:")));
    answer.keep_alive_1_0 = true;
    EXPECT_THAT(written(answer), HasSubstr("\r\nConnection: keep-alive\r\n"));
    answer.refusal.retry_after = std::chrono::seconds(90);
    EXPECT_THAT(written(answer), HasSubstr("\r\nRetry-After: 90\r\n"));
}

TEST(Answer, GivesHeadTheFieldsOnly) {
    auto answer = answer_for(Side::client, Step::request_head, Reason::malformed);
    auto const whole = written(answer);
    answer.head_only = true;
    auto const head = written(answer);
    EXPECT_THAT(head, EndsWith("\r\n\r\n"));
    EXPECT_THAT(whole, StartsWith(head));
}

// Every failure there can be: its status has a phrase, its content is JSON, and all of it fits with room to spare.
TEST(Answer, HasWordsForEveryFailure) {
    std::string const id(64, 'i');
    for (auto side : {Side::client, Side::upstream, Side::gateway}) {
        for (int step = 0; step <= static_cast<int>(Step::tunnel); ++step) {
            for (int reason = 1; reason <= static_cast<int>(Reason::internal); ++reason) {
                auto answer = answer_for(side, static_cast<Step>(step), static_cast<Reason>(reason));
                answer.request_id = id;
                answer.refusal.challenge = true;
                answer.refusal.retry_after = std::chrono::hours(24);
                auto const text = written(answer);
                EXPECT_LT(text.size(), answer_bytes / 2);
                EXPECT_THAT(text.substr(0, text.find("\r\n")), Not(EndsWith(" Error\r\n"))) << text;
                EXPECT_THAT(text.substr(9, 4), Not(StartsWith("0")));
                auto const content = nlohmann::json::parse(text.substr(text.find("\r\n\r\n") + 4));
                EXPECT_EQ(content["error"]["code"], std::string(to_string(static_cast<Reason>(reason))));
                EXPECT_EQ(content["error"]["request_id"], id);
                EXPECT_FALSE(content["error"]["message"].get<std::string>().empty());
            }
        }
    }
}

TEST(Answer, NeverWritesBeyondItsRoom) {
    std::string const realm(3000, 'r');
    auto answer = answer_for(Side::client, Step::admission, Reason::unauthorized);
    answer.refusal.challenge = true;
    answer.realm = realm;
    std::array<char, answer_bytes> out;
    EXPECT_LE(write_answer(out, answer).bytes, out.size());
}

}  // namespace
}  // namespace ocgate::proxy
