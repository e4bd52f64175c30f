// The load of the bench: one thread, one epoll, no library. It checks every answer, event and frame byte by byte, takes
// the CPU time of the proxy's processes at the edges of the measured part itself, and prints one line of JSON.
//
//   load http   --port P --path /session --connections N --requests R [--warm-up R] [--rate R] [--method POST --body B]
//               [--fresh 1] [--expect 401]    saturated, or with --rate: so many a second, whether or not answers come
//   load events --port P --path /event?rate=10 --connections N --milliseconds M [--stalled N]
//   load flood  --port P --connections N --frames F --frame B          WebSocket frames from the upstream to us
//   load upload --port P --connections N --frames F --frame B          and from us to the upstream
//   load echo   --port P --connections N --rate R --milliseconds M     one small frame there and back
//   load idle   --port P --connections N --kind events|websocket|keepalive --milliseconds M
//   load slow   --port P --connections N --kind download|events|websocket --milliseconds M
//
//   for all: --pid PID (repeated: the proxy's processes) --credentials BASE64 --limit SECONDS
//   with the real opencode: --unchecked 1 (its answers are its own), --path also for echo
//
// Latency counts from the moment a request was due, not from when a connection was free for it (no coordinated
// omission). Exit status: 0 measured, 1 not, or something came back wrong (which, on stderr).
#include "loads.hpp"

int main(int argc, char** argv) try {
    using namespace bench;
    start_as_tool();
    if (argc < 2) throw std::invalid_argument("which load? http, events, flood, upload, echo, idle or slow");
    Arguments const arguments({argv + 2, static_cast<std::size_t>(argc - 2)},
                              " --port --path --connections --requests --warm-up --rate --method --body --fresh"
                              " --expect --milliseconds --frames --frame --kind --stalled --unchecked --pid"
                              " --credentials --limit ");
    Plan const plan(arguments);
    std::string_view const what = argv[1];
    if (what == "http") {
        http(plan);
    } else if (what == "events") {
        events(plan);
    } else if (what == "flood") {
        flood(plan);
    } else if (what == "upload") {
        upload(plan);
    } else if (what == "echo") {
        echo(plan);
    } else if (what == "idle") {
        idle(plan);
    } else if (what == "slow") {
        slow(plan);
    } else {
        throw std::invalid_argument("unknown load: " + std::string(what));
    }
    return 0;
} catch (std::exception const& e) {
    std::fprintf(stderr, "load: %s\n", e.what());
    return 1;
}
