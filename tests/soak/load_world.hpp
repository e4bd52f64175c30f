// What all clients of the soak share: the loop, the dice, who they are, and where they say what went wrong.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "message.hpp"
#include "net.hpp"
#include "pattern.hpp"

namespace soak {

constexpr std::int64_t millisecond = 1'000'000, second = 1000 * millisecond;
/// Far above every fault's length: whoever waits longer waits for ever.
constexpr std::int64_t patience = 60 * second;

class Actor;

/// How long something took, in buckets an eighth of an octave wide.
class Times {
public:
    void add(std::int64_t ns);
    double quantile_ms(double share) const;
    std::uint64_t count() const { return count_; }
    void clear() { *this = Times(); }

private:
    static constexpr std::size_t buckets = 8 * 40;
    std::array<std::uint64_t, buckets> counts_{};
    std::uint64_t count_ = 0;
};

/// A user whose password changes while the load runs. While it does, the old one and the new one may both be right.
struct Rotating {
    std::string now, before;
    bool changing = false;
    std::uint64_t changes = 0;  // their beginnings and ends
};

class World {
public:
    explicit World(bench::Arguments const& given);

    void add(std::unique_ptr<Actor> actor, std::int64_t at);
    /// One turn of the loop.
    void turn();
    void leave_all();
    /// So many of those who stay for long go at once, without a word, and come back.
    void storm(std::size_t count);

    void wake_at(Actor& actor, std::int64_t when);
    void watch(int fd, Actor& actor);
    void forget(int fd);

    /// What went wrong between `since` and now. `soft`: an upstream that was away may be the reason; nothing else is
    /// one.
    void trouble(std::string_view who, std::string_view how, std::int64_t since, bool soft, std::string_view id = "");
    void count(std::string_view what, std::uint64_t n = 1) { counts[std::string(what)] += n; }
    void progress();
    std::string counts_json() const;

    double chance() { return std::uniform_real_distribution<>()(dice); }
    std::int64_t between(std::int64_t from, std::int64_t to) {
        return std::uniform_int_distribution<std::int64_t>(from, to)(dice);
    }
    std::uint64_t somewhere() { return static_cast<std::uint64_t>(between(0, 1'000'000'000)); }

    std::uint16_t port;
    std::string alice, bob;
    Rotating carol;
    std::mt19937_64 dice;
    bench::Epoll epoll;
    std::map<std::string, std::uint64_t> counts;
    Times small_answers, echoes;
    std::vector<unsigned char> posts;  // by id: 1 sent, 2 answered
    std::array<char, 65536> buffer{};

private:
    struct Wake {
        std::int64_t when;
        std::size_t actor;
        bool operator<(Wake const& other) const { return when > other.when; }
    };

    std::vector<std::unique_ptr<Actor>> actors_;
    std::vector<Actor*> by_fd_;
    std::priority_queue<Wake> wakes_;
};

/// The head of an answer, and what of its content has come.
struct Answer {
    /// Takes bytes up to the end of the head; true when it is whole. Interim answers are skipped.
    bool take_head(std::string_view& bytes);
    /// A gateway's own word for what went wrong, or the status.
    std::string summary() const;

    std::string head;
    int status = 0;
    Content content;
};

/// One client, which has at most one connection.
class Actor {
public:
    Actor(World& world, std::string who) : world_(world), who_(std::move(who)) {}
    virtual ~Actor() = default;
    Actor(Actor const&) = delete;
    Actor& operator=(Actor const&) = delete;

    void handle(std::uint32_t events);
    /// Its time has come.
    void wake();
    /// Goes without a word, and comes back within a second.
    void vanish();
    void leave() { drop(world_.chance() < 0.5); }
    virtual bool stays() const { return false; }

    std::size_t index = 0;
    std::int64_t due = 0;

protected:
    virtual void begin() = 0;
    virtual void on_time() = 0;
    virtual void take(std::string_view bytes) = 0;
    virtual void ended() = 0;
    /// What is to be sent when all that was said is gone; "": nothing.
    virtual std::string more() { return {}; }

    bool connected() const { return fd_.open(); }
    void connect(int receive_buffer = 0);
    void say(std::string_view bytes);
    void drop(bool reset);
    void pause(bool paused);
    bool paused() const { return paused_; }
    /// Begins anew after a while.
    void again_in(std::int64_t from, std::int64_t to);
    void trouble(std::string_view how, std::int64_t since, bool soft);

    /// Whose credentials the next request has, as a field.
    std::string authorization();
    /// A 401 that a password which was just changing explains.
    bool password_was_changing() const;
    std::string request(std::string_view method, std::string_view target, std::string_view fields) const;

    World& world_;
    std::string who_;
    Answer answer_;
    std::int64_t drained_ = 0;  // when it had last read all there was, the connection being good

private:
    void flush();
    void read();
    void guarded(void (Actor::*what)());
    void watch();

    bench::Fd fd_;
    std::string out_;
    bool blocked_ = false, paused_ = false, deaf_peer_ = false, restarts_ = true;
    bool as_carol_ = false, while_changing_ = false;
    std::uint64_t changes_ = 0;
};

void add_rest(World& world, bench::Arguments const& given);
void add_streams(World& world, bench::Arguments const& given);
void add_terminals(World& world, bench::Arguments const& given);

}  // namespace soak
