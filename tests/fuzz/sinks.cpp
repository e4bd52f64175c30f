// What targets of notifications are sent and answer. Whatever happened in opencode: the words are bounded, the request
// can be sent, and it fits the target's own bounds. Whatever a target answers: a verdict, with a bounded wait and no
// secret in it. Parts: target and privacy (a digit each), what happened as JSON, then answers: a status of three
// digits, a field's value, and the content.
#include "ocgate/notify/sinks.hpp"

#include <nlohmann/json.hpp>

#include "ocgate/notify/http.hpp"
#include "ocgate/notify/words.hpp"
#include "ocgate/wire/head.hpp"
#include "property.hpp"

using namespace ocgate;
using namespace ocgate::notify;
using nlohmann::json;

namespace {

constexpr std::string_view secrets[] = {"tk_hunter2", "hunter2token", "hunter2path"};

WallClock standing() {
    return [] { return std::chrono::system_clock::time_point(std::chrono::seconds(1787392800)); };
}

std::unique_ptr<Sink> sink(unsigned which) {
    switch (which % 4) {
        case 0: {
            auto settings = *ntfy_at("https://ntfy.example/agents");
            settings.token = Secret("tk_hunter2");
            return make_ntfy(std::move(settings), standing());
        }
        case 1: {
            auto settings = *discord_at("https://discord.com/api/webhooks/123456789012345678/hunter2token");
            settings.mentions = {"123456789012345678"};
            return make_discord(std::move(settings), standing());
        }
        case 2: {
            auto settings = *webhook_at("https://hooks.example/hunter2path?x=1");
            settings.keys.push_back(Secret(std::string(32, 'k')));
            return make_webhook(std::move(settings), standing());
        }
        default:
            return make_log();
    }
}

bool is_value(std::string_view text) {
    for (char const c : text)
        if ((static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f) return false;
    return true;
}

void no_secret(std::string_view text) {
    for (auto const secret : secrets) MUST(text.find(secret) == text.npos);
}

void check(Sink const& sink, HttpRequest const& request, bool planted) {
    if (!planted) {
        no_secret(request.shown);
        no_secret(request.body);
    }
    if (sink.capabilities().line_only) return;
    std::string problem;
    MUST(wire::is_token(request.method) && parse_url(request.url, problem));
    for (auto const& [name, value] : request.fields) MUST(wire::is_token(name) && is_value(value));
    MUST(request.body.empty() || json::accept(request.body));
    MUST(request.body.size() <= (sink.type() == "ntfy" ? 8192U : 256U * 1024));
    if (sink.type() != "discord" || request.body.empty()) return;
    // Discord's own bounds: refused as a whole otherwise.
    auto const body = json::parse(request.body);
    MUST(body.at("allowed_mentions").at("parse").empty());
    if (body.contains("content")) MUST(body["content"].get<std::string>().size() <= 8000);
    if (body.contains("embeds")) MUST(body["embeds"].size() <= 10);
}

HttpResponse answer(std::string_view status, std::string_view value, std::string_view body) {
    HttpResponse made;
    made.status = 200;
    if (status.size() == 3) made.status = 100U * (1 + (status[0] & 7U) % 5) + 10U * (status[1] % 10) + status[2] % 10;
    made.status = std::max(200U, made.status);
    for (auto const* name : {"retry-after", "x-ratelimit-remaining", "x-ratelimit-reset-after", "x-ratelimit-scope"})
        made.fields.emplace_back(name, value);
    made.body = body;
    return made;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const input = fuzz::as_text(data, size);
    bool const planted = input.find("hunter2") != input.npos;
    auto const part = fuzz::parts(input, 2, 14);
    auto const digit = [&](std::size_t i) {
        return part[0].size() > i ? static_cast<unsigned char>(part[0][i]) & 15U : 0;
    };
    auto const target = sink(digit(0));
    auto const privacy = static_cast<Privacy>(digit(1) % 3);

    auto facts = json::parse(part[1], nullptr, false);
    if (facts.is_discarded()) facts = {{"event", "permission"}, {"project", part[0]}, {"session", {{"title", "t"}}}};
    auto message = compose(facts, privacy);
    message.escalated = (digit(2) & 1U) != 0;
    message.silent = (digit(2) & 2U) != 0;
    MUST(message.title.size() <= 4096 && message.body.size() <= 256U * 1024 && message.data.size() <= 1024U * 1024);
    MUST(message.title.find('\n') == message.title.npos);

    Delivery delivery{"d1", "s1", {}};
    auto request = target->publish(message, delivery);
    check(*target, request, planted);
    for (std::size_t i = 2; i + 2 < part.size(); i += 3) {
        auto const verdict = target->judge(request, answer(part[i], part[i + 1], part[i + 2]));
        MUST(verdict.wait.count() >= 0 && verdict.wait <= std::chrono::hours(24));
        if (!planted) no_secret(verdict.why);
        if (!verdict.remote_id.empty()) delivery.remote_id = verdict.remote_id;
        MUST(delivery.remote_id.size() <= 1024);
        Resolution const resolution{"once", std::string(part[0]), 1787392800000};
        if (auto const end = target->resolve(message, resolution, delivery)) check(*target, *end, planted);
        for (auto const& one : target->remind(message, delivery)) check(*target, one, planted);
        request = i % 2 == 0 ? target->plain(message, delivery) : target->publish(message, delivery);
        check(*target, request, planted);
    }
    return 0;
}
