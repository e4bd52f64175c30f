// Any split of a request's bytes comes to the same head or the same refusal.
#include "property.hpp"
#include "unit/wire/told.hpp"

using namespace ocgate;

namespace {

std::string parsed(std::string const& text, std::vector<std::size_t> const& ends, wire::HeadLimits const& limits) {
    std::size_t seen = 0;
    wire::RequestHead head;
    for (auto const end : ends) {
        auto const bytes = fuzz::exactly(std::string_view(text).substr(0, end));
        auto const parsed = wire::parse_request_head(fuzz::view(bytes), limits, seen, head);
        if (parsed && *parsed == wire::Progress::need_more) continue;
        if (!parsed) return wire::word(parsed);
        MUST(head.bytes <= end && head.bytes <= limits.head_bytes);
        MUST(head.target.starts_with('/') && head.target.size() <= limits.target_bytes);
        MUST(!head.host.empty() || head.minor == 0);
        MUST(!head.websocket || (head.upgrade && head.body.empty() && head.websocket_key.size() == 24));
        return wire::told(head);
    }
    return "need_more";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::Input const input(data, size);
    // A head that has ended: of one that has not, what is wrong behind its first line may be told now or later.
    auto const text = input.text + "\r\n\r\n";
    wire::HeadLimits const limits = input.how % 2 == 0 ? wire::HeadLimits{} : wire::HeadLimits{200, 40};
    auto const whole = parsed(text, {text.size()}, limits);
    MUST(whole != "need_more");
    auto const first = std::min(input.place(), input.place(1));
    auto const second = std::max(input.place(), input.place(1));
    MUST(parsed(text, {first, second, text.size()}, limits) == whole);
    if (text.size() <= 256) {
        std::vector<std::size_t> each;
        for (std::size_t i = 0; i <= text.size(); ++i) each.push_back(i);
        MUST(parsed(text, each, limits) == whole);
    }
    return 0;
}
