"""What is done to each target. A new workload is one entry in `workloads`."""
import dataclasses

from .targets import Direct

GB = 1e9
MS_PER_GB_OF_10_MB = 1e-6 * GB / 1e7  # ns per request of 10 MB -> ms per GB
MS_PER_GB_OF_4_KIB = 1e-6 * GB / 4096


@dataclasses.dataclass(frozen=True)
class Workload:
    """One kind of load. `scale` turns CPU ns per unit into what the table shows."""

    name: str
    title: str
    words: list
    scale: float = 1e-3
    cost_unit: str = "µs"
    latency: bool = False  # paced: its throughput is given, its latency is found
    relay: bool = True  # the relay can do it too
    memory: bool = False
    anonymous: bool = False  # without credentials
    log_off: bool = False  # also measured without an access log
    direct: bool = False  # also measured without a proxy, to see what load and upstream can do

    def fits(self, target):
        if target.logs is False:
            return self.log_off
        if isinstance(target, Direct):
            return self.latency or self.direct
        return self.relay or target.is_http


def requests(count, *more, connections=32):
    return ["http", "--connections", connections, "--requests", count, "--warm-up", count // 5, *more]


def memory_workloads(quick, machine):
    milliseconds = 800 if quick else 1500
    found = []
    kinds = (("events", "event stream"), ("websocket", "WebSocket"), ("keepalive", "keep-alive connection"))
    for wanted in (1000,) if quick else (1000, 10000):
        streams = min(wanted, machine.most_streams)
        for kind, title in kinds:
            words = ["idle", "--kind", kind, "--connections", streams, "--milliseconds", milliseconds]
            found.append(Workload(f"idle-{kind}-{wanted}", f"idle {title}, {streams:,} open", words, 1, "B",
                                  memory=True))
    for kind, title in (("download", "a download"), ("events", "an event stream"), ("websocket", "a WebSocket")):
        words = ["slow", "--kind", kind, "--connections", 200, "--milliseconds", milliseconds]
        found.append(Workload(f"slow-{kind}", f"slow reader of {title}, 200 of them, peak", words, 1, "B",
                              memory=True))
    return found


def load_workloads(quick, machine):
    k = 1 if quick else 4
    ms = 900 if quick else 3000
    streams = min(1000, machine.most_streams)
    many = min(5000, machine.most_streams)

    def events(path, connections, *more):
        return ["events", "--connections", connections, "--path", path, "--milliseconds", ms, *more]

    def frames(kind):
        return [kind, "--connections", 4, "--frames", 4000 * k, "--frame", 4096]

    found = [
        Workload("small", "GET 300 B, 32 connections", requests(12000 * k), log_off=True, direct=True),
        Workload("small-one", "GET 300 B, 1 connection", requests(3000 * k, connections=1), log_off=not quick),
        Workload("20k", "GET 20 KiB", requests(6000 * k, "--path", "/20k"), log_off=True),
        Workload("chunked", "GET 8 KiB in chunks", requests(6000 * k, "--path", "/chunked"), log_off=not quick),
        Workload("post", "POST 1 KiB", requests(6000 * k, "--method", "POST", "--body", 1024), log_off=not quick),
        Workload("fresh", "GET 300 B, a connection each", requests(2500 * k, "--fresh", 1), log_off=True),
        Workload("401", "401, no credentials", requests(8000 * k, "--expect", 401), relay=False, anonymous=True,
                 log_off=True),
        Workload("down", "10 MB down", requests(24 * k, "--path", "/10m", connections=4), MS_PER_GB_OF_10_MB, "ms/GB"),
        Workload("up", "10 MB up", requests(24 * k, "--method", "POST", "--body", 10_000_000, connections=4),
                 MS_PER_GB_OF_10_MB, "ms/GB"),
        Workload("rate", "GET 300 B at 2,000/s",
                 ["http", "--connections", 64, "--rate", 2000, "--requests", 2 * ms, "--warm-up", ms // 2],
                 latency=True, log_off=not quick),
        Workload("events", f"event streams, {streams:,} × 10/s", events("/event?rate=10", streams), latency=True),
        Workload("events-stalled", f"event streams beside a reader that stopped, {streams:,} × 10/s",
                 events("/event?rate=10", streams, "--stalled", 1), latency=True),
        Workload("flood", "WebSocket to the client, 4 KiB frames", frames("flood"), MS_PER_GB_OF_4_KIB, "ms/GB"),
        Workload("upload", "WebSocket to the upstream, 4 KiB frames", frames("upload"), MS_PER_GB_OF_4_KIB, "ms/GB"),
        Workload("echo", "WebSocket echo, 16 terminals, 1,000/s",
                 ["echo", "--connections", 16, "--rate", 1000, "--milliseconds", ms], latency=True),
    ]
    if not quick:
        found += [
            Workload("events-many", f"event streams, {many:,} × 2/s", events("/event?rate=2", many), latency=True),
            Workload("events-spread", "event streams, 500 × 10/s, each with its own events",
                     events("/event?rate=10&spread=1", 500), latency=True),
        ]
    return found


def workloads(quick, machine):
    return [*memory_workloads(quick, machine), *load_workloads(quick, machine)]
