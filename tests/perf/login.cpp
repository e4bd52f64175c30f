// What logins cost the gatekeeper, case by case: who can tell them apart by time learns which names there are.
//
//   ocgate_login count plain|hashed|mixed CASE LOGINS    does one case so many times, for callgrind to count
//   ocgate_login idle plain|hashed|mixed CASE LOGINS     gets ready for the same, to be taken off
//   ocgate_login time plain|hashed|mixed ROUNDS          all that fail in turn, and statistics of their times
//
// The accounts: `plain` has ann and cem with passwords in clear, `hashed` the same with bcrypt (cost 4 to be counted,
// 10 to be timed), `mixed` ann with a hash and cem without. The cases: `unknown`, a name that nobody has; `wrong`, ann
// with a wrong password; `near`, ann with hers but for the last letter; `other`, ann with cem's password; `clear`, cem
// with a wrong password; `right`, ann with hers. All passwords are equally long. With
// hashes each login that is counted is the first at a gatekeeper of its own: what was judged is remembered.
#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ocgate/auth/gatekeeper.hpp"
#include "ocgate/auth/htpasswd.hpp"

namespace ocgate {
namespace {

class NoKnowledge final : public auth::UpstreamKnowledge {
public:
    [[nodiscard]] bool is_public_asset(std::string_view, std::string_view) const override { return false; }
    [[nodiscard]] std::optional<std::string> ticket_issued_by(std::string_view, std::string_view) const override {
        return {};
    }
    [[nodiscard]] std::optional<auth::TicketUse> ticket_used_by(std::string_view) const override { return {}; }
    [[nodiscard]] std::optional<std::string> read_ticket(std::string_view) const override { return {}; }
};

class NoJournal final : public auth::AuthObserver {
public:
    void decided(auth::AuthResult, std::string_view, std::string_view, std::string_view) noexcept override {}
    void hidden_by_forwarder(std::string_view, bool) noexcept override {}
};

struct Case {
    std::string_view name, user, password;
};
constexpr std::array cases{Case{"unknown", "eve", "wrong-password"}, Case{"wrong", "ann", "wrong-password"},
                           Case{"near", "ann", "anns-password?"},    Case{"other", "ann", "cems-password!"},
                           Case{"clear", "cem", "wrong-password"},   Case{"right", "ann", "anns-password!"}};
constexpr std::size_t failing = cases.size() - 1;

std::string base64(std::string_view bytes) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i + 2 < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j) group = group << 8 | static_cast<unsigned char>(bytes[i + j]);
        for (int shift = 18; shift >= 0; shift -= 6) out += digits[group >> shift & 63];
    }
    return out;
}

class Door {
public:
    Door(std::string_view kind, unsigned cost) {
        auto settings = std::make_shared<auth::Settings>();
        settings->accounts = {account("ann", "anns-password!", kind != "plain", cost),
                              account("cem", "cems-password!", kind == "hashed", cost)};
        keeper_.emplace(settings,
                        auth::Gatekeeper::Parts{.throttle = std::make_shared<auth::Throttle>(settings->throttle, key_),
                                                .tickets = std::make_shared<auth::Tickets>(key_),
                                                .worker = worker_,
                                                .clock = clock_,
                                                .knowledge = knowledge_,
                                                .observer = journal_,
                                                .key = key_});
        for (auto const& one : cases) {
            // Eighteen bytes: whole groups of base64.
            auto const pair = std::string(one.user) + ":" + std::string(one.password);
            auto& text = texts_.emplace_back("GET /session HTTP/1.1\r\nHost: code.example\r\nAuthorization: Basic ");
            text += base64(pair) + "\r\n\r\n";
        }
        heads_.resize(cases.size());
        for (std::size_t i = 0; i < cases.size(); ++i) {
            std::size_t seen = 0;
            if (!wire::parse_request_head(texts_[i], {}, seen, heads_[i])) std::abort();
        }
    }
    ~Door() { worker_.stop(); }
    Door(Door const&) = delete;
    Door& operator=(Door const&) = delete;

    /// From loopback, which the throttle lets try for ever.
    void knock(std::size_t which) {
        proxy::Visit const visit{heads_[which], "127.0.0.1", "r"};
        auto decision = keeper_->consider(visit);
        if (decision.kind == proxy::Decision::Kind::undecided) {
            auto verify = [](auth::Gatekeeper& keeper, proxy::Visit const& v, proxy::Decision& out) -> rt::Task<void> {
                out = co_await keeper.verify(v);
            };
            rt::spawn(io_.get_executor(), verify(*keeper_, visit, decision), [](std::exception_ptr const&) {});
            io_.restart();
            io_.run();
        }
        auto const expected = which < failing ? proxy::Decision::Kind::refused : proxy::Decision::Kind::admitted;
        if (decision.kind != expected) std::abort();
    }

private:
    static auth::Account account(std::string name, std::string password, bool hashed, unsigned cost) {
        auth::Account account;
        account.name = std::move(name);
        static std::array<std::uint8_t, 16> salt{};
        ++salt[3];
        if (hashed) account.hash = auth::hash_password(password, cost, salt);
        if (!hashed) account.password = Secret(std::move(password));
        return account;
    }

    auth::Key const key_{7};
    boost::asio::io_context io_{1};
    rt::SystemClock clock_;
    rt::Worker worker_{4};
    NoKnowledge knowledge_;
    NoJournal journal_;
    std::optional<auth::Gatekeeper> keeper_;
    std::vector<std::string> texts_;
    std::vector<wire::RequestHead> heads_;
};

struct Summary {
    double mean = 0, error = 0, median = 0;
};

Summary summary_of(std::vector<double> samples) {
    std::sort(samples.begin(), samples.end());
    samples.resize(samples.size() * 9 / 10);  // what else the machine does only ever adds
    auto const n = static_cast<double>(samples.size());
    Summary found;
    found.median = samples[samples.size() / 2];
    for (double const one : samples) found.mean += one / n;
    double squares = 0;
    for (double const one : samples) squares += (one - found.mean) * (one - found.mean);
    found.error = std::sqrt(squares / (n - 1) / n);
    return found;
}

void time_them(std::string_view kind, unsigned rounds) {
    Door door(kind, 10);
    std::array<std::vector<double>, failing> samples;
    for (unsigned round = 0; round < rounds; ++round) {
        for (std::size_t i = 0; i < failing; ++i) {
            auto const which = (i + round) % failing;  // nobody always comes behind the same one
            auto const began = std::chrono::steady_clock::now();
            door.knock(which);
            std::chrono::duration<double, std::nano> const took = std::chrono::steady_clock::now() - began;
            samples[which].push_back(took.count());
        }
    }
    auto const first = summary_of(samples[0]);
    for (std::size_t i = 0; i < failing; ++i) {
        auto const found = summary_of(samples[i]);
        auto const apart = found.mean - first.mean;
        std::printf("%s %s: median %.0f ns, mean %.0f ns +- %.0f, from unknown %+.0f ns (%+.2f %%), t = %.1f\n",
                    std::string(kind).c_str(), std::string(cases[i].name).c_str(), found.median, found.mean,
                    found.error, apart, 100 * apart / first.mean, apart / std::hypot(found.error, first.error));
    }
}

int run(int argc, char** argv) {
    auto const number = [](std::string_view text) {
        unsigned n = 0;
        (void)std::from_chars(text.data(), text.data() + text.size(), n);
        return n;
    };
    std::string_view const what = argc > 1 ? argv[1] : "";
    if (what == "time" && argc == 4) {
        time_them(argv[2], number(argv[3]));
        return 0;
    }
    if ((what != "count" && what != "idle") || argc != 5) return 2;
    auto const* const found =
        std::find_if(cases.begin(), cases.end(), [&](Case const& one) { return one.name == argv[3]; });
    if (found == cases.end()) return 2;
    std::optional<Door> door;
    for (auto n = number(argv[4]); n > 0; --n) {
        if (!door || argv[2] != std::string_view("plain")) door.emplace(argv[2], 4U);
        if (what == "count") door->knock(static_cast<std::size_t>(found - cases.begin()));
    }
    return 0;
}

}  // namespace
}  // namespace ocgate

int main(int argc, char** argv) { return ocgate::run(argc, argv); }
