#include "ocgate/rt/priority.hpp"

#include <unistd.h>

namespace ocgate::rt {

void give_way_to_traffic() noexcept {
    constexpr int steps = 10;  // the weight of a thread falls by a fifth with each (sched(7))
    // The result may be -1 without an error; where it is one (a stricter container), the thread stays as it was.
    [[maybe_unused]] int const now = ::nice(steps);
}

}  // namespace ocgate::rt
