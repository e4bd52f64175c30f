// What the soak's upstream makes of a request.
#include "upstream.hpp"

namespace soak {
namespace {

using bench::field;
using bench::now_ns;
using bench::parameter;

constexpr std::string_view event_stream_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

std::string head_of(std::uint64_t bytes) {
    return "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " + std::to_string(bytes) +
           "\r\n\r\n";
}

std::string garbage(std::int64_t kind) {
    constexpr std::string_view ok = "HTTP/1.1 200 OK\r\n";
    switch (kind) {
        case 0:
            return std::string(ok) + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello";
        case 1:
            return std::string("\x16\x03\x01\x02\x00\x01", 6) + std::string(100, '\x07') + "\r\n\r\n";
        case 2:
            return std::string(ok) + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        case 3:
            return std::string(ok) + "X: " + std::string(100000, 'x') + "\r\n\r\n";
        case 4:
            return "";
        case 5:
            return std::string(ok) + "Transfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n";
        default:
            return std::string(ok) + "Content-Length: 1000\r\n\r\nonly this";
    }
}

}  // namespace

bool Upstream::serve(Client& client, std::string const& head) {
    auto const from = head.find(' ') + 1;
    std::string_view const target = std::string_view(head).substr(from, head.find(' ', from) - from);
    std::string_view const path = target.substr(0, target.find('?'));
    auto const number = [&](std::string_view name) { return static_cast<std::uint64_t>(parameter(target, name)); };
    bool const own = path.starts_with("/soak/") || path.starts_with("/pty/") || path == "/event";
    if (!own) return relay(client, head, path == "/global/event");
    if (field(head, "Authorization") != credentials_) {
        client.close_when_written = true;
        return send(client, answer("401 Unauthorized", "{}"));
    }
    client.source = {.at = number("at"), .left = number("n"), .piece = number("chunk")};
    if (path == "/soak/bytes") return send_bytes(client);
    if (path == "/soak/take") return begin_upload(client, head, number("id"), number("at"));
    if (path == "/soak/slow") {
        client.doing = Doing::waiting;
        client.out = head_of(client.source.left);
        wait_until(client, now_ns() + parameter(target, "ms") * 1'000'000);
        return true;
    }
    if (path == "/soak/reset") {
        client.reset_when_written = true;
        std::string const says = head_of(client.source.left);
        auto const after = number("after");
        if (after > 0) client.out = says;
        client.source.left = after;
        return flush(client);
    }
    if (path == "/soak/garbage") {
        client.source = {};
        client.close_when_written = true;
        client.out = garbage(parameter(target, "kind"));
        return flush(client);
    }
    if (path == "/event") return subscribe(client, target);
    if (path.ends_with("/connect")) return upgrade(client, head, target);
    client.source = {};
    return send(client, answer("404 Not Found", "{\"name\":\"NotFoundError\"}"));
}

bool Upstream::send_bytes(Client& client) {
    if (client.source.piece > 0) {
        client.source.wrap = Source::Wrap::chunks;
        client.out = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    } else {
        client.out = head_of(client.source.left);
    }
    client.out += client.source.next();
    return flush(client);
}

bool Upstream::begin_upload(Client& client, std::string const& head, std::uint64_t id, std::uint64_t at) {
    if (id < ledger_bytes && ledger_[id] < 255) ++ledger_[id];
    client.source = {};
    client.doing = Doing::taking;
    client.content = Content::of(head, false);
    client.expected = at;
    client.taken = 0;
    client.right = true;
    return !client.content.done() || taken(client);
}

bool Upstream::subscribe(Client& client, std::string_view target) {
    client.doing = Doing::stream;
    client.source = {};
    client.out = event_stream_head;
    if (parameter(target, "flood") != 0) {
        client.out += chunk_of(greeting(0));
        client.source = {.wrap = Source::Wrap::events, .left = 1};
        return flush(client);
    }
    auto const rate = std::max<std::int64_t>(1, parameter(target, "rate"));
    auto& group = groups_[{rate, parameter(target, "fat")}];
    if (group.subscribers.empty()) group.next_ns = now_ns();
    group.fat = parameter(target, "fat") != 0;
    group.period_ns = second / rate;
    group.subscribers.insert(client.fd.get());
    client.out += chunk_of(greeting(group.next));
    return flush(client);
}

bool Upstream::upgrade(Client& client, std::string_view head, std::string_view target) {
    auto const frame = static_cast<std::size_t>(parameter(target, "frame"));
    client.out =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
        bench::accept_of(std::string(field(head, "Sec-WebSocket-Key"))) + "\r\n\r\n";
    client.wanted = static_cast<std::uint64_t>(parameter(target, "sink"));
    client.expected = client.source.at;
    client.taken = 0;
    client.right = true;
    client.doing = frame > 0 ? Doing::stream : client.wanted > 0 ? Doing::sink : Doing::echo;
    if (frame == 0) return client.source = {}, flush(client);
    client.source.wrap = Source::Wrap::frames;
    client.source.piece = frame;
    client.close_when_written = true;
    if (auto const most = static_cast<int>(parameter(target, "unsent")); most > 0)
        setsockopt(client.fd.get(), SOL_SOCKET, SO_SNDBUF, &most, sizeof most);
    if (auto const rate = parameter(target, "rate"); rate > 0) {
        client.source.period_ns = second / rate;
        wait_until(client, now_ns() + client.source.period_ns);
    }
    return flush(client);
}

bool Upstream::relay(Client& client, std::string const& head, bool stream) {
    int const fd = client.fd.get();
    Fd backend = bench::connect_to_loopback(rest_);
    int const other = backend.get();
    client.doing = Doing::relayed;
    client.source = {};
    client.partner = other;
    client.relays_stream = stream;
    auto const length = field(head, "Content-Length");
    client.relay_left = length.empty() ? 0 : static_cast<std::size_t>(bench::Arguments::to_number(length));
    open(std::move(backend), Doing::backend);
    Client& opened = *find(other);
    opened.partner = fd;
    opened.out = head.substr(0, head.find("\r\n") + 2) + "Connection: close\r\n" + head.substr(head.find("\r\n") + 2);
    opened.watches_writable = true;
    epoll_.change(other, EPOLLIN | EPOLLOUT);
    return true;
}

}  // namespace soak
