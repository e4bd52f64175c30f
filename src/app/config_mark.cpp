#include "config_mark.hpp"

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <new>

namespace ocgate::app {
namespace {

/// SHA-256 over names and values with their lengths, so that no two lists of them read alike. No text is collected:
/// there are secrets in it.
class Print {
public:
    Print() : context_(::EVP_MD_CTX_new(), ::EVP_MD_CTX_free) {
        if (!context_ || ::EVP_DigestInit_ex(context_.get(), ::EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
    }
    void add(std::string_view name, std::string_view value) {
        put(std::string(name) + "=" + std::to_string(value.size()) + ":");
        put(value);
    }
    void add(std::string_view name, std::uint64_t value) { add(name, std::to_string(value)); }
    [[nodiscard]] std::string text() const {
        constexpr std::string_view digits = "0123456789abcdef";
        std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
        unsigned size = 0;
        ::EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
        std::string text;
        for (std::size_t i = 0; i < 8; ++i) text += {digits[digest[i] >> 4], digits[digest[i] & 15]};
        return text;
    }

private:
    void put(std::string_view bytes) { ::EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }

    std::unique_ptr<EVP_MD_CTX, decltype(&::EVP_MD_CTX_free)> context_;
};

void add(Print& print, LogTarget const&) { print.add("type", "log"); }

void add(Print& print, notify::NtfySettings const& settings) {
    print.add("type", "ntfy");
    print.add("server", settings.server);
    print.add("topic", settings.topic);
    print.add("token", settings.token.reveal());
    print.add("user", settings.user);
    print.add("password", settings.password.reveal());
    print.add("message_bytes", settings.message_bytes);
}

void add(Print& print, notify::DiscordSettings const& settings) {
    print.add("type", "discord");
    print.add("url", settings.url.reveal());
    for (auto const& id : settings.mentions) print.add("mention", id);
}

void add(Print& print, notify::WebhookSettings const& settings) {
    print.add("type", "webhook");
    print.add("url", settings.url.reveal());
    for (auto const& key : settings.keys) print.add("key", key.reveal());
    for (auto const& [name, value] : settings.headers) {
        print.add("header", name);
        print.add("value", value.reveal());
    }
}

}  // namespace

std::string mark_of_target(TargetConfig const& target, std::string_view words, std::string_view body) {
    Print print;
    print.add("name", target.name);
    std::visit([&](auto const& settings) { add(print, settings); }, target.what);
    print.add("words", words);
    print.add("body", body);
    for (auto const& other : target.fallback) print.add("fallback", other);
    print.add("ca_file", target.ca_file);
    print.add("burst", target.burst);
    print.add("every", static_cast<std::uint64_t>(target.every.count()));
    return print.text();
}

}  // namespace ocgate::app
