// Times, sizes and addresses of settings: what is read can be written and is then read the same; nothing is out of its
// bounds; what counts as this machine's own does not leave it.
#include "config_address.hpp"
#include "durations.hpp"
#include "ocgate/auth/settings.hpp"
#include "property.hpp"

using namespace ocgate;

namespace {

void numbers(std::string_view text) {
    if (auto const time = app::parse_duration(text)) {
        MUST(time->count() >= 0 && *time <= app::max_duration);
        MUST(app::parse_duration(app::duration_text(*time)) == time);
    }
    if (auto const bytes = app::parse_size(text)) MUST(app::parse_size(app::size_text(*bytes)) == bytes);
    if (auto const number = app::parse_integer(text)) {
        MUST(text.find_first_not_of("0123456789") == text.npos);
        MUST(app::parse_integer(std::to_string(*number)) == number && app::parse_size(text) == number);
    }
}

bool is_clean(std::string_view text) {
    for (char const c : text)
        if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '/' || c == '@') return false;
    return !text.empty();
}

void addresses(std::string_view text) {
    auto const listen = app::parse_listen(text);
    auto const upstream = app::parse_upstream(text);
    for (auto const* read : {&listen, &upstream}) {
        if (!read->problem.empty()) continue;
        auto const& address = read->address;
        if (address.is_unix()) {
            MUST(address.unix_path.starts_with('/') && address.unix_path.find('\0') == std::string::npos);
        } else {
            MUST(is_clean(address.host));
        }
        auto const scheme = read == &upstream && !address.is_unix() ? "http://" : "";
        auto const again =
            read == &listen ? app::parse_listen(address.text()) : app::parse_upstream(scheme + address.text());
        MUST(again.problem.empty() && again.address.text() == address.text());
        MUST(app::covers(address, address) || address.port == 0);
        if (app::is_loopback(address) && !address.is_unix() && address.host != "localhost")
            MUST(address.host.starts_with("127.") || address.host.find(':') != std::string::npos);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const bytes = fuzz::exactly(fuzz::as_text(data, size));
    auto const text = fuzz::view(bytes);
    numbers(text);
    addresses(text);
    if (auth::is_origin_pattern(text)) MUST(auth::is_host_pattern(text.substr(text.find("://") + 3)));
    if (auth::is_user_name(text)) MUST(text.find(':') == text.npos && text.size() <= 255);
    return 0;
}
