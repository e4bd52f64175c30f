#include "apr1.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

namespace ocgate::auth {
namespace {

using Block = std::array<unsigned char, 16>;

class Md5 {
public:
    Md5() : md5_(EVP_MD_fetch(nullptr, "MD5", nullptr)), context_(EVP_MD_CTX_new()) { start(); }

    /// Whether every step so far was done.
    [[nodiscard]] bool good() const { return good_; }
    void add(void const* data, std::size_t size) { good_ = good_ && EVP_DigestUpdate(context_.get(), data, size) == 1; }
    void add(std::string_view text) { add(text.data(), text.size()); }
    Block finish() {
        Block block{};
        good_ = good_ && EVP_DigestFinal_ex(context_.get(), block.data(), nullptr) == 1;
        start();
        return block;
    }

private:
    void start() { good_ = good_ && md5_ && context_ && EVP_DigestInit_ex2(context_.get(), md5_.get(), nullptr) == 1; }

    bool good_ = true;
    struct Free {
        void operator()(EVP_MD* md) const noexcept { EVP_MD_free(md); }
        void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
    };
    std::unique_ptr<EVP_MD, Free> md5_;
    std::unique_ptr<EVP_MD_CTX, Free> context_;
};

void write_base64(std::string& out, std::uint32_t value, int letters) {
    constexpr std::string_view alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (; letters > 0; --letters, value >>= 6) out += alphabet[value & 0x3F];
}

}  // namespace

std::optional<std::string> apr1_digest(std::string_view password, std::string_view salt) {
    Md5 md5;
    md5.add(password);
    md5.add(salt);
    md5.add(password);
    Block block = md5.finish();

    md5.add(password);
    md5.add("$apr1$");
    md5.add(salt);
    for (std::size_t left = password.size(); left > 0; left -= std::min(left, block.size()))
        md5.add(block.data(), std::min(left, block.size()));
    // The odd steps below are the algorithm of Poul-Henning Kamp's md5crypt, which $apr1$ shares but for its prefix.
    for (std::size_t bits = password.size(); bits > 0; bits >>= 1) {
        if ((bits & 1) != 0)
            md5.add("\0", 1);
        else
            md5.add(password.data(), 1);
    }
    block = md5.finish();

    for (int round = 0; round < 1000; ++round) {
        bool const odd = round % 2 != 0;
        if (odd)
            md5.add(password);
        else
            md5.add(block.data(), block.size());
        if (round % 3 != 0) md5.add(salt);
        if (round % 7 != 0) md5.add(password);
        if (odd)
            md5.add(block.data(), block.size());
        else
            md5.add(password);
        block = md5.finish();
    }
    if (!md5.good()) return std::nullopt;

    std::string out;
    out.reserve(22);
    auto const three = [&](int a, int b, int c) {
        write_base64(out, std::uint32_t{block[a]} << 16 | std::uint32_t{block[b]} << 8 | block[c], 4);
    };
    three(0, 6, 12);
    three(1, 7, 13);
    three(2, 8, 14);
    three(3, 9, 15);
    three(4, 10, 5);
    write_base64(out, block[11], 2);
    return out;
}

}  // namespace ocgate::auth
