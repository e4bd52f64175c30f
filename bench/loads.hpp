// The kinds of load (load.cpp says what each is), and what all of them are told.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "net.hpp"

namespace bench {

/// What all loads have in common: where to, as whom, and for how long at most.
struct Plan {
    explicit Plan(Arguments const& given)
        : arguments(given),
          port(static_cast<std::uint16_t>(given.number("--port"))),
          connections(static_cast<std::size_t>(std::max<std::int64_t>(1, given.number("--connections", 1)))),
          give_up_at(now_ns() + given.number("--limit", 60) * 1'000'000'000) {}

    std::string head(std::string_view method, std::string_view path, std::string_view more = "") const {
        std::string text = std::string(method) + " " + std::string(path) +
                           " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) +
                           "\r\nUser-Agent: bench\r\nAccept: */*\r\n";
        if (arguments.has("--credentials")) text += "Authorization: Basic " + arguments.text("--credentials") + "\r\n";
        return text + std::string(more) + "\r\n";
    }
    std::int64_t milliseconds(char const* name) const { return arguments.number(name) * 1'000'000; }
    void check_time() const {
        if (now_ns() > give_up_at) throw std::runtime_error("not finished within --limit");
    }

    Arguments const& arguments;
    std::uint16_t port;
    std::size_t connections;
    std::int64_t give_up_at;
};

void http(Plan const& plan);
void events(Plan const& plan);
void flood(Plan const& plan);
void upload(Plan const& plan);
void echo(Plan const& plan);
void idle(Plan const& plan);
void slow(Plan const& plan);

/// The request that opens a terminal's WebSocket.
std::string upgrade(Plan const& plan, std::string const& query);

}  // namespace bench
