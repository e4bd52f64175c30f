#include "ocgate/auth/keyed_hash.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <new>

namespace ocgate::auth {
namespace {

void demand(bool done) {
    // With a fixed algorithm and key length only memory can be missing.
    if (!done) throw std::bad_alloc();
}

}  // namespace

bool same_digest(Digest const& a, Digest const& b) noexcept { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

void KeyedHash::Free::operator()(evp_mac_ctx_st* context) const noexcept { EVP_MAC_CTX_free(context); }

KeyedHash::KeyedHash(Key const& key) {
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    demand(mac != nullptr);
    context_.reset(EVP_MAC_CTX_new(mac));
    EVP_MAC_free(mac);  // the context holds its own reference
    demand(context_ != nullptr);
    char name[] = "SHA256";
    OSSL_PARAM const parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                                     OSSL_PARAM_construct_end()};
    demand(EVP_MAC_init(context_.get(), key.data(), key.size(), parameters) == 1);
}

KeyedHash::~KeyedHash() = default;
KeyedHash::KeyedHash(KeyedHash&&) noexcept = default;
KeyedHash& KeyedHash::operator=(KeyedHash&&) noexcept = default;

Digest KeyedHash::operator()(std::initializer_list<std::string_view> parts) const {
    auto* context = context_.get();
    demand(EVP_MAC_init(context, nullptr, 0, nullptr) == 1);  // starts over with the key it has
    for (auto const part : parts) {
        std::uint64_t const length = part.size();
        demand(EVP_MAC_update(context, reinterpret_cast<unsigned char const*>(&length), sizeof length) == 1);
        demand(EVP_MAC_update(context, reinterpret_cast<unsigned char const*>(part.data()), part.size()) == 1);
    }
    Digest digest;
    std::size_t written = 0;
    demand(EVP_MAC_final(context, digest.data(), &written, digest.size()) == 1 && written == digest.size());
    return digest;
}

}  // namespace ocgate::auth
