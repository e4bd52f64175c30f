// Notifications as a whole: targets first, then who of them is told of what.
#include <algorithm>

#include "config_loader.hpp"
#include "config_routes.hpp"
#include "config_targets.hpp"

namespace ocgate::app {
namespace {

/// A file that is read later, by others.
void also_watch(Config& config, std::string const& path) {
    auto& files = config.files;
    if (path.empty() || std::find(files.begin(), files.end(), path) != files.end()) return;
    files.push_back(path);
    config.file_marks.push_back(mark_of(path));
}

}  // namespace

void Loader::read_notifications() {
    auto& notify = loaded_.config.notify;
    auto const errors = error_count();
    TargetReader targets(*this);
    targets.read_variables();
    if (auto const* const given = other(targets_pointer)) targets.read_file(*given);
    notify.targets = targets.take();
    for (auto const& target : notify.targets) also_watch(loaded_.config, target.ca_file);

    RouteReader routes(*this, targets.names());
    auto& rules = notify.rules;
    if (auto const* const given = other(routes_pointer)) {
        rules.rules = routes.read_routes(*given);
        // What is wrong may be why a rule is not asked, or a target not named.
        if (errors == error_count()) routes.doubt(rules.rules, notify.targets);
    } else if (!notify.targets.empty()) {
        rules.rules = {RouteReader::usual(notify.targets)};
    }
    if (auto const* const given = other(quiet_hours_pointer)) rules.quiet = routes.read_quiet_hours(*given);
    if (auto const* const given = other(presence_pointer)) rules.presence = routes.read_presence(*given);
}

}  // namespace ocgate::app
