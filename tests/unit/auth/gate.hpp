// A gatekeeper with everything it needs: a real worker and io_context, a clock that stands still, an upstream whose
// paths are made up, and a journal of what was decided.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hashing.hpp"
#include "ocgate/auth/gatekeeper.hpp"
#include "ocgate/auth/htpasswd.hpp"
#include "requests.hpp"

namespace ocgate::test {

class StillClock final : public rt::Clock {
public:
    [[nodiscard]] rt::Instant now() const noexcept override { return now_; }
    [[nodiscard]] std::unique_ptr<rt::Alarm> alarm(rt::Executor, std::function<void()>) override { return nullptr; }
    void advance(rt::Duration by) { now_ += by; }

private:
    rt::Instant now_{std::chrono::hours(24)};
};

/// `/logo.png` is public; `/page` is for people, `/folder` for those who mean it; `POST /t/<pty>` issues a ticket whose
/// answer is `ticket:<text>`;
/// `/c/<pty>?ticket=` uses one.
class Upstream final : public auth::UpstreamKnowledge {
public:
    [[nodiscard]] bool is_public_asset(std::string_view method, std::string_view target) const override {
        return (method == "GET" || method == "HEAD") && target == "/logo.png";
    }
    [[nodiscard]] auth::Linking linking(std::string_view target) const override {
        if (target == "/page") return auth::Linking::open;
        return target == "/folder" ? auth::Linking::by_hand : auth::Linking::refused;
    }
    [[nodiscard]] bool serves_files(std::uint16_t route) const override { return route == 7; }
    [[nodiscard]] std::optional<std::string> ticket_issued_by(std::string_view method,
                                                              std::string_view target) const override {
        if (method != "POST" || !target.starts_with("/t/")) return std::nullopt;
        return std::string(target.substr(3));
    }
    [[nodiscard]] std::optional<auth::TicketUse> ticket_used_by(std::string_view target) const override {
        if (!target.starts_with("/c/")) return std::nullopt;
        auto ticket = auth::sole_query_value(target, "ticket");
        if (!ticket) return std::nullopt;
        auto const path = target.substr(3, target.find('?') - 3);
        return auth::TicketUse{std::string(path), std::move(*ticket)};
    }
    [[nodiscard]] std::optional<std::string> read_ticket(std::string_view body) const override {
        if (!body.starts_with("ticket:")) return std::nullopt;
        return std::string(body.substr(7));
    }
};

struct Decided {
    auth::AuthResult result;
    std::string address, user, request_id;
};

class Journal final : public auth::AuthObserver {
public:
    void decided(auth::AuthResult result, std::string_view address, std::string_view user,
                 std::string_view request_id) noexcept override {
        ++count;
        if (quiet) return;
        entries.push_back({result, std::string(address), std::string(user), std::string(request_id)});
    }
    void hidden_by_forwarder(std::string_view peer, bool trusted) noexcept override {
        (trusted ? unreadable : forwarders).emplace_back(peer);
    }
    std::vector<Decided> entries;
    std::vector<std::string> forwarders, unreadable;
    std::size_t count = 0;
    bool quiet = false;  ///< counts only, so that it allocates nothing
};

/// Keeps the worker busy until it is let go.
class Busy {
public:
    Busy(boost::asio::io_context& io, rt::Worker& worker) {
        std::promise<void> started;
        auto begun = started.get_future();
        auto wait = [](rt::Worker& w, std::promise<void> now, std::shared_future<void> until) -> rt::Task<void> {
            auto job = [&now, &until]() noexcept {
                now.set_value();
                until.wait();
                return 0;
            };
            (void)co_await w.run(std::move(job));
        };
        rt::spawn(io.get_executor(), wait(worker, std::move(started), release_.get_future().share()),
                  [](std::exception_ptr const&) {});
        io.poll();
        begun.wait();
    }
    void let_go() {
        if (!gone_) release_.set_value();
        gone_ = true;
    }
    ~Busy() { let_go(); }
    Busy(Busy const&) = delete;
    Busy& operator=(Busy const&) = delete;

private:
    std::promise<void> release_;
    bool gone_ = false;
};

inline auth::Account clear_text(std::string name, std::string password) {
    auth::Account account;
    account.name = std::move(name);
    account.password = Secret(std::move(password));
    return account;
}

inline auth::Account hashed(std::string name, std::string const& password) {
    static std::array<std::uint8_t, 16> salt{};
    ++salt[5];
    auth::Account account;
    account.name = std::move(name);
    account.hash = auth::hash_password(password, 4, salt);
    return account;
}

/// `Authorization: Basic …` of `user:password`.
std::string login(std::string_view user, std::string_view password);

class Gate {
public:
    explicit Gate(auth::Settings given, std::size_t max_queued = 16) : worker(max_queued) {
        auto settings = std::make_shared<auth::Settings const>(std::move(given));
        throttle = std::make_shared<auth::Throttle>(settings->throttle, auth::Key{});
        keeper.emplace(settings, parts());
    }
    ~Gate() { worker.stop(); }

    [[nodiscard]] auth::Gatekeeper::Parts parts() {
        return {throttle, tickets, worker, clock, knowledge, journal, auth::Key{9}, hashing};
    }

    /// One shard more beside `keeper`.
    std::unique_ptr<auth::Gatekeeper> another(auth::Settings given) {
        return std::make_unique<auth::Gatekeeper>(std::make_shared<auth::Settings const>(std::move(given)), parts());
    }

    static proxy::Visit visit(Request const& request, std::string_view peer) { return {request.head(), peer, "r1"}; }

    proxy::Decision consider(Request const& request, std::string_view peer = "192.0.2.1") {
        return keeper->consider(visit(request, peer));
    }

    /// Starts a `verify`; the decision is there when `io` has run.
    std::shared_ptr<std::optional<proxy::Decision>> start(Request const& request, std::string_view peer = "192.0.2.1",
                                                          auth::Gatekeeper* shard = nullptr) {
        auto result = std::make_shared<std::optional<proxy::Decision>>();
        auto run = [](auth::Gatekeeper& gatekeeper, wire::RequestHead const& head, std::string from,
                      std::shared_ptr<std::optional<proxy::Decision>> out) -> rt::Task<void> {
            proxy::Visit const seen{head, from, "r1"};
            *out = co_await gatekeeper.verify(seen);
        };
        rt::spawn(io.get_executor(), run(shard ? *shard : *keeper, request.head(), std::string(peer), result),
                  [](std::exception_ptr const&) {});
        io.restart();
        io.poll();
        return result;
    }

    void run() {
        io.restart();
        io.run();
    }

    /// What the proxy does: considers, and verifies what is undecided.
    proxy::Decision ask(Request const& request, std::string_view peer = "192.0.2.1") {
        auto decision = consider(request, peer);
        if (decision.kind != proxy::Decision::Kind::undecided) return decision;
        auto const result = start(request, peer);
        run();
        EXPECT_TRUE(result->has_value());
        return result->value_or(proxy::Decision{});
    }

    boost::asio::io_context io{1};
    StillClock clock;
    rt::Worker worker;
    Upstream knowledge;
    Journal journal;
    std::shared_ptr<auth::Throttle> throttle;
    std::shared_ptr<auth::Tickets> tickets = std::make_shared<auth::Tickets>(auth::Key{8});
    std::shared_ptr<proxy::ClientCount> hashing = std::make_shared<proxy::ClientCount>();
    std::optional<auth::Gatekeeper> keeper;
};

}  // namespace ocgate::test
