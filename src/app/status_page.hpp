// What the gateway is doing at this moment: its exchanges, its connections, opencode, who is told. Asks every shard,
// and waits for none of them longer than `patience`. On the gateway's own loop.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>

#include "ocgate/bridge/herald.hpp"
#include "ocgate/opencode/follower.hpp"
#include "ocgate/ops/audit.hpp"
#include "ocgate/ops/health.hpp"
#include "ocgate/proxy/shard.hpp"

namespace ocgate::app {

struct StatusNeeds {
    rt::Executor executor;
    rt::Deadlines& deadlines;
    notify::WallClock wall;
    ops::Health const& health;
    ops::Log const& log;
    ops::Audit const& audit;
    bridge::Herald const& herald;
    opencode::Follower const& follower;
    std::size_t shards = 0;
    /// Asks one of them; `told` is called on its thread, soon, late or never.
    std::function<void(std::size_t shard, std::size_t most, proxy::First first,
                       std::function<void(proxy::ShardView)> told)>
        look;
    std::function<std::string(std::uint16_t route)> route_name;
    std::function<std::string()> upstream;             ///< its address
    std::function<void(nlohmann::json& page)> more{};  ///< adds members
    std::chrono::system_clock::time_point started{};
};

class StatusPage {
public:
    static constexpr std::size_t most_exchanges = 1000;  ///< listed, over all shards
    static constexpr std::chrono::milliseconds patience{500};

    explicit StatusPage(StatusNeeds needs) : needs_(std::move(needs)) {}

    /// GET. `?most=200` lists fewer, `?first=newest` the ones that began last (`oldest`).
    rt::Task<proxy::PageAnswer> answer(proxy::PageRequest const& request);
    /// Who waits for a shard waits no longer.
    void stop();

private:
    struct Asking;
    rt::Task<std::vector<std::optional<proxy::ShardView>>> ask(std::size_t most, proxy::First first);
    [[nodiscard]] nlohmann::json document(std::vector<std::optional<proxy::ShardView>> const& shards, std::size_t most,
                                          proxy::First first) const;

    StatusNeeds needs_;
    std::vector<std::weak_ptr<Asking>> under_way_;  ///< bounded by those who may ask at once
};

}  // namespace ocgate::app
