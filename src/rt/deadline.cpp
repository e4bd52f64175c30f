#include "ocgate/rt/deadline.hpp"

#include <algorithm>

namespace ocgate::rt {

Deadline::~Deadline() {
    if (place_ != not_queued) deadlines_.remove(*this);
}

void Deadline::set(Instant when) {
    when_ = when;
    if (when == never) return;  // the heap finds out when the old time comes
    if (place_ == not_queued) {
        queued_ = when;
        deadlines_.enqueue(*this);
    } else if (when < queued_) {
        queued_ = when;
        deadlines_.sift_up(place_);
        deadlines_.aim();
    }
}

Deadlines::Deadlines(Executor executor, Clock& clock)
    : clock_(clock), alarm_(clock.alarm(executor, [this] { ring(); })) {}

std::size_t Deadlines::active() const noexcept {
    return static_cast<std::size_t>(
        std::count_if(heap_.begin(), heap_.end(), [](Deadline const* d) { return d->when_ != never; }));
}

void Deadlines::place(Deadline& deadline, std::uint32_t at) noexcept {
    heap_[at] = &deadline;
    deadline.place_ = at;
}

void Deadlines::sift_up(std::uint32_t at) noexcept {
    auto* moving = heap_[at];
    while (at > 0) {
        auto const parent = (at - 1) / 2;
        if (heap_[parent]->queued_ <= moving->queued_) break;
        place(*heap_[parent], at);
        at = parent;
    }
    place(*moving, at);
}

void Deadlines::sift_down(std::uint32_t at) noexcept {
    auto* moving = heap_[at];
    auto const size = static_cast<std::uint32_t>(heap_.size());
    for (;;) {
        auto child = 2 * at + 1;
        if (child >= size) break;
        if (child + 1 < size && heap_[child + 1]->queued_ < heap_[child]->queued_) ++child;
        if (moving->queued_ <= heap_[child]->queued_) break;
        place(*heap_[child], at);
        at = child;
    }
    place(*moving, at);
}

void Deadlines::enqueue(Deadline& deadline) {
    heap_.push_back(&deadline);
    deadline.place_ = static_cast<std::uint32_t>(heap_.size() - 1);
    sift_up(deadline.place_);
    aim();
}

void Deadlines::remove(Deadline& deadline) noexcept {
    auto const at = deadline.place_;
    auto* last = heap_.back();
    heap_.pop_back();
    deadline.place_ = Deadline::not_queued;
    if (last == &deadline) return;
    place(*last, at);
    sift_up(at);
    sift_down(last->place_);
}

void Deadlines::ring() {
    aimed_ = never;
    auto const now = clock_.now();
    while (!heap_.empty() && heap_.front()->queued_ <= now) {
        auto& deadline = *heap_.front();
        if (deadline.when_ > now && deadline.when_ != never) {  // it was moved away meanwhile
            deadline.queued_ = deadline.when_;
            sift_down(0);
            continue;
        }
        remove(deadline);
        if (deadline.when_ == never) continue;
        deadline.when_ = never;
        try {
            deadline.expired_(deadline.owner_);  // may set, destroy or create deadlines
        } catch (...) {
            aim();  // or the others would never hear of their time
            throw;
        }
    }
    aim();
}

void Deadlines::aim() {
    if (heap_.empty()) return;
    auto const next = heap_.front()->queued_;
    if (next >= aimed_) return;
    aimed_ = never;  // stays so if setting fails: whoever is queued next tries again
    alarm_->set(next);
    aimed_ = next;
}

}  // namespace ocgate::rt
