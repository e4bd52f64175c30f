#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "gatekeeper_kit.hpp"

namespace ocgate::auth {
namespace {

TEST(Directory, CopiesTheUsualHashForUnknownNames) {
    KeyedHash const hash(Key{1});
    auto strong = hashed("a", "x");
    strong.hash[5] = '5';  // cost 05: the fewer
    auto const settings = std::make_shared<Settings const>(
        settings_of({strong, hashed("b", "x"), hashed("c", "x"), clear_text("d", "x")}));
    Directory const directory(settings, hash);
    EXPECT_TRUE(directory.hashes());
    EXPECT_TRUE(directory.usual_hash().starts_with("$2y$04$"));
    EXPECT_TRUE(directory.hash_matches("b", "x"));
    EXPECT_FALSE(directory.hash_matches("d", "x")) << "its password is clear text";
    for (auto const* name : {"b", "d", "nobody"}) {
        auto const before = crypt_calls();
        EXPECT_FALSE(directory.hash_matches(name, "y"));
        EXPECT_EQ(crypt_calls(), before + 1) << name;
    }
    // The dummy is somebody's real hash: its password opens no other name.
    EXPECT_FALSE(directory.hash_matches("nobody", "x"));
    EXPECT_EQ(directory.find("nobody"), nullptr);
    ASSERT_NE(directory.find("d"), nullptr);
    EXPECT_EQ(directory.find("d")->second.passwords.size(), 1U);
    EXPECT_FALSE(Directory(std::make_shared<Settings const>(settings_of({clear_text("d", "x")})), hash).hashes());
}

TEST(KeyedHash, IsTheHmacOfOpenSsl) {
    for (std::size_t const size : {0U, 1U, 55U, 56U, 64U, 1000U}) {
        std::string const part(size, 'p');
        std::uint64_t const length = size;
        std::string const message = std::string(reinterpret_cast<char const*>(&length), sizeof length) + part;
        Key key{};
        key.fill(static_cast<std::uint8_t>(size + 1));
        Digest expected{};
        unsigned written = 0;
        auto const* bytes = reinterpret_cast<unsigned char const*>(message.data());
        ASSERT_NE(::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes, message.size(),
                         expected.data(), &written),
                  nullptr);
        EXPECT_EQ(KeyedHash(key)({part}), expected) << size;
    }
}

TEST(KeyedHash, KeepsPartsApart) {
    KeyedHash const hash(Key{1});
    EXPECT_EQ(hash({"ab", "c"}), hash({"ab", "c"}));
    EXPECT_NE(hash({"ab", "c"}), hash({"a", "bc"}));
    EXPECT_NE(hash({"ab", "c"}), hash({"abc"}));
    EXPECT_NE(hash({"a", ""}), hash({"a"}));
    EXPECT_NE(hash({"a"}), KeyedHash(Key{2})({"a"}));
    EXPECT_TRUE(same_digest(hash({"a"}), hash({"a"})));
    EXPECT_FALSE(same_digest(hash({"a"}), hash({"b"})));
}

TEST(AuthResult, HasAWordForEach) {
    std::vector<std::string_view> words;
    for (auto const result : all_auth_results) {
        EXPECT_EQ(all_auth_results[static_cast<std::size_t>(result)], result) << "labels are looked up by value";
        EXPECT_EQ(std::count(words.begin(), words.end(), to_string(result)), 0);
        words.push_back(to_string(result));
    }
}

}  // namespace
}  // namespace ocgate::auth
