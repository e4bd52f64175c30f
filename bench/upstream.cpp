// A cheap stand-in for `opencode serve`: its kinds of answers without its work, so that the proxy is what one measures.
// One thread, answers made in advance, any path ignores credentials.
//
//   upstream                     prints the port it listens on
//
//   GET  /session                300 B of JSON
//   GET  /20k                    20 KiB of JSON
//   GET  /chunked                8 KiB of JSON in eight chunks
//   GET  /10m                    10 MB
//   POST anything                reads the body and answers how many bytes it had, -1 if they were not the bench's
//   GET  /event?rate=R           event stream, R events a second to all subscribers at once; R = 0: only the first
//   GET  /event?rate=R&spread=1  the same rate for each, but each gets events of its own, at its own moments
//   GET  /event?flood=EVENTS     as fast as they are taken
//   GET  /global/event           event stream that stays silent; until
//   GET  /tap?rate=R             those get R events a second, each in a write of its own; 0: silent again
//   GET  /global/health          as opencode answers it
//   GET  /pty/…/connect          WebSocket; without a query it sends back every frame
//        ?flood=FRAMES&frame=N   sends FRAMES binary frames of N bytes
//        ?sink=BYTES&frame=N     takes BYTES, framing included, of frames of N bytes, then sends one frame; leaves
//                                when they are others
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <vector>

#include "net.hpp"
#include "shared_answers.hpp"
#include "upstream_requests.hpp"

namespace {

using namespace bench;

constexpr std::size_t most_waiting_bytes = 1 << 20;  // a subscriber that falls behind further is cut off
constexpr std::size_t most_head_bytes = 65536;

struct Client {
    enum class Doing { requests, body, stream, echo, sink };

    Fd fd;
    Doing doing = Doing::requests;
    std::string in;   // the part of a head or frame that came so far
    std::string out;  // what the socket would not take
    bool close_when_written = false;
    bool watches_writable = false;
    std::int64_t body_bytes = 0, body_left = 0;
    std::string_view wanted;  // what a body or an upload repeats
    bool as_wanted = true;
    std::string_view block;  // then this one, again and again, until `repeat_left` bytes are out
    std::size_t block_at = 0, repeat_left = 0;
};

/// Subscribers of one rate. Together: every period, one event to all. Spread: the period is shared out among them, and
/// each has events, and their numbers, of its own.
struct Broadcast {
    struct Subscriber {
        int fd;
        std::uint64_t events;
    };

    std::int64_t period_ns = 0;
    bool spread = false;
    std::int64_t next_ns = 0;
    std::vector<Subscriber> subscribers;
    std::uint64_t events = 0;
    std::size_t turn = 0;
};

class Upstream {
public:
    explicit Upstream(Epoll& epoll) : epoll_(epoll) {}

    void open(Fd fd) {
        auto const index = static_cast<std::size_t>(fd.get());
        if (clients_.size() <= index) clients_.resize(index + 1);
        epoll_.add(fd.get(), EPOLLIN);
        clients_[index] = std::make_unique<Client>();
        clients_[index]->fd = std::move(fd);
    }

    void handle(int fd, std::uint32_t events) {
        if (Client* const client = find(fd); client && (events & EPOLLOUT) != 0) flush(*client);
        if (Client* const client = find(fd); client && (events & ~std::uint32_t{EPOLLOUT}) != 0) read(*client);
    }

    /// How long until an event is due; below zero: none will be.
    std::int64_t until_next(std::int64_t now) const {
        std::int64_t first = -1;
        for (auto const& [key, broadcast] : broadcasts_) {
            if (broadcast.subscribers.empty() || broadcast.period_ns == 0) continue;
            std::int64_t const left = std::max<std::int64_t>(0, broadcast.next_ns - now);
            if (first < 0 || left < first) first = left;
        }
        return first;
    }

    void send_due_events(std::int64_t now) {
        for (auto& [key, broadcast] : broadcasts_) {
            auto& subscribers = broadcast.subscribers;
            if (subscribers.empty() || broadcast.period_ns == 0 || broadcast.next_ns > now) continue;
            if (key == taps_key) {
                send_to_taps(broadcast, now);
                continue;
            }
            auto const share = broadcast.spread ? static_cast<std::int64_t>(subscribers.size()) : 1;
            if (broadcast.next_ns < now - broadcast.period_ns) broadcast.next_ns = now;  // nobody was subscribed
            if (broadcast.spread) {
                for (; broadcast.next_ns <= now && !subscribers.empty();
                     broadcast.next_ns += broadcast.period_ns / share) {
                    auto& subscriber = subscribers[++broadcast.turn % subscribers.size()];
                    std::string const event = chunk_of(event_of(now, subscriber.events++));
                    if (Client* const client = find(subscriber.fd)) send(*client, event);
                }
            } else {
                broadcast.next_ns += broadcast.period_ns;
                std::string const event = chunk_of(event_of(now, broadcast.events++));
                auto const to = subscribers;  // a failed write unsubscribes
                for (auto const& subscriber : to)
                    if (Client* const client = find(subscriber.fd)) send(*client, event);
            }
        }
    }

private:
    static constexpr std::pair<std::int64_t, bool> taps_key{-1, false};

    /// However late, every event that was due, but for those of more than a second ago.
    void send_to_taps(Broadcast& taps, std::int64_t now) {
        taps.next_ns = std::max(taps.next_ns, now - 1'000'000'000);
        for (; taps.next_ns <= now && !taps.subscribers.empty(); taps.next_ns += taps.period_ns) {
            auto const to = taps.subscribers;  // a failed write unsubscribes
            for (auto const& subscriber : to)
                if (Client* const client = find(subscriber.fd)) send(*client, tap_event_);
            ++taps.events;
        }
    }

    Client* find(int fd) {
        auto const index = static_cast<std::size_t>(fd);
        return index < clients_.size() ? clients_[index].get() : nullptr;
    }

    void close(Client& client) {
        int const fd = client.fd.get();
        if (client.doing == Client::Doing::stream)
            for (auto& [key, broadcast] : broadcasts_)
                std::erase_if(broadcast.subscribers, [fd](auto const& subscriber) { return subscriber.fd == fd; });
        clients_[static_cast<std::size_t>(fd)].reset();
    }

    // --- writing: false when the client is gone

    bool send(Client& client, std::string_view bytes) {
        if (client.out.empty() && client.repeat_left == 0) {
            Moved const put = write_some(client.fd.get(), bytes);
            if (put.ended) return close(client), false;
            bytes.remove_prefix(put.bytes);
        }
        client.out += bytes;
        if (client.out.size() > most_waiting_bytes) return close(client), false;
        return settle(client);
    }

    bool send_repeated(Client& client, std::string_view head, std::string_view block, std::size_t bytes) {
        if (!send(client, head)) return false;
        client.block = block;
        client.block_at = 0;
        client.repeat_left = bytes;
        return flush(client);
    }

    bool flush(Client& client) {
        while (!client.out.empty()) {
            Moved const put = write_some(client.fd.get(), client.out);
            if (put.ended) return close(client), false;
            client.out.erase(0, put.bytes);
            if (put.blocked) return settle(client);
        }
        while (client.repeat_left > 0) {
            std::string_view const part = client.block.substr(client.block_at, client.repeat_left);
            Moved const put = write_some(client.fd.get(), part);
            if (put.ended) return close(client), false;
            client.block_at = (client.block_at + put.bytes) % client.block.size();
            client.repeat_left -= put.bytes;
            if (put.blocked) break;
        }
        return settle(client);
    }

    bool settle(Client& client) {
        bool const waits = !client.out.empty() || client.repeat_left > 0;
        if (waits != client.watches_writable) {
            client.watches_writable = waits;
            epoll_.change(client.fd.get(), waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
        }
        if (!waits && client.close_when_written) return close(client), false;
        return true;
    }

    // --- reading

    void read(Client& client) {
        Moved const got = read_some(client.fd.get(), buffer_);
        if (got.ended) return close(client);
        std::string_view bytes{buffer_.data(), got.bytes};
        using enum Client::Doing;
        // The plain case, one whole head in one read, is answered from the buffer.
        if (client.doing == requests && client.in.empty() && bytes.ends_with("\r\n\r\n") &&
            bytes.find("\r\n\r\n") == bytes.size() - 4) {
            serve(client, bytes);
            return;
        }
        while (!bytes.empty() && take(client, bytes)) {
        }
    }

    /// Takes what it can from the front of `bytes`; false when the client is gone.
    bool take(Client& client, std::string_view& bytes) {
        switch (client.doing) {
            case Client::Doing::requests: {
                std::size_t const before = client.in.size();
                client.in += bytes;
                auto const end = client.in.find("\r\n\r\n");
                if (end == std::string::npos) {
                    bytes = {};
                    return client.in.size() < most_head_bytes || (close(client), false);
                }
                bytes.remove_prefix(end + 4 - before);
                std::string const head = client.in.substr(0, end + 4);
                client.in.clear();
                return serve(client, head);
            }
            case Client::Doing::body: {
                auto const n = std::min<std::size_t>(bytes.size(), static_cast<std::size_t>(client.body_left));
                compare(client, bytes.substr(0, n));
                bytes.remove_prefix(n);
                return client.body_left > 0 || body_over(client);
            }
            case Client::Doing::sink: {
                compare(client, bytes);
                bytes = {};
                if (client.body_left < 0 || !client.as_wanted) return close(client), false;
                if (client.body_left > 0) return true;
                return send(client, frame_head(sink_thanks.size(), false) + std::string(sink_thanks));
            }
            case Client::Doing::echo:
                client.in += bytes;
                bytes = {};
                return echo(client);
            case Client::Doing::stream:
                bytes = {};
                return true;
        }
        return false;
    }

    /// Takes the next bytes of what is to repeat `wanted` from its beginning on.
    static void compare(Client& client, std::string_view bytes) {
        while (!bytes.empty()) {
            auto const done = static_cast<std::size_t>(client.body_bytes - client.body_left);
            auto const part = client.wanted.substr(done % client.wanted.size(), bytes.size());
            client.as_wanted = client.as_wanted && bytes.starts_with(part);
            client.body_left -= static_cast<std::int64_t>(part.size());
            bytes.remove_prefix(part.size());
        }
    }

    bool body_over(Client& client) {
        client.doing = Client::Doing::requests;
        return send(client, answer(received_json(client.as_wanted ? client.body_bytes : -1)));
    }

    bool serve(Client& client, std::string_view head) {
        auto const method = head.substr(0, head.find(' '));
        std::string_view target = head.substr(method.size() + 1);
        target = target.substr(0, target.find(' '));
        std::string_view const path = target.substr(0, target.find('?'));
        client.close_when_written = field(head, "Connection") == "close";
        if (method == "POST") {
            auto const length = field(head, "Content-Length");
            if (length.empty()) return refuse(client, "411 Length Required");
            client.doing = Client::Doing::body;
            client.body_bytes = client.body_left = Arguments::to_number(length);
            client.wanted = posted_;
            client.as_wanted = true;
            return client.body_left > 0 || body_over(client);
        }
        if (method != "GET") return refuse(client, "405 Method Not Allowed");
        if (path == "/session") return send(client, small_);
        if (path == "/20k") return send(client, large_);
        if (path == "/chunked") return send(client, chunked_);
        if (path == "/10m") return send_repeated(client, huge_head_, fill_, huge_bytes);
        if (path == "/global/health") return send(client, healthy_);
        if (path == "/event" || path == "/global/event") return subscribe(client, target, path == "/global/event");
        if (path == "/tap") return steer_taps(client, parameter(target, "rate"));
        if (path.starts_with("/pty/") && path.ends_with("/connect")) return upgrade(client, head, target);
        return refuse(client, "404 Not Found");
    }

    bool refuse(Client& client, std::string_view status) {
        client.close_when_written = true;
        return send(client,
                    std::string("HTTP/1.1 ").append(status) + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }

    bool steer_taps(Client& client, std::int64_t rate) {
        auto& taps = broadcasts_[taps_key];
        taps.period_ns = rate > 0 ? 1'000'000'000 / rate : 0;
        taps.next_ns = now_ns();
        return send(client, answer("{\"subscribers\":" + std::to_string(taps.subscribers.size()) +
                                   ",\"events\":" + std::to_string(taps.events) + "}"));
    }

    bool subscribe(Client& client, std::string_view target, bool tap) {
        client.doing = Client::Doing::stream;
        client.close_when_written = false;
        std::string const head = std::string(event_stream_head) + chunk_of(first_event);
        if (auto const events = parameter(target, "flood"); events > 0)
            return send_repeated(client, head, event_flood_, chunk_of(flood_event()).size() * std::size_t(events));
        if (tap) {
            broadcasts_[taps_key].subscribers.push_back({.fd = client.fd.get(), .events = 0});
            return send(client, head);
        }
        auto const rate = parameter(target, "rate");
        bool const spread = parameter(target, "spread") != 0;
        auto& broadcast = broadcasts_[{rate, spread}];
        broadcast.period_ns = rate > 0 ? 1'000'000'000 / rate : 0;
        broadcast.spread = spread;
        broadcast.subscribers.push_back({.fd = client.fd.get(), .events = 0});
        return send(client, head);
    }

    bool upgrade(Client& client, std::string_view head, std::string_view target) {
        std::string const key(field(head, "Sec-WebSocket-Key"));
        if (key.empty() || !same_but_case(field(head, "Upgrade"), "websocket"))
            return refuse(client, "400 Bad Request");
        client.close_when_written = false;
        std::string const accepted =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: " +
            accept_of(key) + "\r\n\r\n";
        auto const frame = static_cast<std::size_t>(parameter(target, "frame"));
        if (auto const frames = parameter(target, "flood"); frames > 0) {
            client.doing = Client::Doing::stream;
            std::string& block = floods_[frame];
            if (block.empty()) block = block_of(flood_frame(frame));
            return send_repeated(client, accepted, block, flood_frame(frame).size() * static_cast<std::size_t>(frames));
        }
        client.body_bytes = client.body_left = parameter(target, "sink");
        client.doing = client.body_left > 0 ? Client::Doing::sink : Client::Doing::echo;
        if (client.body_left > 0) {
            std::string& block = uploads_[frame];
            if (block.empty()) block = block_of(upload_frame(frame));
            client.wanted = block;
        }
        return send(client, accepted);
    }

    bool echo(Client& client) {
        std::string& in = client.in;
        std::string back;
        while (in.size() >= 6) {
            auto const byte = [&in](std::size_t i) { return static_cast<unsigned char>(in[i]); };
            std::size_t payload = byte(1) & 0x7f, head = 6;
            if (payload == 126) payload = std::size_t{byte(2)} << 8 | byte(3), head = 8;
            bool const is_close = (byte(0) & 0x0f) == 0x8;
            if (is_close || payload == 127) return close(client), false;
            if (in.size() < head + payload) break;
            back += frame_head(payload, false);
            for (std::size_t i = 0; i < payload; ++i)
                back += static_cast<char>(byte(head + i) ^ byte(head - 4 + i % 4));
            in.erase(0, head + payload);
        }
        return back.empty() || send(client, back);
    }

    Epoll& epoll_;
    std::vector<std::unique_ptr<Client>> clients_;  // by descriptor
    std::map<std::pair<std::int64_t, bool>, Broadcast> broadcasts_;
    std::map<std::size_t, std::string> floods_, uploads_;  // by the size of a frame's payload
    std::array<char, 65536> buffer_{};
    std::string const small_ = answer(json_of(small_bytes)), large_ = answer(json_of(large_bytes)),
                      chunked_ = chunked_answer(), tap_event_ = chunk_of(tap_event());
    std::string const healthy_ = answer(R"({"healthy":true,"version":"1.0.0"})");
    std::string const fill_ = block_of("x"), posted_ = block_of("b"), event_flood_ = block_of(chunk_of(flood_event()));
    std::string const huge_head_ =
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " + std::to_string(huge_bytes) +
        "\r\n\r\n";
};

}  // namespace

int main(int argc, char** argv) try {
    start_as_tool();
    Arguments const arguments({argv + 1, static_cast<std::size_t>(argc - 1)}, " ");
    Epoll epoll;
    auto const upstream = std::make_unique<Upstream>(epoll);
    std::uint16_t port = 0;
    Fd const listener = listen_on_loopback(port);
    epoll.add(listener.get(), EPOLLIN);
    say_port(port);
    for (;;) {
        upstream->send_due_events(now_ns());
        epoll.wait(upstream->until_next(now_ns()), [&](int fd, std::uint32_t events) {
            if (fd != listener.get()) return upstream->handle(fd, events);
            for (Fd client = accept_from(listener); client.open(); client = accept_from(listener))
                upstream->open(std::move(client));
        });
    }
} catch (std::exception const& e) {
    std::fprintf(stderr, "upstream: %s\n", e.what());
    return 1;
}
