// Names looked up without anybody waiting for anybody else. Asio's resolver (1.81) has one thread for all lookups, so
// that one name whose servers are silent would hold up every other target's.
#pragma once

#include <map>
#include <mutex>

#include "ocgate/notify/http.hpp"
#include "ocgate/rt/signal.hpp"

namespace ocgate::notify {

class Lookups {
public:
    using Resolve = std::function<std::vector<std::string>(std::string const& name, error_code& why)>;
    Lookups(rt::Executor executor, Resolve resolve, std::size_t most);
    ~Lookups();
    Lookups(Lookups const&) = delete;
    Lookups& operator=(Lookups const&) = delete;

    /// Who waits for a name. May be gone, or notified by others, before the answer comes.
    struct Waiter {
        rt::Signal over;
        bool answered = false;
        error_code why;
        std::vector<std::string> found;
    };
    /// Starts a lookup, or joins the one under way for the same name. An error: nothing was started.
    error_code ask(std::string const& name, std::shared_ptr<Waiter> const& waiter);

    [[nodiscard]] std::size_t under_way() const noexcept { return pending_.size(); }

private:
    /// Where the threads bring their answers, for as long as there is somebody to bring them to.
    struct Home {
        std::mutex mutex;
        Lookups* lookups;
    };
    using Waiters = std::vector<std::weak_ptr<Waiter>>;
    void answered(std::string const& name, error_code why, std::vector<std::string> const& found);

    rt::Executor executor_;
    std::shared_ptr<Resolve const> resolve_;
    std::size_t most_;
    std::shared_ptr<Home> home_;
    std::map<std::string, Waiters> pending_;
};

/// getaddrinfo(3), as `Lookups::Resolve`.
std::vector<std::string> look_up(std::string const& name, error_code& why);

}  // namespace ocgate::notify
