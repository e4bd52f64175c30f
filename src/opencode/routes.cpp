#include "ocgate/opencode/routes.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "ocgate/wire/percent.hpp"
#include "route_table.hpp"

namespace ocgate::opencode {
namespace {

constexpr std::size_t max_ticket_answer_bytes = 4 * 1024;  // a real one has about 70
constexpr std::size_t max_ticket_bytes = 128;              // a UUID today
constexpr std::size_t max_id_bytes = 128;                  // `pty_` and 26 characters today

/// The one character beyond ASCII that JavaScript's toLowerCase() makes one of ASCII of: U+212A becomes `k`.
constexpr std::string_view kelvin = "\xE2\x84\xAA";

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// The next character of `text`, percent-decoded, taken from its front. Nothing when the encoding is broken.
std::optional<char> next_char(std::string_view& text) noexcept {
    bool const escaped = text.front() == '%';
    auto const c = escaped ? wire::escape_at(text) : text.front();
    if (c) text.remove_prefix(escaped ? 3 : 1);
    return c;
}

/// A path cut at its slashes as they were sent: an encoded slash is a character of a segment, `..` is a name like any
/// other, and empty segments do not count. It ends at `?` or `;`, whichever comes first: the server's router
/// (find-my-way) takes what follows either for a query. Holds no memory of its own besides.
class Segments {
public:
    /// One more than the longest template has, so that a longer path is seen to be longer.
    static constexpr std::size_t max_count = 8;

    struct Segment {
        std::string_view raw;
        std::array<char, 24> folded;    ///< decoded and in lower case
        std::uint8_t folded_bytes = 0;  ///< 0 when it is longer than every name in the table
        [[nodiscard]] std::string_view name() const noexcept { return {folded.data(), folded_bytes}; }
    };

    /// False for what is no path or is badly encoded.
    bool cut(std::string_view target) noexcept {
        if (target.empty() || target.front() != '/') return false;
        auto path = target.substr(0, target.find_first_of("?;"));
        while (!path.empty()) {
            auto const end = std::min(path.find('/'), path.size());
            if (end > 0 && !add(path.substr(0, end))) return false;
            path.remove_prefix(std::min(end + 1, path.size()));
        }
        return true;
    }

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] Segment const& operator[](std::size_t i) const noexcept { return segments_[i]; }

private:
    bool add(std::string_view raw) noexcept {
        Segment overflow;  // segments beyond the last are read for their encoding only
        auto& segment = count_ < max_count ? segments_[count_++] : overflow;
        segment.raw = raw;
        segment.folded_bytes = 0;
        if (raw.size() > segment.folded.size() && raw.find('%') == raw.npos) return true;  // an id, mostly
        std::size_t n = 0;
        while (!raw.empty()) {
            auto const c = next_char(raw);
            if (!c) return false;
            if (n < segment.folded.size()) segment.folded[n] = lower(*c);
            ++n;
            if (n >= kelvin.size() && n <= segment.folded.size() &&
                std::string_view(segment.folded.data() + n - kelvin.size(), kelvin.size()) == kelvin) {
                n -= kelvin.size() - 1;
                segment.folded[n - 1] = 'k';
            }
        }
        if (n <= segment.folded.size()) segment.folded_bytes = static_cast<std::uint8_t>(n);
        return true;
    }

    std::array<Segment, max_count> segments_;
    std::size_t count_ = 0;
};

/// The table as a tree of segments, built once and never changed. A lookup allocates nothing; where a name and a
/// parameter both fit, the name is tried first, as the server does it.
class Tree {
public:
    Tree() {
        nodes_.emplace_back();
        for (std::size_t number = 1; number < route_table.size(); ++number) plant(number);
        for (auto& node : nodes_) {
            std::sort(node.names.begin(), node.names.end(),
                      [](Name const& a, Name const& b) { return before(a.text, b.text); });
        }
    }

    [[nodiscard]] std::uint16_t find(Segments const& path) const noexcept {
        return path.count() == 0 ? ui_route : find(path, 0, 0);
    }

private:
    struct Name {
        std::string text;
        std::uint16_t node;
    };
    struct Node {
        std::vector<Name> names;      ///< by length, then by text
        std::uint16_t parameter = 0;  ///< the node behind `{…}`; 0: none, the root is nobody's child
        std::uint16_t route = ui_route;
        std::uint16_t rest = ui_route;  ///< the route of `*`
    };

    static bool before(std::string_view a, std::string_view b) noexcept {
        return a.size() != b.size() ? a.size() < b.size() : a < b;
    }

    std::uint16_t grow() {
        nodes_.emplace_back();
        return static_cast<std::uint16_t>(nodes_.size() - 1);
    }

    void plant(std::size_t number) {
        auto const route = static_cast<std::uint16_t>(number);
        auto rest = route_table[number].substr(1);
        std::uint16_t at = 0;
        while (!rest.empty()) {
            auto const end = std::min(rest.find('/'), rest.size());
            auto const part = rest.substr(0, end);
            rest.remove_prefix(std::min(end + 1, rest.size()));
            if (part == "*") {
                nodes_[at].rest = route;
                return;
            }
            if (part.front() == '{') {
                auto const next = nodes_[at].parameter ? nodes_[at].parameter : grow();
                nodes_[at].parameter = next;
                at = next;
                continue;
            }
            std::string text(part);
            std::transform(text.begin(), text.end(), text.begin(), lower);
            auto const& names = nodes_[at].names;
            auto const known = std::find_if(names.begin(), names.end(), [&](Name const& n) { return n.text == text; });
            if (known != names.end()) {
                at = known->node;
                continue;
            }
            auto const next = grow();
            nodes_[at].names.push_back({std::move(text), next});
            at = next;
        }
        nodes_[at].route = route;
    }

    /// At most two ways at each of six levels.
    [[nodiscard]] std::uint16_t find(Segments const& path, std::size_t depth, std::uint16_t at) const noexcept {
        auto const& node = nodes_[at];
        if (depth == path.count()) return node.route;
        auto const name = path[depth].name();
        auto const place = std::lower_bound(node.names.begin(), node.names.end(), name,
                                            [](Name const& n, std::string_view text) { return before(n.text, text); });
        if (place != node.names.end() && place->text == name) {
            if (auto const route = find(path, depth + 1, place->node)) return route;
        }
        if (node.parameter) {
            if (auto const route = find(path, depth + 1, node.parameter)) return route;
        }
        return node.rest;
    }

    std::vector<Node> nodes_;
};

Tree const& tree() {
    static Tree const tree;
    return tree;
}

std::uint16_t number_of(std::string_view name) {
    auto const place = std::find(route_table.begin(), route_table.end(), name);
    return place == route_table.end() ? ui_route : static_cast<std::uint16_t>(place - route_table.begin());
}

/// An id that reads the same to everyone: anything else is not recognised, and so not let in without credentials.
std::optional<std::string> read_id(std::string_view raw) {
    std::string id;
    while (!raw.empty()) {
        auto const c = next_char(raw);
        bool const sane =
            c && ((lower(*c) >= 'a' && lower(*c) <= 'z') || (*c >= '0' && *c <= '9') || *c == '_' || *c == '-');
        if (!sane || id.size() == max_id_bytes) return std::nullopt;
        id += *c;
    }
    return id;
}

bool is_safe(std::string_view method) noexcept { return method == "GET" || method == "HEAD" || method == "OPTIONS"; }

/// The `{ptyID}` of a target under one of these two templates. Nothing where a `;` begins a query: what the server
/// reads there is not what is read here, and nobody is let in on a misunderstanding.
std::optional<std::string> pty_of(std::string_view target, std::uint16_t v1, std::uint16_t v2) {
    Segments path;
    if (target.find(';') < target.find('?') || !path.cut(target)) return std::nullopt;
    auto const route = tree().find(path);
    if (route == ui_route || (route != v1 && route != v2)) return std::nullopt;
    return read_id(path[route == v1 ? 1 : 2].raw);
}

}  // namespace

std::uint16_t route_of(std::string_view, std::string_view target) noexcept {
    Segments path;
    return path.cut(target) ? tree().find(path) : ui_route;
}

std::vector<std::string> const& route_names() {
    static std::vector<std::string> const names(route_table.begin(), route_table.end());
    return names;
}

std::uint16_t file_route() noexcept {
    static auto const route = number_of("/api/fs/read/*");
    return route;
}

bool is_public_asset(std::string_view method, std::string_view target) noexcept {
    if (method != "GET") return false;  // for HEAD opencode itself wants a login
    return target == "/site.webmanifest" || target == "/web-app-manifest-192x192.png" ||
           target == "/web-app-manifest-512x512.png";
}

std::optional<std::string> ticket_issued_by(std::string_view method, std::string_view target) {
    static auto const v1 = number_of("/pty/{ptyID}/connect-token");
    static auto const v2 = number_of("/api/pty/{ptyID}/connect-token");
    return method == "POST" ? pty_of(target, v1, v2) : std::nullopt;
}

std::optional<std::string> pty_connected_by(std::string_view target) {
    static auto const v1 = number_of("/pty/{ptyID}/connect");
    static auto const v2 = number_of("/api/pty/{ptyID}/connect");
    return pty_of(target, v1, v2);
}

std::optional<Act> act_of(std::string_view method, std::string_view target) {
    using Kind = Act::Kind;
    struct Meaning {
        std::string_view name;
        Kind kind;
        std::size_t session;  ///< the segment that names it; 0: none does
        std::size_t request;
    };
    static constexpr Meaning meanings[] = {
        {"/session/{sessionID}/abort", Kind::abort, 1, 0},
        {"/api/session/{sessionID}/interrupt", Kind::abort, 2, 0},
        {"/permission/{requestID}/reply", Kind::permission, 0, 1},
        {"/session/{sessionID}/permissions/{permissionID}", Kind::permission, 1, 3},
        {"/api/session/{sessionID}/permission/{requestID}/reply", Kind::permission, 2, 4},
        {"/question/{requestID}/reply", Kind::question, 0, 1},
        {"/question/{requestID}/reject", Kind::question, 0, 1},
        {"/api/session/{sessionID}/question/{requestID}/reply", Kind::question, 2, 4},
        {"/api/session/{sessionID}/question/{requestID}/reject", Kind::question, 2, 4},
    };
    if (is_safe(method)) return std::nullopt;
    Segments path;
    if (!path.cut(target)) return std::nullopt;
    auto const route = tree().find(path);
    if (route == ui_route) return std::nullopt;
    std::string_view const name = route_table[route];
    auto const known = std::find_if(std::begin(meanings), std::end(meanings), [&](auto& m) { return m.name == name; });
    Meaning meaning{name, Kind::other, 0, 0};
    if (known != std::end(meanings)) {
        meaning = *known;
    } else if (name.starts_with("/session/{sessionID}")) {
        meaning.session = 1;
    } else if (name.starts_with("/api/session/{sessionID}")) {
        meaning.session = 2;
    } else {
        return std::nullopt;
    }
    Act act{meaning.kind, {}, {}};
    if (meaning.session > 0) act.session = read_id(path[meaning.session].raw).value_or("");
    if (meaning.request > 0) act.request = read_id(path[meaning.request].raw).value_or("");
    if (act.session.empty() && act.request.empty()) return std::nullopt;
    return act;
}

bool starts_work(std::string_view method, std::string_view target) noexcept {
    static auto const working = [] {
        std::array<bool, route_count> is{};
        for (std::string_view const name :
             {"/session/{sessionID}/message", "/session/{sessionID}/prompt_async", "/session/{sessionID}/command",
              "/session/{sessionID}/summarize", "/session/{sessionID}/init", "/api/session/{sessionID}/prompt",
              "/api/session/{sessionID}/compact", "/experimental/project/{projectID}/copy/generate-name"}) {
            is[number_of(name)] = true;
        }
        is[ui_route] = false;  // what a table of another version no longer has
        return is;
    }();
    return !is_safe(method) && working[route_of(method, target)];
}

std::optional<std::string> read_ticket(std::string_view body) {
    if (body.size() > max_ticket_answer_bytes) return std::nullopt;
    auto const answer = nlohmann::json::parse(body, nullptr, false);
    if (!answer.is_object()) return std::nullopt;
    auto const field = answer.find("ticket");
    if (field == answer.end() || !field->is_string()) return std::nullopt;
    auto const& ticket = field->get_ref<std::string const&>();
    bool const visible = std::all_of(ticket.begin(), ticket.end(), [](char c) { return c > ' ' && c <= '~'; });
    if (ticket.empty() || ticket.size() > max_ticket_bytes || !visible) return std::nullopt;
    return ticket;
}

}  // namespace ocgate::opencode
