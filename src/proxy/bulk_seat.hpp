// Who may fill the kernel's send buffers: a few at a time, and only while it helps.
#pragma once

#include "shard_state.hpp"

namespace ocgate::proxy {

/// Messages with more content than this may take a seat.
inline constexpr std::uint64_t bulk_bytes = 1024 * 1024;

/// What is sent with a seat may fill the kernel's whole send buffer (4 MiB, tcp_wmem), which halves what a byte costs.
/// Few have one at a time, so that many slow receivers do not hold many megabytes; one that keeps us waiting loses it,
/// and the end of a message goes without: once it is written only the usual little is still on its way.
class BulkSeat {
public:
    BulkSeat(bool wanted, ShardState& shard, rt::Peer& to)
        : shard_(shard), to_(to), taken_(wanted && shard.bulk_seats > 0) {
        if (!taken_) return;
        --shard_.bulk_seats;
        to_.bound_unsent(rt::any_unsent);
    }
    ~BulkSeat() { leave(); }
    BulkSeat(BulkSeat const&) = delete;
    BulkSeat& operator=(BulkSeat const&) = delete;

    void leave() noexcept {
        if (!std::exchange(taken_, false)) return;
        ++shard_.bulk_seats;
        to_.bound_unsent(rt::usual_unsent);
    }

private:
    ShardState& shard_;
    rt::Peer& to_;
    bool taken_;
};

}  // namespace ocgate::proxy
