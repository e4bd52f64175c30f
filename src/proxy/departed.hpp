// Clients that vanished, for the case that they come back. Private to proxy.
#pragma once

#include <cstdint>
#include <vector>

#include "ocgate/proxy/shard.hpp"
#include "ocgate/rt/descriptor.hpp"

namespace ocgate::proxy {

/// A client whose network was away has heard nothing of the end of its connection, and one that only reads would wait
/// for ever. So while opencode and the memory are let go of, the kernel keeps the socket, with what is on its way and a
/// FIN behind it, and goes on resending: as soon as packets pass again the client sees its answer cut short, and
/// reconnects. Bounded in number, in time, and in what the kernel holds; none of them is ever read. Those that make
/// room, and those whose time is over, are reset: nothing is held of them any more.
class Departed {
public:
    static constexpr std::size_t most = most_departed;
    static constexpr std::chrono::minutes longest{15};
    static constexpr std::uint32_t most_bytes = 256 * 1024;  ///< unsent and on its way, of one

    Departed() { kept_.reserve(most); }  // so that keeping one needs no memory

    /// Takes over a TCP socket whose other end has vanished. When there are `most`, the oldest is closed.
    void keep(rt::Descriptor socket, rt::Instant now) noexcept;
    /// Closes those that have heard it by now, or have had their time. To be called every few seconds.
    void look(rt::Instant now) noexcept;
    /// Closes the oldest, because its descriptor is needed. False: there is none.
    bool give_up_one() noexcept;
    void clear() noexcept { kept_.clear(); }
    [[nodiscard]] std::size_t size() const noexcept { return kept_.size(); }

private:
    struct Kept {
        rt::Descriptor socket;
        rt::Instant until;
    };
    std::vector<Kept> kept_;  ///< the oldest first
};

}  // namespace ocgate::proxy
