#include "directory.hpp"

#include <exception>
#include <map>
#include <new>

#include "ocgate/auth/htpasswd.hpp"

namespace ocgate::auth {
namespace {

/// What decides how long a check takes: everything of the hash before its salt.
std::string_view kind_and_cost(std::string_view hash) noexcept {
    if (!hash.starts_with('$')) return hash.substr(0, hash.find('}'));
    if (hash.starts_with("$2")) return hash.substr(4, 2);  // 2a, 2b and 2y cost the same
    auto const second = hash.find('$', 1);
    auto const third = hash.find('$', second + 1);
    bool const has_parameters = hash.starts_with("$y$") || hash.substr(second + 1).starts_with("rounds=");
    return hash.substr(0, has_parameters ? third : second);
}

}  // namespace

Directory::Directory(std::shared_ptr<Settings const> settings, KeyedHash const& hash) : settings_(std::move(settings)) {
    struct Kind {
        std::size_t count = 0;
        std::string_view example;
    };
    std::map<std::string_view, Kind> kinds;
    for (auto const& account : settings_->accounts) {
        auto& entry = entries_[account.name];
        if (!account.password.empty()) entry.passwords.push_back(password_digest(hash, account.password.reveal()));
        if (account.hash.empty()) continue;
        entry.hashes.push_back(account.hash);
        auto& kind = kinds[kind_and_cost(account.hash)];
        ++kind.count;
        kind.example = account.hash;
    }
    std::size_t most = 0;
    for (auto const& [name, kind] : kinds) {
        if (kind.count <= most) continue;
        most = kind.count;
        usual_hash_ = kind.example;
    }
}

std::pair<std::string_view const, Directory::Entry> const* Directory::find(std::string_view name) const {
    auto const found = entries_.find(name);
    return found == entries_.end() ? nullptr : &*found;
}

bool Directory::hash_matches(std::string_view name, std::string_view password) const {
    auto const* found = find(name);
    if (found == nullptr || found->second.hashes.empty()) {
        (void)verify_hash(usual_hash_, password);
        return false;
    }
    bool matches = false;
    std::exception_ptr unknown;  // one that has no memory says nothing of the others
    for (auto const hash : found->second.hashes) {
        try {
            matches |= verify_hash(hash, password);
        } catch (std::bad_alloc const&) {
            unknown = std::current_exception();
        }
    }
    if (!matches && unknown) std::rethrow_exception(unknown);
    return matches;
}

Digest password_digest(KeyedHash const& hash, std::string_view password) { return hash({"password", password}); }

}  // namespace ocgate::auth
