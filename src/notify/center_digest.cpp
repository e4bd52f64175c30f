// What is told together when the quiet hours are over: one incident for all of it. It is written before what it tells
// of ends, so that a crash in between loses nothing; what it holds are keys, so that a restart then says nothing twice.
#include <algorithm>
#include <array>
#include <ctime>
#include <nlohmann/json.hpp>

#include "center_inside.hpp"
#include "text.hpp"

namespace ocgate::notify {
namespace {
using nlohmann::json;

constexpr std::size_t max_line_bytes = 300;
constexpr std::size_t max_title_bytes = 120;
/// Of the keys kept: with the lines, and each byte escaped, still a document that the outbox takes.
constexpr std::size_t max_keys_bytes = 12 * 1024;
constexpr int most_of_one_minute = 100;
constexpr char const* mark = "for_digest";

std::string dumped(json const& document) { return document.dump(-1, ' ', false, json::error_handler_t::replace); }

/// `Mon 23:14 UTC`: where people are, nobody here knows.
std::string time_words(std::int64_t unix_ms) {
    auto const seconds = static_cast<std::time_t>(std::clamp<std::int64_t>(unix_ms / 1000, 0, 253402300799));
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    std::array<char, 32> out{};
    auto const n = std::strftime(out.data(), out.size(), "%a %H:%M UTC", &parts);
    return {out.data(), n};
}

/// `shop is done: “Fix it”, Mon 23:14 UTC`, or less of it where its own route lets less out.
std::string line_of(Raised const& raised, Privacy privacy, std::int64_t raised_ms) {
    auto facts = json::parse(raised.facts, nullptr, false);
    if (!facts.is_object()) facts = json::object();
    facts["event"] = raised.kind;
    auto const message = compose(facts, privacy);
    auto line = message.title;
    if (!message.session_title.empty()) line += ": “" + cut_bytes(message.session_title, max_title_bytes) + "”";
    line += ", " + time_words(message.at_ms > 0 ? message.at_ms : raised_ms);
    return cut_bytes(line, max_line_bytes);
}

/// The first key of this minute that is free, or that an attempt before this one has taken.
Kept<std::string> raise_digest(Outbox& outbox, NewIncident incident, std::int64_t at_ms) {
    auto const base = incident.key;
    for (int n = 2; n <= most_of_one_minute; ++n) {
        auto const change = outbox.raise(incident, at_ms);
        if (!change) return change.error();
        if (change->changed) return incident.key;
        auto const found = outbox.find(incident.key);
        if (!found) return found.error();
        if (*found && (*found)->facts == incident.facts) return incident.key;
        incident.key = base + "/" + std::to_string(n);
    }
    return OutboxError{Trouble::full, "too many digests within one minute"};
}

}  // namespace

std::string marked_for_digest(std::string_view facts) {
    auto document = json::parse(facts, nullptr, false);
    if (!document.is_object()) return std::string(facts);
    document[mark] = true;
    return dumped(document);
}

bool is_marked_for_digest(std::string_view facts) {
    auto const document = json::parse(facts, nullptr, false);
    return document.is_object() && document.contains(mark);
}

std::vector<std::string> told_in_digest(std::string_view facts) {
    std::vector<std::string> keys;
    auto const document = json::parse(facts, nullptr, false);
    if (!document.is_object()) return keys;
    auto const found = document.find("keys");
    if (found == document.end() || !found->is_array()) return keys;
    for (auto const& key : *found) {
        if (key.is_string()) keys.push_back(key.get<std::string>());
    }
    return keys;
}

void Center::tell_digest(Active const& first) {
    auto const now = needs_.deadlines.now();
    auto const end = first.hold_end();
    std::vector<Active*> together_now;
    for (auto const& [key, active] : active_) {
        bool const held = !active->open && !active->gathered && active->handling.digest;
        if (held && active->hold_end() < end + digest_span) together_now.push_back(active.get());
    }
    std::stable_sort(together_now.begin(), together_now.end(),
                     [](auto const* a, auto const* b) { return a->began < b->began; });

    using std::chrono::duration_cast;
    using std::chrono::milliseconds;
    auto const at = now_ms();
    auto const raised_ms = [&](Active const& active) {
        return at - duration_cast<milliseconds>(now - active.began).count();
    };
    json facts{{"at_ms", at}, {"waiting", together_now.size()}};
    auto& items = facts["items"] = json::array();
    auto& kept = facts["keys"] = json::array();
    std::vector<std::string> keys;
    std::size_t kept_bytes = 0;
    for (auto* const active : together_now) {
        active->gathered = true;
        arm(*active);
        auto const& key = active->raised.key;
        keys.push_back(key);
        if (items.size() < digest_items) {
            items.push_back(line_of(active->raised, active->handling.privacy, raised_ms(*active)));
        }
        if (kept_bytes += key.size() + 3; kept_bytes <= max_keys_bytes) kept.push_back(key);
    }
    auto const ended_at = at - duration_cast<milliseconds>(now - end).count();
    auto const minute = (ended_at + 30'000) / 60'000;
    Raised digest{.key = "digest/" + std::to_string(minute * 60),
                  .kind = "digest",
                  .subject = "digest",
                  .weight = Weight::complete,
                  .facts = dumped(facts)};
    auto const facts_bytes = digest.facts.size();
    auto step = [this, digest = std::move(digest), keys = std::move(keys)]() -> rt::Task<Kept<void>> {
        auto const written_at = now_ms();
        NewIncident incident{digest.key, digest.kind, digest.subject, digest.weight, digest.facts};
        auto job = [incident, written_at](Outbox& outbox) { return raise_digest(outbox, incident, written_at); };
        auto written = co_await needs_.store.run(std::move(job));
        if (!written) {
            if (is_hopeless(written.error())) tell_alone(keys);
            co_return written.error();
        }
        auto raised = digest;
        raised.key = *written;
        digest_written(std::move(raised), keys);
        co_return Kept<void>{};
    };
    then(std::move(step), facts_bytes);
}

/// It counts whatever the bounds say: it makes room for many.
void Center::digest_written(Raised digest, std::vector<std::string> const& items) {
    if (!active_.contains(digest.key)) {
        auto handling = handling_of(digest);
        auto& active = add(std::move(digest), std::move(handling));
        ++counts_.raised;
        begin(active);
    }
    for (auto const& key : items) {
        auto* const item = find(key);
        if (!item || !item->gathered) continue;
        ++counts_.suppressed["digest"];
        finish(*item, IncidentState::suppressed, "digest", {});
    }
}

/// The outbox takes no digest: then everything speaks for itself.
void Center::tell_alone(std::vector<std::string> const& items) {
    for (auto const& key : items) {
        auto* const item = find(key);
        if (!item || !item->gathered) continue;
        item->gathered = false;
        item->handling.digest = false;
        open(*item);
    }
}

}  // namespace ocgate::notify
