#include "ocgate/auth/tickets.hpp"

#include <algorithm>
#include <mutex>

#include "bounded_table.hpp"

namespace ocgate::auth {
namespace {

int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// WHATWG URL, "application/x-www-form-urlencoded parsing", for one name or value.
std::string form_decoded(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '%' && text.size() - at > 2) {
            int const high = hex_value(text[at + 1]);
            int const low = hex_value(text[at + 2]);
            if (high >= 0 && low >= 0) {
                out += static_cast<char>(high * 16 + low);
                at += 2;
                continue;
            }
        }
        out += text[at] == '+' ? ' ' : text[at];
    }
    return out;
}

}  // namespace

struct Tickets::Table {
    explicit Table(Key const& key) : hash(key), issued(capacity) {}

    mutable std::mutex mutex;
    KeyedHash hash;
    BoundedTable<rt::Instant> issued;  ///< when each ticket ends to be good
};

Tickets::Tickets(Key const& key) : table_(new Table(key)) {}
Tickets::~Tickets() = default;

void Tickets::issued(std::string_view pty_id, std::string_view ticket, rt::Instant now) {
    if (pty_id.empty() || ticket.empty() || pty_id.size() > max_text_bytes || ticket.size() > max_text_bytes) return;
    std::lock_guard const lock(table_->mutex);
    table_->issued.put(table_->hash({"ticket", pty_id, ticket}), now + lifetime);
}

bool Tickets::redeem(std::string_view pty_id, std::string_view ticket, rt::Instant now) {
    if (pty_id.empty() || ticket.empty() || pty_id.size() > max_text_bytes || ticket.size() > max_text_bytes)
        return false;
    std::lock_guard const lock(table_->mutex);
    auto const key = table_->hash({"ticket", pty_id, ticket});
    auto const* const until = table_->issued.find(key);
    if (until == nullptr) return false;
    bool const good = now < *until;
    table_->issued.erase(key);
    return good;
}

std::size_t Tickets::size() const {
    std::lock_guard const lock(table_->mutex);
    return table_->issued.size();
}

std::optional<std::string> sole_query_value(std::string_view target, std::string_view name) {
    auto const question = target.find('?');
    if (question == std::string_view::npos) return std::nullopt;
    std::optional<std::string> found;
    for (auto rest = target.substr(question + 1); !rest.empty();) {
        auto const pair = rest.substr(0, rest.find('&'));
        rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
        auto const equals = pair.find('=');
        if (form_decoded(pair.substr(0, equals)) != name) continue;
        if (found) return std::nullopt;
        found = equals == std::string_view::npos ? std::string() : form_decoded(pair.substr(equals + 1));
    }
    if (found && found->empty()) return std::nullopt;
    return found;
}

}  // namespace ocgate::auth
