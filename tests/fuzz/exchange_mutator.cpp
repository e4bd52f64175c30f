// Changes a play step by step: a step more, a step less, two in another order, one cut in two, or the bytes of one.
#include <algorithm>
#include <random>

#include "property.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

using Steps = std::vector<std::string>;

constexpr std::string_view usual[] = {
    "c0GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "c0GET /a?auth_token=eA HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dTpw\r\n\r\n",
    "c1HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n",
    "c0GET /old HTTP/1.0\r\n\r\n",
    "c0GET /event HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n",
    "c0POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "c0PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\nbegin",
    "c0POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "c02\r\nde\r\n",
    "c00\r\n\r\n",
    "c0POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "c0abc",
    "c0GET /pty/1/connect HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "c0\x81\x82\x01\x02\x03\x04hi",
    "c0POST /_ocgate/mute HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    "c0POST /w HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "U0HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "U0HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart",
    "U0HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    "U0HTTP/1.1 200 OK\r\n\r\nto the end",
    "U0HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    "U0HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
    "U09\r\ndata: 1\n\n\r\n",
    "U00\r\n\r\n",
    "U0HTTP/1.1 100 Continue\r\n\r\n",
    "U0HTTP/1.1 204 No Content\r\n\r\n",
    "U0HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    "U0HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    "U0HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "U0HTTP/1.0 200 OK\r\n\r\nold",
    "U0\x81\x02hi",
    "U0\x88\x02\x03\xe8",
    "A0",
    "n",
    "e0",
    "E0",
    "r0",
    "R0",
    "b0",
    "B0",
    "s0",
    "S0",
    "g09",
    "t3",
    "t6",
    "t8",
    "t9",
    "d",
    "i",
    "y",
    "o0",
    "o1",
    "o2",
    "l1",
    "l4",
    "x",
};

Steps steps_of(std::uint8_t const* data, std::size_t size) {
    Steps steps;
    for (auto const part : ocgate::fuzz::parts(ocgate::fuzz::as_text(data, size), 1, 100)) steps.emplace_back(part);
    return steps;
}

std::size_t write(Steps const& steps, std::uint8_t* data, std::size_t max_size) {
    std::string all;
    for (auto const& step : steps) (all += all.empty() && &step == steps.data() ? "" : "\x1e") += step;
    all.resize(std::min(all.size(), max_size));
    std::copy(all.begin(), all.end(), data);
    return all.size();
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
    std::minstd_rand random(seed);
    auto const below = [&random](std::size_t bound) { return static_cast<std::size_t>(random() / 7 % bound); };
    auto steps = steps_of(data, size);
    auto const at = below(steps.size());
    auto const place = [&](std::size_t i) { return steps.begin() + static_cast<std::ptrdiff_t>(i); };
    switch (below(10)) {
        case 0:
        case 1:
        case 2:
            steps.insert(place(at + 1), std::string(usual[below(std::size(usual))]));
            break;
        case 3:
            if (at > 0) steps.erase(place(at));
            break;
        case 4:
            if (at > 0) steps.insert(place(at), steps[at]);
            break;
        case 5:
            if (at > 0) std::swap(steps[at], steps[1 + below(steps.size() - 1)]);
            break;
        case 6:  // in two pieces, which may come at different times
            if (at > 0 && steps[at].size() > 3) {
                auto const cut = 3 + below(steps[at].size() - 3);
                auto const rest = steps[at].substr(0, 2) + steps[at].substr(cut);
                steps[at].resize(cut);
                steps.insert(place(at + 1), rest);
            }
            break;
        case 7:  // a setting
            if (steps[0].size() < 10) steps[0].resize(10, '0');
            steps[0][below(10)] = static_cast<char>('0' + below(16));
            break;
        default: {
            auto& step = steps[at];
            std::size_t const kept = at == 0 || step.size() < 2 ? 0 : 2;
            std::vector<std::uint8_t> bytes(step.begin() + static_cast<std::ptrdiff_t>(kept), step.end());
            auto const used = bytes.size();
            bytes.resize(used + 64);
            bytes.resize(LLVMFuzzerMutate(bytes.data(), used, bytes.size()));
            step.resize(kept);
            step.append(bytes.begin(), bytes.end());
            break;
        }
    }
    return write(steps, data, max_size);
}

/// The beginning of one play, the end of another.
extern "C" std::size_t LLVMFuzzerCustomCrossOver(std::uint8_t const* a, std::size_t a_size, std::uint8_t const* b,
                                                 std::size_t b_size, std::uint8_t* out, std::size_t max_size,
                                                 unsigned seed) {
    std::minstd_rand random(seed);
    auto one = steps_of(a, a_size);
    auto const two = steps_of(b, b_size);
    one.resize(1 + random() / 7 % one.size());
    one.insert(one.end(), two.begin() + static_cast<std::ptrdiff_t>(random() / 7 % two.size()), two.end());
    return write(one, out, max_size);
}
