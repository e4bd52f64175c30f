// What the subcommands that talk to a running gateway share.
#include "commands.hpp"

#include <algorithm>
#include <ostream>

#include "config_settings.hpp"

namespace ocgate::app {

void print_errors(Loaded const& loaded, std::ostream& err) {
    for (auto const& error : loaded.errors) err << error.text() << '\n';
}

bool tells_where(Loaded const& loaded, Flags const& flags, Sources const& sources, std::string_view name,
                 std::ostream& err) {
    auto const all = settings();
    auto const setting = std::find_if(all.begin(), all.end(), [&](Setting const& s) { return s.name() == name; });
    bool const by_flag =
        std::any_of(flags.values.begin(), flags.values.end(), [&](auto const& flag) { return flag.first == name; });
    bool const by_variable = !by_flag && !sources.variable(setting->variable()).value_or("").empty();
    auto const giver = by_flag ? setting->flag() : by_variable ? setting->variable() : std::string();
    bool known = true;
    bool file_unknown = false;
    for (auto const& error : loaded.errors) {
        bool const about_file = error.setting == "config";
        if (!about_file && error.setting != name) continue;
        err << "ocgate: " << error.text() << '\n';
        bool const overruled = !giver.empty() && error.place != giver;
        known = known && overruled;
        file_unknown = file_unknown || (about_file && !overruled);
    }
    if (file_unknown)
        err << "ocgate: where the gateway is would stand in that file; say it with " << setting->flag() << " or "
            << setting->variable() << '\n';
    return known;
}

}  // namespace ocgate::app
