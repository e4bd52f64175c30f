#include "load_world.hpp"

#include <bit>
#include <cstdio>

namespace soak {
namespace {

using bench::now_ns;

double seconds_of(std::int64_t ns) { return static_cast<double>(ns) / 1e9; }

}  // namespace

void Times::add(std::int64_t ns) {
    auto const value = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 8));
    auto const octave = static_cast<std::size_t>(std::bit_width(value)) - 1;
    ++counts_[std::min(buckets - 1, octave * 8 + ((value >> (octave - 3)) & 7))];
    ++count_;
}

double Times::quantile_ms(double share) const {
    auto const wanted = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets; ++i) {
        seen += counts_[i];
        if (seen > wanted) return static_cast<double>((8 + i % 8 + 1) << (i / 8)) / 8 / 1e6;
    }
    return 0;
}

World::World(bench::Arguments const& given)
    : port(static_cast<std::uint16_t>(given.number("--port"))),
      alice(given.text("--alice")),
      bob(given.text("--bob")),
      carol{.now = given.text("--carol"), .before = {}},
      dice(static_cast<std::uint64_t>(given.number("--seed", 1))) {}

void World::add(std::unique_ptr<Actor> actor, std::int64_t at) {
    actor->index = actors_.size();
    wake_at(*actor, at);
    actors_.push_back(std::move(actor));
}

void World::turn() {
    auto const now = now_ns();
    while (!wakes_.empty() && wakes_.top().when <= now) {
        auto const wake = wakes_.top();
        wakes_.pop();
        Actor& actor = *actors_[wake.actor];
        if (actor.due == wake.when) actor.wake();
    }
    auto const next = wakes_.empty() ? now + second : wakes_.top().when;
    epoll.wait(std::clamp<std::int64_t>(next - now_ns(), 0, second), [this](int fd, std::uint32_t events) {
        auto const at = static_cast<std::size_t>(fd);
        if (at < by_fd_.size() && by_fd_[at]) by_fd_[at]->handle(events);
    });
}

void World::leave_all() {
    for (auto const& actor : actors_) actor->leave();
}

void World::storm(std::size_t count) {
    for (std::size_t tries = 0; count > 0 && tries < 10 * actors_.size(); ++tries) {
        Actor& one = *actors_[static_cast<std::size_t>(between(0, static_cast<std::int64_t>(actors_.size()) - 1))];
        if (!one.stays()) continue;
        one.vanish();
        --count;
    }
}

void World::wake_at(Actor& actor, std::int64_t when) {
    actor.due = when;
    wakes_.push({.when = when, .actor = actor.index});
}

void World::watch(int fd, Actor& actor) {
    auto const at = static_cast<std::size_t>(fd);
    if (by_fd_.size() <= at) by_fd_.resize(at + 1);
    by_fd_[at] = &actor;
}

void World::forget(int fd) { by_fd_[static_cast<std::size_t>(fd)] = nullptr; }

void World::trouble(std::string_view who, std::string_view how, std::int64_t since, bool soft, std::string_view id) {
    std::printf(R"({"trouble":"%.*s","how":"%.*s","request_id":"%.*s","since":%.6f,"until":%.6f,"soft":%s})"
                "\n",
                static_cast<int>(who.size()), who.data(), static_cast<int>(how.size()), how.data(),
                static_cast<int>(id.size()), id.data(), seconds_of(since), seconds_of(now_ns()),
                soft ? "true" : "false");
}

std::string World::counts_json() const {
    std::string text = "{";
    for (auto const& [what, n] : counts) text += (text.size() > 1 ? ",\"" : "\"") + what + "\":" + std::to_string(n);
    return text + "}";
}

void World::progress() {
    std::printf(
        "{\"progress\":%.3f,\"small_p50_ms\":%.3f,\"small_p99_ms\":%.3f,\"echo_p50_ms\":%.3f,"
        "\"echo_p99_ms\":%.3f,\"counts\":%s}\n",
        seconds_of(now_ns()), small_answers.quantile_ms(0.5), small_answers.quantile_ms(0.99), echoes.quantile_ms(0.5),
        echoes.quantile_ms(0.99), counts_json().c_str());
    std::fflush(stdout);
    small_answers.clear();
    echoes.clear();
}

}  // namespace soak
