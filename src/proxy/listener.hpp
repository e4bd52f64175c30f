// Accepts connections in batches and hands them to the shard. Private to proxy.
#pragma once

#include <sys/socket.h>

#include "shard_state.hpp"

namespace ocgate::proxy {

/// Takes the listening socket over. Runs until `stop`, which still accepts who has connected by then: such a client may
/// have sent its request, and closing would break it off.
class Listener final : private rt::Pollable {
public:
    using Adopt = std::function<void(rt::PeerPtr, std::string address, ClientCount::Taken)>;
    Listener(ShardState& shard, int socket, Adopt adopt);
    ~Listener() { close(); }
    Listener(Listener const&) = delete;
    Listener& operator=(Listener const&) = delete;

    rt::Task<void> run();
    void stop() noexcept;

private:
    void close() noexcept;
    void ready(rt::Readiness now) override;
    enum class Batch : std::uint8_t { all, more, failed };
    Batch accept_batch();
    bool take_in(int fd, sockaddr_storage const& from) noexcept;

    ShardState& shard_;
    rt::Descriptor socket_;
    bool stopped_ = false;
    Adopt adopt_;
    rt::Signal go_on_;  ///< there may be connections to accept, the rest is over, or it is to stop
    rt::Deadline rest_;
};

}  // namespace ocgate::proxy
