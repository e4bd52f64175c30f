#include "rules.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <boost/throw_exception.hpp>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <stdexcept>

#include "ocgate/notify/http.hpp"

namespace ocgate::notify {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

bool is_alnum(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

void throw_exception_from_error(SettingError const& error, boost::source_location const& where) {
    boost::throw_exception(std::invalid_argument(error.why), where);
}

Setting<Place> place_of(std::string_view url, bool may_hold_user) {
    std::string problem;
    auto const parsed = parse_url(url, problem);
    if (!parsed) return SettingError{problem};
    if (!may_hold_user && !parsed->authorization.empty())
        return SettingError{"user and password do not belong into this URL"};
    Place place;
    url = url.substr(0, url.find('#'));
    auto const authority = url.find("://") + 3;
    auto const path = std::min(url.find_first_of("/?", authority), url.size());
    place.origin = url.substr(0, path);
    place.host = parsed->host;
    url.remove_prefix(path);
    auto const question = url.find('?');
    place.path = url.substr(0, question);
    if (question != std::string_view::npos) place.query = url.substr(question + 1);
    return place;
}

bool has_parameter(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        auto const one = query.substr(0, query.find('&'));
        if (one.substr(0, one.find('=')) == name) return true;
        query.remove_prefix(std::min(query.size(), one.size() + 1));
    }
    return false;
}

std::string without_parameter(std::string_view query, std::string_view name) {
    std::string kept;
    while (!query.empty()) {
        auto const one = query.substr(0, query.find('&'));
        if (one.substr(0, one.find('=')) != name) kept.append(kept.empty() ? "" : "&").append(one);
        query.remove_prefix(std::min(query.size(), one.size() + 1));
    }
    return kept;
}

std::string safe_link(std::string_view url, std::size_t most) {
    constexpr std::string_view others = "-._~:/?#&=%+,;@!$";
    bool const fits = url.size() <= most && (url.starts_with("https://") || url.starts_with("http://")) &&
                      url.find("=?") == std::string_view::npos &&  // where encoded words are looked for
                      std::all_of(url.begin(), url.end(),
                                  [&](char c) { return is_alnum(c) || others.find(c) != std::string_view::npos; });
    return fits ? std::string(url) : std::string();
}

bool is_plain_id(std::string_view text) noexcept {
    return !text.empty() && text.size() <= 64 &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '_' || c == '-'; });
}

std::string plain_id(std::string_view text) {
    if (is_plain_id(text)) return std::string(text);
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256(reinterpret_cast<unsigned char const*>(text.data()), text.size(), digest.data());
    constexpr std::string_view digits = "0123456789abcdef";
    std::string id = "x";
    for (std::size_t i = 0; i < 16; ++i) {
        id += digits[digest[i] >> 4];
        id += digits[digest[i] & 0xF];
    }
    return id;
}

std::string base64(std::string_view bytes) {
    std::string coded(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // EVP_EncodeBlock(3) ends it with a NUL
    auto const size =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(coded.data()),
                        reinterpret_cast<unsigned char const*>(bytes.data()), static_cast<int>(bytes.size()));
    coded.resize(static_cast<std::size_t>(size));
    return coded;
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    unsigned size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<unsigned char const*>(bytes.data()),
         bytes.size(), digest.data(), &size);
    return {reinterpret_cast<char const*>(digest.data()), size};
}

std::optional<std::string_view> header(HttpResponse const& response, std::string_view name) {
    for (auto const& [known, value] : response.fields)
        if (known == name) return value;
    return std::nullopt;
}

json json_of(HttpResponse const& response) {
    auto parsed = json::parse(response.body, nullptr, false);
    return parsed.is_discarded() ? json() : parsed;
}

std::string string_in(json const& object, char const* name) {
    if (!object.is_object()) return {};
    auto const found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t number_in(json const& object, char const* name) {
    if (!object.is_object()) return 0;
    auto const found = object.find(name);
    return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

std::chrono::milliseconds at_most_a_day(double seconds) {
    if (!(seconds > 0)) return 0ms;  // NaN as well
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(std::min(seconds, 86400.0) * 1000)));
}

std::optional<std::chrono::milliseconds> seconds_in(std::string_view text) {
    // Digits and one point: neither signs nor exponents nor `inf`, which strtod(3) takes too.
    bool const plain =
        !text.empty() && text.size() <= 32 && text.front() != '.' &&
        std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || c == '.'; }) &&
        std::count(text.begin(), text.end(), '.') <= 1;
    if (!plain) return std::nullopt;
    return at_most_a_day(std::strtod(std::string(text).c_str(), nullptr));
}

std::optional<std::chrono::milliseconds> retry_after(HttpResponse const& response, WallClock const& wall) {
    auto const value = header(response, "retry-after");
    if (!value) return std::nullopt;
    if (auto const seconds = seconds_in(*value)) return seconds;
    std::tm parts{};
    auto const text = std::string(*value);
    auto const* const end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (!end || *end != '\0') return std::nullopt;
    auto const at_ms = static_cast<std::int64_t>(timegm(&parts)) * 1000;
    return at_most_a_day(static_cast<double>(at_ms - unix_ms(wall)) / 1000);
}

std::int64_t unix_ms(WallClock const& wall) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(wall().time_since_epoch()).count();
}

std::string dumped(json const& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

json data_of(Message const& message) {
    auto data = json::parse(message.data, nullptr, false);
    return data.is_object() ? data : json::object();
}

Words const* words_for(WordsByEvent const& words, Message const& message) {
    auto const found = words.find(message.event);
    return found == words.end() ? nullptr : &found->second;
}

std::optional<Verdict> usual_verdict(HttpResponse const& response, WallClock const& wall) {
    using Kind = Verdict::Kind;
    auto const status = response.status;
    auto const answered = "answered " + std::to_string(status);
    if (status == 301 || status == 308)
        return Verdict{.kind = Kind::disable, .why = answered + ": it has moved; redirects are not followed"};
    if (status >= 300 && status < 400)
        return Verdict{.kind = Kind::retry, .why = answered + ": redirects are not followed"};
    // 407: a proxy on the way wants credentials, which says nothing about the message.
    if (status == 407 || status == 408 || status == 425 || status == 429 || status >= 500 || status < 200) {
        Verdict verdict{.kind = Kind::retry, .why = answered};
        if (auto const wait = retry_after(response, wall)) {
            verdict.wait = *wait;
            verdict.pause = Verdict::Pause::target;
        }
        return verdict;
    }
    return std::nullopt;
}

Verdict not_its_own(std::string const& told, std::string_view target) {
    return {.kind = Verdict::Kind::retry,
            .wait = 10min,
            .pause = Verdict::Pause::target,
            .why = told + ", and not by " + std::string(target) + ": is there a proxy or a page to sign in at?"};
}

}  // namespace ocgate::notify
