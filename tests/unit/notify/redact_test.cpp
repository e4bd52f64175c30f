#include "ocgate/notify/redact.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace ocgate::notify {
namespace {

struct Row {
    std::string_view text, result;
};

void expect(Row const* rows, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        EXPECT_EQ(redact(rows[i].text), rows[i].result) << rows[i].text;
        EXPECT_EQ(redact(redact(rows[i].text)), rows[i].result) << "again: " << rows[i].text;
    }
}

#define EXPECT_ROWS(rows) expect(rows, std::size(rows))

TEST(Redact, KeysOfKnownServices) {
    Row const rows[] = {
        {"use sk-proj-abcdefghijklmnopqrstuv now", "use sk-*** now"},
        {"sk-ant-api03-AAAAAAAAAAAAAAAA_-x", "sk-***"},
        {"ghp_0123456789abcdefghijABCDEFGHIJ012345", "ghp_***"},
        {"github_pat_11ABCDEFG0123456789_abcdef", "github_pat_***"},
        {"(glpat-abcdefghijklmnopqrst)", "(glpat-***)"},
        {"xoxb-1234567890-abcdef", "xoxb-***"},
        {"AKIAIOSFODNN7EXAMPLE", "AKIA***"},
        {"AIzaSyA-0123456789abcdefghijklmnopqrstu", "AIza***"},
        {"tk_0123456789abcdefghijklmnopqrs", "tk_***"},
        {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***"},
        {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r", "eyJ***"},
        {"hf_abcdefghijklmnopqrstuvwxyz", "hf_***"},
        {R"(printf 'a\nghp_0123456789abcdefghijABCDEFGHIJ012345\n')", R"(printf 'a\nghp_***\n')"},
        {R"("x\tBearer AbCdEf123456\r\npass=abc")", R"("x\tBearer ***\r\npass=***")"},
    };
    EXPECT_ROWS(rows);
}

TEST(Redact, Credentials) {
    Row const rows[] = {
        {"curl -H 'Authorization: Bearer abc.def-123' https://x", "curl -H 'Authorization: Bearer ***' https://x"},
        {"curl -H \"Authorization: Basic dXNlcjpwYXNz\"", "curl -H \"Authorization: Basic ***\""},
        {"authorization: Token abc", "authorization: Token ***"},
        {"Bearer AbCdEf123456", "Bearer ***"},
        {"a bearer of news", "a bearer of news"},
        {"Basic authentication is used", "Basic authentication is used"},
        {"https://user:hunter2@example.com/x", "https://user:***@example.com/x"},
        {"postgres://app:p%40ss@db:5432/x", "postgres://app:***@db:5432/x"},
        {"https://tokenvalue@github.com/a/b", "https://***@github.com/a/b"},
        {"ssh://git@github.com/a", "ssh://git@github.com/a"},
        {"https://example.com/@user", "https://example.com/@user"},
        {"curl -u admin:hunter2 http://x", "curl -u admin:*** http://x"},
        {"mail a@b.example", "mail a@b.example"},
    };
    EXPECT_ROWS(rows);
}

TEST(Redact, NamedValues) {
    Row const rows[] = {
        {"password=hunter2", "password=***"},
        {"PGPASSWORD=hunter2 psql -h db", "PGPASSWORD=*** psql -h db"},
        {"export GITHUB_TOKEN='a b c'", "export GITHUB_TOKEN='***'"},
        {R"({"password":"a\"b","user":"u"})", R"({"password":"***","user":"u"})"},
        {R"({\"api_key\":\"abc\",\"n\":1})", R"({\"api_key\":\"***\",\"n\":1})"},
        {"api-key: abc", "api-key: ***"},
        {"X-Api-Key: abc", "X-Api-Key: ***"},
        {"aws_secret_access_key = wJalrXUtnFEMI", "aws_secret_access_key = ***"},
        {R"("AccessKeyId": "x", "SecretAccessKey": "wJalr/XUtn", "SessionToken": "IQoJ")",
         R"("AccessKeyId": "x", "SecretAccessKey": "***", "SessionToken": "***")"},
        {R"({"secretKey":"abc","publicKey":"def"})", R"({"secretKey":"***","publicKey":"def"})"},
        {"AccountName=a;AccountKey=abc==;EndpointSuffix=b", "AccountName=a;AccountKey=***;EndpointSuffix=b"},
        {"privateKey: abc", "privateKey: ***"},
        {"https://x/?token=abc&page=2", "https://x/?token=***&page=2"},
        {"tool --password hunter2 --verbose", "tool --password *** --verbose"},
        {"tool --api-key=abc", "tool --api-key=***"},
        {"-H 'Cookie: session=abc; theme=dark'", "-H 'Cookie: ***'"},
        {"max_tokens=4096", "max_tokens=4096"},
        {"the token is here", "the token is here"},
        {"--token --verbose", "--token --verbose"},
        {"std::token::next", "std::token::next"},
        {"password=", "password="},
    };
    EXPECT_ROWS(rows);
}

TEST(Redact, ACommandCannotHideAsASecret) {
    // Who is asked to allow it has to see all that it does.
    Row const rows[] = {
        {"TOKEN=a;rm -rf /", "TOKEN=***;rm -rf /"},
        {"TOKEN=a&&rm -rf /", "TOKEN=***&&rm -rf /"},
        {"TOKEN=a|sh", "TOKEN=***|sh"},
        {"TOKEN=$(rm -rf /)", "TOKEN=$(rm -rf /)"},
        {"TOKEN=\"$(rm -rf /)\"", "TOKEN=\"$(rm -rf /)\""},
        {"TOKEN=`rm -rf /`", "TOKEN=`rm -rf /`"},
        {"TOKEN=\"`rm -rf /`\"", "TOKEN=\"`rm -rf /`\""},
        {R"(TOKEN=\"a;rm -rf / \")", R"(TOKEN=\"***;rm -rf / \")"},
        {"TOKEN=$TOKEN run", "TOKEN=$TOKEN run"},
        {"curl -H \"Authorization: Bearer $TOKEN\" https://x", "curl -H \"Authorization: Bearer $TOKEN\" https://x"},
        {"Authorization: x; rm -rf /", "Authorization: ***; rm -rf /"},
        {"-----BEGIN PRIVATE KEY-----; rm -rf /", "-----BEGIN PRIVATE KEY-----; rm -rf /"},
        {"-----BEGIN PRIVATE KEY-----\nrm -rf /", "-----BEGIN PRIVATE KEY-----\nrm -rf /"},
        {"sk-abcdefghijklmnopqrst;rm -rf /", "sk-***;rm -rf /"},
        {"Cookie: a=b; rm -rf /", "Cookie: ***; rm -rf /"},
    };
    EXPECT_ROWS(rows);
}

TEST(Redact, PrivateKeys) {
    std::string const key =
        "-----BEGIN OPENSSH PRIVATE "
        "KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\nAAAAAAAAABAAAAMwAAAAtzc2gt\nZWQ=\n"
        "-----END OPENSSH PRIVATE KEY-----\nls";
    EXPECT_EQ(redact(key), "-----BEGIN OPENSSH PRIVATE KEY-----***\n-----END OPENSSH PRIVATE KEY-----\nls");
    EXPECT_EQ(redact("k=\"-----BEGIN RSA PRIVATE KEY-----\\nMIIEowIBAAKCAQEAxyz123\\n-----END RSA PRIVATE KEY-----\""),
              "k=\"-----BEGIN RSA PRIVATE KEY-----***\\n-----END RSA PRIVATE KEY-----\"");
    EXPECT_EQ(redact("-----BEGIN CERTIFICATE-----\nMIIEowIBAAKCAQEAxyz123"),
              "-----BEGIN CERTIFICATE-----\nMIIEowIBAAKCAQEAxyz123");
    EXPECT_EQ(redact("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxK"),
              "-----BEGIN EC PRIVATE KEY-----***");
}

TEST(Redact, AddressesThatAreSecrets) {
    Row const rows[] = {
        {"https://discord.com/api/webhooks/123/AbCdEfGhIjKlMnOpQrStUvWx", "https://discord.com/api/webhooks/123/***"},
        {"https://hooks.slack.com/services/T000/B000/XXXX", "https://hooks.slack.com/services/***"},
        {"https://api.telegram.org/bot123456:AAabcdefghijklmnopqrstuvw/sendMessage", "https://api.telegram.org/bot***"},
        {"https://example.com/webhooks/123/list", "https://example.com/webhooks/123/list"},
    };
    EXPECT_ROWS(rows);
}

TEST(Redact, OrdinaryTextStays) {
    for (std::string_view const text : {"", "git push origin main", "npm test -- --watch=false", "sk-short",
                                        "“Fix the login” asks to use bash:", "3fa4c0de9e1b7a6d5c4b3a291807f6e5d4c3b2a1",
                                        "ls -la /tmp", "docker run -u 1000:1000 image", "echo $PASSWORD"})
        EXPECT_EQ(redact(text), text);
}

// With work that grows with the square of the length this would not end within the test's time limit.
TEST(Redact, EndsSoonWithLongTexts) {
    for (std::string const piece : {"password=\"",
                                    "eyJ-",
                                    "://a",
                                    "bearer ",
                                    "-----BEGIN ",
                                    "token:'$(",
                                    "sk-",
                                    "--password ",
                                    "-----BEGIN PRIVATE KEY-----",
                                    "a",
                                    "/webhooks/1/",
                                    "password=\\\"",
                                    "authorization: ",
                                    "-u a:b ",
                                    "Cookie: a=b;",
                                    "https://x:y",
                                    "pwd=",
                                    "-u,",
                                    "-u:",
                                    "cookie=a;x=",
                                    "-u\"",
                                    "token=$A"}) {
        std::string text;
        while (text.size() < 500'000) text += piece;
        EXPECT_LE(redact(text).size(), 4 * text.size()) << piece;
        text += "$(";  // the end of each of many values, and what makes it none
        EXPECT_LE(redact(text).size(), 4 * text.size()) << piece << "…$(";
    }
}

}  // namespace
}  // namespace ocgate::notify
