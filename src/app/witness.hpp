// Who answers a question, aborts a turn or writes to a session: seen by the shards, told to the gateway's own loop.
#pragma once

#include <functional>
#include <string>

#include "ocgate/opencode/routes.hpp"
#include "ocgate/proxy/doors.hpp"
#include "ocgate/rt/types.hpp"

namespace ocgate::app {

class ActWitness final : public proxy::Witness {
public:
    struct Listener {
        std::function<void(opencode::Act const&, std::string const& user)> acted;
        std::function<void(std::string const& session)> aborted;  ///< and opencode said yes
    };
    /// `listener` is called on `executor`'s thread. What it uses outlives that event loop's running.
    ActWitness(rt::Executor executor, Listener listener)
        : executor_(executor), listener_(std::make_shared<Listener const>(std::move(listener))) {}

    void began(std::string_view method, std::string_view target, std::string_view user) noexcept override;
    void ended(std::string_view method, std::string_view path, std::string_view user,
               unsigned status) noexcept override;

private:
    rt::Executor executor_;
    std::shared_ptr<Listener const> listener_;
};

}  // namespace ocgate::app
