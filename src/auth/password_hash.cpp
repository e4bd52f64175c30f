// One password against one hash: which formats are taken, what they may cost, how they are checked.
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <new>
#include <stdexcept>

#include "apr1.hpp"
#include "ocgate/auth/htpasswd.hpp"
#include "text.hpp"

namespace ocgate::auth {
namespace {

constexpr std::string_view remedy = "; make a new one with `ocgate hash-password`";
constexpr std::size_t bcrypt_bytes = 72;  // what bcrypt reads of a password

enum class Format : std::uint8_t { none, bcrypt, apr1, sha1, sha256_crypt, sha512_crypt, yescrypt };

Format format_of(std::string_view hash) noexcept {
    if (hash.starts_with("$2a$") || hash.starts_with("$2b$") || hash.starts_with("$2y$")) return Format::bcrypt;
    if (hash.starts_with("$apr1$")) return Format::apr1;
    if (hash.starts_with("{SHA}")) return Format::sha1;
    if (hash.starts_with("$5$")) return Format::sha256_crypt;
    if (hash.starts_with("$6$")) return Format::sha512_crypt;
    if (hash.starts_with("$y$")) return Format::yescrypt;
    return Format::none;
}

/// The alphabet of crypt(5): salts and digests of all its methods.
bool is_crypt64(std::string_view text) noexcept {
    return std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '.' || c == '/'; });
}

/// The number a letter of base64 stands for, in the order of `alphabet`.
std::size_t rank_of(char letter, std::string_view alphabet) noexcept { return alphabet.find(letter); }

constexpr std::string_view crypt_order = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view bcrypt_order = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::string_view rfc4648_order = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Whether these letters stand for whole bytes. What crypt(3) writes always does, lowest bits first; so a text that
/// does not could never match what it computes, and its owner could never log in.
bool is_whole_crypt64(std::string_view text) noexcept {
    if (!is_crypt64(text) || text.size() % 4 == 1) return false;
    if (text.size() % 4 == 0) return true;
    return rank_of(text.back(), crypt_order) < (text.size() % 4 == 2 ? 4U : 16U);
}

std::string text_of(std::string_view start, unsigned number, std::string_view end) {
    return std::string(start) + std::to_string(number) + std::string(end);
}

/// Takes the part before the next `$` off `rest`; nothing when there is no `$`.
std::optional<std::string_view> take_part(std::string_view& rest) noexcept {
    auto const dollar = rest.find('$');
    if (dollar == std::string_view::npos) return std::nullopt;
    auto const part = rest.substr(0, dollar);
    rest.remove_prefix(dollar + 1);
    return part;
}

std::string bcrypt_problem(std::string_view hash) {
    auto rest = hash.substr(4);
    auto const cost = take_part(rest);
    if (!cost || cost->size() != 2 || !is_digit(cost->front()) || !is_digit(cost->back()) || rest.size() != 53 ||
        !is_crypt64(rest))
        return "not a whole bcrypt hash (60 characters)";
    // Sixteen bytes in 22 letters leave four bits over, 23 bytes in 31 leave two. Some old libraries left dirt there;
    // libcrypt writes zeros and would never call such a hash equal.
    if (rank_of(rest[21], bcrypt_order) % 16 != 0 || rank_of(rest[52], bcrypt_order) % 4 != 0)
        return "a bcrypt hash whose spare bits are not zero" + std::string(remedy);
    auto const value = static_cast<unsigned>((cost->front() - '0') * 10 + (cost->back() - '0'));
    if (value < 4 || value > max_bcrypt_cost) return text_of("bcrypt cost is not in 4..", max_bcrypt_cost, remedy);
    return {};
}

std::string sha_crypt_problem(std::string_view hash, std::size_t digest_letters) {
    auto rest = hash.substr(3);
    constexpr std::string_view rounds_are = "rounds=";
    if (rest.starts_with(rounds_are)) {
        auto const part = take_part(rest).value_or("");
        auto const digits = part.substr(std::min(part.size(), rounds_are.size()));
        unsigned rounds = 0;
        auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), rounds);
        // libcrypt takes no leading zero.
        if (error != std::errc{} || end != digits.data() + digits.size() || digits.front() == '0' || rounds < 1000 ||
            rounds > max_sha_crypt_rounds)
            return text_of("sha-crypt rounds are not in 1000..", max_sha_crypt_rounds, remedy);
    }
    auto const salt = take_part(rest);
    if (!salt || salt->size() > 16 || !is_crypt64(*salt) || rest.size() != digest_letters || !is_whole_crypt64(rest))
        return "not a whole sha256-crypt or sha512-crypt hash";
    return {};
}

std::string yescrypt_problem(std::string_view hash) {
    auto rest = hash.substr(3);
    auto const parameters = take_part(rest);
    auto const salt = take_part(rest);
    if (!parameters || !salt || salt->empty() || salt->size() > 86 || !is_whole_crypt64(*salt) || rest.size() != 43 ||
        !is_whole_crypt64(rest))
        return "not a whole yescrypt hash";
    // What crypt_gensalt(3) writes for costs 1 to 8: flavour j, N = 2^10 (7) to 2^15 (C) blocks, r = 8 (5) or 32 (T).
    auto const& p = *parameters;
    if (p.size() != 3 || p[0] != 'j' || !((p[1] >= '7' && p[1] <= '9') || (p[1] >= 'A' && p[1] <= 'C')) ||
        (p[2] != '5' && p[2] != 'T'))
        return text_of("yescrypt parameters are not those of a cost in 1..", max_yescrypt_cost, remedy);
    return {};
}

bool crypt_matches(std::string_view hash, std::string_view password) {
    auto data = std::make_unique<crypt_data>();  // 32 KiB, zeroed: too much for a thread's stack
    std::string const setting(hash);
    // libcrypt refuses phrases of 512 bytes and more even where bcrypt would not look at them.
    std::string phrase(format_of(hash) == Format::bcrypt ? password.substr(0, bcrypt_bytes) : password);
    char const* made = ::crypt_r(phrase.c_str(), setting.c_str(), data.get());
    bool const none = made == nullptr || *made == '*';
    bool const same = !none && same_secret(made, hash);
    bool const too_long = phrase.size() >= CRYPT_MAX_PASSPHRASE_SIZE;
    if (!phrase.empty()) OPENSSL_cleanse(phrase.data(), phrase.size());
    OPENSSL_cleanse(data.get(), sizeof *data);
    // yescrypt maps memory of its own, up to 128 MiB, and says EINVAL without it: that judges nobody's password.
    if (none && !too_long && format_of(hash) == Format::yescrypt) throw std::bad_alloc();
    return same;
}

bool sha1_matches(std::string_view hash, std::string_view password) {
    unsigned char digest[SHA_DIGEST_LENGTH];
    // Without SHA-1 (a provider's policy) `digest` would hold what the stack held: perhaps the last one that was right.
    if (SHA1(reinterpret_cast<unsigned char const*>(password.data()), password.size(), digest) == nullptr) return false;
    unsigned char text[32];
    auto const length = EVP_EncodeBlock(text, digest, sizeof digest);
    return same_secret(hash.substr(5), {reinterpret_cast<char const*>(text), static_cast<std::size_t>(length)});
}

bool apr1_matches(std::string_view hash, std::string_view password) {
    auto rest = hash.substr(6);
    auto const salt = take_part(rest);
    auto const digest = apr1_digest(password, salt.value_or(""));
    return digest && same_secret(rest, *digest);
}

}  // namespace

bool looks_like_hash(std::string_view text) noexcept { return format_of(text) != Format::none; }

std::string hash_problem(std::string_view hash) {
    switch (format_of(hash)) {
        case Format::bcrypt:
            return bcrypt_problem(hash);
        case Format::sha256_crypt:
            return sha_crypt_problem(hash, 43);
        case Format::sha512_crypt:
            return sha_crypt_problem(hash, 86);
        case Format::yescrypt:
            return yescrypt_problem(hash);
        case Format::apr1: {
            auto rest = hash.substr(6);
            auto const salt = take_part(rest);
            if (!salt || salt->empty() || salt->size() > 8 || !is_crypt64(*salt) || rest.size() != 22 ||
                !is_whole_crypt64(rest))
                return "not a whole $apr1$ hash";
            return {};
        }
        case Format::sha1: {
            auto const letters = hash.substr(5);
            bool const whole = letters.size() == 28 && letters.back() == '=' &&
                               rank_of(letters[26], rfc4648_order) % 4 == 0 &&
                               std::all_of(letters.begin(), letters.end() - 1,
                                           [](char c) { return is_alnum(c) || c == '+' || c == '/'; });
            return whole ? std::string() : "not a whole {SHA} hash";
        }
        case Format::none:
            break;
    }
    std::string problem = "expected a bcrypt, $apr1$, {SHA}, sha256-crypt, sha512-crypt or yescrypt hash, found ";
    if (hash.empty())
        problem += "nothing";
    else if (hash.size() == 13 && is_crypt64(hash))
        problem += "what may be a classic DES crypt hash, which is not safe";
    else if (hash.front() == '$' || hash.front() == '{')
        problem += "another format";
    else
        problem += "what may be a clear-text password";
    problem += remedy;
    return problem;
}

bool verify_hash(std::string_view hash, std::string_view password) {
    // A NUL would end the phrase early for crypt(3): another password than the one that was sent.
    if (!hash_problem(hash).empty() || password.find('\0') != std::string_view::npos) return false;
    switch (format_of(hash)) {
        case Format::apr1:
            return apr1_matches(hash, password);
        case Format::sha1:
            return sha1_matches(hash, password);
        default:
            return crypt_matches(hash, password);
    }
}

std::string hash_password(std::string_view password, unsigned cost, std::array<std::uint8_t, 16> const& random) {
    if (password.empty()) throw std::invalid_argument("the password is empty");
    if (password.size() > bcrypt_bytes) throw std::invalid_argument("the password is longer than bcrypt's 72 bytes");
    if (!is_clean_utf8(password)) throw std::invalid_argument("the password is not UTF-8 or holds control characters");
    if (cost < 4 || cost > max_bcrypt_cost)
        throw std::invalid_argument(text_of("the cost is not in 4..", max_bcrypt_cost, ""));

    char bytes[16];
    std::copy(random.begin(), random.end(), bytes);
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    if (::crypt_gensalt_rn("$2y$", cost, bytes, sizeof bytes, setting, sizeof setting) == nullptr)
        throw std::runtime_error("libcrypt makes no bcrypt salts here");
    auto data = std::make_unique<crypt_data>();
    std::string phrase(password);
    char const* made = ::crypt_r(phrase.c_str(), setting, data.get());
    std::string hash = made == nullptr ? std::string() : made;
    OPENSSL_cleanse(phrase.data(), phrase.size());
    OPENSSL_cleanse(data.get(), sizeof *data);
    if (!hash_problem(hash).empty()) throw std::runtime_error("libcrypt makes no bcrypt hashes here");
    return hash;
}

}  // namespace ocgate::auth
