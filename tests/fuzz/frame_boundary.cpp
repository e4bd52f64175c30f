// Frames end where a second reader says, whatever the split, and a Close frame is seen.
#include <algorithm>

#include "ocgate/wire/boundary.hpp"
#include "property.hpp"

using namespace ocgate;

namespace {

struct Frames {
    std::vector<std::size_t> ends;
    bool closed = false;
};

/// RFC 6455 §5.2, with the whole of it at hand.
Frames frames_of(std::string_view text) {
    auto const byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    Frames found;
    for (std::size_t begin = 0; text.size() - begin >= 2;) {
        unsigned const seven = byte(begin + 1) & 0x7FU;
        std::size_t const extended = seven == 126 ? 2 : seven == 127 ? 8 : 0;
        std::size_t const head = 2 + extended + ((byte(begin + 1) & 0x80U) != 0 ? 4 : 0);
        if (text.size() - begin < head) break;
        std::uint64_t payload = extended == 0 ? seven : 0;
        for (std::size_t i = 0; i < extended; ++i) payload = payload * 256 + byte(begin + 2 + i);
        if (text.size() - begin - head < payload) break;
        found.closed |= (byte(begin) & 0x0FU) == 8;
        begin += head + static_cast<std::size_t>(payload);
        found.ends.push_back(begin);
    }
    return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::Input const input(data, size);
    std::string_view const text = input.text;
    auto const place = input.place();
    wire::FrameBoundary split;
    split.feed(text.substr(0, place));
    auto const rest = fuzz::exactly(text.substr(place));
    auto const cut = split.first_boundary(fuzz::view(rest));

    wire::FrameBoundary each;
    std::size_t first = wire::no_boundary;
    for (std::size_t i = 0; i < text.size(); ++i) {
        each.feed(text.substr(i, 1));
        if (i >= place && each.at_boundary() && first == wire::no_boundary) first = i - place + 1;
    }
    MUST(cut == first);
    auto const [ends, closed] = frames_of(text);
    auto const next = std::upper_bound(ends.begin(), ends.end(), place);
    MUST(cut == (next == ends.end() ? wire::no_boundary : *next - place));
    split.feed(fuzz::view(rest));
    wire::FrameBoundary whole;
    whole.feed(text);
    MUST(whole.at_boundary() == each.at_boundary() && split.at_boundary() == each.at_boundary());
    MUST(whole.at_boundary() == ((ends.empty() ? 0 : ends.back()) == text.size()));
    MUST(whole.closed() == closed && each.closed() == closed && split.closed() == closed);

    auto const goodbye = wire::close_frame(static_cast<std::uint16_t>(input.how << 8U | input.where), text);
    wire::FrameBoundary last;
    last.feed(goodbye);
    MUST(last.at_boundary() && last.closed() && goodbye.size() <= 127);
    return 0;
}
