#include "corpus.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <stdexcept>

namespace ocgate::framing {
namespace {

struct Line {
    int number = 0;
    std::string text;
};

[[noreturn]] void complain(std::string const& path, int line, std::string const& what) {
    throw std::runtime_error(path + ":" + std::to_string(line) + ": " + what);
}

/// `\r \n \t \0 \\ \xHH`, and `\{3*text}` for a text three times.
std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            out += text[i];
            continue;
        }
        char const c = i + 1 < text.size() ? text[++i] : '?';
        if (c == 'r' || c == 'n' || c == 't' || c == '0' || c == '\\') {
            out += c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : c == '0' ? '\0' : '\\';
        } else if (c == 'x' && i + 2 < text.size()) {
            out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
            i += 2;
        } else if (c == '{') {
            auto const star = text.find('*', i);
            auto const end = text.find('}', i);
            if (star == std::string_view::npos || end == std::string_view::npos || star > end)
                throw std::runtime_error("\\{ without * and }");
            auto const times = std::stoul(std::string(text.substr(i + 1, star - i - 1)));
            auto const piece = unescape(text.substr(star + 1, end - star - 1));
            for (unsigned long n = 0; n < times; ++n) out += piece;
            i = end;
        } else {
            throw std::runtime_error("unknown escape");
        }
    }
    return out;
}

void replace_all(std::string& text, std::string_view what, std::string_view by) {
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
        text.replace(at, what.size(), by);
}

bool take(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
}

std::vector<std::string> cells_of(std::string_view text) {
    std::vector<std::string> cells;
    for (;;) {
        auto const bar = text.find(" | ");
        cells.emplace_back(trimmed(text.substr(0, bar)));
        if (bar == std::string_view::npos) return cells;
        text.remove_prefix(bar + 3);
    }
}

/// Bytes of a `|` line: with CRLF, unless a backslash ends it.
std::string wire_line(std::string_view text) {
    take(text, " ");
    auto const slashes = text.size() - (text.find_last_not_of('\\') + 1);
    bool const bare = slashes % 2 == 1;
    if (bare) text.remove_suffix(1);
    auto bytes = unescape(text);
    replace_all(bytes, "@auth", "Authorization: " + std::string(client_credential));
    return bare ? bytes : bytes + "\r\n";
}

std::pair<std::string, std::string> field_of(std::string_view text) {
    auto const colon = text.find(':');
    return {unescape(text.substr(0, colon)), unescape(trimmed(text.substr(colon + 1)))};
}

void read_answers(Case& made, std::string_view text) {
    made.answers.clear();
    made.cut = false;
    bool ended = false;
    for (auto rest = std::string(text) + " "; !rest.empty();) {
        auto const end = rest.find(' ');
        auto const word = rest.substr(0, end);
        rest.erase(0, end + 1);
        if (word.empty() || word == "none") continue;
        if (word == "cut") {
            made.cut = true;
        } else if (word.size() == 3 && std::all_of(word.begin(), word.end(), [](char c) { return c <= '9'; })) {
            made.answers.push_back(static_cast<unsigned>(std::stoul(word)));
        } else {
            constexpr std::pair<std::string_view, Ending> endings[] = {{"open", Ending::open},
                                                                       {"waits", Ending::waits},
                                                                       {"close", Ending::close},
                                                                       {"reset", Ending::reset},
                                                                       {"tunnel", Ending::tunnel}};
            auto const* const found = std::find_if(std::begin(endings), std::end(endings),
                                                   [&](auto const& entry) { return entry.first == word; });
            if (found == std::end(endings)) throw std::runtime_error("unknown word in answers: " + word);
            made.ending = found->second;
            ended = true;
        }
    }
    if (!ended) throw std::runtime_error("answers without an ending");
}

Sees read_sees(std::string_view text, bool part) {
    Sees sees;
    sees.part = part;
    if (auto const equals = text.find(" = "); equals != std::string_view::npos) {
        sees.content = unescape(text.substr(equals + 3));
        text = text.substr(0, equals);
    }
    auto const space = text.find(' ');
    sees.method = unescape(text.substr(0, space));
    if (space != std::string_view::npos) sees.target = unescape(text.substr(space + 1));
    return sees;
}

/// One line of a block that is no bytes. False: no such thing.
bool read_word(Case& made, std::string_view text) {
    using Kind = Step::Kind;
    constexpr std::pair<std::string_view, Kind> bare_steps[] = {{"client:", Kind::client},
                                                                {"upstream:", Kind::upstream},
                                                                {"client ends", Kind::client_ends},
                                                                {"client resets", Kind::client_resets},
                                                                {"upstream ends", Kind::upstream_ends},
                                                                {"upstream resets", Kind::upstream_resets}};
    for (auto const& [word, kind] : bare_steps) {
        bool const with_next = text.ends_with(", with the next:");
        if ((with_next ? std::string(text.substr(0, text.find(','))) + ":" : text) != word) continue;
        made.steps.push_back({kind, {}, {}, with_next});
        if (kind != Kind::client && kind != Kind::client_ends && kind != Kind::client_resets) made.scripted = true;
        return true;
    }
    auto* const last = made.sees.empty() ? nullptr : &made.sees.back();
    if (take(text, "rfc: ")) {
        made.rfc = text;
    } else if (take(text, "wait: ")) {
        made.steps.push_back({Kind::wait, {}, std::chrono::milliseconds(std::stol(std::string(text))), false});
    } else if (take(text, "answers: ")) {
        read_answers(made, text);
    } else if (take(text, "got: ")) {
        made.got = unescape(text);
    } else if (take(text, "got has: ")) {
        made.answer.has.push_back(field_of(text));
    } else if (take(text, "got lacks: ")) {
        made.answer.lacks.emplace_back(text);
    } else if (take(text, "sees: ")) {
        made.sees.push_back(read_sees(text, false));
    } else if (take(text, "sees part: ")) {
        made.sees.push_back(read_sees(text, true));
    } else if (last && take(text, "sees has: ")) {
        last->has.push_back(field_of(text));
    } else if (last && take(text, "sees lacks: ")) {
        last->lacks.emplace_back(text);
    } else if (last && text == "sees it on a new connection") {
        last->anew = true;
    } else if (take(text, "to upstream: ")) {
        made.to_upstream = unescape(text);
    } else if (take(text, "to client: ")) {
        made.to_client = unescape(text);
    } else {
        return text == "sees nothing" || text.starts_with("why: ");
    }
    return true;
}

bool overrides(std::string_view cell) { return cell.starts_with("rfc: ") || cell.starts_with("answers: "); }

Case make(std::string const& path, std::vector<Line> const& block, std::vector<std::string> const& cells) {
    Case made;
    made.file = path.substr(path.rfind('/') + 1);
    made.line = block.front().number;
    made.name = block.front().text.substr(4) + (cells.empty() ? "" : "/" + cells.front());
    for (auto const& line : block) {
        auto text = line.text;
        if (text.starts_with("=== ")) continue;
        for (std::size_t i = 1; i < cells.size(); ++i) {
            if (!overrides(cells[i])) replace_all(text, "@" + std::to_string(i), cells[i]);
        }
        try {
            if (!text.starts_with("|")) {
                if (!read_word(made, text)) complain(path, line.number, "not understood: " + text);
            } else if (made.steps.empty()) {
                complain(path, line.number, "bytes of nobody");
            } else {
                made.steps.back().bytes += wire_line(std::string_view(text).substr(1));
            }
        } catch (std::exception const& e) {
            complain(path, line.number, e.what());
        }
    }
    for (auto const& cell : cells) {
        if (overrides(cell)) read_word(made, cell);
    }
    for (auto& step : made.steps) {
        if (step.kind != Step::Kind::client) continue;
        replace_all(step.bytes, "Host: a\r\n", "Host: a\r\nAuthorization: " + std::string(client_credential) + "\r\n");
    }
    if (!made.rfc.starts_with("RFC ")) complain(path, made.line, "no RFC section decides " + made.name);
    if (made.steps.empty()) complain(path, made.line, "nothing happens in " + made.name);
    return made;
}

}  // namespace

std::vector<Case> read_cases(std::string const& path) {
    std::ifstream in(path);
    if (!in) throw std::runtime_error(path + ": cannot be read");
    std::vector<Case> cases;
    std::vector<Line> block;
    std::vector<std::vector<std::string>> rows;
    std::set<std::string> names;
    auto const finish = [&] {
        if (block.empty()) return;
        if (rows.empty()) rows.emplace_back();
        for (auto const& row : rows) {
            cases.push_back(make(path, block, row));
            if (!names.insert(cases.back().name).second) complain(path, block.front().number, "a name given twice");
        }
        block.clear();
        rows.clear();
    };
    std::string text;
    for (int number = 1; std::getline(in, text); ++number) {
        if (text.empty() || text.starts_with("#")) continue;
        if (text.starts_with("=== ")) finish();
        if (block.empty() && !text.starts_with("=== ")) complain(path, number, "outside of a case");
        if (text.starts_with("each: ")) {
            rows.push_back(cells_of(std::string_view(text).substr(6)));
        } else {
            block.push_back({number, text});
        }
    }
    finish();
    return cases;
}

}  // namespace ocgate::framing
