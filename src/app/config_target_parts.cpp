// What a target says: its words, its body, and what goes with it.
#include <algorithm>

#include "config_json.hpp"
#include "config_targets.hpp"
#include "ocgate/notify/http.hpp"
#include "ocgate/notify/router.hpp"

namespace ocgate::app {
namespace {

using nlohmann::json;

constexpr std::size_t max_mentions = 50;
constexpr std::size_t max_keys = 8;
constexpr std::size_t max_headers = 32;
constexpr std::size_t max_header_bytes = 4096;

/// Set by us, or part of how HTTP/1.1 is spoken.
constexpr std::string_view taken_headers[] = {"connection",
                                              "content-length",
                                              "content-type",
                                              "expect",
                                              "host",
                                              "keep-alive",
                                              "te",
                                              "trailer",
                                              "proxy-authorization",
                                              "upgrade",
                                              "user-agent",
                                              "transfer-encoding",
                                              "webhook-id",
                                              "webhook-timestamp",
                                              "webhook-signature",
                                              "proxy-connection",
                                              "content-encoding"};

/// Parts of names of headers that carry what nobody else is to know.
constexpr std::string_view secret_headers[] = {"auth", "token", "key", "secret", "password", "cookie", "signature"};

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return result;
}

/// RFC 9110 §5.6.2.
bool is_token(std::string_view text) {
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               others.find(c) != std::string_view::npos;
    });
}

bool is_header_value(std::string_view text) {
    auto const fits = [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7F; };
    return !text.empty() && text.size() <= max_header_bytes && text.front() != ' ' && text.back() != ' ' &&
           std::all_of(text.begin(), text.end(), fits);
}

bool carries_secret(std::string const& name) {
    return std::any_of(std::begin(secret_headers), std::end(secret_headers),
                       [&](std::string_view part) { return name.find(part) != std::string::npos; });
}

std::string at_byte(notify::TemplateError const& error) {
    return error.why + " (at byte " + std::to_string(error.at) + " of the template)";
}

/// Complains of every string that is no template, at its own place.
void check_strings(Fields& fields, json const& value, std::string const& place) {
    if (value.is_string()) {
        auto const parsed = notify::Template::parse(value.get_ref<std::string const&>());
        if (!parsed) fields.complain(place, at_byte(parsed.error()));
    } else if (value.is_object()) {
        for (auto const& [key, inner] : value.items()) check_strings(fields, inner, pointer_to(place, key));
    } else if (value.is_array()) {
        for (std::size_t i = 0; i < value.size(); ++i) check_strings(fields, value[i], below(place, i));
    }
}

}  // namespace

void TargetReader::read_mentions(Fields& fields, notify::DiscordSettings& settings) {
    auto mentions = fields.texts("mentions", "ids of users", max_mentions);
    if (!mentions) return;
    for (std::size_t i = 0; i < mentions->size(); ++i) {
        auto const& id = (*mentions)[i];
        bool const digits = std::all_of(id.begin(), id.end(), [](char c) { return c >= '0' && c <= '9'; });
        if (!digits || id.size() > 20)
            fields.complain(below(fields.place("mentions"), i),
                            "expected a user's id, up to 20 digits in quotes, as Discord copies it");
    }
    settings.mentions = std::move(*mentions);
}

notify::WebhookSettings TargetReader::webhook(Fields& fields) {
    notify::WebhookSettings settings;
    auto const* const form = fields.find("url");
    if (!form) fields.complain(fields.place(), "a url is missing");
    auto const place = fields.place("url");
    if (auto const url = fields.text_or_secret("url")) {
        auto made = notify::webhook_at(url->reveal());
        std::string problem;
        auto const parsed = notify::parse_url(url->reveal(), problem);
        if (!made || !parsed) {
            fields.complain(place, "expected an absolute URL: " + (made ? problem : made.error().why));
        } else {
            if (form->is_string() && !parsed->authorization.empty())
                fields.complain(place,
                                "user and password stand in clear; give the whole URL as {\"env\": \"NAME\"} or "
                                "{\"file\": \"/path\"}");
            settings = std::move(*made);
            if (!form->is_string() || !parsed->authorization.empty())
                doubt_plain(settings.url.reveal(), place, "the URL, which is a secret,");
        }
    }
    if (auto const* const keys = fields.find("keys")) {
        if (!keys->is_array() || keys->size() > max_keys) {
            fields.complain(fields.place("keys"), "expected an array of at most " + std::to_string(max_keys) +
                                                      " keys, got " + kind_of(*keys));
        } else {
            for (std::size_t i = 0; i < keys->size(); ++i) {
                auto const at = below(fields.place("keys"), i);
                auto const text = loader_.secret_of((*keys)[i], at);
                if (!text) continue;
                auto key = notify::signing_key(text->reveal());
                if (key) {
                    settings.keys.push_back(std::move(*key));
                } else {
                    fields.complain(at, key.error().why);
                }
            }
        }
    }
    read_headers(fields, settings);
    settings.body = body_template(fields);
    return settings;
}

void TargetReader::read_headers(Fields& fields, notify::WebhookSettings& settings) {
    auto const* const given = fields.find("headers");
    if (!given) return;
    Fields headers(loader_, *given, fields.place("headers"));
    if (!given->is_object()) return;
    if (given->size() > max_headers)
        return headers.complain(headers.place(), "expected at most " + std::to_string(max_headers) + " headers, got " +
                                                     std::to_string(given->size()));
    std::set<std::string> seen;
    for (auto const& [name, form] : given->items()) {
        auto const place = headers.place(name);
        auto const small = lower(name);
        if (!is_token(name)) {
            headers.complain(place, "expected the name of a header field: letters, digits and -");
        } else if (std::find(std::begin(taken_headers), std::end(taken_headers), small) != std::end(taken_headers)) {
            headers.complain(place, "this header is not for you to set; leave it out");
        } else if (!seen.insert(small).second) {
            headers.complain(place, "given twice, in other letters; keep one of them");
        }
        if (form.is_string() && carries_secret(small)) {
            headers.complain(place,
                             "expected {\"env\": \"NAME\"} or {\"file\": \"/path\"}, got a string; what such a "
                             "header carries stands nowhere in clear");
            continue;
        }
        auto value = headers.text_or_secret(name);
        if (!value) continue;
        if (!is_header_value(value->reveal()))
            headers.complain(place, "expected a value without control characters and spaces around it, of at most " +
                                        std::to_string(max_header_bytes) + " bytes");
        if (!form.is_string()) doubt_plain(settings.url.reveal(), place, "this header");
        settings.headers.emplace_back(name, std::move(*value));
    }
}

notify::WordsByEvent TargetReader::words(Fields& fields) {
    notify::WordsByEvent all;
    auto const* const given = fields.find("words");
    if (!given) return all;
    Fields events(loader_, *given, fields.place("words"));
    events.only(notify::all_events);
    static constexpr std::string_view keys[] = {"title", "body"};
    for (auto const event : notify::all_events) {
        auto const* const one = events.find(event);
        if (!one) continue;
        Fields words(loader_, *one, events.place(event));
        words.only(keys);
        if (one->is_object() && !words.find("title") && !words.find("body"))
            words.complain(words.place(), "expected a title, a body or both");
        all[std::string(event)] = {text_template(words, "title"), text_template(words, "body")};
    }
    return all;
}

std::shared_ptr<notify::Template const> TargetReader::text_template(Fields& fields, std::string_view key) {
    auto const text =
        fields.text(key, "a template: text with {{session.title}} and the like", notify::max_template_bytes);
    if (!text) return nullptr;
    auto parsed = notify::Template::parse(*text);
    if (parsed) return std::make_shared<notify::Template const>(std::move(*parsed));
    fields.complain(fields.place(key), at_byte(parsed.error()));
    return nullptr;
}

std::shared_ptr<notify::JsonTemplate const> TargetReader::body_template(Fields& fields) {
    auto const* const body = fields.find("body");
    if (!body) return nullptr;
    auto const place = fields.place("body");
    if (!body->is_object() && !body->is_array()) {
        fields.complain(place, "expected an object or an array, whose strings are templates, got " + kind_of(*body));
        return nullptr;
    }
    auto const errors = loader_.error_count();
    check_strings(fields, *body, place);
    if (errors != loader_.error_count()) return nullptr;
    auto parsed = notify::JsonTemplate::parse(body->dump());
    if (parsed) return std::make_shared<notify::JsonTemplate const>(std::move(*parsed));
    fields.complain(place, parsed.error().why);
    return nullptr;
}

}  // namespace ocgate::app
