// The clients of the soak, all in one thread. Each knows what must come back, byte for byte; what does not is a line of
// JSON on standard output, with the time in which its reason must lie. Every few seconds a line says how far it is.
//
//   load --port P --alice BASE64 --bob BASE64 --carol BASE64 --ledger FILE --rest N --rate R --streams N --terminals N
//        --stall-seconds S --flood-bytes N --progress-seconds S --seed N
//
// On standard input: `storm N` (N streams and terminals go at once, by a reset), `changing BASE64` (carol's password:
// from now on either may be right), `changed` (only the new one is), `quit`.
#include <sys/mman.h>

#include <iostream>

#include "load_world.hpp"

namespace soak {
namespace {

using bench::now_ns;

/// What was posted came once, if it was answered; never twice.
void check_ledger(World& world, std::string const& path) {
    bench::Fd const fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    auto const bytes = std::max<std::size_t>(world.posts.size(), 1);
    void* const at = fd.open() ? ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd.get(), 0) : MAP_FAILED;
    if (at == MAP_FAILED) bench::give_up(path);
    auto const* const came = static_cast<unsigned char const*>(at);
    for (std::size_t id = 0; id < world.posts.size(); ++id) {
        world.count(came[id] == 0 ? "posts that did not arrive" : "posts that arrived");
        if (came[id] > 1) world.trouble("post", "arrived more than once", now_ns(), false);
        if (world.posts[id] == 2 && came[id] != 1) world.trouble("post", "answered and not seen", now_ns(), false);
    }
}

/// False: it is over.
bool obey(World& world, std::string const& line) {
    if (line.starts_with("storm ")) world.storm(std::stoul(line.substr(6)));
    if (line.starts_with("changing ")) {
        world.carol.before = std::exchange(world.carol.now, line.substr(9));
        world.carol.changing = true;
        ++world.carol.changes;
    }
    if (line == "changed") {
        world.carol.changing = false;
        ++world.carol.changes;
    }
    std::printf("{\"obeyed\":\"%s\"}\n", line.substr(0, line.find(' ')).c_str());
    std::fflush(stdout);
    return line != "quit";
}

int run(bench::Arguments const& given) {
    World world(given);
    add_rest(world, given);
    add_streams(world, given);
    add_terminals(world, given);
    auto const every = given.number("--progress-seconds", 10) * second;
    auto next = now_ns() + every;
    std::string told;
    ::fcntl(STDIN_FILENO, F_SETFL, ::fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
    for (bool goes_on = true; goes_on;) {
        world.turn();
        std::array<char, 512> bytes{};
        auto const n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
        if (n == 0) break;
        if (n > 0) told.append(bytes.data(), static_cast<std::size_t>(n));
        for (auto end = told.find('\n'); end != std::string::npos && goes_on; end = told.find('\n')) {
            goes_on = obey(world, told.substr(0, end));
            told.erase(0, end + 1);
        }
        if (now_ns() < next) continue;
        world.progress();
        next += every;
    }
    world.leave_all();
    check_ledger(world, given.text("--ledger"));
    world.progress();
    return 0;
}

}  // namespace
}  // namespace soak

int main(int argc, char** argv) try {
    bench::start_as_tool();
    return soak::run(bench::Arguments({argv + 1, static_cast<std::size_t>(argc - 1)},
                                      " --port --alice --bob --carol --ledger --rest --rate --streams --terminals "
                                      "--stall-seconds --flood-bytes --progress-seconds --seed "));
} catch (std::exception const& e) {
    std::cerr << "load: " << e.what() << '\n';
    return 1;
}
