#include "upstream_answers.hpp"

#include <array>
#include <charconv>

#include "net.hpp"

namespace bench {
namespace {

std::string hex_of(std::size_t value) {
    std::array<char, 16> digits{};
    auto const end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
    return {digits.data(), end};
}

}  // namespace

std::string json_of(std::size_t bytes) {
    std::string const head =
        R"({"id":"ses_2f6a1b","title":"bench","directory":"/workspace","version":"1.0.0","fill":")";
    return head + std::string(bytes - head.size() - 2, 'x') + R"("})";
}

std::string answer(std::string_view body, std::string_view type) {
    return "HTTP/1.1 200 OK\r\nContent-Type: " + std::string(type) +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string chunk_of(std::string_view bytes) { return hex_of(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n"; }

std::string chunked_answer() {
    std::string const body = json_of(8192);
    std::string text = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (std::size_t at = 0; at < body.size(); at += 1024) text += chunk_of(body.substr(at, 1024));
    return text + "0\r\n\r\n";
}

std::string event_of(std::int64_t at_ns) {
    auto const at = stamp(at_ns);
    return R"(data: {"type":"message.part.updated","properties":{"part":{"id":"prt_1","type":"text","text":")" +
           std::string(180, 'y') + R"("},"at":")" + std::string(at.data(), at.size()) + "\"}}\n\n";
}

}  // namespace bench
