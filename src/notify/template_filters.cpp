#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "template_parts.hpp"
#include "text.hpp"

namespace ocgate::notify {
namespace {

using nlohmann::json;

constexpr std::size_t max_argument_bytes = 256;

std::optional<std::size_t> number_in(std::string_view text) {
    std::size_t n = 0;
    auto const [end, why] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (why != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return n;
}

template <class Change>
json changed(json const& value, Change change) {
    auto text = text_of(value);
    for (char& c : text) c = change(c);
    return text;
}

/// Whole milliseconds, of any number that has some.
std::optional<std::int64_t> milliseconds_of(json const& value) {
    if (value.is_number_integer()) return value.get<std::int64_t>();
    if (!value.is_number_float()) return std::nullopt;
    auto const number = value.get<double>();
    if (!std::isfinite(number) || std::abs(number) > 1e15) return std::nullopt;
    return static_cast<std::int64_t>(number);
}

json upper(json const& value, std::string const&) {
    return changed(value, [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c; });
}
json lower(json const& value, std::string const&) {
    return changed(value, [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 0x20) : c; });
}
json trim(json const& value, std::string const&) { return clean(text_of(value), Lines::keep); }
json line(json const& value, std::string const&) { return clean(text_of(value), Lines::join); }
json cut(json const& value, std::string const& most) {
    return cut_characters(text_of(value), number_in(most).value_or(0));
}
json fallback(json const& value, std::string const& other) { return text_of(value).empty() ? json(other) : value; }
json join(json const& value, std::string const& between) {
    if (!value.is_array()) return text_of(value);
    std::string out;
    for (auto const& one : value) {
        if (&one != &value.front()) out += between;
        out += text_of(one);
    }
    return out;
}
json count(json const& value, std::string const&) {
    return value.is_array() || value.is_object() ? json(value.size()) : json(value.is_null() ? 0 : 1);
}
json basename(json const& value, std::string const&) {
    auto text = text_of(value);
    while (text.size() > 1 && text.ends_with('/')) text.pop_back();
    auto const slash = text.rfind('/');
    return slash == std::string::npos || text.size() == 1 ? text : text.substr(slash + 1);
}
json duration(json const& value, std::string const&) {
    auto const ms = milliseconds_of(value);
    return ms ? json(duration_words(*ms)) : json("");
}
json time(json const& value, std::string const&) {
    auto const ms = milliseconds_of(value);
    return ms ? json(rfc3339(*ms)) : json("");
}
json url(json const& value, std::string const&) {
    constexpr std::string_view unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (char const c : text_of(value)) {
        if (unreserved.find(c) != std::string_view::npos) {
            out += c;
        } else {
            auto const byte = static_cast<unsigned char>(c);
            (out += '%') += digits[byte >> 4];
            out += digits[byte & 0xF];
        }
    }
    return out;
}
json as_json(json const& value, std::string const&) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

enum class Takes : std::uint8_t { nothing, text, number };

struct Known {
    std::string_view name;
    Filter::Apply apply;
    Takes takes;
};

constexpr Known known[] = {
    {"upper", upper, Takes::nothing},
    {"lower", lower, Takes::nothing},
    {"trim", trim, Takes::nothing},
    {"line", line, Takes::nothing},
    {"cut", cut, Takes::number},
    {"default", fallback, Takes::text},
    {"join", join, Takes::text},
    {"count", count, Takes::nothing},
    {"basename", basename, Takes::nothing},
    {"duration", duration, Takes::nothing},
    {"time", time, Takes::nothing},
    {"url", url, Takes::nothing},
    {"json", as_json, Takes::nothing},
};

}  // namespace

Filter read_filter(std::string_view name, bool has_argument, std::string argument, std::string& why) {
    auto const found = std::find_if(std::begin(known), std::end(known), [&](Known const& k) { return k.name == name; });
    if (found == std::end(known)) {
        why = "no such filter; there are";
        for (auto const& one : known) why.append(&one == known ? " " : ", ").append(one.name);
        return {};
    }
    if (has_argument != (found->takes != Takes::nothing)) {
        why = std::string(name).append(has_argument ? " takes nothing after a colon" : " wants a colon and a value");
        return {};
    }
    if (found->takes == Takes::number && !number_in(argument)) {
        why = std::string(name).append(" wants a number");
        return {};
    }
    if (argument.size() > max_argument_bytes) {
        why = std::string(name).append(" takes at most 256 bytes");
        return {};
    }
    return {found->apply, std::move(argument)};
}

std::string text_of(json const& value) {
    if (value.is_null()) return {};
    if (value.is_string()) return value.get_ref<std::string const&>();
    if (value.is_array()) return join(value, ", ").get<std::string>();
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json value_of(Piece const& piece, json const& values) {
    json const* at = &values;
    for (auto const& step : piece.path) {
        if (at->is_object()) {
            auto const found = at->find(step);
            at = found == at->end() ? nullptr : &*found;
        } else if (auto const index = number_in(step); at->is_array() && index && *index < at->size()) {
            at = &(*at)[*index];
        } else {
            at = nullptr;
        }
        if (!at) break;
    }
    json value = at ? *at : json();
    for (auto const& filter : piece.filters) value = filter.apply(value, filter.argument);
    return value;
}

}  // namespace ocgate::notify
