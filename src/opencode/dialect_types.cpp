#include "dialect_types.hpp"

#include <algorithm>
#include <array>

#include "ocgate/opencode/event.hpp"

namespace ocgate::opencode {
namespace {

/// Types that opencode 1.18.33 lists in its own description, or earlier versions sent, and that tell nothing.
/// Sorted.
constexpr auto known = std::to_array<std::string_view>({
    "catalog.updated",
    "command.executed",
    "file.edited",
    "file.watcher.updated",
    "ide.installed",
    "installation.update-available",
    "installation.updated",
    "integration.connection.updated",
    "integration.updated",
    "lsp.client.diagnostics",
    "lsp.updated",
    "mcp.browser.open.failed",
    "mcp.tools.changed",
    "message.part.delta",
    "message.part.removed",
    "message.removed",
    "models-dev.refreshed",
    "plugin.added",
    "project.directories.updated",
    "project.updated",
    "pty.updated",
    "reference.updated",
    "session.diff",
    "session.next.agent.switched",
    "session.next.compaction.delta",
    "session.next.compaction.started",
    "session.next.context.updated",
    "session.next.model.switched",
    "session.next.moved",
    "session.next.prompt.admitted",
    "session.next.prompted",
    "session.next.reasoning.delta",
    "session.next.reasoning.ended",
    "session.next.reasoning.started",
    "session.next.revert.cleared",
    "session.next.revert.committed",
    "session.next.revert.staged",
    "session.next.shell.ended",
    "session.next.shell.started",
    "session.next.synthetic",
    "session.next.text.delta",
    "session.next.text.ended",
    "session.next.text.started",
    "session.next.tool.input.delta",
    "session.next.tool.input.ended",
    "session.next.tool.input.started",
    "session.next.tool.progress",
    "storage.write",
    "sync",
    "todo.updated",
    "tui.command.execute",
    "tui.prompt.append",
    "tui.session.select",
    "tui.toast.show",
    "vcs.branch.updated",
    "workspace.failed",
    "workspace.ready",
    "workspace.status",
    "worktree.failed",
    "worktree.ready",
});
static_assert(std::is_sorted(known.begin(), known.end()));

constexpr std::size_t max_type_bytes = 64;

bool looks_like_type(std::string_view text) noexcept {
    auto const fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
    };
    return !text.empty() && text.size() <= max_type_bytes && std::all_of(text.begin(), text.end(), fits);
}

/// What stands between the quote at `at` and its other one; moves `at` behind that. False when the text ends first.
bool take_string(std::string_view text, std::size_t& at, std::string_view& inside) noexcept {
    auto const begin = ++at;
    for (auto end = text.find('"', begin); end != text.npos; end = text.find('"', end + 1)) {
        auto before = end;
        while (before > begin && text[before - 1] == '\\') --before;
        if ((end - before) % 2 != 0) continue;  // an escaped quote
        inside = text.substr(begin, end - begin);
        at = end + 1;
        return true;
    }
    at = text.size();
    return false;
}

/// Where in the event of a part something stands.
enum class Place : std::uint8_t { outside, envelope, payload, properties, part, state, elsewhere };

Place inside(Place here, std::string_view key) noexcept {
    bool const in_envelope = here == Place::envelope;
    if (here == Place::outside) return Place::envelope;
    if (in_envelope && key == "payload") return Place::payload;
    if ((in_envelope || here == Place::payload) && (key == "properties" || key == "data")) return Place::properties;
    if (here == Place::properties && key == "part") return Place::part;
    if (here == Place::part && key == "state") return Place::state;
    return Place::elsewhere;
}

}  // namespace

bool tells_nothing(std::string_view type) noexcept { return std::binary_search(known.begin(), known.end(), type); }

/// Walks over JSON that may break off anywhere and looks at two objects only: the outermost and its `payload`. A `type`
/// inside a title, a command or an object further in is none.
std::string_view type_of_long(std::string_view head) noexcept {
    unsigned depth = 0;
    bool in_payload = false;
    bool key_next = false;
    std::string_view key;
    for (std::size_t at = 0; at < head.size();) {
        char const c = head[at];
        if (depth == 0 && c != '{') {
            if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return {};  // an event is an object
            ++at;
            continue;
        }
        if (c == '"') {
            std::string_view text;
            if (!take_string(head, at, text)) return {};
            if (depth != 1 && !(depth == 2 && in_payload)) continue;
            if (key_next) {
                key = text;
            } else if (key == "type") {
                return looks_like_type(text) ? text : std::string_view{};
            }
            continue;
        }
        ++at;
        if (c == '{' || c == '[') {
            if (depth == 1) in_payload = c == '{' && key == "payload";
            ++depth;
            key_next = c == '{';
        } else if (c == '}' || c == ']') {
            if (depth <= 1) return {};
            if (--depth == 1) in_payload = false;
            key_next = false;
        } else if (c == ',') {
            key_next = true;
        } else if (c == ':') {
            key_next = false;
        }
    }
    return {};
}

/// Walks over the JSON until it knows; whatever stands beside the way to the part is passed over.
PartGlance glance_at_part(std::string_view json) noexcept {
    PartGlance found;
    std::array<Place, 8> way{Place::outside};
    std::size_t depth = 0;  // of containers; of those beyond the way's end only the number is kept
    bool key_next = false;
    std::string_view key;
    auto const here = [&] { return depth < way.size() ? way[depth] : Place::elsewhere; };
    for (std::size_t at = json.find_first_of("{[\""); at < json.size(); at = json.find_first_of("{}[],:\"", at)) {
        char const c = json[at];
        if (c == '"') {
            std::string_view text;
            if (!take_string(json, at, text)) return found;
            if (key_next) {
                key = text;
            } else if (here() == Place::part && key == "type") {
                found.type = text;
            } else if (here() == Place::state && key == "status") {
                found.status = text;
            } else {
                continue;
            }
            bool const enough = !found.type.empty() && (found.type != "tool" || !found.status.empty());
            if (enough) return found;
            continue;
        }
        ++at;
        if (c == '{' || c == '[') {
            auto const next = c == '{' ? inside(here(), key) : Place::elsewhere;
            if (++depth < way.size()) way[depth] = next;
            key_next = c == '{';
        } else if (c == '}' || c == ']') {
            bool const over = here() == Place::part;
            if (depth == 0 || over) return found;
            --depth;
            key_next = false;
        } else {
            key_next = c == ',';
        }
    }
    return found;
}

}  // namespace ocgate::opencode
