// What the connections of one shard share. Private to proxy.
#pragma once

#include <boost/intrusive/list.hpp>

#include "departed.hpp"
#include "ocgate/proxy/shard.hpp"
#include "ocgate/rt/task_group.hpp"
#include "upstreams.hpp"

namespace ocgate::proxy {

struct Looking;

/// A connection as its shard sees it.
class Drainable : public boost::intrusive::list_base_hook<> {
public:
    virtual void drain() = 0;
    virtual void insist() = 0;
    virtual void look(Looking& into) const = 0;
    /// Breaks off what leads to a system that has vanished. Ends nothing from inside.
    virtual void end_lost() = 0;
    /// Ends it at once: another needs the room more. It waits for a request, or for the rest of one's head.
    virtual void dismiss() = 0;

    using Waits = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
    Waits waits;
    rt::Instant waits_since{};

protected:
    ~Drainable() = default;
};

/// What is needed while heads are read and written, and not while a stream flows: lent for that long.
struct Desk {
    wire::RequestHead request;
    wire::ResponseHead response;
    std::array<char, 20 * 1024> out;  ///< a head of at most 16 KiB and what this gateway adds to it
};

using Connections = boost::intrusive::list<Drainable>;
using Waiting =
    boost::intrusive::list<Drainable, boost::intrusive::member_hook<Drainable, Drainable::Waits, &Drainable::waits>,
                           boost::intrusive::constant_time_size<false>>;

/// The exchanges that are over. Content, as in their records.
struct Ended {
    std::uint64_t exchanges = 0, request_bytes = 0, response_bytes = 0;
    void add(std::uint64_t request, std::uint64_t response) noexcept {
        ++exchanges;
        request_bytes += request;
        response_bytes += response;
    }
};

/// Whoever has just connected has not done so for nothing.
inline constexpr std::chrono::milliseconds first_request_time{500};

struct ShardState {
    ShardState(ShardParts p, std::shared_ptr<Snapshot const> s);
    ~ShardState();
    ShardState(ShardState const&) = delete;
    ShardState& operator=(ShardState const&) = delete;

    struct DeskReturn {
        ShardState* home;
        void operator()(Desk* desk) const noexcept;
    };
    using DeskPtr = std::unique_ptr<Desk, DeskReturn>;
    DeskPtr lend_desk();
    static constexpr std::size_t kept_desks = 32;

    /// 16 hexadecimal digits, unique among the requests of all shards and runs for all practical purposes.
    [[nodiscard]] std::array<char, 16> new_request_id() noexcept;
    [[nodiscard]] rt::Instant now() const noexcept { return deadlines.now(); }
    /// What Date says now (RFC 9110 §6.6.1). Holds until the next call.
    [[nodiscard]] std::string_view date();
    void connection_ended();
    /// Lets the connection go that has waited longest for its client's next request. Whoever opens many and asks for
    /// nothing, or takes its time over it, keeps nobody out. False: nobody has waited for `first_request_time`, in
    /// which who means to ask has asked.
    bool make_room();
    /// The same for want of a descriptor: before anybody who is there, one goes that is kept for a client that is not.
    bool free_descriptor() { return departed.give_up_one() || make_room(); }
    /// Counts one more connection from this peer, unless many people may stand behind it.
    [[nodiscard]] ClientCount::Taken count_connection(std::string_view peer) const;

    ShardParts parts;
    Live& live;  ///< the recorder's
    std::shared_ptr<Snapshot const> snapshot;
    rt::Deadlines deadlines;
    rt::WindowPool windows;
    rt::Poller poller;
    rt::PeerResources resources;
    Upstreams upstreams;
    std::vector<std::unique_ptr<Desk>> desks;  ///< unused ones; at most `kept_desks`
    std::size_t desks_lent = 0;
    Connections connections;
    Waiting waiting;  ///< of these, who waits for a whole head; the one that has waited longest first
    Departed departed;
    std::function<void()> drained;
    std::size_t lost_left = 0;  ///< connections that are still to be looked at in this round
    unsigned bulk_seats = 8;    ///< large answers that may fill the kernel's buffers, at this moment
    bool draining = false;
    Ended ended;
    std::uint64_t last_id;
    std::chrono::sys_seconds dated = std::chrono::sys_seconds::min();
    std::array<char, 29> date_text;  ///< of `dated`: written once a second at most
    rt::TaskGroup tasks;
};

/// look.cpp, for Shard::look.
[[nodiscard]] ShardView look_at(ShardState const& shard, std::size_t most, First first);

}  // namespace ocgate::proxy
