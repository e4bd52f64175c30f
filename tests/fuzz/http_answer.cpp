// What a target of notifications answers: any split of it comes to the same answer or to a failure, the content is
// bounded, and nothing is left waiting when the connection has ended.
#include "http_answer.hpp"

#include "property.hpp"
#include "support/bench.hpp"

using namespace ocgate;

namespace {

constexpr std::size_t most = 1000;

struct Came {
    error_code why;
    notify::HttpResponse answer;
};

rt::Task<Came> receive(rt::PeerPtr peer, std::string method) {
    notify::Channel channel(std::move(peer));
    Came came;
    if (method == "CONNECT") {
        came.why = co_await notify::receive_connected(channel, came.answer.status);
    } else {
        came.why = co_await notify::receive_answer(channel, method, most, came.answer);
    }
    co_return came;
}

std::string told(Came const& came) {
    // What is wrong with an answer may be told before or after it turns out to be cut, too; nobody looks at its
    // content.
    auto text = (came.why ? "failed|" : "read|") + std::to_string(came.answer.status) + '|';
    if (came.why) return text;
    for (auto const& [name, value] : came.answer.fields) (text += name + '=') += value + '|';
    return text + came.answer.body;
}

std::string came_to(std::string const& text, std::vector<std::size_t> const& ends, std::string const& method,
                    std::size_t piece) {
    test::Bench bench(8 * 1024);
    std::string result;
    {
        test::PipeEnd end(nullptr);
        auto const peer = bench.peer(end, {64 * 1024, piece, nullptr});
        peer->read_by(bench.clock.now() + std::chrono::seconds(15));
        auto const came = bench.start(receive(peer, method));
        std::size_t begin = 0;
        for (auto const stop : ends) {
            if (stop > begin) end.send(std::string_view(text).substr(begin, stop - begin));
            begin = stop;
            bench.settle();
        }
        end.end();
        bench.settle();
        MUST(came->has_value());
        auto const& answer = (*came)->answer;
        MUST(answer.body.size() <= most && ((*came)->why || answer.status >= 200));
        for (auto const& [name, value] : answer.fields)
            for (char const c : name) MUST(!(c >= 'A' && c <= 'Z') && c > ' ');
        result = told(**came);
    }
    MUST(bench.nothing_left());
    return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::Input const input(data, size);
    static char const* const methods[] = {"GET", "POST", "HEAD", "CONNECT"};
    std::string const method = methods[input.how % 4];
    auto const& text = input.text;
    auto const whole = came_to(text, {text.size()}, method, ~std::size_t{0});
    auto const first = std::min(input.place(), input.place(1));
    auto const second = std::max(input.place(), input.place(1));
    // Bytes behind the answer to a CONNECT are told apart only if they are there when it is read.
    if (method == "CONNECT") return 0;
    MUST(came_to(text, {first, second, text.size()}, method, ~std::size_t{0}) == whole);
    if (text.size() <= 512) MUST(came_to(text, {text.size()}, method, 1) == whole);
    return 0;
}
