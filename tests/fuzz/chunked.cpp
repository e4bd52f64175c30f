// Any split of a chunked body comes to the same content; content that is framed anew comes back as it was.
#include "ocgate/wire/chunked.hpp"

#include <algorithm>

#include "property.hpp"

using namespace ocgate;

namespace {

struct Decoded {
    std::string content;
    std::size_t consumed = 0;
    char const* result = "more";
    bool operator==(Decoded const& other) const {
        return content == other.content && consumed == other.consumed && std::string_view(result) == other.result;
    }
};

Decoded decoded(std::string const& text, std::vector<std::size_t> const& ends) {
    wire::ChunkedDecoder decoder;
    Decoded all;
    std::size_t begin = 0;
    for (auto const end : ends) {
        auto bytes = fuzz::exactly(std::string_view(text).substr(begin, end - begin));
        begin = end;
        auto const piece = decoder.decode(bytes);
        if (!piece) return {"", 0, "refused"};
        MUST(piece->consumed <= bytes.size() && piece->content.size() <= piece->consumed);
        MUST(piece->complete || piece->consumed == bytes.size());
        all.content += piece->content;
        all.consumed += piece->consumed;
        if (piece->complete) all.result = "complete";
    }
    return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    fuzz::Input const input(data, size);
    auto const& text = input.text;
    auto const whole = decoded(text, {text.size()});
    auto const first = std::min(input.place(), input.place(1));
    auto const second = std::max(input.place(), input.place(1));
    MUST(decoded(text, {first, second, text.size()}) == whole);
    std::vector<std::size_t> each;
    for (std::size_t i = 0; i <= text.size(); ++i) each.push_back(i);
    MUST(decoded(text, each) == whole);

    std::string framed;
    std::size_t const step = 1 + input.where;
    for (std::size_t i = 0; i < whole.content.size(); i += step) {
        auto const piece = whole.content.substr(i, step);
        framed += wire::ChunkHead(piece.size()).text();
        framed += piece;
        framed += wire::chunk_end;
    }
    framed += wire::last_chunk;
    auto const again = decoded(framed, {framed.size() / 2, framed.size()});
    MUST(again.content == whole.content && again.consumed == framed.size());
    MUST(std::string_view(again.result) == "complete");
    return 0;
}
