// Who answers a question, aborts a turn or writes to a session: seen by the shards, told to the gateway's own loop, and
// written into the audit on the way.
#pragma once

#include <functional>
#include <string>

#include "auditor.hpp"
#include "ocgate/opencode/routes.hpp"
#include "ocgate/proxy/doors.hpp"
#include "ocgate/rt/types.hpp"

namespace ocgate::app {

class ActWitness final : public proxy::Witness {
public:
    struct Listener {
        std::function<void(opencode::Act const&, Who const&)> acted;
        std::function<void(std::string const& session)> aborted;  ///< and opencode said yes
        /// An answer that opencode did not take.
        std::function<void(std::string const& request_id)> not_taken{};
    };
    /// `listener` is called on `executor`'s thread. What it uses, and the auditor, outlive that event loop's running.
    ActWitness(rt::Executor executor, Auditor const& auditor, Listener listener)
        : executor_(executor), auditor_(auditor), listener_(std::make_shared<Listener const>(std::move(listener))) {}

    void began(proxy::Deed const& deed) noexcept override;
    void ended(proxy::Deed const& deed, unsigned status, rt::Duration took) noexcept override;

private:
    rt::Executor executor_;
    Auditor const& auditor_;
    std::shared_ptr<Listener const> listener_;
};

}  // namespace ocgate::app
