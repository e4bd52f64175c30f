#include "ocgate/auth/throttle.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

#include "address.hpp"
#include "bounded_table.hpp"

namespace ocgate::auth {
namespace {

/// Who counts as one guesser: an IPv4 address, an IPv6 /64, or the text itself where it is no address.
class Origin {
public:
    explicit Origin(Throttle::Source const& source)
        : text_(source.address), relayed_(source.relayed), address_(parse_address(text_)) {}

    [[nodiscard]] bool exempt() const { return !relayed_ && (address_ ? address_->is_loopback() : text_ == "unix"); }
    [[nodiscard]] std::string_view bytes() const {
        if (!address_) return text_;
        return {reinterpret_cast<char const*>(address_->bytes.data()), address_->is_v4() ? std::size_t{16} : 8};
    }

private:
    std::string_view text_;
    bool relayed_;
    std::optional<Address> address_;
};

/// A wrong password of a pair.
struct Guess {
    rt::Instant when;
    std::uint64_t password;   ///< of its keyed digest: the same one again tells a guesser nothing
    std::uint64_t judged_by;  ///< which accounts; 0: not yet
};

/// The failures that still matter, oldest first; never more than the limit they are held against.
using Guesses = std::vector<Guess>;
using Failures = std::vector<rt::Instant>;

rt::Instant time_of(Guess const& guess) { return guess.when; }
rt::Instant time_of(rt::Instant when) { return when; }

template <class List>
std::chrono::seconds wait_for(List& failures, unsigned limit, std::chrono::seconds window, rt::Instant now) {
    std::erase_if(failures, [&](auto const& one) { return time_of(one) + window <= now; });
    if (limit == 0 || failures.size() < limit) return std::chrono::seconds{0};
    return std::chrono::ceil<std::chrono::seconds>(time_of(failures[failures.size() - limit]) + window - now);
}

/// The same without forgetting what is over: the last `limit` failures are all of the window.
template <class List>
bool is_locked(List const& failures, unsigned limit, std::chrono::seconds window, rt::Instant now) {
    return limit != 0 && failures.size() >= limit && time_of(failures[failures.size() - limit]) + window > now;
}

template <class List>
void take_back(BoundedTable<List>& table, Digest const& key, rt::Instant when) {
    auto* failures = table.find(key);
    if (failures == nullptr) return;
    auto const found =
        std::find_if(failures->begin(), failures->end(), [&](auto const& one) { return time_of(one) == when; });
    if (found != failures->end()) failures->erase(found);
    // An entry without failures would only push somebody's real ones out of the table.
    if (failures->empty()) table.erase(key);
}

}  // namespace

struct Throttle::Tables {
    Tables(ThrottleSettings const& given, Key const& key)
        : settings(given), hash(key), pairs(given.entries), addresses(given.entries), passes(given.entries) {}

    [[nodiscard]] Digest pair_of(Origin const& origin, std::string_view user) const {
        return hash({"pair", origin.bytes(), user});
    }
    [[nodiscard]] Digest address_of(Origin const& origin) const { return hash({"address", origin.bytes()}); }
    [[nodiscard]] Digest pass_of(Origin const& origin, std::string_view user, std::string_view password) const {
        return hash({"pass", origin.bytes(), user, password});
    }
    [[nodiscard]] bool watches(Origin const& origin) const { return settings.failures != 0 && !origin.exempt(); }

    [[nodiscard]] std::chrono::seconds wait(Origin const& origin, std::string_view user, rt::Instant now) {
        std::chrono::seconds longest{0};
        if (auto* failures = pairs.find(pair_of(origin, user)))
            longest = wait_for(*failures, settings.failures, settings.window, now);
        if (auto* failures = addresses.find(address_of(origin)))
            longest = std::max(longest, wait_for(*failures, settings.failures_per_address, settings.window, now));
        return longest;
    }

    /// Part of it is enough: two passwords of the few that are remembered for a pair are not alike by chance.
    [[nodiscard]] static std::uint64_t guess_of(Digest const& pass) {
        std::uint64_t guess = 0;
        std::memcpy(&guess, pass.data(), sizeof guess);
        return guess;
    }

    template <class List>
    static void count(BoundedTable<List>& table, Digest const& key, unsigned limit, typename List::value_type failure) {
        auto* failures = table.find(key);
        if (failures == nullptr) failures = &table.put(key, {});
        if (failures->size() >= limit) failures->erase(failures->begin());  // what was let through, and wrong after all
        if (failures->size() == failures->capacity())  // at most `limit` stand in it, so it need not grow past that
            failures->reserve(std::max(failures->size() + 1, std::min<std::size_t>(limit, failures->size() * 2 + 1)));
        failures->push_back(failure);
    }

    [[nodiscard]] Guess* find_guess(Digest const& pair, Digest const& pass) {
        auto* const guesses = pairs.find(pair);
        if (guesses == nullptr) return nullptr;
        auto const found = std::find_if(guesses->begin(), guesses->end(),
                                        [guess = guess_of(pass)](Guess const& one) { return one.password == guess; });
        return found == guesses->end() ? nullptr : &*found;
    }

    void count_guess(Origin const& origin, Digest const& pair, Guess const& guess) {
        count(pairs, pair, settings.failures, guess);
        if (settings.failures_per_address != 0)
            count(addresses, address_of(origin), settings.failures_per_address, guess.when);
    }

    void take_back_attempt(Origin const& origin, std::string_view user, rt::Instant when) {
        take_back(pairs, pair_of(origin, user), when);
        take_back(addresses, address_of(origin), when);
    }

    mutable std::mutex mutex;
    ThrottleSettings settings;
    KeyedHash hash;
    BoundedTable<Guesses> pairs;
    BoundedTable<Failures> addresses;
    struct Nothing {};
    BoundedTable<Nothing> passes;
};

Throttle::Throttle(ThrottleSettings const& settings, Key const& key) : tables_(new Tables(settings, key)) {}
Throttle::~Throttle() = default;

void Throttle::adopt(ThrottleSettings const& settings) {
    std::lock_guard const lock(tables_->mutex);
    tables_->settings = settings;
    tables_->pairs.set_capacity(settings.entries);
    tables_->addresses.set_capacity(settings.entries);
    tables_->passes.set_capacity(settings.entries);
}

std::chrono::seconds Throttle::blocked(Source source, std::string_view user, std::string_view password,
                                       rt::Instant now) {
    Origin const origin(source);
    std::lock_guard const lock(tables_->mutex);
    if (!tables_->watches(origin)) return std::chrono::seconds{0};
    auto const wait = tables_->wait(origin, user, now);
    if (wait.count() > 0 && tables_->passes.find(tables_->pass_of(origin, user, password)) != nullptr)
        return std::chrono::seconds{0};
    return wait;
}

Throttle::Attempt Throttle::attempt(Source source, std::string_view user, std::string_view password, rt::Instant now,
                                    std::uint64_t accounts) {
    Origin const origin(source);
    std::lock_guard const lock(tables_->mutex);
    if (!tables_->watches(origin)) return {};
    auto const pass = tables_->pass_of(origin, user, password);
    if (auto const wait = tables_->wait(origin, user, now); wait.count() > 0) {
        bool const known = tables_->passes.find(pass) != nullptr;
        return {known ? std::chrono::seconds{0} : wait, false, false, false, now};
    }
    auto const pair = tables_->pair_of(origin, user);
    if (auto const* const known = tables_->find_guess(pair, pass))
        return {std::chrono::seconds{0}, false, true, known->judged_by == accounts, now};
    tables_->count_guess(origin, pair, {now, Tables::guess_of(pass), 0});
    return {std::chrono::seconds{0}, true, false, false, now};
}

void Throttle::wrong(Source source, std::string_view user, std::string_view password, Attempt const& attempt,
                     std::uint64_t accounts) {
    Origin const origin(source);
    std::lock_guard const lock(tables_->mutex);
    if (!tables_->watches(origin)) return;
    auto const pass = tables_->pass_of(origin, user, password);
    tables_->passes.erase(pass);
    auto const pair = tables_->pair_of(origin, user);
    if (auto* const known = tables_->find_guess(pair, pass)) {
        known->judged_by = accounts;
    } else {  // whoever counted it took it back meanwhile
        tables_->count_guess(origin, pair, {attempt.when, Tables::guess_of(pass), accounts});
    }
}

void Throttle::passed(Source source, std::string_view user, std::string_view password, Attempt const& attempt) {
    Origin const origin(source);
    std::lock_guard const lock(tables_->mutex);
    if (attempt.counted) tables_->take_back_attempt(origin, user, attempt.when);
    if (tables_->watches(origin)) tables_->passes.put(tables_->pass_of(origin, user, password), {});
}

void Throttle::withdrawn(Source source, std::string_view user, Attempt const& attempt) {
    if (!attempt.counted) return;
    Origin const origin(source);
    std::lock_guard const lock(tables_->mutex);
    tables_->take_back_attempt(origin, user, attempt.when);
}

std::size_t Throttle::locked(rt::Instant now) const {
    std::lock_guard const lock(tables_->mutex);
    auto const& settings = tables_->settings;
    if (settings.failures == 0) return 0;
    auto const against = [&](unsigned limit) {
        return [&settings, limit, now](auto const& f) { return is_locked(f, limit, settings.window, now); };
    };
    return tables_->pairs.count_recent(most_looked_at, against(settings.failures)) +
           tables_->addresses.count_recent(most_looked_at, against(settings.failures_per_address));
}

Throttle::Sizes Throttle::sizes() const {
    std::lock_guard const lock(tables_->mutex);
    return {tables_->pairs.size(), tables_->addresses.size(), tables_->passes.size()};
}

}  // namespace ocgate::auth
