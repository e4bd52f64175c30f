// The cutter agrees with a reader of lines about what the events are, whatever the split and the bound.
#include "ocgate/opencode/event_cutter.hpp"

#include "property.hpp"

using namespace ocgate;

namespace {

struct Told {
    std::string data;
    std::uint64_t bytes;
    bool whole;
    bool operator==(Told const&) const = default;
};

/// WHATWG HTML, "Interpreting an event stream", as it is written there.
std::vector<Told> by_lines(std::string_view text, std::size_t max, std::size_t kept) {
    std::vector<Told> told;
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    std::string data;
    bool any = false;
    for (;;) {
        auto const end = text.find_first_of("\r\n");
        if (end == text.npos) return told;
        auto line = text.substr(0, end);
        text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
        if (line.empty()) {
            if (any) {
                data.pop_back();
                bool const whole = data.size() <= max;
                told.push_back({whole ? data : data.substr(0, kept), data.size(), whole});
            }
            data.clear();
            any = false;
            continue;
        }
        auto const colon = line.find(':');
        if (line.substr(0, colon) != "data") continue;
        line.remove_prefix(colon == line.npos ? line.size() : colon + 1);
        if (line.starts_with(' ')) line.remove_prefix(1);
        data.append(line).push_back('\n');
        any = true;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::Input const input(data, size);
    std::string_view const text = input.text;
    std::size_t const max = 1 + input.how % 64;
    std::size_t const kept = input.where % (max + 1);
    auto const wanted = by_lines(text, max, kept);

    std::vector<Told> told;
    opencode::EventCutter cutter(
        [&](opencode::EventCutter::Cut const& cut) {
            told.push_back({std::string(cut.data), cut.bytes, cut.whole});
        },
        max, kept);
    auto const feed = [&](std::string_view part) {
        auto const exact = fuzz::exactly(part);
        cutter.feed(fuzz::view(exact));
    };
    feed(text);
    MUST(told == wanted);

    for (unsigned n = 0; n < 3; ++n) {
        auto const place = input.place(n);
        told.clear();
        cutter.reset();
        feed(text.substr(0, place));
        feed(text.substr(place));
        MUST(told == wanted);
    }

    told.clear();
    cutter.reset();
    for (char const& c : text) feed({&c, 1});
    MUST(told == wanted);
    return 0;
}
