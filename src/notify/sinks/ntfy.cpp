// ntfy (docs/publish.md and the server's source). A message is known by its sequence id, so sending it again replaces
// it and `clear` takes it away, on servers from 2.16 on; earlier ones are noticed by their answers.
#include <algorithm>
#include <array>

#include "ocgate/notify/sinks.hpp"
#include "rules.hpp"
#include "text.hpp"

namespace ocgate::notify {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr std::size_t max_title_bytes = 200;
constexpr std::size_t max_body_bytes = 8000;  ///< of the whole JSON; the server takes 8192
constexpr std::size_t max_plain_bytes = 500;
constexpr std::size_t max_link_bytes = 512;
constexpr auto doubt = 5s;  ///< between a first 403 and the one that is believed
constexpr auto longest_doubt = 10min;
constexpr auto longest_way = 1min;  ///< more than any request takes

struct Tag {
    std::string_view event, tag;
};
constexpr Tag tags[] = {
    {"permission", "lock"}, {"question", "question"}, {"complete", "white_check_mark"},
    {"error", "warning"},   {"retry", "hourglass"},   {"upstream_down", "rotating_light"},
    {"budget", "moneybag"}, {"digest", "newspaper"},  {"test", "wave"},
};

/// Everything but the message itself is decoded by the server as RFC 2047 words.
std::string header_text(std::string_view text, std::size_t most) {
    return cut_bytes(break_encoded_words(clean(text, Lines::join)), most);
}

class Ntfy final : public Sink {
public:
    Ntfy(NtfySettings settings, WallClock wall) : settings_(std::move(settings)), wall_(std::move(wall)) {}

    [[nodiscard]] std::string_view type() const noexcept override { return "ntfy"; }

    [[nodiscard]] Capabilities capabilities() const noexcept override {
        Capabilities can;
        can.replaces = sequences_;
        can.resolves = sequences_;
        // The server's default: 60 at once, one more every 5 s. Behind an address that others use, too, none are left.
        can.burst = unix_ms(wall_) < narrow_until_ms_ ? 1 : 60;
        can.every = 5s;
        return can;
    }

    [[nodiscard]] HttpRequest publish(Message const& message, Delivery const& delivery) const override {
        auto const* const words = words_for(settings_.words, message);
        auto const data = words ? data_of(message) : json();
        auto const title = words && words->title ? words->title->render(data, Escape::line) : message.title;
        auto const text = words && words->body ? words->body->render(data, Escape::text) : message.body;
        json body = {{"topic", settings_.topic}, {"title", header_text(title, max_title_bytes)}};
        auto const priority = std::clamp(message.escalated ? 5 : message.priority, 1, 5);
        body["priority"] = message.silent ? std::min(priority, 2) : priority;
        for (auto const& [event, tag] : tags)
            if (event == message.event) body["tags"] = json::array({tag});
        if (auto const link = safe_link(message.click_url, max_link_bytes); !link.empty()) body["click"] = link;
        if (sequences_) body["sequence_id"] = plain_id(delivery.sequence);
        add_message(body, clean(text.empty() ? title : text, Lines::keep), settings_.message_bytes);
        return post(body);
    }

    [[nodiscard]] HttpRequest plain(Message const& message, Delivery const&) const override {
        json body = {{"topic", settings_.topic}};
        add_message(body, clean(message.title + "\n" + message.body, Lines::keep), max_plain_bytes);
        return post(body);
    }

    [[nodiscard]] std::optional<HttpRequest> resolve(Message const&, Resolution const&,
                                                     Delivery const& delivery) const override {
        if (!sequences_) return std::nullopt;
        return clear(delivery);
    }

    // A message that is shown is replaced without a sound, so it has to go first.
    [[nodiscard]] std::vector<HttpRequest> remind(Message const& message, Delivery const& delivery) const override {
        std::vector<HttpRequest> requests;
        if (sequences_) requests.push_back(clear(delivery));
        requests.push_back(publish(message, delivery));
        return requests;
    }

    [[nodiscard]] Verdict judge(HttpRequest const& request, HttpResponse const& response) override {
        bool const clears = request.method == "PUT";
        auto const answer = json_of(response);
        auto const code = number_in(answer, "code");
        if (response.status >= 200 && response.status < 300) return accepted(request, response, clears, answer);
        if (clears && code == 40401) {
            sequences_ = false;
            return {.kind = Verdict::Kind::gone, .why = "the server knows no sequences (ntfy before 2.16)"};
        }
        return refused(request, response, clears, code);
    }

private:
    static void add_message(json& body, std::string const& text, std::size_t most) {
        // JSON writes some characters as two bytes or more, and the server bounds the whole as well.
        for (;;) {
            body["message"] = cut_bytes(text, most);
            auto const size = dumped(body).size();
            if (size <= max_body_bytes || most == 0) return;
            most -= std::min(most, std::max<std::size_t>(1, (size - max_body_bytes) / 2));
        }
    }

    [[nodiscard]] HttpRequest request_to(std::string method, std::string const& path) const {
        HttpRequest request;
        request.made_ms = unix_ms(wall_);
        request.method = std::move(method);
        request.url = settings_.server + path;
        request.shown = request.method + " " + settings_.server + "/***";  // who knows a public topic can read it
        request.fields = {{"User-Agent", "ocgate/" + settings_.version}};
        if (!settings_.token.empty())
            request.fields.emplace_back("Authorization", "Bearer " + std::string(settings_.token.reveal()));
        else if (!settings_.user.empty())
            request.fields.emplace_back(
                "Authorization", "Basic " + base64(settings_.user + ":" + std::string(settings_.password.reveal())));
        return request;
    }

    [[nodiscard]] HttpRequest post(json const& body) const {
        auto request = request_to("POST", "/");
        request.fields.emplace_back("Content-Type", "application/json");
        request.body = dumped(body);
        return request;
    }

    [[nodiscard]] HttpRequest clear(Delivery const& delivery) const {
        return request_to("PUT", "/" + settings_.topic + "/" + plain_id(delivery.sequence) + "/clear");
    }

    Verdict accepted(HttpRequest const& request, HttpResponse const& response, bool clears, json const& answer) {
        auto id = string_in(answer, "id");
        if (!is_plain_id(id)) {
            return {.kind = Verdict::Kind::retry,
                    .why = response.whole ? "what answered is no ntfy server (no message id)" : cut_before_the_id};
        }
        forbidden_ms_.reset();
        if (clears) return {.kind = Verdict::Kind::delivered};
        auto const sequence = string_in(json::parse(request.body, nullptr, false), "sequence_id");
        if (!sequence.empty() && id != sequence) sequences_ = !string_in(answer, "sequence_id").empty();
        return {.kind = Verdict::Kind::delivered, .remote_id = std::move(id)};
    }

    Verdict refused(HttpRequest const& request, HttpResponse const& response, bool clears, std::int64_t code) {
        using Kind = Verdict::Kind;
        auto const status = response.status;
        auto const told = "answered " + std::to_string(status) + (code ? "/" + std::to_string(code) : "");
        if (code == 42909)
            return {.kind = Kind::disable, .why = told + ": too many failed logins; check token or password"};
        if (status == 429) return throttled(response, code, told);
        // The server's own codes begin with the status.
        if ((status == 401 || status == 403) && code / 100 != status) return not_its_own(told, "ntfy");
        if (status == 401) return {.kind = Kind::disable, .why = told + ": token or password is wrong"};
        if (status == 403) return forbidden(request, told);
        if (code == 40401) return {.kind = Kind::disable, .why = told + ": no ntfy server at this address"};
        // 50701: this topic is for UnifiedPush only. Any other 507 is of a server or proxy that is full.
        if (auto const usual = usual_verdict(response, wall_); usual && code != 50701) return *usual;
        // A page of a proxy's on the way says nothing about the message.
        if (status == 404) return {.kind = Kind::retry, .why = told + ", and not by ntfy"};
        if (clears) return {.kind = Kind::gone, .why = told + ": cannot be taken back"};
        return {.kind = Kind::rejected, .why = told + ": the message was refused"};
    }

    // The server says so as well when its table of users could not be read at that moment, so it is asked once more
    // before nothing is sent for good. What was under way with the first one, however long, says no more than that; and
    // what was under way when a second one was believed says nothing of whoever enables the target again.
    Verdict forbidden(HttpRequest const& request, std::string told) {
        using Kind = Verdict::Kind;
        told += ": not allowed to publish to this topic, or no credentials";
        Verdict once_more{.kind = Kind::retry, .wait = doubt, .pause = Verdict::Pause::target, .why = told};
        auto const since = [&](std::optional<std::int64_t> when) {
            return std::chrono::milliseconds(when ? request.made_ms - *when : 0);
        };
        auto const was_under_way = [&](std::optional<std::int64_t> when) {
            return when && since(when) <= 0ms && since(when) > -longest_way;  // further back, the clock was set
        };
        if (was_under_way(believed_ms_) || was_under_way(forbidden_ms_)) return once_more;
        auto const now = unix_ms(wall_);
        if (!forbidden_ms_ || since(forbidden_ms_) < 0ms || since(forbidden_ms_) > longest_doubt) {
            forbidden_ms_ = now;
            return once_more;
        }
        if (since(forbidden_ms_) < doubt) return once_more;
        forbidden_ms_.reset();
        believed_ms_ = now;
        return {.kind = Kind::disable, .why = std::move(told)};
    }

    Verdict throttled(HttpResponse const& response, std::int64_t code, std::string const& told) {
        Verdict verdict{.kind = Verdict::Kind::retry, .pause = Verdict::Pause::target, .why = told};
        auto const now = unix_ms(wall_);
        if (code == 42908) {
            constexpr std::int64_t day = 24LL * 3600 * 1000;
            verdict.wait = std::chrono::milliseconds(day - now % day);
            verdict.why += ": the day's messages are used up, until midnight UTC";
        } else if (code == 42904 || code == 42911) {
            verdict.wait = 60s;
            verdict.why += ": too many topics";
        } else if (code == 42901) {
            verdict.wait = 5s;
            narrow_until_ms_ = now + std::chrono::milliseconds(10min).count();
            verdict.why += ": too many requests";
        }
        if (auto const asked = retry_after(response, wall_)) verdict.wait = std::max(verdict.wait, *asked);
        if (verdict.wait == 0ms) verdict.pause = Verdict::Pause::delivery;
        return verdict;
    }

    NtfySettings settings_;
    WallClock wall_;
    bool sequences_ = true;  ///< until an answer shows otherwise
    std::int64_t narrow_until_ms_ = 0;
    std::optional<std::int64_t> forbidden_ms_;  ///< when the first 403 came that nothing delivered has followed
    std::optional<std::int64_t> believed_ms_;   ///< when a second one was believed
};

constexpr std::string_view taken_topics[] = {"docs",    "static",   "file",   "app",   "metrics",
                                             "account", "settings", "signup", "login", "v1"};

std::string without_slashes(std::string text) {
    while (text.ends_with('/')) text.pop_back();
    return text;
}

}  // namespace

Setting<NtfySettings> ntfy_at(std::string_view topic, std::string_view server) {
    NtfySettings settings;
    std::string name(topic);
    auto base = std::string(server);
    if (topic.find("://") != std::string_view::npos) {
        auto const url = without_slashes(std::string(topic.substr(0, topic.find_first_of("?#"))));
        auto const slash = url.rfind('/');
        if (slash < url.find("://") + 3) return SettingError{"this URL names no topic: https://ntfy.sh/my-topic"};
        name = url.substr(slash + 1);
        base = url.substr(0, slash);
    }
    auto const place = place_of(base, false);
    if (!place) return SettingError{"the server's address is none: " + place.error().why};
    if (!place->query.empty()) return SettingError{"the server's address has a query"};
    if (!is_plain_id(name)) return SettingError{"a topic is 1 to 64 letters, digits, - and _"};
    if (std::find(std::begin(taken_topics), std::end(taken_topics), name) != std::end(taken_topics))
        return SettingError{"this topic is a page of ntfy's own"};
    settings.topic = name;
    settings.server = without_slashes(place->origin + place->path);
    // There the message travels on in a push of 4000 bytes that holds it twice.
    if (place->host == "ntfy.sh") settings.message_bytes = 1000;
    return settings;
}

std::unique_ptr<Sink> make_ntfy(NtfySettings settings, WallClock wall) {
    return std::make_unique<Ntfy>(std::move(settings), std::move(wall));
}

}  // namespace ocgate::notify
