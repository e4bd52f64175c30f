// The scanner agrees with a reader of lines about where events end, whatever the split.
#include "ocgate/wire/boundary.hpp"
#include "property.hpp"

using namespace ocgate;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::Input const input(data, size);
    std::string_view const text = input.text;
    auto const place = input.place();
    wire::EventBoundary whole;
    wire::EventBoundary split;
    whole.feed(text);
    split.feed(text.substr(0, place));
    auto const rest = fuzz::exactly(text.substr(place));
    auto const cut = split.first_boundary(fuzz::view(rest));

    wire::EventBoundary each;
    bool at_line_start = true;
    bool boundary = true;
    std::size_t first = wire::no_boundary;
    for (std::size_t i = 0; i < text.size(); ++i) {
        each.feed(text.substr(i, 1));
        if (text[i] != '\n' || i == 0 || text[i - 1] != '\r') {
            bool const line_ends = text[i] == '\n' || text[i] == '\r';
            boundary = line_ends && at_line_start;
            at_line_start = line_ends;
        }
        MUST(each.at_boundary() == boundary);
        if (i >= place && boundary && first == wire::no_boundary) {
            bool const rest_of_crlf = text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
            first = i - place + (rest_of_crlf ? 2 : 1);
        }
    }
    MUST(cut == first);
    split.feed(fuzz::view(rest));
    MUST(whole.at_boundary() == boundary && split.at_boundary() == boundary);
    return 0;
}
