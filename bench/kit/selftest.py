"""Shows that a run fails when a proxy changes a byte: each kind of load, through a relay that leaves everything as it
is (must pass) and through one that changes one bit of each connection (must fail, saying so)."""
from .machine import say

# (what is checked, load, where the bit is: on the way "down" to the client or "up", so many bytes from the beginning)
CASES = [
    ("a small answer", ["http", "--requests", 100], "down", 250),
    ("a 20 KiB answer", ["http", "--requests", 100, "--path", "/20k"], "down", 9000),
    ("an answer in chunks", ["http", "--requests", 100, "--path", "/chunked"], "down", 3000),
    ("an answer of 10 MB", ["http", "--requests", 2, "--path", "/10m"], "down", 7_000_000),
    ("an answer to a connection of its own", ["http", "--requests", 20, "--fresh", 1], "down", 250),
    ("a status", ["http", "--requests", 20], "down", 9),
    ("a 401 where none is due", ["http", "--requests", 20, "--expect", 401], None, 0),
    ("a posted body", ["http", "--requests", 100, "--method", "POST", "--body", 1024], "up", 900),
    ("10 MB posted", ["http", "--requests", 2, "--method", "POST", "--body", 10_000_000], "up", 7_000_000),
    ("the text of an event", ["events", "--path", "/event?rate=50", "--connections", 10, "--milliseconds", 400], "down",
     700),
    ("the number of an event", ["events", "--path", "/event?rate=50&spread=1", "--connections", 10, "--milliseconds",
                                400], "down", 1077),
    ("a frame", ["flood", "--connections", 2, "--frames", 500, "--frame", 4096], "down", 100_000),
    ("an uploaded frame", ["upload", "--connections", 2, "--frames", 500, "--frame", 4096], "up", 100_000),
    ("the head of an echoed frame", ["echo", "--connections", 2, "--rate", 500, "--milliseconds", 300], "down", 129),
    ("an echoed key", ["echo", "--connections", 2, "--rate", 500, "--milliseconds", 300], "down", 140),
    ("the key of a WebSocket", ["idle", "--kind", "websocket", "--connections", 4, "--milliseconds", 50], "down", 110),
    ("a slow download", ["slow", "--kind", "download", "--connections", 4, "--milliseconds", 300], "down", 30_000),
    ("a slow event stream", ["slow", "--kind", "events", "--connections", 4, "--milliseconds", 300], "down", 30_000),
    ("a slow WebSocket", ["slow", "--kind", "websocket", "--connections", 4, "--milliseconds", 300], "down", 30_000),
]


class Way:
    """As far as a load cares, a target."""

    pids = ()

    def __init__(self, port):
        self.port = port


def run(bench):
    """Returns how many cases went wrong."""
    wrong = 0
    with open(bench.folder / "relay.log", "wb") as log:
        def relay(*words):
            return bench.start_tool("relay", log, {bench.machine.proxy_core}, "--upstream", bench.upstream_port, *words)

        _, honest = relay()
        for what, words, way, at in CASES:
            if way:
                process, port = relay(f"--spoil-{way}", at)
                good, bad = bench.load(words, Way(honest)), bench.load(words, Way(port))
                bench.processes.stop(process)
            else:  # the upstream asks nobody for credentials
                good, bad = {}, bench.load(words, Way(honest))
            right = isinstance(good, dict) and isinstance(bad, str)
            wrong += not right
            say(f"{'ok   ' if right else 'WRONG'} {what}: "
                + (f"“{bad}”" if right else f"untouched {good}, changed {bad}"))
    say(f"{len(CASES) - wrong} of {len(CASES)} changes were noticed, and what was not changed passed")
    return wrong
