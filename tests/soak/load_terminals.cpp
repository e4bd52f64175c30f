// Those who sit at terminals: keys that come back, output at a pace or as fast as it goes, slow readers, and pasted
// text.
#include <deque>

#include "load_world.hpp"

namespace soak {
namespace {

using bench::now_ns;

// The example of RFC 6455 §1.3.
constexpr std::string_view websocket_key = "dGhlIHNhbXBsZSBub25jZQ==",
                           websocket_accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
constexpr std::string_view close_frame("\x88\x00", 2);

/// Bytes that may lie between a terminal and who reads it slowly: in four buffers of the system's and one of the
/// gateway's. The terminal's own is asked to be small, it would be of megabytes.
constexpr std::uint64_t on_the_way = 512 * 1024, terminals_own = 64 * 1024;

enum class Mode { echo, output, flood, slow, paste };

constexpr std::string_view name_of(Mode mode) {
    switch (mode) {
        case Mode::echo:
            return "terminal: echo";
        case Mode::output:
            return "terminal: output";
        case Mode::flood:
            return "terminal: flood";
        case Mode::slow:
            return "terminal: slow reader";
        case Mode::paste:
            return "terminal: paste";
    }
    return "";
}

std::string masked(std::string_view payload, std::uint32_t key) {
    std::string frame = bench::frame_head(payload.size(), true);
    frame.resize(frame.size() - 4);
    char const mask[4] = {static_cast<char>(key), static_cast<char>(key >> 8), static_cast<char>(key >> 16),
                          static_cast<char>(key >> 24)};
    frame.append(mask, 4);
    auto const from = frame.size();
    frame += payload;
    for (std::size_t i = 0; i < payload.size(); ++i) frame[from + i] = static_cast<char>(frame[from + i] ^ mask[i % 4]);
    return frame;
}

class Terminal final : public Actor {
public:
    Terminal(World& world, Mode mode, std::uint64_t flood_bytes)
        : Actor(world, std::string(name_of(mode))), mode_(mode), flood_bytes_(flood_bytes) {}

    bool stays() const override { return true; }

protected:
    void begin() override;
    void on_time() override;
    void take(std::string_view bytes) override;
    void ended() override;
    std::string more() override;

private:
    void type();
    void check(std::string_view bytes);
    void refused();
    bool shakes_hands() const {
        return bench::field(answer_.head, "Sec-WebSocket-Accept") == websocket_accept &&
               bench::same_but_case(bench::field(answer_.head, "Upgrade"), "websocket");
    }

    Mode mode_;
    std::uint64_t flood_bytes_;
    std::int64_t began_ = 0, heard_ = 0, ends_at_ = 0;
    std::string expected_;             // and has not come
    std::uint64_t at_ = 0, left_ = 0;  // of what comes by itself
    std::size_t frame_ = 0;
    bool complete_ = false;
    std::uint64_t up_at_ = 0, up_left_ = 0;  // of what is typed or pasted
    std::uint64_t read_ = 0;
    std::deque<std::pair<std::int64_t, std::uint64_t>> reads_;  // when it had read how much, of the last `on_the_way`
    std::deque<std::int64_t> typed_at_;
    std::deque<std::size_t> typed_bytes_;
};

void Terminal::begin() {
    answer_ = {};
    expected_.clear();
    typed_at_.clear();
    typed_bytes_.clear();
    complete_ = false;
    left_ = up_left_ = read_ = 0;
    at_ = world_.somewhere();
    up_at_ = at_;
    connect(mode_ == Mode::slow ? 16384 : 0);
    began_ = heard_ = now_ns();
    reads_.assign(1, {began_, 0});
    ends_at_ = began_ + world_.between(20, 180) * second;
    std::string target = "/pty/pty_" + std::to_string(index) + "/connect?at=" + std::to_string(at_);
    if (mode_ == Mode::output || mode_ == Mode::flood || mode_ == Mode::slow) {
        left_ = mode_ == Mode::output ? 200 * 1500 : flood_bytes_;
        frame_ = mode_ == Mode::output ? 1500 : 4096;
        target += "&n=" + std::to_string(left_) + "&frame=" + std::to_string(frame_);
        if (mode_ == Mode::output) target += "&rate=5";
        if (mode_ == Mode::slow) target += "&unsent=" + std::to_string(terminals_own);
    }
    if (mode_ == Mode::paste) {
        up_left_ = flood_bytes_ / 4;
        target += "&sink=" + std::to_string(up_left_);
        expected_ = std::string(
                        "\x82\x04"
                        "done")
                        .append(close_frame);
    }
    auto const typed = std::exchange(up_left_, 0);  // not before the handshake is over
    say(request("GET", target,
                authorization() +
                    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
                    std::string(websocket_key) + "\r\n"));
    up_left_ = typed;
    if (connected()) world_.wake_at(*this, began_ + second);
}

void Terminal::on_time() {
    auto const now = now_ns();
    bool const waits = answer_.status == 0 || mode_ != Mode::echo || !typed_at_.empty();
    if (waits && !paused() && now > (typed_at_.empty() ? heard_ : typed_at_.front()) + patience)
        throw std::runtime_error("nothing came for a minute");
    if (answer_.status == 0) return world_.wake_at(*this, now + second);
    if (mode_ == Mode::echo) {
        if (now > ends_at_) {
            if (world_.chance() < 0.5) say(masked("", 1).replace(0, 1, "\x88"));
            drop(world_.chance() < 0.3);
            world_.count("terminals that went");
            return again_in(0, second / 2);
        }
        type();
        return world_.wake_at(*this, now + world_.between(200, 1800) * millisecond);
    }
    if (mode_ == Mode::slow) {
        heard_ = now;
        pause(!paused());
    }
    world_.wake_at(*this, now + (paused() ? world_.between(1000, 7000) : world_.between(100, 500)) * millisecond);
}

void Terminal::type() {
    if (expected_.size() > 200000) return;  // it waits for what was typed
    auto const dice = world_.chance();
    auto const bytes = static_cast<std::size_t>(dice < 0.8    ? world_.between(1, 16)
                                                : dice < 0.98 ? world_.between(100, 4000)
                                                              : world_.between(20000, 65000));
    auto const text = pattern(up_at_, bytes);
    up_at_ += bytes;
    expected_.append(bench::frame_head(bytes, false)).append(text);
    typed_at_.push_back(now_ns());
    typed_bytes_.push_back(bench::frame_head(bytes, false).size() + bytes);
    say(masked(text, static_cast<std::uint32_t>(world_.between(1, 0x7fffffff))));
}

std::string Terminal::more() {
    if (mode_ != Mode::paste || up_left_ == 0 || answer_.status != 101) return {};
    auto const n = std::min<std::uint64_t>(up_left_, 4096);
    auto const frame = masked(pattern(up_at_, n), 0x5a17c3e9);
    up_at_ += n;
    up_left_ -= n;
    return frame;
}

void Terminal::take(std::string_view bytes) {
    heard_ = now_ns();
    bool const had_head = answer_.status != 0;
    if (!answer_.take_head(bytes)) return;
    if (answer_.status != 101) return refused();
    if (!had_head) {
        if (!shakes_hands()) throw std::runtime_error("a handshake without its proof");
        say("");  // what was waiting for it
    }
    world_.counts["terminal bytes"] += bytes.size();
    read_ += bytes.size();
    if (mode_ == Mode::slow) {
        reads_.emplace_back(heard_, read_);
        while (reads_.size() > 1 && reads_[1].second + on_the_way <= read_) reads_.pop_front();
    }
    check(bytes);
}

void Terminal::check(std::string_view bytes) {
    while (!bytes.empty()) {
        if (expected_.empty()) {
            if (mode_ == Mode::echo || left_ == 0) throw std::runtime_error("more than was sent");
            auto const n = std::min<std::uint64_t>(left_, frame_);
            expected_ = bench::frame_head(n, false).append(pattern(at_, n));
            at_ += n;
            left_ -= n;
            if (left_ == 0) expected_ += close_frame;
        }
        auto const part = bytes.substr(0, expected_.size());
        if (!expected_.starts_with(part)) throw std::runtime_error("not the bytes that were sent");
        expected_.erase(0, part.size());
        bytes.remove_prefix(part.size());
        if (mode_ != Mode::echo) complete_ = expected_.empty() && left_ == 0 && up_left_ == 0;
        for (auto come = part.size(); mode_ == Mode::echo && come > 0 && !typed_bytes_.empty();) {
            auto const here = std::min(come, typed_bytes_.front());
            come -= here;
            if ((typed_bytes_.front() -= here) > 0) continue;
            world_.echoes.add(now_ns() - typed_at_.front());
            world_.count("echoes");
            typed_bytes_.pop_front();
            typed_at_.pop_front();
        }
    }
}

void Terminal::refused() {
    bool const away = (answer_.status == 502 || answer_.status == 503) &&
                      bench::field(answer_.head, "X-Ocgate-Error").starts_with("upstream ");
    if (answer_.status == 401 && password_was_changing()) {
        world_.count("401 while a password changed");
    } else {
        trouble(answer_.summary(), began_, away);
    }
    drop(false);
    again_in(second / 4, second);
}

void Terminal::ended() {
    if (complete_) {
        world_.count(name_of(mode_));
        return again_in(second, 5 * second);
    }
    // Who reads slowly hears of the end when all that came before it has been read, at its own pace.
    auto const since = mode_ == Mode::slow ? reads_.front().first : drained_;
    trouble(answer_.status == 0 ? "no answer" : "cut", since, true);
    again_in(second / 4, second);
}

}  // namespace

void add_terminals(World& world, bench::Arguments const& given) {
    auto const count = given.number("--terminals");
    auto const flood = static_cast<std::uint64_t>(given.number("--flood-bytes", 8 << 20));
    for (std::int64_t i = 0; i < count; ++i) {
        auto const mode = i % 20 == 3    ? Mode::flood
                          : i % 20 == 7  ? Mode::slow
                          : i % 20 == 11 ? Mode::paste
                          : i % 5 == 4   ? Mode::output
                                         : Mode::echo;
        world.add(std::make_unique<Terminal>(world, mode, flood), now_ns() + world.between(0, 3 * second));
    }
}

}  // namespace soak
