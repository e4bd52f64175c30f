// The admin listener: `/livez`, `/readyz`, `/healthz`, `/metrics`, GET and HEAD. No secrets, nothing that changes
// state.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "ocgate/rt/types.hpp"

namespace ocgate::ops {

/// Called on the server's thread.
struct AdminAnswers {
    std::function<std::string()> metrics;
    /// (ready, JSON body)
    std::function<std::pair<bool, std::string>(bool with_upstream)> readiness;
    /// JSON body of `/healthz`; without it the same as `/livez`.
    std::function<std::string()> overview = {};
};

struct AdminLimits {
    /// When one more comes, another is closed: of the address that holds most of them, the one that has waited longest
    /// for its client. Whoever holds all of them cannot keep a health check out.
    std::size_t connections = 64;
    std::size_t head_bytes = 8 * 1024;
    /// For a whole request, for an idle connection, and for an answer to be taken.
    std::chrono::milliseconds patience{10'000};
};

/// `/livez`: 200 while the process lives. `/healthz`: the same status with what is known of phase and upstream, for
/// people.
/// `/readyz`: 200 or 503 with reasons; `?upstream=1` makes the upstream one of them. `/metrics`: Prometheus text
/// format. GET and HEAD. Every answer has an X-Request-Id, and errors are JSON in the shape of the traffic port's.
/// Serves from a listening socket (taken over; non-blocking) on the executor's thread, which is not a shard's: a scrape
/// delays no traffic.
class AdminServer {
public:
    AdminServer(rt::Executor executor, int listener, bool tcp, AdminAnswers answers, AdminLimits limits = {});
    ~AdminServer();
    AdminServer(AdminServer const&) = delete;
    AdminServer& operator=(AdminServer const&) = delete;

    /// On the executor's thread. Closes the listener and every connection; no answer is asked for any more. Idempotent;
    /// destruction does the same.
    void stop();

private:
    struct Inside;
    std::shared_ptr<Inside> inside_;
};

}  // namespace ocgate::ops
