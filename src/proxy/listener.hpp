// Accepts connections in batches and hands them to the shard. Private to proxy.
#pragma once

#include <sys/socket.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "shard_state.hpp"

namespace ocgate::proxy {

/// Takes the listening socket over. Runs until `stop`.
class Listener {
public:
    using Adopt = std::function<void(rt::PeerPtr, std::string address)>;
    Listener(ShardState& shard, int socket, Adopt adopt);

    rt::Task<void> run();
    void stop() noexcept;

private:
    bool accept_batch();  ///< false: rest before the next one
    bool take_in(int fd, sockaddr_storage const& from) noexcept;

    ShardState& shard_;
    boost::asio::posix::basic_stream_descriptor<rt::Executor> socket_;
    bool stopped_ = false;
    Adopt adopt_;
    rt::Signal rested_;
    rt::Deadline rest_;
};

}  // namespace ocgate::proxy
