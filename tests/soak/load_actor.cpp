#include <exception>

#include "load_world.hpp"

namespace soak {

using bench::Moved;
using bench::now_ns;

void Actor::guarded(void (Actor::*what)()) try { (this->*what)(); } catch (std::exception const& e) {
    trouble(e.what(), drained_, false);
    drop(true);
    again_in(second, 2 * second);
}

void Actor::trouble(std::string_view how, std::int64_t since, bool soft) {
    world_.trouble(who_, how, since, soft, bench::field(answer_.head, "X-Request-Id"));
}

void Actor::wake() {
    due = 0;
    if (std::exchange(restarts_, false)) return guarded(&Actor::begin);
    guarded(&Actor::on_time);
}

void Actor::again_in(std::int64_t from, std::int64_t to) {
    restarts_ = true;
    world_.wake_at(*this, now_ns() + world_.between(from, to));
}

void Actor::vanish() {
    if (!connected()) return;
    drop(true);
    world_.count("vanished");
    again_in(0, second);
}

void Actor::connect(int receive_buffer) {
    fd_ = bench::connect_to_loopback(world_.port);
    if (receive_buffer > 0) setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    out_.clear();
    blocked_ = paused_ = deaf_peer_ = false;
    drained_ = now_ns();
    world_.watch(fd_.get(), *this);
    world_.epoll.add(fd_.get(), EPOLLIN);
    world_.count("connections");
}

void Actor::drop(bool reset) {
    if (!connected()) return;
    if (reset) will_reset(fd_.get());
    world_.forget(fd_.get());
    fd_.close();
}

void Actor::watch() {
    world_.epoll.change(fd_.get(), (paused_ ? 0U : std::uint32_t{EPOLLIN}) | (blocked_ ? std::uint32_t{EPOLLOUT} : 0U));
}

void Actor::pause(bool paused) {
    if (paused == paused_ || !connected()) return;
    paused_ = paused;
    watch();
}

void Actor::say(std::string_view bytes) {
    out_ += bytes;
    flush();
}

void Actor::flush() {
    bool blocked = false;
    while (!blocked && !deaf_peer_) {
        if (out_.empty()) out_ = more();
        if (out_.empty()) break;
        Moved const put = bench::write_some(fd_.get(), out_);
        out_.erase(0, put.bytes);
        blocked = put.blocked;
        deaf_peer_ = put.ended;  // it may have answered before it went: that is read
    }
    if (blocked == blocked_) return;
    blocked_ = blocked;
    watch();
}

void Actor::handle(std::uint32_t events) {
    if ((events & EPOLLOUT) != 0) guarded(&Actor::flush);
    if (!connected() || (events & ~std::uint32_t{EPOLLOUT}) == 0) return;
    if ((events & EPOLLIN) == 0) pause(false);  // a reset, which a client that does not read is told too
    guarded(&Actor::read);
}

void Actor::read() {
    Moved const got = bench::read_some(fd_.get(), world_.buffer);
    if (got.blocked) return;
    if (got.ended) {
        drop(false);
        return ended();
    }
    take({world_.buffer.data(), got.bytes});
    if (!connected() || got.bytes == world_.buffer.size()) return;
    // Its end may stand right behind what was read: then it was good before that, and nobody knows since when not.
    char next = 0;
    bool const nothing = ::recv(fd_.get(), &next, 1, MSG_PEEK) < 0 && errno == EAGAIN;
    if (nothing) drained_ = now_ns();
}

std::string Actor::authorization() {
    auto const who = world_.chance();
    as_carol_ = who > 0.85;
    while_changing_ = world_.carol.changing;
    changes_ = world_.carol.changes;
    auto const& one = as_carol_ ? world_.carol.now : who > 0.7 ? world_.bob : world_.alice;
    return "Authorization: Basic " + one + "\r\n";
}

bool Actor::password_was_changing() const { return as_carol_ && (while_changing_ || changes_ != world_.carol.changes); }

std::string Actor::request(std::string_view method, std::string_view target, std::string_view fields) const {
    return std::string(method).append(" ").append(target) +
           " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(world_.port) + "\r\nUser-Agent: soak\r\nAccept: */*\r\n" +
           std::string(fields) + "\r\n";
}

bool Answer::take_head(std::string_view& bytes) {
    if (status != 0) return true;
    std::size_t const before = head.size();
    head += bytes;
    auto const end = head.find("\r\n\r\n");
    if (end == std::string::npos) {
        bytes = {};
        if (head.size() > 65536) throw std::runtime_error("a head without an end");
        return false;
    }
    bytes.remove_prefix(end + 4 - before);
    head.resize(end + 4);
    if (!head.starts_with("HTTP/1.1 ")) throw std::runtime_error("an answer that is not HTTP/1.1");
    auto const said = static_cast<int>(bench::Arguments::to_number(std::string_view(head).substr(9, 3)));
    if (said < 200 && said != 101) {
        head.clear();
        return take_head(bytes);
    }
    status = said;
    content = said == 101 ? Content() : Content::of(head, said != 204 && said != 304);
    return true;
}

std::string Answer::summary() const {
    auto const why = bench::field(head, "X-Ocgate-Error");
    return std::to_string(status) + (why.empty() ? "" : " " + std::string(why));
}

}  // namespace soak
