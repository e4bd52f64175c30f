// Any split of a response's bytes comes to the same head or the same refusal.
#include "property.hpp"
#include "unit/wire/told.hpp"

using namespace ocgate;

namespace {

std::string parsed(fuzz::Input const& input, std::vector<std::size_t> const& ends) {
    wire::HeadLimits const limits{input.how % 2 == 0 ? std::size_t{16 * 1024} : std::size_t{200}, 0};
    auto const* const method = input.how % 3 == 0 ? "HEAD" : "GET";
    std::size_t seen = 0;
    wire::ResponseHead head;
    for (auto const end : ends) {
        auto const bytes = fuzz::exactly(std::string_view(input.text).substr(0, end));
        auto const parsed = wire::parse_response_head(fuzz::view(bytes), limits, seen, method, head);
        if (parsed && *parsed == wire::Progress::need_more) continue;
        if (!parsed) return wire::word(parsed);
        MUST(head.bytes <= end && head.bytes <= limits.head_bytes);
        MUST(head.status >= 100 && head.status <= 599);
        MUST(head.body.kind != wire::Framing::Kind::until_close || !head.keep_alive);
        MUST(head.body.kind != wire::Framing::Kind::chunked || head.minor == 1);
        return wire::told(head);
    }
    return "need_more";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::Input input(data, size);
    // A head that has ended: of one that has not, what is wrong behind its first line may be told now or later.
    input.text += "\r\n\r\n";
    auto const whole = parsed(input, {input.text.size()});
    MUST(whole != "need_more");
    auto const first = std::min(input.place(), input.place(1));
    auto const second = std::max(input.place(), input.place(1));
    MUST(parsed(input, {first, second, input.text.size()}) == whole);
    return 0;
}
