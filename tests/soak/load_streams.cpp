// Those who listen to events: most read at once, some slowly, some not at all after a while.
#include "load_world.hpp"

namespace soak {
namespace {

using bench::now_ns;

constexpr int small_receive_buffer = 4096, modest_receive_buffer = 65536;
constexpr std::int64_t most_silence = 30 * second;  // the gateway fills it every few seconds

/// Every event must be whole, and the next one after the last. Comments may come between two.
class Events {
public:
    void feed(std::string_view bytes) {
        while (!bytes.empty()) {
            if (!greeted_) {
                greet(bytes.front());
                bytes.remove_prefix(1);
            } else if (comment_ > 0 || (at_ == 0 && bytes.front() == ':')) {
                take_comment(bytes.front());
                bytes.remove_prefix(1);
            } else {
                if (at_ == 0) wanted_ = event_of(next_, fat);
                auto const part = bytes.substr(0, wanted_.size() - at_);
                if (wanted_.compare(at_, part.size(), part) != 0)
                    throw std::runtime_error("not event " + std::to_string(next_));
                at_ += part.size();
                bytes.remove_prefix(part.size());
                if (at_ == wanted_.size()) at_ = 0, ++next_, ++seen;
            }
        }
    }

    bool fat = false;
    std::uint64_t seen = 0, comments = 0;

private:
    void greet(char c) {
        wanted_ += c;
        if (!wanted_.ends_with("\n\n")) {
            if (wanted_.size() > 64) throw std::runtime_error("a stream that does not begin as it was sent");
            return;
        }
        auto const from = wanted_.find_first_of("0123456789");
        if (from == std::string::npos) throw std::runtime_error("a stream that does not begin as it was sent");
        next_ = std::stoull(wanted_.substr(from));
        if (wanted_ != greeting(next_)) throw std::runtime_error("a stream that does not begin as it was sent");
        greeted_ = true;
    }

    void take_comment(char c) {
        constexpr std::string_view comment = ": \n\n";
        if (c != comment[comment_]) throw std::runtime_error("a comment inside something else");
        if (++comment_ == comment.size()) comment_ = 0, ++comments;
    }

    bool greeted_ = false;
    std::string wanted_;
    std::size_t at_ = 0, comment_ = 0;
    std::uint64_t next_ = 0;
};

class Stream final : public Actor {
public:
    enum class Mode { eager, slow, stalled };

    Stream(World& world, Mode mode, std::int64_t stall, std::string target)
        : Actor(world, mode == Mode::eager  ? "stream"
                       : mode == Mode::slow ? "slow stream"
                                            : "stalled stream"),
          mode_(mode),
          stall_(stall),
          target_(std::move(target)) {}

    bool stays() const override { return mode_ != Mode::stalled; }

protected:
    void begin() override {
        answer_ = {};
        events_ = {};
        events_.fat = mode_ != Mode::eager;
        bytes_ = 0;
        stalled_at_ = 0;
        connect(mode_ == Mode::eager ? 0 : mode_ == Mode::slow ? modest_receive_buffer : small_receive_buffer);
        heard_ = began_ = now_ns();
        ends_at_ = began_ + world_.between(20, 180) * second;
        say(request("GET", target_, authorization() + "Accept: text/event-stream\r\n"));
        if (connected()) world_.wake_at(*this, began_ + 2 * second);
    }

    void on_time() override {
        auto const now = now_ns();
        if (answer_.status == 0 && now > began_ + patience) throw std::runtime_error("no stream within a minute");
        if (mode_ == Mode::stalled) {
            if (stalled_at_ > 0 && paused()) pause(false);  // by now it has been cut, which is read after what came
            if (stalled_at_ > 0 && now > stalled_at_ + patience) throw std::runtime_error("stalled, and was not cut");
            return world_.wake_at(*this, now + second);
        }
        if (now > ends_at_ && answer_.status != 0) {
            drop(world_.chance() < 0.5);
            world_.count("streams that went");
            return again_in(0, second / 2);
        }
        if (!paused() && now > heard_ + most_silence) throw std::runtime_error("a stream fell silent");
        if (mode_ == Mode::slow) {
            heard_ = now;
            pause(!paused());
        }
        world_.wake_at(*this, now + (paused() ? world_.between(1000, 6000) : world_.between(300, 2000)) * millisecond);
    }

    void take(std::string_view bytes) override {
        heard_ = now_ns();
        if (!answer_.take_head(bytes)) return;
        if (answer_.status != 200) return refused();
        auto const events = events_.seen, comments = events_.comments;
        answer_.content.feed(bytes, [this](std::string_view part) { events_.feed(part); });
        if (events_.seen > events) world_.counts["events"] += events_.seen - events;
        if (events_.comments > comments) world_.counts["heartbeats"] += events_.comments - comments;
        world_.counts["event bytes"] += bytes.size();
        if (answer_.content.done()) throw std::runtime_error("a stream that ended as if all had been said");
        if (mode_ != Mode::stalled) return;
        bytes_ += bytes.size();
        if (stalled_at_ == 0 && bytes_ > 65536) {
            pause(true);
            stalled_at_ = now_ns();
            world_.wake_at(*this, stalled_at_ + stall_);
        }
        if (bytes_ > (64U << 20)) throw std::runtime_error("stalled, and was not cut");
    }

    void ended() override {
        if (mode_ == Mode::stalled && stalled_at_ > 0) {
            world_.count("stalled streams that were cut");
        } else {
            // Who reads slowly hears of the end when all that came before it has been read.
            auto const since = mode_ == Mode::slow ? now_ns() - 10 * second : drained_;
            trouble(answer_.status == 0 ? "no answer" : "cut", since, true);
        }
        again_in(second / 4, second);
    }

private:
    void refused() {
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

    Mode mode_;
    std::int64_t stall_;
    std::string target_;
    Events events_;
    std::uint64_t bytes_ = 0;
    std::int64_t began_ = 0, heard_ = 0, ends_at_ = 0, stalled_at_ = 0;
};

}  // namespace

void add_streams(World& world, bench::Arguments const& given) {
    auto const count = given.number("--streams");
    auto const stall = given.number("--stall-seconds", 10) * second;
    for (std::int64_t i = 0; i < count; ++i) {
        auto const mode = i % 25 == 3 ? Stream::Mode::slow : i % 50 == 9 ? Stream::Mode::stalled : Stream::Mode::eager;
        std::string target = "/event?rate=" + std::to_string(1 + i % 5);
        if (mode == Stream::Mode::slow) target = "/event?rate=1&fat=1";
        if (mode == Stream::Mode::stalled) target = "/event?flood=1";
        world.add(std::make_unique<Stream>(world, mode, stall, target), now_ns() + world.between(0, 3 * second));
    }
}

}  // namespace soak
