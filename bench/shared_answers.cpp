#include "shared_answers.hpp"

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

std::string received_json(std::int64_t bytes) { return "{\"bytes\":" + std::to_string(bytes) + "}"; }

std::string chunk_of(std::string_view bytes) { return hex_of(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n"; }

std::string chunked_answer() {
    std::string const body = json_of(chunked_bytes);
    std::string text = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (std::size_t at = 0; at < body.size(); at += 1024) text += chunk_of(body.substr(at, 1024));
    return text + "0\r\n\r\n";
}

std::string event_of(std::int64_t at_ns, std::uint64_t number) {
    auto const at = stamp(at_ns);
    std::string digits(event_number_digits, '0');
    for (std::size_t i = digits.size(); i > 0; --i, number /= 10) digits[i - 1] = static_cast<char>('0' + number % 10);
    return R"(data: {"type":"message.part.updated","properties":{"part":{"id":"prt_1","type":"text","text":")" +
           std::string(160, 'y') + R"("},)" + std::string(event_number_field) + digits + R"(","at":")" +
           std::string(at.data(), at.size()) + "\"}}\n\n";
}

std::string tap_event() {
    return R"(data: {"directory":"/workspace","project":"4fd7477442aad14a180f046805481a6546d53b88","payload":{"id":)"
           R"("evt_214d72cbb001HrmQajpxSvJvpu","type":"message.part.delta","properties":{"sessionID":)"
           R"("ses_2f6a1bd00ffe2Xq4ZJ0Yw1mB7c","messageID":"msg_214d72cbb001HrmQajpxSvJvpu","partID":)"
           R"("prt_214d72cbb002HrmQajpxSvJvpu","field":"text","delta":"word "}}})"
           "\n\n";
}

std::string block_of(std::string_view unit) {
    std::string block;
    while (block.size() < 65536) block += unit;
    return block;
}

std::string flood_frame(std::size_t payload_bytes) {
    return frame_head(payload_bytes, false) + std::string(payload_bytes, 'z');
}

std::string upload_frame(std::size_t payload_bytes) {
    return frame_head(payload_bytes, true) + std::string(payload_bytes, 'u');
}

std::string flood_event() { return event_of(0, 0); }

}  // namespace bench
