#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "commands.hpp"
#include "config_address.hpp"
#include "ocgate/rt/fetch.hpp"

namespace ocgate::app {
namespace {

struct Answer {
    std::optional<Outcome<rt::Fetched>> fetched;
    std::exception_ptr thrown;
};

Answer ask(rt::Address const& address, bool with_upstream, milliseconds timeout) {
    rt::asio::io_context context(1);
    rt::SystemClock clock;
    rt::Deadlines deadlines(context.get_executor(), clock);
    rt::WindowPool windows(16 * 1024);
    rt::Poller poller(context.get_executor());
    rt::PeerResources const resources{context.get_executor(), deadlines, windows, poller};
    rt::SystemDialer dialer(address);
    rt::FetchRequest request;
    request.target = with_upstream ? "/readyz?upstream=1" : "/readyz";
    request.host = address.is_unix() ? "localhost" : address.text();
    Answer answer;
    bool ended = false;
    auto done = [&answer, &ended](std::exception_ptr thrown) {
        answer.thrown = std::move(thrown);
        ended = true;
    };
    auto const story = [&resources, &dialer, &request, &answer, until = clock.now() + timeout]() -> rt::Task<> {
        auto outcome = co_await rt::fetch(resources, dialer, std::move(request), until);
        answer.fetched.emplace(std::move(outcome));
    };
    rt::spawn(context.get_executor(), story(), std::move(done));
    // Not run(): the alarm of the deadlines stays set when they are over, and run() would wait for it.
    while (!ended && context.run_one() > 0) {
    }
    context.poll();  // operations that closing has ended still hold the connection
    return answer;
}

/// `status: reason, reason` of the JSON that /readyz answers; nothing of an answer that is none.
std::string reasons(rt::Fetched const& fetched) {
    auto const body = nlohmann::json::parse(fetched.body, nullptr, false);
    std::string text;
    if (!body.is_object()) return text;
    auto const listed = body.find("reasons");
    if (listed == body.end() || !listed->is_array()) return text;
    for (auto const& reason : *listed) {
        if (!reason.is_string()) continue;
        text += (text.empty() ? ": " : ", ") + reason.get_ref<std::string const&>();
    }
    return text;
}

}  // namespace

int healthcheck(Flags const& flags, Sources const& sources, bool with_upstream, milliseconds timeout, std::ostream& out,
                std::ostream& err) {
    auto const loaded = load_config(flags, sources);
    if (!tells_where(loaded, flags, sources, "admin_listen", err)) return 1;
    auto const address = reachable(loaded.config.admin_listen);
    if (!address.is_unix() && address.port == 0) {
        err << "ocgate: the port of admin_listen is the kernel's choice; name the one it chose with --admin-listen\n";
        return 1;
    }
    auto const answer = ask(address, with_upstream, timeout);
    auto const who = "ocgate: " + address.text() + ": ";
    if (answer.thrown || !answer.fetched) {
        err << who << "failed inside\n";
        return 1;
    }
    if (!*answer.fetched) {
        err << who << to_string(answer.fetched->error()) << '\n';
        return 1;
    }
    auto const& fetched = **answer.fetched;
    if (fetched.status == 200) {
        out << "ready\n";
        return 0;
    }
    err << who << "not ready, status " << fetched.status << reasons(fetched) << '\n';
    return 1;
}

}  // namespace ocgate::app
