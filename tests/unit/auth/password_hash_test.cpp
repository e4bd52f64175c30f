#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <new>
#include <stdexcept>
#include <string>

#include "apr1.hpp"
#include "directory.hpp"
#include "hashing.hpp"
#include "ocgate/auth/htpasswd.hpp"

namespace ocgate::auth {
namespace {

using namespace std::string_literals;

struct Vector {
    char const* hash;
    std::string password;
};

// Made by libxcrypt 4.4, `openssl passwd` and Apache's htpasswd; the bcrypt ones of the empty and the long password
// as well.
Vector const vectors[] = {
    {"$2y$04$abcdefghijklmnopqrstuu8wkw12QyDc.4XJF/zLPLx4K6vWRWzxS", "p\xC3\xA4ssword:1"},
    {"$2a$04$abcdefghijklmnopqrstuu8wkw12QyDc.4XJF/zLPLx4K6vWRWzxS", "p\xC3\xA4ssword:1"},
    {"$2b$04$abcdefghijklmnopqrstuu8wkw12QyDc.4XJF/zLPLx4K6vWRWzxS", "p\xC3\xA4ssword:1"},
    {"$2y$04$94l8tX5OmuMqW6o/9rBzcOFbhLQYtAKuVvshEREzjk7a5y0yNucsi", "p\xC3\xA4ssword:1"},
    {"$2y$04$abcdefghijklmnopqrstuubyCG3zY1GIXMyxfivm.ClDiInHzxjiq", ""},
    {"$2y$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe", std::string(72, 'a')},
    {"$apr1$saltsalt$EaSIAFYjd1J9LPstORftn/", "p\xC3\xA4ssword:1"},
    {"$apr1$s$e2aCb9PLCjZ2t55SoAxXn.", ""},
    {"$apr1$ab$Ygc6xi91OtR9xmOpeYzQu0", "a-much-longer-password-than-sixteen-bytes-0123456789"},
    {"$apr1$udfyWoOa$UbqvvkSvzU5WmLmPE4D5M/", "pw"},
    {"{SHA}PcoIHxhUptvsl48mfbCyv35Tfsw=", "p\xC3\xA4ssword:1"},
    {"{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", ""},
    {"$5$saltstring$Pe9B3LglvXeFhXPt9gHxKuc05RaXQZo5aCVnwJzj8i1", "p\xC3\xA4ssword:1"},
    {"$5$rounds=1000$saltstring$oZeJ3WPQOCImP0r3LZqr8uaj2qp4NU8B76jUY.QOUx6", "p\xC3\xA4ssword:1"},
    {"$5$$PX5Qdkq3RhxrMsLggaO0iNJPHKV1UWwQZ08Sh3vbHBC", "p\xC3\xA4ssword:1"},
    {"$6$saltstring$g7CiS591SGscFbUB45Z163RiVUUsL7niSWL6qp7SfTaDyRWDxYTPwYEslajmQHxkqpz9g9EWSXC4/VRWnN.RO.",
     "p\xC3\xA4ssword:1"},
    {"$6$rounds=1000$s$Zd8.2b3bx4j/e0mjZfTmPk99YT.UEI.mSeUGrDKgrcuewf2K9b99M9bJqUVjJ0b3QGCF6C7EAL5/rv9vaQTWE0",
     "p\xC3\xA4ssword:1"},
    {"$6$M7tU.gSx0qj2GjTO$1GAumazjUx15EES9hjUPsle2k9oHSZlOGWEWvDe4.DNOaUxsL32Yz6gijAsOMdAVHuPYuR/haL1jqOaloRrZS1",
     "pw"},
    {"$5$crv7GEn3J.4.lzqC$/0Jd5vPvE2BWBl3nF4Hq0n2fC27L18DAPk7f7f84A33", "pw"},
    // Drepper, "Unix crypt using SHA-256 and SHA-512"
    {"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!"},
    {"$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", "Hello world!"},
    {"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X/fHiJ0uzbUV6ENwx47T0vs4v9PylbEXrdWnFapaTKA", "p\xC3\xA4ssword:1"},
};

TEST(VerifyHash, KnowsTheVectors) {
    for (auto const& [hash, password] : vectors) {
        EXPECT_EQ(hash_problem(hash), "") << hash;
        EXPECT_TRUE(verify_hash(hash, password)) << hash;
    }
}

TEST(VerifyHash, RefusesEveryNeighbour) {
    for (auto const& [hash, password] : vectors) {
        if (hash[1] == 'y') continue;  // yescrypt takes its time: below
        // A byte behind the seventy-second is none to bcrypt.
        if (password.size() < 72) {
            EXPECT_FALSE(verify_hash(hash, password + "x")) << hash;
        }
        if (!password.empty()) {
            EXPECT_FALSE(verify_hash(hash, password.substr(1))) << hash;
            EXPECT_FALSE(verify_hash(hash, "")) << hash;
        }
        EXPECT_FALSE(verify_hash(hash, hash)) << hash;
    }
    EXPECT_FALSE(verify_hash(vectors[std::size(vectors) - 1].hash, "p\xC3\xA4ssword:2"));
}

TEST(VerifyHash, ANulEndsNoPasswordEarly) {
    for (auto const& [hash, password] : vectors) {
        EXPECT_FALSE(verify_hash(hash, password + "\0"s)) << hash;
        EXPECT_FALSE(verify_hash(hash, password + "\0tail"s)) << hash;
    }
}

TEST(VerifyHash, BcryptLooksAtSeventyTwoBytesHoweverManyCome) {
    char const* const hash = "$2y$04$abcdefghijklmnopqrstuuBzzIgyKkz7xMWYSzkIjUSnxEQFQ0WNe";
    EXPECT_FALSE(verify_hash(hash, std::string(71, 'a')));
    EXPECT_TRUE(verify_hash(hash, std::string(72, 'a')));
    EXPECT_TRUE(verify_hash(hash, std::string(72, 'a') + "tail"));
    // libcrypt alone refuses from 512 bytes on, at once: a login that worked with Apache would not here.
    EXPECT_TRUE(verify_hash(hash, std::string(511, 'a')));
    EXPECT_TRUE(verify_hash(hash, std::string(512, 'a')));
    EXPECT_TRUE(verify_hash(hash, std::string(6000, 'a')));
    EXPECT_FALSE(verify_hash(hash, "b" + std::string(600, 'a')));
}

TEST(VerifyHash, IsFalseForWhatIsNoHash) {
    for (char const* const hash :
         {"", "*0", "*1", "*", "!", "x", "pw", "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/", "abJnggxhB/yWI", "{SHA}", "$2y$",
          "$2y$31$abcdefghijklmnopqrstuu8wkw12QyDc.4XJF/zLPLx4K6vWRWzxS", "$y$jFT$F5Jx5fExrKuPp53xLKQ..1$", "$apr1$"}) {
        auto const before = test::crypt_calls();
        EXPECT_FALSE(verify_hash(hash, "pw")) << hash;
        EXPECT_FALSE(verify_hash(hash, "")) << hash;
        EXPECT_FALSE(verify_hash(hash, hash)) << hash;
        EXPECT_EQ(test::crypt_calls(), before) << "a hash above the limits must not be computed";
    }
}

/// No more address space than there is taken, but for so many bytes: small things are had, large ones are not.
class LittleAddressSpace {
public:
    explicit LittleAddressSpace(rlim_t beyond) {
        rlim_t pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        ::getrlimit(RLIMIT_AS, &before_);
        rlimit const now{pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + beyond, before_.rlim_max};
        ::setrlimit(RLIMIT_AS, &now);
    }
    ~LittleAddressSpace() { ::setrlimit(RLIMIT_AS, &before_); }
    LittleAddressSpace(LittleAddressSpace const&) = delete;
    LittleAddressSpace& operator=(LittleAddressSpace const&) = delete;

private:
    rlimit before_{};
};

TEST(VerifyHash, YescryptWithoutMemoryJudgesNobody) {
    auto const& [hash, password] = vectors[std::size(vectors) - 1];
    ASSERT_TRUE(verify_hash(hash, password));
    {
        LittleAddressSpace const little(rlim_t{8} << 20U);  // it needs 16 MiB
        EXPECT_THROW((void)verify_hash(hash, password), std::bad_alloc);
        EXPECT_FALSE(verify_hash(hash, std::string(512, 'x'))) << "longer than libcrypt takes: wrong without hashing";
        EXPECT_TRUE(verify_hash(vectors[0].hash, vectors[0].password)) << "bcrypt needs none";
    }
    EXPECT_TRUE(verify_hash(hash, password));
}

TEST(DirectoryOfAccounts, AHashWithoutMemorySaysNothingOfTheOthers) {
    auto settings = std::make_shared<Settings>();
    auto const& [yescrypt, password] = vectors[std::size(vectors) - 1];
    for (auto const* hash : {yescrypt, vectors[0].hash}) {
        settings->accounts.emplace_back();
        settings->accounts.back().name = "ann";
        settings->accounts.back().hash = hash;
    }
    Directory const directory(settings, KeyedHash(Key{}));
    LittleAddressSpace const little(rlim_t{8} << 20U);
    EXPECT_TRUE(directory.hash_matches("ann", password));
    EXPECT_THROW((void)directory.hash_matches("ann", "another"), std::bad_alloc);
}

/// OpenSSL without MD5 and SHA-1, as a policy may have it.
class NoLegacyDigests {
public:
    NoLegacyDigests() { EVP_set_default_properties(nullptr, "provider=none-such"); }
    ~NoLegacyDigests() { EVP_set_default_properties(nullptr, ""); }
};

TEST(VerifyHash, IsFalseWhereOpenSslHasNoSuchDigest) {
    // First right, so that what is left on the stack would match.
    ASSERT_TRUE(verify_hash("{SHA}PcoIHxhUptvsl48mfbCyv35Tfsw=", "p\xC3\xA4ssword:1"));
    {
        NoLegacyDigests const none;
        EXPECT_FALSE(verify_hash("{SHA}PcoIHxhUptvsl48mfbCyv35Tfsw=", "p\xC3\xA4ssword:1"));
        EXPECT_NO_THROW(EXPECT_FALSE(verify_hash("$apr1$saltsalt$EaSIAFYjd1J9LPstORftn/", "p\xC3\xA4ssword:1")));
        EXPECT_FALSE(apr1_digest("p", "s"));
    }
    EXPECT_TRUE(verify_hash("$apr1$saltsalt$EaSIAFYjd1J9LPstORftn/", "p\xC3\xA4ssword:1"));
}

TEST(HashPassword, MakesWhatVerifies) {
    std::array<std::uint8_t, 16> salt{};
    for (std::string const& password : {"x"s, "correct horse"s, "p\xC3\xA4ss"s, std::string(72, 'z')}) {
        ++salt[3];
        auto const hash = hash_password(password, 4, salt);
        EXPECT_EQ(hash.size(), 60U);
        EXPECT_TRUE(hash.starts_with("$2y$04$")) << hash;
        EXPECT_EQ(hash_problem(hash), "");
        EXPECT_TRUE(verify_hash(hash, password));
        EXPECT_FALSE(verify_hash(hash, password.substr(1)));
        EXPECT_EQ(hash_password(password, 4, salt), hash);
        ++salt[0];
        EXPECT_NE(hash_password(password, 4, salt), hash);
    }
    EXPECT_TRUE(hash_password("x", 5, salt).starts_with("$2y$05$"));
    std::array<std::uint8_t, 16> ones;
    ones.fill(0xFF);
    EXPECT_TRUE(verify_hash(hash_password("x", 4, ones), "x"));
}

TEST(HashPassword, SaysWhatIsWrong) {
    std::array<std::uint8_t, 16> const salt{};
    for (std::string const& bad : {""s, std::string(73, 'a'), "a\0b"s, "a\n"s, "\xFF"s, "\xC0\xAF"s})
        EXPECT_THROW((void)hash_password(bad, 4, salt), std::invalid_argument) << bad;
    for (unsigned const cost : {0U, 3U, max_bcrypt_cost + 1, 31U, 99U})
        EXPECT_THROW((void)hash_password("x", cost, salt), std::invalid_argument) << cost;
    try {
        (void)hash_password("hunter2\n", 4, salt);
        FAIL();
    } catch (std::invalid_argument const& error) {
        EXPECT_EQ(std::string(error.what()).find("hunter2"), std::string::npos);
    }
}

}  // namespace
}  // namespace ocgate::auth
