#include "ocgate/base/secret.hpp"

#include <openssl/crypto.h>

#include <ostream>

namespace ocgate {

Secret::~Secret() { wipe(); }

void Secret::wipe() noexcept {
    text_.resize(text_.capacity());  // within what is allocated: a moved-from text still lies behind its new length
    OPENSSL_cleanse(text_.data(), text_.size());
    text_.clear();
}

std::ostream& operator<<(std::ostream& out, Secret const& secret) { return out << (secret.empty() ? "" : "***"); }

bool same_secret(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace ocgate
