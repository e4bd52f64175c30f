// Frames end in the same places whatever the split, and a Close frame is seen.
#include "ocgate/wire/boundary.hpp"
#include "property.hpp"

using namespace ocgate;

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
    split.feed(fuzz::view(rest));
    wire::FrameBoundary whole;
    whole.feed(text);
    MUST(whole.at_boundary() == each.at_boundary() && split.at_boundary() == each.at_boundary());
    MUST(whole.closed() == each.closed() && split.closed() == each.closed());

    auto const goodbye = wire::close_frame(static_cast<std::uint16_t>(input.how << 8U | input.where), text);
    wire::FrameBoundary last;
    last.feed(goodbye);
    MUST(last.at_boundary() && last.closed() && goodbye.size() <= 127);
    return 0;
}
