#include "counters.hpp"

namespace ocgate::ops {

std::size_t method_index(std::string_view method) noexcept {
    std::size_t i = 0;
    while (i + 1 < method_labels.size() && method != method_labels[i]) ++i;
    return i;
}

void StatusCounters::count(unsigned status) noexcept {
    bool const known = status >= 100 && status <= 599;
    if (known) {
        for (auto& slot : table_) {
            auto const taken = slot.status.load(std::memory_order_relaxed);
            if (taken == 0) slot.status.store(static_cast<std::uint16_t>(status), std::memory_order_relaxed);
            if (taken == 0 || taken == status) {
                slot.count.add();
                return;
            }
        }
    }
    beyond_[known ? status / 100 - 1 : classes.size() - 1].add();
}

}  // namespace ocgate::ops
