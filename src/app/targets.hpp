// Makes targets of what is configured: a sink, and an HTTPS client that trusts what it was told to trust.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ocgate/app/config.hpp"
#include "ocgate/notify/courier.hpp"

namespace ocgate::app {

/// Read once when a configuration is taken: certificates and proxies. Afterwards it fails no more.
class TargetMaker {
public:
    /// What is wrong is added to `problems`, for the operator. `variable` as Sources::variable.
    [[nodiscard]] static TargetMaker read(NotifyConfig const& config,
                                          std::function<std::optional<std::string>(std::string const&)> const& variable,
                                          std::vector<std::string>& problems);

    /// All of them anew. `resources` outlives them.
    [[nodiscard]] std::vector<notify::CourierTarget> make(rt::PeerResources const& resources,
                                                          notify::WallClock const& wall) const;
    /// Differs when any of them does.
    [[nodiscard]] std::string mark() const;
    [[nodiscard]] std::string names() const;  ///< for people: `discord, ntfy`

private:
    std::vector<TargetConfig> targets_;
    std::map<std::string, std::shared_ptr<notify::Trust const>> trust_;  ///< by file; "" is the system's
    std::string files_;                                                  ///< when those were written
    notify::Proxies proxies_;
};

}  // namespace ocgate::app
