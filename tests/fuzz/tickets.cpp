// One-time tickets: a query's parameter is read in one way or not at all, what is issued is good once, for its PTY, in
// its time, and a store of them says what a plain list would. Parts: a target, an answer's body, then steps: `i` issues
// and `r` redeems (PTY, ticket: a letter each), `t` lets seconds pass.
#include "ocgate/auth/tickets.hpp"

#include <algorithm>

#include "ocgate/opencode/routes.hpp"
#include "ocgate/wire/percent.hpp"
#include "property.hpp"

using namespace ocgate;

namespace {

std::string form(std::string_view text) {
    std::string out;
    while (!text.empty()) out += wire::take_form_char(text);
    return out;
}

void query(std::string_view target) {
    auto const found = auth::sole_query_value(target, "ticket");
    std::vector<std::string> values;
    auto rest = std::string(target.substr(std::min(target.size(), target.find('?')))) + "&";
    rest.erase(0, 1);
    for (std::size_t at = 0; at < rest.size();) {
        auto const pair = rest.substr(at, rest.find('&', at) - at);
        at += pair.size() + 1;
        auto const equals = std::min(pair.find('='), pair.size());
        if (form(std::string_view(pair).substr(0, equals)) == "ticket")
            values.push_back(form(std::string_view(pair).substr(std::min(equals + 1, pair.size()))));
    }
    if (values.size() == 1 && !values[0].empty()) {
        MUST(found == values[0]);
    } else {
        MUST(!found);
    }
}

struct Issued {
    std::string pty, ticket, user;
    long until;
};

void store(std::vector<std::string_view> const& steps) {
    auth::Tickets tickets(auth::Key{});
    std::vector<Issued> all;
    long now = 1000;
    auto const instant = [&now] { return rt::Instant(std::chrono::seconds(now)); };
    for (auto const step : steps) {
        if (step.empty()) continue;
        if (step[0] == 't') now += step.size() > 1 ? static_cast<unsigned char>(step[1]) : 1;
        if (step.size() < 3) continue;
        std::string const pty(step.substr(1, 1)), ticket(step.substr(2));
        auto const same = [&](Issued const& one) { return one.pty == pty && one.ticket == ticket; };
        if (step[0] == 'i') {
            std::string const user = "user " + std::to_string(now);
            tickets.issued(pty, ticket, instant(), user);
            if (ticket.size() > auth::Tickets::max_text_bytes) continue;
            std::erase_if(all, same);
            all.push_back({pty, ticket, user, now + auth::Tickets::lifetime.count()});
        } else if (step[0] == 'r') {
            auto const user = tickets.redeem(pty, ticket, instant());
            auto const known = std::find_if(all.begin(), all.end(), same);
            bool const good = known != all.end() && now < known->until;
            MUST(user.has_value() == good);
            if (good) MUST(*user == known->user);
            std::erase_if(all, same);
            MUST(!tickets.redeem(pty, ticket, instant()));
        }
        MUST(tickets.size() == all.size());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    auto part = fuzz::parts(fuzz::as_text(data, size), 2, 200);
    auto const target = fuzz::exactly(part[0]);
    auto const body = fuzz::exactly(part[1]);
    query(fuzz::view(target));
    if (auto const ticket = opencode::read_ticket(fuzz::view(body))) {
        MUST(!ticket->empty() && ticket->size() <= 128);
        for (char const c : *ticket) MUST(c > ' ' && c <= '~');
    }
    store({part.begin() + 2, part.end()});
    return 0;
}
