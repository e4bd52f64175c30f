// Whatever a template and a value are: the result is well-formed and bounded, a value never becomes markup of the
// target, and a JSON form stays the document that it was.
#include "ocgate/notify/template.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ocgate/base/utf8.hpp"
#include "property.hpp"

using namespace ocgate;
using nlohmann::json;

namespace {

bool well_formed(std::string_view text) {
    while (!text.empty()) {
        auto const length = utf8_length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::size_t count(std::string_view text, char c) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), c));
}

/// What is put in between words of ours cannot leave its place.
void value_in_its_place(std::string const& value) {
    json const with = {{"v", value}};
    auto const in = [&](std::string_view form, notify::Escape escape) {
        return notify::Template::parse(form).value().render(with, escape);
    };
    auto const line = in("<{{v}}>", notify::Escape::line);
    MUST(count(line, '\n') == 0 && line.starts_with("<"));
    for (char const c : line) MUST(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
    MUST(count(in("`{{v}}`", notify::Escape::discord), '`') == 2);
    auto block = in("```\n{{v}}\n```", notify::Escape::discord);
    block = block.substr(4, block.size() - 8);
    MUST(block.find("``") == std::string::npos);
    auto const text = in("{{v}}", notify::Escape::discord);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\') {
            ++i;  // with it goes what it stands before
            continue;
        }
        MUST(std::string_view("*_~|>#[]()<@:`").find(text[i]) == std::string_view::npos);
    }
}

void json_stays(std::string const& form, std::string const& value) {
    auto const read = notify::JsonTemplate::parse(form);
    if (!read) return;
    json const with = {{"v", value}, {"n", 1}, {"list", {value, value}}};
    auto const made = read->render(with);
    auto const text = made.dump(-1, ' ', false, json::error_handler_t::replace);
    auto const again = json::parse(text, nullptr, false);
    MUST(!again.is_discarded());
    auto const before = json::parse(form);
    bool const number = before.is_number() && again.is_number();  // -0 is an integer and 0 an unsigned one
    MUST(before.is_string() || number || (before.type() == again.type() && before.size() == again.size()));
    if (before.is_object())
        for (auto const& [name, ignored] : before.items()) MUST(again.contains(name));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::Input const input(data, size);
    auto const place = input.place();
    auto const form = input.text.substr(0, place);
    auto const value = input.text.substr(place);
    auto const bytes = fuzz::exactly(form);
    if (auto const read = notify::Template::parse(fuzz::view(bytes))) {
        json const with = {{"v", value}, {"n", 1.5}, {"list", {value, nullptr, {{"v", value}}}}, {"a", {{"b", value}}}};
        for (auto const escape : {notify::Escape::text, notify::Escape::line, notify::Escape::discord}) {
            auto const text = read->render(with, escape);
            MUST(text.size() <= notify::max_rendered_bytes && well_formed(text));
        }
    } else {
        MUST(read.error().at <= form.size() && !read.error().why.empty());
    }
    value_in_its_place(value);
    json_stays(form, value);
    json_stays(R"({"a":"{{v}}","b":["x{{v}}y","{{list}}"],"c":"{{n}}"})", value);
    return 0;
}
