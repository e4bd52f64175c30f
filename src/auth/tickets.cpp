#include "ocgate/auth/tickets.hpp"

#include <algorithm>
#include <mutex>

#include "bounded_table.hpp"
#include "ocgate/wire/percent.hpp"

namespace ocgate::auth {
namespace {

/// One name or value of a query.
std::string form_decoded(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) out += wire::take_form_char(text);
    return out;
}

}  // namespace

struct Tickets::Table {
    struct Issued {
        rt::Instant until;  ///< it is good
        std::string user;
    };

    explicit Table(Key const& key) : hash(key), issued(capacity) {}

    mutable std::mutex mutex;
    KeyedHash hash;
    BoundedTable<Issued> issued;
};

Tickets::Tickets(Key const& key) : table_(new Table(key)) {}
Tickets::~Tickets() = default;

void Tickets::issued(std::string_view pty_id, std::string_view ticket, rt::Instant now, std::string_view user) {
    if (pty_id.empty() || ticket.empty() || pty_id.size() > max_text_bytes || ticket.size() > max_text_bytes) return;
    std::lock_guard const lock(table_->mutex);
    table_->issued.put(table_->hash({"ticket", pty_id, ticket}), {now + lifetime, std::string(user)});
}

std::optional<std::string> Tickets::redeem(std::string_view pty_id, std::string_view ticket, rt::Instant now) {
    if (pty_id.empty() || ticket.empty() || pty_id.size() > max_text_bytes || ticket.size() > max_text_bytes)
        return std::nullopt;
    std::lock_guard const lock(table_->mutex);
    auto const key = table_->hash({"ticket", pty_id, ticket});
    auto const* const found = table_->issued.find(key);
    if (found == nullptr) return std::nullopt;
    auto const issued = *found;
    table_->issued.erase(key);
    if (now >= issued.until) return std::nullopt;
    return issued.user;
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
