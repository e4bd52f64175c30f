#include "targets.hpp"

#include "ocgate/app/version.hpp"

namespace ocgate::app {
namespace {

std::unique_ptr<notify::Sink> sink_of(TargetConfig const& target, notify::WallClock const& wall) {
    struct Make {
        notify::WallClock const& wall;
        std::unique_ptr<notify::Sink> operator()(LogTarget const&) const { return notify::make_log(); }
        std::unique_ptr<notify::Sink> operator()(notify::NtfySettings settings) const {
            settings.version = version();
            return notify::make_ntfy(std::move(settings), wall);
        }
        std::unique_ptr<notify::Sink> operator()(notify::DiscordSettings settings) const {
            settings.version = version();
            return notify::make_discord(std::move(settings), wall);
        }
        std::unique_ptr<notify::Sink> operator()(notify::WebhookSettings settings) const {
            settings.version = version();
            return notify::make_webhook(std::move(settings), wall);
        }
    };
    return std::visit(Make{wall}, target.what);
}

bool needs_http(TargetConfig const& target) noexcept { return !std::holds_alternative<LogTarget>(target.what); }

}  // namespace

TargetMaker TargetMaker::read(NotifyConfig const& config,
                              std::function<std::optional<std::string>(std::string const&)> const& variable,
                              std::vector<std::string>& problems) {
    TargetMaker maker;
    maker.targets_ = config.targets;
    std::map<std::string, std::string> environment;  // getenv's way: what it gives has to stay
    auto const lookup = [&](char const* name) -> char const* {
        auto value = variable(name);
        if (!value) return nullptr;
        return (environment[name] = std::move(*value)).c_str();
    };
    bool any = false;
    for (auto const& target : config.targets) {
        if (!needs_http(target)) continue;
        any = true;
        if (maker.trust_.contains(target.ca_file)) continue;
        std::string problem;
        maker.trust_[target.ca_file] = notify::Trust::load(target.ca_file, problem);
        if (!problem.empty()) problems.push_back("target " + target.name + ": " + problem);
        // Another certificate under the same name makes another target.
        auto const mark = target.ca_file.empty() ? FileMark{} : mark_of(target.ca_file);
        for (auto const part : {mark.device, mark.inode, mark.size, static_cast<std::uint64_t>(mark.modified_ns)})
            maker.files_ += std::to_string(part) + ";";
    }
    if (any) maker.proxies_ = notify::Proxies(lookup, problems);
    return maker;
}

std::vector<notify::CourierTarget> TargetMaker::make(rt::PeerResources const& resources,
                                                     notify::WallClock const& wall) const {
    std::vector<notify::CourierTarget> made;
    for (auto const& target : targets_) {
        notify::CourierTarget one;
        one.name = target.name;
        one.sink = sink_of(target, wall);
        if (needs_http(target)) {
            notify::HttpSettings http;
            http.trust = trust_.at(target.ca_file);
            http.proxies = proxies_;
            http.user_agent = "ocgate/" + std::string(version());
            one.http = std::make_shared<notify::HttpsClient>(resources, std::move(http));
        }
        one.fallback = target.fallback;
        one.mark = target.mark;
        one.burst = target.burst;
        one.every = target.every;
        made.push_back(std::move(one));
    }
    return made;
}

std::string TargetMaker::mark() const {
    auto all = files_;
    for (auto const& target : targets_) all += target.name + "=" + target.mark + ";";
    return all;
}

std::string TargetMaker::names() const {
    std::string all;
    for (auto const& target : targets_) all += (all.empty() ? "" : ", ") + target.name;
    return all;
}

}  // namespace ocgate::app
