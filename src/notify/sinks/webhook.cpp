// A webhook of the operator's own, signed as Standard Webhooks 1.0 has it. It is told of the end of an incident as
// well.
#include <openssl/evp.h>

#include <algorithm>

#include "ocgate/notify/sinks.hpp"
#include "ocgate/notify/words.hpp"
#include "ocgate/wire/head.hpp"
#include "rules.hpp"
#include "text.hpp"

namespace ocgate::notify {
namespace {

using nlohmann::json;

struct Type {
    std::string_view event, begins, ends;
};
constexpr Type types[] = {
    {"permission", "opencode.permission.asked", "opencode.permission.over"},
    {"question", "opencode.question.asked", "opencode.question.over"},
    {"complete", "opencode.session.completed", "opencode.session.over"},
    {"error", "opencode.session.failed", "opencode.session.over"},
    {"retry", "opencode.session.retrying", "opencode.session.over"},
    {"upstream_down", "opencode.upstream.down", "opencode.upstream.up"},
    {"budget", "opencode.budget.reached", "opencode.budget.over"},
    {"digest", "opencode.digest", "opencode.digest.over"},
    {"test", "opencode.test", "opencode.test.over"},
};

std::string type_of(Message const& message, bool over) {
    for (auto const& type : types)
        if (type.event == message.event) return std::string(over ? type.ends : type.begins);
    return "opencode.other";
}

class Webhook final : public Sink {
public:
    Webhook(WebhookSettings settings, WallClock wall) : settings_(std::move(settings)), wall_(std::move(wall)) {}

    [[nodiscard]] std::string_view type() const noexcept override { return "webhook"; }

    [[nodiscard]] Capabilities capabilities() const noexcept override {
        Capabilities can;
        can.replaces = true;  // webhook-id is the same on every attempt: the receiver knows what it has got
        can.resolves = true;
        return can;
    }

    [[nodiscard]] HttpRequest publish(Message const& message, Delivery const& delivery) const override {
        return post(told(envelope(message, false)), delivery);
    }

    [[nodiscard]] HttpRequest plain(Message const& message, Delivery const& delivery) const override {
        auto body = envelope(message, false);
        body["data"] = {{"incident", message.incident_key}, {"title", message.title}};
        return post(body, delivery);
    }

    [[nodiscard]] std::optional<HttpRequest> resolve(Message const& message, Resolution const& resolution,
                                                     Delivery const& delivery) const override {
        auto body = envelope(message, true);
        if (resolution.at_ms > 0) body["timestamp"] = rfc3339(resolution.at_ms);
        body["data"]["resolution"] = {{"outcome", clean(resolution.outcome, Lines::join)},
                                      {"by", clean(resolution.by, Lines::join)},
                                      {"words", outcome_words(resolution)},
                                      {"at", rfc3339(resolution.at_ms)}};
        return post(told(body), delivery);
    }

    [[nodiscard]] std::vector<HttpRequest> remind(Message const& message, Delivery const& delivery) const override {
        auto body = envelope(message, false);
        body["data"]["reminder"] = true;
        return {post(told(body), delivery)};
    }

    [[nodiscard]] Verdict judge(HttpRequest const&, HttpResponse const& response) override {
        using Kind = Verdict::Kind;
        auto const status = response.status;
        auto const answered = "answered " + std::to_string(status);
        if (status >= 200 && status < 300) return {.kind = Kind::delivered};
        if (status == 410) return {.kind = Kind::disable, .why = answered + ": it wants no more"};
        if (auto const usual = usual_verdict(response, wall_)) return *usual;
        if (status == 400 || status == 413 || status == 415 || status == 422)
            return {.kind = Kind::rejected, .why = answered + ": the message was refused"};
        // A receiver being replaced answers 404, one with a new key 401: it may come back.
        return {.kind = Kind::retry, .why = answered};
    }

private:
    [[nodiscard]] json envelope(Message const& message, bool over) const {
        auto data = data_of(message);
        data["event"] = message.event;
        data["incident"] = message.incident_key;
        data["priority"] = message.priority;
        data["blocks"] = message.blocks;
        data["title"] = clean(message.title, Lines::join);
        data["body"] = clean(message.body, Lines::keep);
        // When it happened, not when it is told: under one webhook-id each attempt says the same.
        auto const at = message.at_ms > 0 ? message.at_ms : unix_ms(wall_);
        return {{"type", type_of(message, over)}, {"timestamp", rfc3339(at)}, {"data", std::move(data)}};
    }

    /// The operator's own form sees all of the envelope: `{{type}}`, `{{data.title}}`.
    [[nodiscard]] json told(json const& body) const { return settings_.body ? settings_.body->render(body) : body; }

    [[nodiscard]] HttpRequest post(json const& body, Delivery const& delivery) const {
        HttpRequest request;
        request.method = "POST";
        request.url = settings_.url.reveal();
        auto const place = place_of(request.url, true);
        request.shown = "POST " + (place ? place->host : std::string()) + "/***";
        request.body = dumped(body);
        auto const id = "msg_" + plain_id(delivery.id);
        auto const timestamp = std::to_string(unix_ms(wall_) / 1000);
        request.fields = {{"User-Agent", "ocgate/" + settings_.version},
                          {"Content-Type", "application/json"},
                          {"webhook-id", id},
                          {"webhook-timestamp", timestamp}};
        if (auto const signature = signatures(id + "." + timestamp + "." + request.body); !signature.empty())
            request.fields.emplace_back("webhook-signature", signature);
        for (auto const& field : settings_.headers) {
            auto const& name = field.first;
            // In place of ours: two fields of one name would be read as one of them, nobody knows which.
            std::erase_if(request.fields, [&](auto const& ours) { return wire::iequals(ours.first, name); });
            request.fields.emplace_back(name, field.second.reveal());
        }
        return request;
    }

    [[nodiscard]] std::string signatures(std::string const& bytes) const {
        std::string all;
        for (auto const& key : settings_.keys) {
            if (!all.empty()) all += ' ';
            all += "v1," + base64(hmac_sha256(key.reveal(), bytes));
        }
        return all;
    }

    WebhookSettings settings_;
    WallClock wall_;
};

}  // namespace

Setting<WebhookSettings> webhook_at(std::string_view url) {
    auto const place = place_of(url, true);
    if (!place) return place.error();
    WebhookSettings settings;
    settings.url = Secret(std::string(url));
    return settings;
}

Setting<Secret> signing_key(std::string_view text) {
    constexpr std::string_view prefix = "whsec_";
    SettingError const wrong{"expected whsec_ and 24 to 64 bytes in base64"};
    if (!text.starts_with(prefix)) return wrong;
    text.remove_prefix(prefix.size());
    if (text.empty() || text.size() % 4 != 0 || text.size() > 100) return wrong;
    auto const padding = static_cast<std::size_t>(text.end() - std::find(text.begin(), text.end(), '='));
    if (padding > 2) return wrong;
    std::string key(text.size() / 4 * 3, '\0');
    auto const size =
        EVP_DecodeBlock(reinterpret_cast<unsigned char*>(key.data()),
                        reinterpret_cast<unsigned char const*>(text.data()), static_cast<int>(text.size()));
    if (size < 0) return wrong;
    key.resize(static_cast<std::size_t>(size) - padding);  // EVP_DecodeBlock(3) counts padding as bytes
    if (key.size() < 24 || key.size() > 64 || base64(key) != text) return wrong;
    return Secret(std::move(key));
}

std::unique_ptr<Sink> make_webhook(WebhookSettings settings, WallClock wall) {
    return std::make_unique<Webhook>(std::move(settings), std::move(wall));
}

}  // namespace ocgate::notify
