// Many streams at once: what the loads of event streams, WebSockets and idle connections have in common.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "load_answer.hpp"
#include "load_expect.hpp"
#include "loads.hpp"
#include "net.hpp"

namespace bench {

constexpr std::size_t most_opening = 64;  // below every listener's backlog: a dropped SYN would cost a second

/// Connections that each sent one request and keep the answer going.
class Crowd {
public:
    struct Member {
        Fd fd;
        AnswerReader answer;
        EventCheck events;
        std::size_t index = 0;
        std::size_t checked = 0;  // of the body, by an Expected
        std::int64_t bytes = 0;   // of body received
        std::int64_t unsent = 0;  // of an upload
        std::size_t block_at = 0;
    };

    Crowd(Plan const& plan, std::string request, int expect, std::size_t connections, int receive_buffer = 0)
        : plan_(plan),
          request_(std::move(request)),
          expect_(expect),
          connections_(connections),
          receive_buffer_(receive_buffer) {}

    /// Opens all, few at a time, and returns when each has its head. `on_bytes(member, bytes)` gets what follows.
    template <class OnBytes>
    void open(OnBytes&& on_bytes) {
        while (answered_ < connections_) {
            while (members_.size() < connections_ && members_.size() - answered_ < most_opening) add();
            pump(100'000'000, on_bytes);
        }
    }

    template <class OnBytes>
    void pump(std::int64_t limit_ns, OnBytes&& on_bytes) {
        pump(limit_ns, on_bytes, [](Member&) {});
    }

    template <class OnBytes, class OnWritable>
    void pump(std::int64_t limit_ns, OnBytes&& on_bytes, OnWritable&& on_writable) {
        epoll_.wait(limit_ns, [&](int fd, std::uint32_t events) {
            Member& member = *by_fd_[static_cast<std::size_t>(fd)];
            if ((events & EPOLLOUT) != 0) on_writable(member);
            if ((events & ~std::uint32_t{EPOLLOUT}) != 0) take(member, buffer_.size(), on_bytes);
        });
        plan_.check_time();
    }

    /// Takes at most so many bytes of what has come for a member.
    template <class OnBytes>
    void take(Member& member, std::size_t most, OnBytes&& on_bytes) {
        Moved const got = read_some(member.fd.get(), std::span(buffer_).first(most));
        if (got.ended) throw std::runtime_error("a stream ended early");
        bool const had_head = member.answer.at_body();
        member.answer.feed({buffer_.data(), got.bytes}, [&](std::string_view bytes) {
            member.bytes += static_cast<std::int64_t>(bytes.size());
            on_bytes(member, bytes);
        });
        if (had_head || !member.answer.at_body()) return;
        if (member.answer.status() != expect_)
            throw std::runtime_error("expected " + std::to_string(expect_) + ", got " +
                                     std::to_string(member.answer.status()));
        ++answered_;
    }

    std::vector<std::unique_ptr<Member>>& members() { return members_; }
    Epoll& epoll() { return epoll_; }

private:
    void add() {
        auto member = std::make_unique<Member>();
        member->index = members_.size();
        member->fd = connect_to_loopback(plan_.port);
        int const fd = member->fd.get();
        if (receive_buffer_ > 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_, sizeof receive_buffer_);
        if (by_fd_.size() <= static_cast<std::size_t>(fd)) by_fd_.resize(static_cast<std::size_t>(fd) + 1);
        by_fd_[static_cast<std::size_t>(fd)] = member.get();
        // On loopback a connect is done when it returns, unless the listener's backlog is full: then a second later. A
        // head is far below any socket's buffer.
        auto sent = write_some(fd, request_).bytes;
        if (sent == 0 && writable_within(fd, 5000)) sent = write_some(fd, request_).bytes;
        if (sent < request_.size()) give_up("the request of a stream");
        epoll_.add(fd, EPOLLIN);
        members_.push_back(std::move(member));
    }

    Plan const& plan_;
    std::string request_;
    int expect_;
    std::size_t connections_;
    int receive_buffer_;
    Epoll epoll_;
    std::vector<std::unique_ptr<Member>> members_;
    std::vector<Member*> by_fd_;
    std::size_t answered_ = 0;
    std::array<char, 65536> buffer_{};
};

}  // namespace bench
