// A glob takes what a plain table of all its beginnings and the text's says it takes. Parts: the pattern, the text.
#include "ocgate/notify/router.hpp"
#include "property.hpp"

using namespace ocgate;

namespace {

/// One element of a pattern.
struct Piece {
    enum class Kind { letter, one, name, all } kind;
    char letter;
};

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

bool takes(std::string_view pattern, std::string_view text) {
    std::vector<Piece> pieces;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern.substr(i, 2) == "**") {
            pieces.push_back({Piece::Kind::all, 0});
            ++i;
        } else if (pattern[i] == '*') {
            pieces.push_back({Piece::Kind::name, 0});
        } else if (pattern[i] == '?') {
            pieces.push_back({Piece::Kind::one, 0});
        } else {
            pieces.push_back({Piece::Kind::letter, pattern[i]});
        }
    }
    // fits[i][j]: the pieces from i on take the text from j on.
    std::vector<std::vector<char>> fits(pieces.size() + 1, std::vector<char>(text.size() + 1, 0));
    fits[pieces.size()][text.size()] = 1;
    for (auto i = pieces.size(); i-- > 0;) {
        auto const [kind, letter] = pieces[i];
        for (auto j = text.size() + 1; j-- > 0;) {
            auto& here = fits[i][j];
            bool const more = j < text.size();
            switch (kind) {
                case Piece::Kind::letter:
                    here = more && text[j] == letter && fits[i + 1][j + 1];
                    break;
                case Piece::Kind::one:  // a character, which may have several bytes
                    if (!more || text[j] == '/' || continues(text[j])) break;
                    for (auto k = j + 1; k <= text.size(); ++k) {
                        here = here || fits[i + 1][k];
                        if (k == text.size() || !continues(text[k])) break;
                    }
                    break;
                case Piece::Kind::name:
                    here = fits[i + 1][j] || (more && text[j] != '/' && fits[i][j + 1]);
                    break;
                case Piece::Kind::all:
                    here = fits[i + 1][j] || (more && fits[i][j + 1]);
                    break;
            }
        }
    }
    return fits[0][0] != 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto const part = fuzz::parts(fuzz::as_text(data, size), 2, 2);
    auto const pattern = fuzz::exactly(part[0]);
    auto const text = fuzz::exactly(part[1]);
    if (pattern.size() > 1024 || text.size() > 1024) return 0;
    MUST(notify::glob_matches(fuzz::view(pattern), fuzz::view(text)) == takes(fuzz::view(pattern), fuzz::view(text)));
    MUST(notify::glob_matches("**", fuzz::view(text)));
    return 0;
}
