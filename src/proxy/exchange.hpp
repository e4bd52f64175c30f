// One request and its answer. Private to proxy.
#pragma once

#include <optional>

#include "body.hpp"
#include "connection.hpp"
#include "ocgate/wire/boundary.hpp"
#include "ocgate/wire/rewrite.hpp"

namespace ocgate::proxy {

class BulkSeat;

/// For an answer that nobody has logged in for: while the upstream hangs, or by not reading, strangers would hold
/// places.
inline constexpr rt::Duration exempt_patience = std::chrono::seconds(10);

class Exchange {
public:
    Exchange(Connection& connection, std::shared_ptr<Snapshot const> snapshot, ShardState::DeskPtr desk);
    ~Exchange();
    Exchange(Exchange const&) = delete;
    Exchange& operator=(Exchange const&) = delete;

    static void* operator new(std::size_t bytes) { return rt::allocate_frame(bytes); }
    static void operator delete(void* exchange, std::size_t bytes) noexcept { rt::free_frame(exchange, bytes); }

    /// With Next::stream the answer has begun and has no end of its own: `flow` carries it, then `close_stream`.
    rt::Task<Next> run();
    rt::Task<> flow() { return record_.kind == StreamKind::websocket ? pump_to_client() : relay_events(); }
    rt::Task<Next> close_stream() {
        return record_.kind == StreamKind::websocket ? close_tunnel() : close_event_stream();
    }
    /// After `run` has thrown, before the exchange goes: ends what still runs beside it.
    rt::Task<void> abandon();
    /// Whether bytes of an answer may have left. Until then it can be told of an end that is forced on it.
    [[nodiscard]] bool answered() const noexcept { return answered_; }
    /// Whether the client may take the end of the connection for the end of the answer.
    [[nodiscard]] bool ends_with_connection() const noexcept { return client_1_0_; }
    /// look.cpp: where it stands now.
    [[nodiscard]] rt::Instant began() const noexcept { return started_; }
    [[nodiscard]] ExchangeView look() const;
    [[nodiscard]] Stage stage() const noexcept;
    [[nodiscard]] std::uint64_t request_bytes() const noexcept;
    [[nodiscard]] std::uint64_t response_bytes() const noexcept;

private:
    // exchange.cpp: the story
    void take(Decision& decision);
    [[nodiscard]] std::string_view client_address() const noexcept {
        return client_address_.empty() ? std::string_view(connection_.address) : client_address_;
    }
    [[nodiscard]] bool take_stream_place();
    rt::Task<Next> refuse(Refusal refusal);
    rt::Task<Next> fail(Failure failure);
    rt::Task<Outcome<void>> borrow_upstream(bool fresh);
    rt::Task<Outcome<void>> send_request();
    rt::Task<Outcome<void>> receive_answer();
    [[nodiscard]] Failure client_gone(Step step) const { return {Side::client, step, Reason::gone}; }
    void start_first_byte_clock();
    rt::Task<Next> carry();
    rt::Task<Next> deliver();
    bool may_retry(Failure const& failure) const;
    void watch_client();
    void return_upstream();
    void drop_upstream();
    rt::Task<void> stop_upload();
    Failure failure_of(rt::Peer const& peer, Side side, Step step, error_code why) const;

    // upload.cpp: the rest of the request's content, beside the answer
    rt::Task<void> upload();
    rt::Task<Outcome<void>> upload_content();

    // download.cpp: an answer with an end
    rt::Task<Next> relay_response();
    rt::Task<error_code> pass_content(rt::Peer& from, rt::Peer& to, BodyReader& body, BulkSeat& seat);

    // own_page.cpp: an answer of the gateway's own pages
    rt::Task<Next> own_page();
    PageRequest page_request() const;
    rt::Task<Outcome<void>> receive_content(std::string& content);
    rt::Task<Next> send_page(PageAnswer const& page);

    // event_stream.cpp: an answer without one
    rt::Task<Next> open_event_stream();
    rt::Task<> relay_events();
    rt::Task<error_code> write_in_time(rt::Gather& bytes);
    struct Events;
    [[nodiscard]] bool compose(Events& events);
    [[nodiscard]] bool heard(Events& events, error_code why);
    void await_heartbeat();
    void reader_failed(error_code why);
    void reader_drained();
    rt::Task<Next> close_event_stream();

    // tunnel.cpp: a WebSocket
    rt::Task<Next> open_tunnel();
    rt::Task<Next> close_tunnel();
    rt::Task<void> inbound();
    void end_inbound();
    void inbound_over(Side side, error_code why);
    void inbound_failed();
    rt::Task<> pump_to_client();
    [[nodiscard]] bool outbound_over(error_code why);
    void client_failed(error_code why);
    enum class Way : std::uint8_t { to_client, to_upstream };
    bool move_frames(Way way, wire::FrameBoundary& frames, std::size_t limit, error_code& why);
    [[nodiscard]] std::size_t outbound_limit() const;
    [[nodiscard]] bool at_last_frame() const;
    [[nodiscard]] rt::Duration tunnel_patience() const;

    [[nodiscard]] Deed deed(std::string_view target) const noexcept;

    // record.cpp
    /// Copies what the record says of the request and returns the desk and the request's bytes: a stream begins.
    void clear_desk();
    void keep_record();
    void collect(std::string_view content, bool complete);

    Outcome<std::size_t> write_head(bool close);
    void stream_over(StreamKind kind, Outcome<void> const& outcome);

    Connection& connection_;
    ShardState& shard_;
    std::shared_ptr<Snapshot const> const snapshot_;
    ShardState::DeskPtr desk_;
    rt::PeerPtr const client_;
    std::array<char, 16> own_id_;
    std::string_view request_id_;
    rt::Instant const started_;
    std::string user_;
    std::string client_address_;  ///< behind trusted proxies; empty: the connection's
    ClientCount::Place stream_place_;
    ExchangeRecord record_;
    std::string kept_;  ///< what the record's views point to, once the desk is gone
    /// For Gatekeeper::saw_answer.
    struct Watched {
        std::string target;
        std::string content;  ///< the answer's, so far
    };
    std::unique_ptr<Watched> watched_;
    rt::TaskGroup uploads_;
    BodyReader request_body_{{}};
    std::optional<Failure> upload_failure_;
    bool upload_complete_ = true;
    bool continued_ = true;  ///< the client has no reason to wait before it sends its content
    bool reused_ = false;
    bool answered_ = false;  ///< bytes of an answer that is final, or not whole, may have reached the client
    bool keep_client_ = true;
    bool client_1_0_ = false;
    bool vouched_ = false;          ///< the upstream's own credential is sent along
    bool foreign_content_ = false;  ///< see Decision
    bool peer_trusted_ = false;     ///< its X-Forwarded-* are believed
    bool admitted_ = false;
    bool witnessed_ = false;  ///< Witness::began was told
    bool upgrade_ = false;    ///< the client asked for another protocol
    bool websocket_ = false;  ///< and did it well
    bool head_consumed_ = false;
    bool credential_sent_ = false;  ///< the upstream's own, with this request
    bool stream_open_ = false;      ///< told to the recorder, its end is not
    bool stopping_upload_ = false;
    rt::Instant exempt_by_ = rt::never;  ///< the end of what nobody has logged in for
    rt::Instant first_byte_by_ = rt::never;
    rt::Instant head_by_ = rt::never;  ///< the end of an answer's head that has begun
    Outcome<void> flowed_{};           ///< what became of the stream
    BodyReader answer_body_{{}};       ///< the content that is being passed on
    wire::FrameBoundary frames_;       ///< of the tunnel, toward the client
    bool events_chunked_ = false;
    bool events_coded_ = false;
    bool events_fillable_ = false;  ///< a comment fits in between
    bool tunnel_over_ = false;      ///< the upstream's direction has ended
    rt::Instant tunnel_active_{};   ///< the last byte of either direction
};

}  // namespace ocgate::proxy
