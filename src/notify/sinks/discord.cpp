// Discord's webhooks (its API documentation, "Webhook Resource" and "Rate Limits"). An edit makes no sound, so a
// reminder is a new message in place of the old one. Whoever knows the URL may post: it appears in no log and in no
// verdict.
#include <algorithm>
#include <array>
#include <cmath>

#include "discord_embed.hpp"
#include "ocgate/notify/sinks.hpp"
#include "ocgate/notify/words.hpp"
#include "rules.hpp"
#include "text.hpp"

namespace ocgate::notify {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr std::string_view discords_own = "https://discord.com/api/v10/webhooks/";
constexpr int flag_silent = 4096;
constexpr std::size_t max_button_link = 512;
constexpr std::size_t max_plain_units = 1500;
constexpr std::size_t max_mentions = 10;

class Discord final : public Sink {
public:
    Discord(DiscordSettings settings, WallClock wall) : settings_(std::move(settings)), wall_(std::move(wall)) {
        own_ = settings_.url.reveal().starts_with(discords_own);
        if (auto place = place_of(settings_.url.reveal(), false)) place_ = std::move(*place);
    }

    [[nodiscard]] std::string_view type() const noexcept override { return "discord"; }

    [[nodiscard]] Capabilities capabilities() const noexcept override {
        Capabilities can;
        can.resolves = true;
        can.burst = 4;
        can.every = 2s;
        return can;
    }

    [[nodiscard]] HttpRequest publish(Message const& message, Delivery const&) const override {
        auto body = discord_body(message, discord_words(message, words_for(settings_.words, message)));
        if (message.escalated) mention(body);
        if (message.silent) body["flags"] = flag_silent;
        return post(message, std::move(body));
    }

    [[nodiscard]] HttpRequest plain(Message const& message, Delivery const&) const override {
        json const body = {{"content", discord_line(message.title + " – " + message.body, max_plain_units)},
                           {"allowed_mentions", {{"parse", json::array()}}}};
        return request("POST", "", {"wait=true"}, body);
    }

    [[nodiscard]] std::optional<HttpRequest> resolve(Message const& message, Resolution const& resolution,
                                                     Delivery const& delivery) const override {
        if (!is_plain_id(delivery.remote_id)) return std::nullopt;
        auto body = discord_body(message, discord_words(message, resolution));
        body["components"] = json::array();
        return request("PATCH", "/messages/" + delivery.remote_id, {"with_components=true"}, body);
    }

    [[nodiscard]] std::vector<HttpRequest> remind(Message const& message, Delivery const& delivery) const override {
        std::vector<HttpRequest> requests;
        if (is_plain_id(delivery.remote_id))
            requests.push_back(request("DELETE", "/messages/" + delivery.remote_id, {}, json()));
        requests.push_back(publish(message, delivery));
        return requests;
    }

    [[nodiscard]] Verdict judge(HttpRequest const& sent, HttpResponse const& response) override {
        using Kind = Verdict::Kind;
        bool const changes = sent.method != "POST";
        auto const status = response.status;
        auto const answer = json_of(response);
        auto const code = number_in(answer, "code");
        if (status >= 200 && status < 300) return accepted(changes, response, answer);
        auto const told = "answered " + std::to_string(status) + (code ? "/" + std::to_string(code) : "");
        if (status == 429) return throttled(response, answer, told);
        if (code == 10008) return {.kind = Kind::gone, .why = told + ": the message is not there any more"};
        if (code == 30046) return {.kind = Kind::gone, .why = told + ": too old to be edited so often"};
        // A stand-in for Discord need not know how to change a message.
        if (changes && !own_ && (status == 404 || status == 405) && code != 10015)
            return {.kind = Kind::gone, .why = told + ": cannot be changed"};
        bool const is_discords = answer.is_object() && answer.contains("code");
        if (own_ && !is_discords && (status == 401 || status == 403 || status == 404))
            return not_its_own(told, "Discord");
        if (status == 401 || status == 403 || status == 404)
            return {.kind = Kind::disable, .why = told + ": the webhook is deleted or its URL is wrong"};
        if (auto const usual = usual_verdict(response, wall_)) return *usual;
        if (code == 130000) return {.kind = Kind::retry, .why = told + ": Discord is overloaded"};
        if (changes) return {.kind = Kind::gone, .why = told + ": the change was refused"};
        return {.kind = Kind::rejected, .why = told + ": the message was refused"};
    }

private:
    void mention(json& body) const {
        auto names = json::array();
        auto content = body["content"].get<std::string>();
        for (auto const& id : settings_.mentions) {
            if (names.size() == max_mentions) break;
            content += " <@" + id + ">";
            names.push_back(id);
        }
        body["content"] = content;
        if (!names.empty()) body["allowed_mentions"]["users"] = names;
    }

    [[nodiscard]] HttpRequest post(Message const& message, json body) const {
        std::vector<std::string_view> parameters{"wait=true"};
        if (auto const link = safe_link(message.click_url, max_button_link); !link.empty() && own_) {
            json const button = {{"type", 2}, {"style", 5}, {"label", "Open"}, {"url", link}};
            body["components"] = json::array({{{"type", 1}, {"components", json::array({button})}}});
            parameters.emplace_back("with_components=true");
        }
        return request("POST", "", parameters, body);
    }

    [[nodiscard]] HttpRequest request(std::string method, std::string const& below,
                                      std::vector<std::string_view> const& parameters, json const& body) const {
        // Without an answer, or without the id in it, nothing is known of what was posted: it would be posted again.
        auto query = own_ ? without_parameter(place_.query, "wait") : place_.query;
        for (auto const parameter : parameters) {
            if (has_parameter(query, parameter.substr(0, parameter.find('=')))) continue;
            if (!query.empty()) query += '&';
            query += parameter;
        }
        HttpRequest made;
        made.shown = method + " " + place_.host + "/***" + (below.empty() ? "" : "/messages");
        made.method = std::move(method);
        made.url =
            place_.origin + (place_.path.empty() ? "/" : place_.path) + below + (query.empty() ? "" : "?" + query);
        made.fields = {{"User-Agent", "DiscordBot (" + settings_.project + ", " + settings_.version + ")"}};
        if (!body.is_null()) {
            made.fields.emplace_back("Content-Type", "application/json");
            made.body = dumped(body);
        }
        return made;
    }

    Verdict accepted(bool changes, HttpResponse const& response, json const& answer) const {
        using Kind = Verdict::Kind;
        Verdict verdict{.kind = Kind::delivered};
        if (!changes) {
            auto id = string_in(answer, "id");
            if (is_plain_id(id))
                verdict.remote_id = std::move(id);
            else if (own_)
                return {.kind = Kind::retry,
                        .why = response.whole ? "what answered is not Discord (no message id)" : cut_before_the_id};
        }
        auto const remaining = header(response, "x-ratelimit-remaining");
        auto const reset = header(response, "x-ratelimit-reset-after");
        if (remaining == "0" && reset) {
            verdict.wait = seconds_in(*reset).value_or(0ms);
            if (verdict.wait > 0ms) verdict.pause = Verdict::Pause::target;
        }
        return verdict;
    }

    Verdict throttled(HttpResponse const& response, json const& answer, std::string const& told) const {
        using Pause = Verdict::Pause;
        Verdict verdict{.kind = Verdict::Kind::retry, .pause = Pause::target, .why = told + ": too many requests"};
        auto const asked = retry_after(response, wall_);
        if (!answer.is_object()) {
            // Not Discord itself but what stands before it, and that means the address we come from.
            verdict.wait = asked.value_or(10min);
            verdict.pause = Pause::type;
            verdict.why = told + ", without Discord's own words";
            return verdict;
        }
        auto const found = answer.find("retry_after");
        auto const body = found != answer.end() && found->is_number() ? at_most_a_day(found->get<double>()) : 0ms;
        verdict.wait = std::max(asked.value_or(0ms), body);
        if (verdict.wait == 0ms) verdict.wait = 1s;
        auto const global = answer.find("global");
        bool const by_body = global != answer.end() && global->is_boolean() && global->get<bool>();
        if (by_body || header(response, "x-ratelimit-global") || header(response, "x-ratelimit-scope") == "global")
            verdict.pause = Pause::type;
        return verdict;
    }

    DiscordSettings settings_;
    WallClock wall_;
    Place place_;
    bool own_ = false;  ///< Discord itself, not a stand-in
};

bool all_digits(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// `/api/webhooks/1/token`, `/api/v6/webhooks/1/token` → `1/token`; empty for anything else.
std::string_view webhook_in(std::string_view path) {
    if (!path.starts_with("/api/")) return {};
    path.remove_prefix(5);
    if (path.starts_with('v')) {
        auto const slash = path.find('/');
        if (slash == std::string_view::npos || !all_digits(path.substr(1, slash - 1))) return {};
        path.remove_prefix(slash + 1);
    }
    constexpr std::string_view place = "webhooks/";
    if (!path.starts_with(place)) return {};
    path.remove_prefix(place.size());
    while (path.ends_with('/')) path.remove_suffix(1);
    auto const slash = path.find('/');
    if (slash == std::string_view::npos || !all_digits(path.substr(0, slash))) return {};
    auto const token = path.substr(slash + 1);
    bool const plain = !token.empty() && token.size() <= 200 && std::all_of(token.begin(), token.end(), [](char c) {
        return is_plain_id(std::string_view(&c, 1));
    });
    return plain ? path : std::string_view();
}

}  // namespace

Setting<DiscordSettings> discord_at(std::string_view url) {
    auto const place = place_of(url, false);
    if (!place) return place.error();
    DiscordSettings settings;
    auto host = std::string_view(place->host);
    for (auto const* variant : {"ptb.", "canary."})
        if (host.starts_with(variant)) host.remove_prefix(std::string_view(variant).size());
    if (host != "discord.com" && host != "discordapp.com") {
        settings.url = Secret(std::string(url));
        return settings;
    }
    auto const webhook = webhook_in(place->path);
    if (webhook.empty())
        return SettingError{"no webhook of Discord's: https://discord.com/api/webhooks/<number>/<token>"};
    auto rewritten = std::string(discords_own).append(webhook);
    if (!place->query.empty()) rewritten.append("?").append(place->query);
    settings.url = Secret(std::move(rewritten));
    return settings;
}

std::unique_ptr<Sink> make_discord(DiscordSettings settings, WallClock wall) {
    std::erase_if(settings.mentions, [](std::string const& id) { return !all_digits(id) || id.size() > 20; });
    return std::make_unique<Discord>(std::move(settings), std::move(wall));
}

}  // namespace ocgate::notify
