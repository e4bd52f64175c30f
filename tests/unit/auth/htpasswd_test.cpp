#include "ocgate/auth/htpasswd.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace ocgate::auth {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;
using testing::Not;

// Of the password `pässword:1`, made by libxcrypt, `openssl passwd` and Apache's htpasswd.
constexpr char const* bcrypt_hash = "$2y$04$abcdefghijklmnopqrstuu8wkw12QyDc.4XJF/zLPLx4K6vWRWzxS";
constexpr char const* apr1_hash = "$apr1$saltsalt$EaSIAFYjd1J9LPstORftn/";
constexpr char const* sha_hash = "{SHA}PcoIHxhUptvsl48mfbCyv35Tfsw=";
constexpr char const* sha256_hash = "$5$saltstring$Pe9B3LglvXeFhXPt9gHxKuc05RaXQZo5aCVnwJzj8i1";
constexpr char const* sha512_hash =
    "$6$saltstring$g7CiS591SGscFbUB45Z163RiVUUsL7niSWL6qp7SfTaDyRWDxYTPwYEslajmQHxkqpz9g9EWSXC4/VRWnN.RO.";
constexpr char const* yescrypt_hash = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X/fHiJ0uzbUV6ENwx47T0vs4v9PylbEXrdWnFapaTKA";

std::vector<std::size_t> lines_of(Htpasswd const& file) {
    std::vector<std::size_t> lines;
    for (auto const& error : file.errors) lines.push_back(error.line);
    return lines;
}

TEST(Htpasswd, ReadsEveryKind) {
    auto const file = parse_htpasswd("a:"s + bcrypt_hash + "\nb:" + apr1_hash + "\nc:" + sha_hash +
                                     "\nd:" + sha256_hash + "\ne:" + sha512_hash + "\nf:" + yescrypt_hash);
    ASSERT_TRUE(file.errors.empty()) << file.errors.front().message;
    ASSERT_EQ(file.accounts.size(), 6U);
    EXPECT_EQ(file.accounts[0].name, "a");
    EXPECT_EQ(file.accounts[0].hash, bcrypt_hash);
    EXPECT_EQ(file.accounts[0].source, "htpasswd line 1");
    EXPECT_TRUE(file.accounts[0].password.empty());
    EXPECT_EQ(file.accounts[5].hash, yescrypt_hash);
    EXPECT_EQ(file.accounts[5].source, "htpasswd line 6");
}

TEST(Htpasswd, ToleratesWhatEditorsAndOtherServersWrite) {
    auto const file =
        parse_htpasswd("\xEF\xBB\xBF# written by hand\r\n\r\n   \t \r\n\nann:"s + sha_hash + "\r\nbo b:" + sha_hash +
                           ":Bob, second floor\n#cem:x\n\xC3\xA4:" + sha_hash + ":",
                       "users.htpasswd");
    ASSERT_TRUE(file.errors.empty()) << file.errors.front().message;
    ASSERT_EQ(file.accounts.size(), 3U);
    EXPECT_EQ(file.accounts[0].source, "users.htpasswd line 5");
    EXPECT_EQ(file.accounts[1].name, "bo b");
    EXPECT_EQ(file.accounts[1].hash, sha_hash);
    EXPECT_EQ(file.accounts[2].name, "\xC3\xA4");
    EXPECT_EQ(file.accounts[2].source, "users.htpasswd line 8");
    EXPECT_TRUE(parse_htpasswd("").accounts.empty());
    EXPECT_TRUE(parse_htpasswd("\xEF\xBB\xBF").errors.empty());
}

TEST(Htpasswd, SaysTheLineAndNothingOfIt) {
    std::string const secret = "hunter2secret";
    std::string const rows[] = {
        secret,
        secret + ":" + secret,
        secret + ":",
        ":" + secret,
        std::string(256, 'n') + secret + ":" + sha_hash,
        secret + "\x01:" + sha_hash,
        secret + "\xFF:" + sha_hash,
        secret + ":$1$" + secret + "$abcdefghijklmnopqrstuv",
        secret + ":{SSHA}" + secret,
        secret + ":$2x$04$" + secret,
        secret + ":$2y$04$" + secret,
        secret + ":$apr1$" + secret + "$",
        secret + ":$5$" + secret,
        secret + ":$6$rounds=" + secret + "$a$b",
        secret + ":$y$" + secret,
        secret + ":{SHA}" + secret,
        secret + ":" + sha_hash + " ",
        secret + ": " + sha_hash,
        secret + std::string(max_htpasswd_line_bytes, 'x') + ":" + sha_hash,
        secret + ":" + sha_hash + "\n" + secret + ":" + bcrypt_hash,
    };
    for (auto const& row : rows) {
        auto const file = parse_htpasswd("# one\nok:"s + sha_hash + "\n" + row + "\nalso:" + sha_hash + "\n");
        ASSERT_EQ(file.errors.size(), 1U) << row;
        auto const twice = row.find('\n') != std::string::npos;
        EXPECT_EQ(file.errors[0].line, twice ? 4U : 3U) << row;
        EXPECT_FALSE(file.errors[0].message.empty());
        EXPECT_THAT(file.errors[0].message, Not(HasSubstr("hunter2")));
        EXPECT_THAT(file.errors[0].message, Not(HasSubstr("PcoIHxhUptv")));
        EXPECT_EQ(file.accounts.back().name, "also") << "all errors come at once: " << row;
    }
}

TEST(Htpasswd, IsBounded) {
    std::string big(max_htpasswd_bytes, '\n');
    EXPECT_TRUE(parse_htpasswd(big).errors.empty());
    big += '\n';
    EXPECT_EQ(lines_of(parse_htpasswd(big)), std::vector<std::size_t>{0});

    auto const one = [](std::size_t i) { return "u" + std::to_string(i) + ":" + sha_hash + "\n"; };
    std::string users;
    for (std::size_t i = 0; i < max_htpasswd_entries; ++i) users += one(i);
    auto const full = parse_htpasswd(users);
    EXPECT_TRUE(full.errors.empty());
    EXPECT_EQ(full.accounts.size(), max_htpasswd_entries);
    auto const over = parse_htpasswd(users + one(max_htpasswd_entries) + one(max_htpasswd_entries + 1));
    EXPECT_EQ(lines_of(over), std::vector<std::size_t>{max_htpasswd_entries + 1});
    EXPECT_EQ(over.accounts.size(), max_htpasswd_entries);

    std::string bad;
    for (std::size_t i = 0; i < 2 * max_htpasswd_errors; ++i) bad += "x\n";
    EXPECT_EQ(parse_htpasswd(bad).errors.size(), max_htpasswd_errors);

    std::string const name(255, 'n');
    EXPECT_TRUE(parse_htpasswd(name + ":" + sha_hash).errors.empty());
    std::string line = "ann:"s + sha_hash + ":";
    line += std::string(max_htpasswd_line_bytes - line.size(), 'x');
    EXPECT_TRUE(parse_htpasswd(line + "\r\n").errors.empty());
    EXPECT_EQ(parse_htpasswd(line + "x").errors.size(), 1U);
}

TEST(Htpasswd, NulAndLineEndsInsideAreNoWayAroundTheCheck) {
    EXPECT_EQ(parse_htpasswd("a:"s + sha_hash + "\0\n"s).errors.size(), 1U);
    EXPECT_EQ(parse_htpasswd("a\0b:"s + sha_hash).errors.size(), 1U);
    EXPECT_EQ(parse_htpasswd("a:"s + sha_hash + "\rb:" + sha_hash).errors.size(), 1U);
    EXPECT_EQ(parse_htpasswd("a:"s + sha_hash + "\r\r\n").errors.size(), 1U);
}

TEST(HashProblem, BoundsTheWorkOfOneLogin) {
    auto const bcrypt = [](std::string_view cost) {
        return "$2y$" + std::string(cost) + "$abcdefghijklmnopqrstuu8wkw12QyDc.4XJF/zLPLx4K6vWRWzxS";
    };
    EXPECT_EQ(hash_problem(bcrypt("04")), "");
    EXPECT_EQ(hash_problem(bcrypt("15")), "");
    for (auto const cost : {"03", "00", "16", "31", "99", "4", "5$", "-4", "+4", " 4", "0x"})
        EXPECT_NE(hash_problem(bcrypt(cost)), "") << cost;
    EXPECT_THAT(hash_problem(bcrypt("16")), HasSubstr("4..15"));

    auto const sha = [](std::string_view rounds) {
        return "$5$rounds=" + std::string(rounds) + "$saltstring$Pe9B3LglvXeFhXPt9gHxKuc05RaXQZo5aCVnwJzj8i1";
    };
    for (auto const rounds : {"1000", "5000", "1000000"}) EXPECT_EQ(hash_problem(sha(rounds)), "") << rounds;
    for (auto const rounds :
         {"", "0", "999", "1000001", "999999999", "99999999999999999999", "-1000", "+5000", "5000x", " 5000", "0x1000"})
        EXPECT_NE(hash_problem(sha(rounds)), "") << rounds;

    auto const yescrypt = [](std::string_view parameters) {
        return "$y$" + std::string(parameters) + "$F5Jx5fExrKuPp53xLKQ..1$X/fHiJ0uzbUV6ENwx47T0vs4v9PylbEXrdWnFapaTKA";
    };
    // What crypt_gensalt(3) writes for costs 1 to 8 …
    for (auto const parameters : {"j75", "j85", "j7T", "j8T", "j9T", "jAT", "jBT", "jCT"})
        EXPECT_EQ(hash_problem(yescrypt(parameters)), "") << parameters;
    // … for 9 to 11, and what nobody writes.
    for (auto const parameters : {"jDT", "jET", "jFT", "", "j", "j9", "j9T5", "k9T", "./T", "j9.", "jzz", "j6T"})
        EXPECT_NE(hash_problem(yescrypt(parameters)), "") << parameters;
}

// A hash that is taken but can never match locks its owner out without a word.
TEST(HashProblem, RefusesWhatLibcryptWouldNeverMatch) {
    // Leading zeros: libcrypt answers `*0`.
    EXPECT_NE(hash_problem("$5$rounds=05000$saltstring$Pe9B3LglvXeFhXPt9gHxKuc05RaXQZo5aCVnwJzj8i1"), "");
    // Spare bits in the salt, as old versions of py-bcrypt wrote them: libcrypt writes the salt back without.
    EXPECT_NE(hash_problem("$2b$04$abcdefghijklmnopqrstuv8wkw12QyDc.4XJF/zLPLx4K6vWRWzxS"), "");
    EXPECT_NE(hash_problem("$2b$04$abcdefghijklmnopqrstuu8wkw12QyDc.4XJF/zLPLx4K6vWRWzxT"), "");
    EXPECT_NE(hash_problem("$apr1$saltsalt$EaSIAFYjd1J9LPstORftnz"), "");
    EXPECT_NE(hash_problem("{SHA}PcoIHxhUptvsl48mfbCyv35Tfsx="), "");
    EXPECT_NE(hash_problem("$5$saltstring$Pe9B3LglvXeFhXPt9gHxKuc05RaXQZo5aCVnwJzj8iz"), "");
    EXPECT_NE(hash_problem("$y$j9T$F5Jx5fExrKuPp53xLKQ..z$X/fHiJ0uzbUV6ENwx47T0vs4v9PylbEXrdWnFapaTKA"), "");
    EXPECT_NE(hash_problem("$y$j9T$abcde$X/fHiJ0uzbUV6ENwx47T0vs4v9PylbEXrdWnFapaTKA"), "");
}

TEST(HashProblem, EveryCutAndEveryForeignByteIsRefused) {
    for (std::string const hash : {bcrypt_hash, apr1_hash, sha_hash, sha256_hash, sha512_hash, yescrypt_hash}) {
        ASSERT_EQ(hash_problem(hash), "") << hash;
        EXPECT_TRUE(looks_like_hash(hash));
        for (std::size_t length = 0; length < hash.size(); ++length)
            EXPECT_NE(hash_problem(hash.substr(0, length)), "") << hash.substr(0, length);
        for (char const extra : {'a', '$', '=', '\0', '\n', ' '}) EXPECT_NE(hash_problem(hash + extra), "") << hash;
        for (std::size_t at = 0; at < hash.size(); ++at) {
            for (char const foreign : {'\0', '\n', ' ', '*', '!', '\xC3'}) {
                auto broken = hash;
                broken[at] = foreign;
                EXPECT_NE(hash_problem(broken), "") << at << " of " << hash;
            }
        }
    }
    EXPECT_THAT(hash_problem("abJnggxhB/yWI"), HasSubstr("DES"));
    EXPECT_THAT(hash_problem("letmein"), HasSubstr("clear-text"));
    EXPECT_THAT(hash_problem("letmein"), HasSubstr("ocgate hash-password"));
    EXPECT_THAT(hash_problem("$1$abc$abcdefghijklmnopqrstuv"), HasSubstr("another format"));
    EXPECT_THAT(hash_problem(""), HasSubstr("nothing"));
    EXPECT_FALSE(looks_like_hash("letmein"));
    EXPECT_FALSE(looks_like_hash("$2"));
    EXPECT_TRUE(looks_like_hash("$6$anything"));
}

TEST(UserName, IsWhatBasicCanCarry) {
    EXPECT_TRUE(is_user_name("a"));
    EXPECT_TRUE(is_user_name(std::string(255, 'a')));
    EXPECT_TRUE(is_user_name("\xC3\xA4 b"));
    for (std::string const& bad : {""s, std::string(256, 'a'), "a:b"s, "a\0b"s, "\xFF"s, "a\n"s, "\x7F"s})
        EXPECT_FALSE(is_user_name(bad)) << bad;
}

}  // namespace
}  // namespace ocgate::auth
