#include "ocgate/notify/redact.hpp"

#include <algorithm>
#include <cstddef>

namespace ocgate::notify {
namespace {

constexpr auto npos = std::string_view::npos;
constexpr std::string_view hidden = "***";

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_upper(char c) noexcept { return c >= 'A' && c <= 'Z'; }
constexpr bool is_alnum(char c) noexcept { return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z'); }
constexpr bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
constexpr bool is_word(char c) noexcept { return is_alnum(c) || c == '_' || c == '-' || c == '.'; }
constexpr bool is_base64(char c) noexcept { return is_alnum(c) || c == '+' || c == '/' || c == '='; }
constexpr bool is_token68(char c) noexcept {
    return is_base64(c) || c == '-' || c == '_' || c == '.' || c == '~' || c == '*';
}

/// Of a value without quotes: nothing that ends a word or a command.
bool is_bare(char c) noexcept { return std::string_view(" \t\r\n\"'`\\&;|<>()").find(c) == npos; }

template <class Test>
std::size_t run(std::string_view text, std::size_t from, Test test) {
    while (from < text.size() && test(text[from])) ++from;
    return from;
}

char lower(char c) noexcept { return is_upper(c) ? static_cast<char>(c | 0x20) : c; }

bool begins(std::string_view text, std::size_t at, std::string_view with) { return text.substr(at).starts_with(with); }

bool begins_anyhow(std::string_view text, std::size_t at, std::string_view lower_case) {
    auto const part = text.substr(at, lower_case.size());
    return std::equal(part.begin(), part.end(), lower_case.begin(), lower_case.end(),
                      [](char a, char b) { return lower(a) == b; });
}

/// `[at, from)` stays, `[from, to)` is hidden; nothing found: from == to.
struct Find {
    std::size_t from = 0, to = 0;
    explicit operator bool() const noexcept { return from < to; }
};

struct Prefix {
    std::string_view text;
    std::size_t least;  ///< characters that follow
    bool dots = false;
};

// What services put before their keys so that leaks can be found.
constexpr Prefix prefixes[] = {
    {"sk-", 16},
    {"sk_live_", 8},
    {"sk_test_", 8},
    {"rk_live_", 8},
    {"pk_live_", 8},
    {"ghp_", 20},
    {"gho_", 20},
    {"ghu_", 20},
    {"ghs_", 20},
    {"ghr_", 20},
    {"github_pat_", 20},
    {"glpat-", 16},
    {"gldt-", 16},
    {"xoxb-", 10},
    {"xoxp-", 10},
    {"xoxa-", 10},
    {"xoxr-", 10},
    {"xoxs-", 10},
    {"xapp-", 10},
    {"AKIA", 16},
    {"ASIA", 16},
    {"AIza", 30},
    {"hf_", 20},
    {"npm_", 20},
    {"pypi-", 20},
    {"dop_v1_", 20},
    {"whsec_", 16},
    {"tk_", 24},
    {"ya29.", 16, true},
    {"SG.", 20, true},
    {"AGE-SECRET-KEY-", 16},
    {"shpat_", 16},
    {"sq0csp-", 16},
    {"nvapi-", 16},
    {"gsk_", 20},
    {"xai-", 20},
    {"r8_", 20},
    {"dckr_pat_", 16},
    {"lin_api_", 16},
};

Find known_prefix(std::string_view text, std::size_t at) {
    for (auto const& prefix : prefixes) {
        if (!begins(text, at, prefix.text)) continue;
        auto const from = at + prefix.text.size();
        auto const to = run(text, from, [&](char c) { return is_word(c) && (prefix.dots || c != '.'); });
        if (to - from >= prefix.least) return {from, to};
    }
    return {};
}

/// Three parts with dots between, the first of which is an object (RFC 7519 §3).
Find web_token(std::string_view text, std::size_t at) {
    if (!begins(text, at, "eyJ")) return {};
    auto const part = [&](std::size_t from) { return run(text, from, [](char c) { return is_word(c) && c != '.'; }); };
    auto const first = part(at);
    if (first - at < 10 || !begins(text, first, ".")) return {};
    auto const second = part(first + 1);
    if (second - first < 10) return {};
    return {at + 3, begins(text, second, ".") ? part(second + 1) : second};
}

/// Where what several names look for is: each would read up to the end of a text that is nothing but names.
class Ahead {
public:
    explicit Ahead(std::string_view text) noexcept : text_(text) {}

    /// The end of the value without quotes that begins at `at`.
    std::size_t end_of_bare(std::size_t at) {
        if (at < bare_from_ || at >= bare_to_) bare_to_ = run(text_, bare_from_ = at, is_bare);
        return bare_to_;
    }
    /// The first colon from `at` on, or the end of the text.
    std::size_t colon(std::size_t at) {
        if (at < colon_from_ || at > colon_at_) colon_at_ = std::min(text_.find(':', colon_from_ = at), text_.size());
        return colon_at_;
    }

private:
    std::string_view text_;
    std::size_t bare_from_ = 0, bare_to_ = 0;
    std::size_t colon_from_ = npos, colon_at_ = 0;
};

bool is_variable(std::string_view value) {
    if (value.size() < 2 || value[0] != '$') return false;
    auto name = value.substr(1);
    if (name.starts_with('{') && name.ends_with('}')) name = name.substr(1, name.size() - 2);
    return !name.empty() &&
           std::all_of(name.begin(), name.end(), [](char c) { return is_upper(c) || is_digit(c) || c == '_'; });
}

/// A variable or the output of a command is no secret, and who is asked to allow a command has to see it.
bool is_shell(std::string_view value) {
    bool const runs = value.find("$(") != npos || value.find('`') != npos || value.find("<(") != npos;
    return runs || is_variable(value);
}

/// Of what follows `-----BEGIN … PRIVATE KEY-----`: as much as is key. Words that follow are not: a command could hide
/// among them.
std::size_t end_of_key(std::string_view text, std::size_t at) {
    for (;;) {
        auto from = at;
        while (from < text.size() && (is_space(text[from]) || begins(text, from, "\\n") || begins(text, from, "\\r")))
            from += text[from] == '\\' ? 2 : 1;
        auto const to = run(text, from, is_base64);
        auto const next = run(text, to, is_space);
        bool const last = begins(text, next, "-----END ") || begins(text, next, "\\n-----END ");
        if (to == from || (to - from < 16 && !last)) return at;
        at = to;
    }
}

Find private_key(std::string_view text, std::size_t at) {
    if (!begins(text, at, "-----BEGIN ")) return {};
    constexpr std::string_view label = "PRIVATE KEY-----";
    auto const head = text.substr(0, at + 64).find(label, at);
    if (head == npos || text.substr(at, head - at).find('\n') != npos) return {};
    return {head + label.size(), end_of_key(text, head + label.size())};
}

/// A value after `key=`, with or without quotes, also with quotes as they are written inside a JSON string.
Find value_at(std::string_view text, std::size_t at, bool has_scheme, Ahead& ahead) {
    // Quotes as they are written inside a JSON string: to a shell they quote nothing, so the value ends as without.
    bool const escaped = begins(text, at, "\\\"");
    if (escaped) at += 2;
    char const quote = !escaped && at < text.size() && (text[at] == '"' || text[at] == '\'') ? text[at] : '\0';
    if (quote) ++at;
    auto to = at;
    if (quote) {
        // Nothing tells where a quote ends that nobody closes, so that is up to the end of the line.
        while (to < text.size() && text[to] != '\n' && text[to] != quote)
            to += text[to] == '\\' && to + 1 < text.size() ? 2 : 1;
    } else if (begins(text, at, "-----BEGIN ")) {
        return private_key(text, at);
    } else {
        for (auto const* scheme : {"bearer ", "basic ", "token ", "digest "})
            if (has_scheme && begins_anyhow(text, at, scheme)) at += std::string_view(scheme).size();
        to = ahead.end_of_bare(at);
        if (to > at && text[to - 1] == '$' && begins(text, to, "(")) return {};
        if (is_variable(text.substr(at, to - at))) return {};  // and no command is in it
        return {at, to};
    }
    to = std::min(to, text.size());
    if (is_shell(text.substr(at, to - at))) return {};
    return {at, to};
}

/// `; name=value` after a cookie's value, as often as it stands there. No command is hidden with it but assignments.
std::size_t end_of_cookies(std::string_view text, std::size_t at) {
    for (;;) {
        if (!begins(text, at, ";")) return at;
        auto const from = run(text, at + 1, [](char c) { return c == ' '; });
        auto const sign = run(text, from, is_word);
        if (sign == from || !begins(text, sign, "=")) return at;
        auto const end = run(text, sign + 1, is_bare);
        if (is_shell(text.substr(sign + 1, end - sign - 1)) || begins(text, end, "(")) return at;
        at = end;
    }
}

constexpr std::string_view secret_names[] = {
    "password",   "passwd",     "passphrase",  "secret",        "token",       "apikey",      "api_key",
    "access_key", "secret_key", "private_key", "auth_key",      "account_key", "signing_key", "encryption_key",
    "_pass",      "_pwd",       "cookie",      "authorization", "credential",  "credentials", "_psk",
    "accesskey",  "secretkey",  "privatekey",  "authkey",       "accountkey",  "signingkey",  "encryptionkey",
};

bool names_secret(std::string_view word) {
    std::string name(word);
    for (char& c : name) c = c == '-' || c == '.' ? '_' : lower(c);
    if (name == "pass" || name == "pwd") return true;
    return std::any_of(std::begin(secret_names), std::end(secret_names),
                       [&](std::string_view one) { return std::string_view(name).ends_with(one); });
}

/// `at` begins a word: `password=…`, `"token": "…"`, `--api-key …`, `-u user:…`.
Find named(std::string_view text, std::size_t at, Ahead& ahead) {
    constexpr std::size_t longest_name = 128;
    auto const end = run(text, at, is_word);
    auto const word = text.substr(at, end - at);
    auto const blank = [](char c) { return c == ' ' || c == '\t'; };
    if (word == "-u" || word == "--user") {
        auto const value = value_at(text, run(text, end, blank), false, ahead);
        if (!value) return {};
        auto const colon = ahead.colon(value.from) - value.from;
        if (colon >= value.to - value.from) return {};
        auto const pair = text.substr(value.from, value.to - value.from);
        // Two numbers are a user and a group, which other tools take with -u.
        if (run(pair, 0, [](char c) { return is_digit(c) || c == ':'; }) == pair.size()) return {};
        if (is_shell(pair.substr(colon + 1))) return {};
        return {value.from + colon + 1, value.to};
    }
    if (word.empty() || word.size() > longest_name || !names_secret(word)) return {};
    bool const has_scheme = word.size() >= 13 && begins_anyhow(word, word.size() - 13, "authorization");

    auto next = end;
    if (begins(text, next, "\\\""))
        next += 2;
    else if (begins(text, next, "\"") || begins(text, next, "'"))
        ++next;
    auto const blanks = run(text, next, blank);
    auto sign = blanks;
    while (sign < text.size() && sign < blanks + 2 && (text[sign] == '=' || text[sign] == ':' || text[sign] == '>'))
        ++sign;
    auto const between = text.substr(blanks, sign - blanks);
    if (between == "::" || (!between.empty() && between[0] == '>')) return {};
    if (!between.empty()) {
        auto found = value_at(text, run(text, sign, blank), has_scheme, ahead);
        if (found && begins_anyhow(word, word.size() - std::min<std::size_t>(6, word.size()), "cookie"))
            found.to = end_of_cookies(text, found.to);
        return found;
    }
    if (word.starts_with("--") && blanks > end && !begins(text, blanks, "-"))
        return value_at(text, blanks, false, ahead);
    return {};
}

/// `Bearer …`, `Basic …` where no name stands before. Prose has a small word after these, a credential does not.
Find scheme(std::string_view text, std::size_t at) {
    for (auto const* name : {"bearer ", "basic "}) {
        if (!begins_anyhow(text, at, name)) continue;
        auto const from = run(text, at + std::string_view(name).size(), is_space);
        auto const to = run(text, from, is_token68);
        auto const value = text.substr(from, to - from);
        bool const odd = value.size() >= 20 || std::any_of(value.begin(), value.end(), [](char c) {
                             return is_digit(c) || is_upper(c) || c == '=';
                         });
        if (value.size() >= 6 && odd) return {from, to};
    }
    return {};
}

/// `://user:password@host`, `://token@host`.
Find userinfo(std::string_view text, std::size_t at) {
    if (!begins(text, at, "://")) return {};
    auto const from = at + 3;
    auto const to = text.find_first_of(" \t\r\n\"'`/?#<>()", from);
    auto const authority = text.substr(from, to == npos ? npos : to - from);
    auto const host = authority.rfind('@');
    if (host == npos || host == 0) return {};
    auto const colon = authority.substr(0, host).find(':');
    auto const secret = colon == npos ? 0 : colon + 1;
    auto const value = authority.substr(secret, host - secret);
    // `git@host` names an account that everybody uses.
    if (value.empty() || is_shell(value) || (colon == npos && value == "git")) return {};
    return {from + secret, from + host};
}

/// Addresses that are secrets themselves.
Find secret_path(std::string_view text, std::size_t at) {
    auto const rest = [&](std::size_t from, std::size_t least) -> Find {
        auto const to = run(text, from, [](char c) { return is_word(c) || c == '/' || c == ':' || c == '*'; });
        return to - from >= least ? Find{from, to} : Find{};
    };
    if (begins(text, at, "/webhooks/")) {
        auto const id = at + 10;
        auto const slash = run(text, id, is_digit);
        if (slash > id && begins(text, slash, "/")) return rest(slash + 1, 16);
    }
    if (begins(text, at, "/bot")) {
        auto const colon = run(text, at + 4, is_digit);
        if (colon > at + 4 && begins(text, colon, ":")) return rest(at + 4, 20);
    }
    for (auto const* place : {"hooks.slack.com/services/", "hooks.slack.com/workflows/"})
        if (begins(text, at, place)) return rest(at + std::string_view(place).size(), 8);
    return {};
}

Find look(std::string_view text, std::size_t at, Ahead& ahead) {
    // `\n` as it is written inside a string is a line end, not a letter before a key.
    bool const after_escape = at >= 2 && text[at - 2] == '\\' && std::string_view("nrt").find(text[at - 1]) != npos;
    char const before = at == 0 || after_escape ? ' ' : text[at - 1];
    char const c = text[at];
    if (c == ':')
        if (auto const found = userinfo(text, at)) return found;
    if (c == '/')
        if (auto const found = secret_path(text, at)) return found;
    if (is_alnum(before)) return {};
    if (c == '-')
        if (auto const found = private_key(text, at)) return found;
    if (is_word(c) && !is_word(before))
        if (auto const found = named(text, at, ahead)) return found;
    if (!is_alnum(c)) return {};
    if (!is_word(before))
        if (auto const found = web_token(text, at)) return found;
    for (auto const search : {secret_path, known_prefix, scheme})
        if (auto const found = search(text, at)) return found;
    return {};
}

std::string redact_once(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    Ahead ahead(text);
    for (std::size_t at = 0; at < text.size();) {
        auto const found = look(text, at, ahead);
        if (!found) {
            out += text[at++];
            continue;
        }
        out += text.substr(at, found.from - at);
        out += hidden;
        at = found.to;
    }
    return out;
}

}  // namespace

std::string redact(std::string_view text) {
    // What is hidden ends words that went on before, so a name may begin now where none did.
    constexpr int passes = 8;
    auto out = redact_once(text);
    for (int i = 1; i < passes; ++i) {
        auto next = redact_once(out);
        if (next == out) break;
        out = std::move(next);
    }
    return out;
}

}  // namespace ocgate::notify
