// One client connection: requests one after another until somebody has had enough.
#pragma once

#include "shard_state.hpp"

namespace ocgate::proxy {

class Exchange;

/// What becomes of the client's connection after an exchange.
enum class Next : std::uint8_t {
    again,   ///< the next request
    stream,  ///< it goes on without an end of its own: `Exchange::flow`
    linger,  ///< we answered and close; the client may still be sending
    close,   ///< both sides know it is over
    reset,   ///< the answer was cut: the client must see that
};

class Connection final : public Drainable {
public:
    Connection(ShardState& shard, rt::PeerPtr client, std::string address, ClientCount::Taken counted);
    ~Connection();
    Connection(Connection const&) = delete;
    Connection& operator=(Connection const&) = delete;

    rt::Task<void> run();

    void drain() override;
    void insist() override;
    void look(Looking& into) const override;
    void end_lost() override;
    void dismiss() override;

    enum class Phase : std::uint8_t { idle, exchange, stream };

    ShardState& shard;
    rt::PeerPtr const client;
    rt::PeerPtr upstream;                ///< of the exchange under way
    std::unique_ptr<Exchange> exchange;  ///< the one under way
    rt::DialBreaker dialing;
    std::string const address;
    Phase phase = Phase::idle;
    bool insisted = false;

private:
    rt::Task<Next> serve_request();
    rt::Task<Next> end_stream(std::exception_ptr escaped);
    rt::Task<Outcome<wire::Progress>> receive_request_head(ShardState::DeskPtr& desk, Limits const& limits);
    void end_waiting();
    void let_client_go();
    [[nodiscard]] rt::Duration head_time(Limits const& limits) const;
    rt::Task<Next> refuse_head(Desk& desk, Failure failure, std::string_view method, Snapshot const& snapshot);
    rt::Task<void> linger(rt::Duration time);

    void wait_for_request();

    bool fresh_ = true;  ///< has not begun a request yet
    bool dismissed_ = false;
    /// One too many, of all (the gateway's bound) or of this client's: told so with the first answer, which is the
    /// last.
    std::optional<Side> const surplus_;
    ClientCount::Place const place_;
};

}  // namespace ocgate::proxy
