// The route of a target is the best template of all that take it, found by trying each; and whatever depends on the
// route (what counts as work, as an act, as an audit's word, as a terminal's ticket) is the same for every spelling
// that the server takes for the same. Parts: method, target.
#include "ocgate/opencode/routes.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "ocgate/opencode/audit_words.hpp"
#include "ocgate/wire/percent.hpp"
#include "property.hpp"

using namespace ocgate;
using namespace ocgate::opencode;

namespace {

using Names = std::vector<std::string>;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

std::string folded(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), lower);
    return text;
}

/// Segments as they were sent; nothing for what is no path.
std::optional<Names> cut(std::string_view target) {
    if (!target.starts_with('/')) return std::nullopt;
    Names names;
    auto const path = std::string(target.substr(0, target.find_first_of("?;"))) + "/";
    std::string name;
    for (char const c : path) {
        if (c != '/') {
            name += c;
        } else if (!name.empty()) {
            names.push_back(std::exchange(name, {}));
        }
    }
    return names;
}

std::optional<std::string> decoded(std::string_view raw) {
    std::string text;
    while (!raw.empty()) {
        auto const byte = wire::escape_at(raw);
        if (raw.front() == '%' && !byte) return std::nullopt;
        text += byte ? *byte : raw.front();
        raw.remove_prefix(byte ? 3 : 1);
    }
    return text;
}

/// How well a template takes a path, a letter for each segment: the better, the earlier in the alphabet.
std::optional<std::string> rank(Names const& form, Names const& path) {
    std::string how;
    for (std::size_t i = 0; i < form.size(); ++i) {
        if (form[i] == "*") return path.size() > i ? std::optional(how + "c") : std::nullopt;
        if (i == path.size()) return std::nullopt;
        bool const any = form[i].starts_with('{');
        if (!any && folded(form[i]) != folded(path[i])) return std::nullopt;
        how += any ? 'b' : 'a';
    }
    return form.size() == path.size() ? std::optional(how) : std::nullopt;
}

std::uint16_t best(std::string_view target) {
    static auto const forms = [] {
        std::vector<Names> all;
        for (auto const& name : route_names()) all.push_back(*cut("/" + name));
        return all;
    }();
    auto const raw = cut(target);
    if (!raw || raw->empty()) return ui_route;
    Names path;
    for (auto const& segment : *raw) {
        auto const text = decoded(segment);
        if (!text) return ui_route;
        path.push_back(*text);
    }
    std::optional<std::string> most;
    std::uint16_t found = ui_route;
    for (std::size_t i = 1; i < forms.size(); ++i) {
        auto const how = rank(forms[i], path);
        if (!how || (most && *how >= *most)) continue;
        most = how;
        found = static_cast<std::uint16_t>(i);
    }
    return found;
}

/// Everything that is decided by a target's route, as text.
std::string meaning(std::string_view method, std::string_view target) {
    std::string text = std::to_string(route_of(method, target)) + (starts_work(method, target) ? " work" : "");
    if (auto const pty = ticket_issued_by(method, target)) text += " issues " + *pty;
    if (auto const pty = pty_connected_by(target)) text += " connects " + *pty;
    if (auto const act = act_of(method, target))
        text += " act " + std::to_string(static_cast<int>(act->kind)) + " " + act->session + " " + act->request;
    for (bool const websocket : {false, true}) {
        auto const word = audit_word_of(method, target, websocket);
        if (!word) continue;
        MUST(!word->word.empty() && word->route == route_names()[route_of(method, target)]);
        for (auto const* id : {&word->session, &word->request, &word->terminal}) MUST(id->size() <= 128);
        (text += " ").append(word->word).append(word->lasts ? " lasts " : " ") +=
            word->session + " " + word->request + " " + word->terminal;
    }
    return text;
}

/// The same path in other letters: one character escaped, slashes doubled and added, a query.
std::vector<std::string> spellings(std::string_view target, std::size_t at) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    auto const end = std::min(target.find_first_of("?;"), target.size());
    std::string const path(target.substr(0, end));
    std::string const query(target.substr(end));
    std::vector<std::string> all{path + "/" + query, "/" + path + query};
    // Behind a `;` nobody is let in.
    if (!query.starts_with(';')) all.push_back(path + "?auth_token=x&directory=/x");
    auto const place = at % path.size();
    auto const c = static_cast<unsigned char>(path[place]);
    if (c == '/') {
        all.push_back(path.substr(0, place) + "//" + path.substr(place + 1) + query);
        return all;
    }
    bool const in_escape = path.substr(place < 2 ? 0 : place - 2, 3).find('%') != path.npos;
    if (!in_escape)
        all.push_back(path.substr(0, place) + '%' + digits[c >> 4] + digits[c & 15] + path.substr(place + 1) + query);
    return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const part = fuzz::parts(fuzz::as_text(data, size), 2, 2);
    auto const method = fuzz::exactly(part[0]);
    auto const bytes = fuzz::exactly(part[1]);
    auto const target = fuzz::view(bytes);
    MUST(route_of(fuzz::view(method), target) == best(target));
    auto const means = meaning(fuzz::view(method), target);
    if (auto const pty = pty_connected_by(target)) {
        for (char const c : *pty)
            MUST((lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-');
    }
    if (is_public_asset(fuzz::view(method), target)) MUST(target.find_first_of("?%#;") == target.npos);
    if (target.empty() || target.front() != '/') return 0;
    for (auto const& spelling : spellings(target, size > 3 ? data[size - 3] * 7U + size : size))
        MUST(meaning(fuzz::view(method), spelling) == means);
    return 0;
}
