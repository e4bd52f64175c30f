// What is going on in a shard at this moment, for people who ask. Nothing is kept for it: where an exchange stands
// follows from what it holds.
#include <algorithm>

#include "exchange.hpp"

namespace ocgate::proxy {

/// What one look gathers.
struct Looking {
    ShardView view;
    std::vector<Exchange const*> exchanges;
};

std::string_view to_string(Stage stage) noexcept {
    switch (stage) {
        case Stage::admission:
            return "admission";
        case Stage::page:
            return "page";
        case Stage::dial:
            return "dial";
        case Stage::request_body:
            return "request_body";
        case Stage::waiting:
            return "waiting";
        case Stage::response:
            return "response";
        case Stage::event_stream:
            return "event_stream";
        case Stage::tunnel:
            return "tunnel";
    }
    return "response";
}

Deed Exchange::deed(std::string_view target) const noexcept {
    return {record_.method, target, user_, client_address(), request_id_, websocket_};
}

Stage Exchange::stage() const noexcept {
    if (record_.stream) return record_.kind == StreamKind::websocket ? Stage::tunnel : Stage::event_stream;
    if (!admitted_) return answered_ ? Stage::response : Stage::admission;
    if (snapshot_->pages && Pages::cover(record_.path)) return Stage::page;
    if (record_.status != 0 || answered_) return Stage::response;
    if (!connection_.upstream) return Stage::dial;
    return upload_complete_ ? Stage::waiting : Stage::request_body;
}

std::uint64_t Exchange::request_bytes() const noexcept {
    return record_.request_bytes + request_body_.content_bytes();  // a tunnel's are in the record already
}

std::uint64_t Exchange::response_bytes() const noexcept {
    return std::max(record_.response_bytes, answer_body_.content_bytes());
}

ExchangeView Exchange::look() const {
    ExchangeView view;
    auto const what = deed(record_.path);
    view.request_id = what.request_id;
    view.method = what.method;
    view.path = what.target;
    view.user = what.user;
    view.client_address = what.client_address;
    view.route = record_.route;
    view.stage = stage();
    view.age = shard_.now() - started_;
    view.request_bytes = request_bytes();
    view.response_bytes = response_bytes();

    auto const& upstream = connection_.upstream;
    auto const client_blocked = client_->blocked_since();
    auto const upstream_blocked = upstream ? upstream->blocked_since() : rt::never;
    switch (view.stage) {
        case Stage::admission:
        case Stage::page:
            view.awaited = Side::gateway;
            break;
        case Stage::request_body:
            view.awaited = upstream_blocked == rt::never ? Side::client : Side::upstream;
            break;
        case Stage::dial:
        case Stage::waiting:
            view.awaited = Side::upstream;
            break;
        case Stage::response:
        case Stage::event_stream:
            view.awaited = client_blocked == rt::never ? Side::upstream : Side::client;
            break;
        case Stage::tunnel:
            if (client_blocked != rt::never) {
                view.awaited = Side::client;
            } else if (upstream_blocked != rt::never) {
                view.awaited = Side::upstream;
            }
            break;
    }
    auto const blocked = view.awaited == Side::client     ? client_blocked
                         : view.awaited == Side::upstream ? upstream_blocked
                                                          : rt::never;
    if (blocked != rt::never) view.stalled = shard_.now() - blocked;
    return view;
}

void Connection::look(Looking& into) const {
    auto& view = into.view;
    ++view.connections;
    if (phase == Phase::idle) ++view.idle;
    if (upstream) ++view.upstreams_in_use;
    if (!exchange) return;
    ++view.at[static_cast<std::size_t>(exchange->stage())];
    ++view.requests;
    view.request_bytes += exchange->request_bytes();
    view.response_bytes += exchange->response_bytes();
    into.exchanges.push_back(exchange.get());
}

ShardView look_at(ShardState const& shard, std::size_t most, First first) {
    Looking looking;
    auto const& ended = shard.ended;
    auto& view = looking.view;
    view.upstreams_idle = shard.upstreams.idle();
    view.requests = ended.exchanges;
    view.request_bytes = ended.request_bytes;
    view.response_bytes = ended.response_bytes;
    looking.exchanges.reserve(shard.connections.size());
    for (auto const& connection : shard.connections) connection.look(looking);

    auto& found = looking.exchanges;
    auto const before = [first](Exchange const* a, Exchange const* b) {
        return first == First::oldest ? a->began() < b->began() : a->began() > b->began();
    };
    auto const listed = std::min(most, found.size());
    std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(listed), found.end(), before);
    view.exchanges.reserve(listed);
    for (std::size_t i = 0; i < listed; ++i) view.exchanges.push_back(found[i]->look());
    return std::move(looking.view);
}

}  // namespace ocgate::proxy
