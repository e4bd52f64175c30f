// What people ask a running gateway on its own machine: the pages of its traffic port, through the control socket.
#include "commands_page.hpp"

#include <nlohmann/json.hpp>
#include <ostream>

#include "commands.hpp"
#include "control.hpp"
#include "page_text.hpp"

namespace ocgate::app {
namespace {

using nlohmann::json;

constexpr milliseconds page_patience{10'000};
constexpr milliseconds test_patience{40'000};  ///< a target is tried for 30 s

/// The text of that member; empty when there is none.
std::string text_of(json const& object, char const* key) {
    auto const found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Why an error page is one.
std::string message_of(proxy::PageAnswer const& page) {
    auto const body = json::parse(page.body, nullptr, false);
    auto const error = body.find("error");
    auto message = error == body.end() ? std::string() : text_of(*error, "message");
    if (message.empty()) message = "it answered with status " + std::to_string(page.status);
    return one_line(message);
}

}  // namespace

std::optional<std::string> fetch_page(std::string_view command, Flags const& flags, Sources const& sources,
                                      proxy::PageRequest const& request, milliseconds patience, std::ostream& err) {
    auto const loaded = load_config(flags, sources);
    if (!tells_where(loaded, flags, sources, "control_socket", err)) return std::nullopt;
    auto const who = "ocgate " + std::string(command) + ": ";
    auto const& path = loaded.config.control_socket;
    if (path.empty()) {
        err << who << "no control socket is configured; " << request.method << ' ' << request.target
            << " on the traffic port says the same\n";
        return std::nullopt;
    }
    std::string problem;
    auto page = ask_page(path, request, patience, problem);
    if (!page) {
        err << who << problem << '\n';
        return std::nullopt;
    }
    if (page->status / 100 != 2) {
        err << who << message_of(*page) << '\n';
        return std::nullopt;
    }
    return std::move(page->body);
}

namespace {

int show_page(std::string const& name, Flags const& flags, Sources const& sources, bool as_json, std::ostream& out,
              std::ostream& err) {
    proxy::PageRequest request;
    request.method = "GET";
    request.target = std::string(proxy::Pages::prefix) + "/" + name;
    request.accept = as_json ? "application/json" : "text/plain";
    auto const page = fetch_page(name, flags, sources, request, page_patience, err);
    if (!page) return 1;
    out << *page;
    if (!page->ends_with('\n')) out << '\n';
    out.flush();
    return out ? 0 : 1;
}

}  // namespace

int pending(Flags const& flags, Sources const& sources, bool as_json, std::ostream& out, std::ostream& err) {
    return show_page("pending", flags, sources, as_json, out, err);
}

int sessions(Flags const& flags, Sources const& sources, bool as_json, std::ostream& out, std::ostream& err) {
    return show_page("sessions", flags, sources, as_json, out, err);
}

int status(Flags const& flags, Sources const& sources, bool as_json, std::ostream& out, std::ostream& err) {
    return show_page("status", flags, sources, as_json, out, err);
}

int notify_test(Flags const& flags, Sources const& sources, std::optional<std::string> const& target, std::ostream& out,
                std::ostream& err) {
    proxy::PageRequest request;
    request.method = "POST";
    request.target = std::string(proxy::Pages::prefix) + "/notifications/test";
    request.accept = "application/json";
    request.content_type = "application/json";
    auto wanted = json::object();
    if (target) wanted["target"] = *target;
    request.body = wanted.dump(-1, ' ', false, json::error_handler_t::replace);
    auto const page = fetch_page("notify-test", flags, sources, request, test_patience, err);
    if (!page) return 1;
    auto const answer = json::parse(*page, nullptr, false);
    auto const targets = answer.find("targets");
    if (targets == answer.end() || !targets->is_array()) {
        err << "ocgate notify-test: the gateway did not say what became of it\n";
        return 1;
    }
    if (targets->empty()) {
        err << "ocgate notify-test: nobody is told: no target is configured. Start the gateway with NTFY_TOPIC or "
               "DISCORD_WEBHOOK_URL set, or list targets in its configuration file under \"notifications\"\n";
        return 1;
    }
    bool all_sent = true;
    for (auto const& one : *targets) {
        auto const result = text_of(one, "result");
        auto const why = text_of(one, "why");
        bool const sent = result == "sent";
        all_sent = all_sent && sent;
        auto const line = text_of(one, "name") + ": " + result + (sent || why.empty() ? "" : ": " + why);
        out << one_line(line) << '\n';  // a reason may be a server's words
    }
    out.flush();
    return all_sent && out ? 0 : 1;
}

}  // namespace ocgate::app
