// What comes to the soak's upstream and what leaves it, byte for byte.
#include <iostream>

#include "upstream.hpp"

namespace soak {
namespace {

using bench::Moved;

constexpr std::size_t most_waiting_bytes = 8 << 20;  // a subscriber that falls behind further is a fault of the test's

}  // namespace

// --- writing: false when the client is gone

bool Upstream::send(Client& client, std::string_view bytes) {
    if (client.out.empty()) {
        Moved const put = bench::write_some(client.fd.get(), bytes);
        if (put.ended) return close(client), false;
        bytes.remove_prefix(put.bytes);
    }
    client.out += bytes;
    if (client.out.size() > most_waiting_bytes) {
        std::cerr << "upstream: a subscriber fell behind by 8 MiB" << std::endl;
        return close(client), false;
    }
    return settle(client);
}

bool Upstream::flush(Client& client) {
    for (;;) {
        while (!client.out.empty()) {
            Moved const put = bench::write_some(client.fd.get(), client.out);
            if (put.ended) return close(client), false;
            client.out.erase(0, put.bytes);
            if (put.blocked) return settle(client);
        }
        bool const more = client.doing != Doing::waiting && client.source.period_ns == 0 && client.source.left > 0;
        if (!more) return settle(client);
        client.out = client.source.next();
    }
}

bool Upstream::settle(Client& client) {
    bool const blocked = !client.out.empty();
    if (blocked != client.watches_writable) {
        client.watches_writable = blocked;
        epoll_.change(client.fd.get(), blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
    if (blocked || client.source.left > 0) return true;
    if (client.reset_when_written) will_reset(client.fd.get());
    if (client.reset_when_written || client.close_when_written) return close(client), false;
    return true;
}

// --- reading

void Upstream::read(Client& client) {
    Moved const got = bench::read_some(client.fd.get(), buffer_);
    if (got.ended) return close(client);
    take_all(client, {buffer_.data(), got.bytes});
}

void Upstream::take_all(Client& client, std::string_view bytes) {
    int const fd = client.fd.get();
    while (!bytes.empty() && find(fd) == &client && take(client, bytes)) {
    }
}

/// Takes what it can from the front of `bytes`; false when there is no use for more.
bool Upstream::take(Client& client, std::string_view& bytes) {
    switch (client.doing) {
        case Doing::requests: {
            std::size_t const before = client.in.size();
            client.in += bytes;
            auto const end = client.in.find("\r\n\r\n");
            if (end == std::string::npos) return false;
            bytes.remove_prefix(end + 4 - before);
            std::string const head = client.in.substr(0, end + 4);
            client.in.clear();
            return serve(client, head);
        }
        case Doing::taking: {
            bytes.remove_prefix(client.content.feed(bytes, [&](auto part) { compare(client, part); }));
            return !client.content.done() || taken(client);
        }
        case Doing::waiting:
            client.in += bytes;
            bytes = {};
            return false;
        case Doing::stream:
            bytes = {};
            return false;
        case Doing::echo:
        case Doing::sink:
            client.in += bytes;
            bytes = {};
            return frames(client);
        case Doing::relayed: {
            auto const part = bytes.substr(0, client.relay_left);
            client.relay_left -= part.size();
            client.in += bytes.substr(part.size());  // the next request: when this one's answer is over
            bytes = {};
            Client* const backend = find(client.partner);
            return backend && !part.empty() && send(*backend, part);
        }
        case Doing::backend: {
            Client* const other = find(client.partner);
            auto const part = std::exchange(bytes, {});
            return other && send(*other, part);
        }
    }
    return false;
}

void Upstream::compare(Client& client, std::string_view bytes) {
    client.right = client.right && matches(client.expected, bytes);
    client.taken += bytes.size();
}

bool Upstream::taken(Client& client) {
    client.doing = Doing::requests;
    return send(client, answer("200 OK", "{\"bytes\":" + std::to_string(client.taken) +
                                             (client.right ? ",\"right\":true}" : ",\"right\":false}")));
}

/// What a client's frames say. They are masked and below 64 KiB.
bool Upstream::frames(Client& client) {
    std::string& in = client.in;
    std::string back;
    std::size_t done = 0;
    while (in.size() >= done + 6) {
        auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(in[done + i]); };
        std::size_t payload = byte(1) & 0x7f, head = 6;
        bool const known = payload < 127 && (byte(1) & 0x80) != 0;
        if (payload == 126) payload = std::size_t{byte(2)} << 8 | byte(3), head = 8;
        if ((byte(0) & 0x0f) == 8) return close(client), false;
        if (!known || byte(0) != 0x82) {
            std::cerr << "upstream: a frame that no client sent" << std::endl;
            return close(client), false;
        }
        if (in.size() < done + head + payload) break;
        for (std::size_t i = 0; i < payload; ++i)
            in[done + head + i] = static_cast<char>(byte(head + i) ^ byte(head - 4 + i % 4));
        std::string_view const text = std::string_view(in).substr(done + head, payload);
        if (client.doing == Doing::echo) back.append(bench::frame_head(payload, false)).append(text);
        if (client.doing == Doing::sink) compare(client, text);
        done += head + payload;
    }
    in.erase(0, done);
    if (client.doing == Doing::sink && client.taken >= client.wanted) {
        bool const right = client.right && client.taken == client.wanted;
        client.close_when_written = true;
        return send(client, bench::frame_head(4, false) + (right ? "done" : "bad!") + std::string("\x88\x00", 2));
    }
    return back.empty() || send(client, back);
}

}  // namespace soak
