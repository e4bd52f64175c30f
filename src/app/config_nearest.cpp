// "Did you mean": how far two words are apart.
#include <algorithm>
#include <vector>

#include "config_settings.hpp"

namespace ocgate::app {

std::size_t distance(std::string_view a, std::string_view b) {
    // Optimal string alignment: three rows of the table are enough.
    std::vector<std::size_t> older(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], older[j - 2] + 1);
        }
        std::swap(older, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

std::string_view nearest(std::string_view word, std::span<std::string_view const> candidates) {
    constexpr std::size_t longest = 64;  // the work is the product of the lengths
    std::string_view best;
    if (word.size() > longest) return best;
    auto within = std::max<std::size_t>(1, word.size() / 3);
    for (auto const candidate : candidates) {
        auto const apart = distance(word, candidate);
        if (apart > within || (apart == within && !best.empty())) continue;
        within = apart;
        best = candidate;
    }
    return best;
}

}  // namespace ocgate::app
