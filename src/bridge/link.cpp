#include "link.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ocgate::bridge {
namespace {
using nlohmann::json;

std::string text_at(json const& object, char const* key) {
    auto const found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Ids come from events and go into a path.
bool is_plain(std::string_view id) noexcept {
    return !id.empty() && std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
}

}  // namespace

std::string base64url(std::string_view bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        auto const left = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j) {
            group = group << 8 | (j < left ? static_cast<unsigned char>(bytes[i + j]) : 0u);
        }
        for (std::size_t j = 0; j <= left; ++j) out += digits[group >> (18 - 6 * j) & 63];
    }
    return out;
}

std::string with_link(std::string_view facts, std::string_view public_url) {
    auto document = json::parse(facts, nullptr, false);
    if (!document.is_object()) return std::string(facts);
    std::string url(public_url);
    auto const directory = text_at(document, "directory");
    auto const session = document.find("session");
    auto const id = session != document.end() && session->is_object() ? text_at(*session, "id") : std::string();
    if (!directory.empty() && is_plain(id)) url += "/" + base64url(directory) + "/session/" + id;
    document["url"] = std::move(url);
    return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace ocgate::bridge
