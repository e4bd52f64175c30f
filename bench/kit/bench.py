"""One run: builds what it needs, starts the targets, measures them in turns."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from . import targets
from .machine import BUILD, HERE, ROOT, CannotStart, Machine, Unavailable, say
from .processes import CREDENTIALS, Processes

LOG_PATIENCE = 2.5  # s until a line must be in the file: nginx gathers for a second
FEW = 0.97  # of the events that were due: below, the machine was too busy for the rate


class Bench:
    def __init__(self, options):
        self.options = options
        self.machine = Machine()
        self.processes = Processes()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ocgate-bench."))
        self.folder.chmod(0o755)
        self.upstream = self.upstream_port = None
        self.binary = None
        self.gateway_sizes = {}
        self.targets = []
        self.results = {}  # workload -> target -> one dictionary per round, None where it failed
        self.failures = []
        self.remarks = []  # what a reader must know before believing a figure
        self.skipped = {}  # part -> why
        self.ends_at = None

    # --- before

    def build_tools(self):
        BUILD.mkdir(parents=True, exist_ok=True)
        shared = sorted(HERE.glob("shared_*.cpp"))
        for tool in ("upstream", "load", "relay"):
            made, sources = BUILD / tool, [HERE / f"{tool}.cpp", *sorted(HERE.glob(f"{tool}_*.cpp")), *shared]
            read = [*sources, *HERE.glob("*.hpp")]
            if made.exists() and made.stat().st_mtime > max(s.stat().st_mtime for s in read):
                continue
            say(f"building {tool}")
            words = ["g++", "-std=c++20", "-O2", "-Wall", "-Wextra", "-o", made, *sources]
            try:
                subprocess.run(words, check=True)
            except (OSError, subprocess.CalledProcessError) as why:
                raise CannotStart(f"{tool} does not build: {why}") from None

    def gateway(self):
        if self.binary is None:
            given = os.environ.get("OCGATE_BINARY")
            binary = pathlib.Path(given) if given else ROOT / "build" / "release" / "ocgate"
            if not given and not binary.exists():
                self.build_gateway()
            if not os.access(binary, os.X_OK):
                raise Unavailable("the gateway's binary is not an executable file")
            # A copy, so that a build meanwhile changes nothing; it keeps what all our gateways run the same.
            self.binary = pathlib.Path(shutil.copy2(binary, self.folder / "ocgate-binary"))
            self.look_at(self.binary)
        return self.binary

    @staticmethod
    def build_gateway():
        say("building the gateway (release)")
        for words in (["cmake", "--preset", "release"],
                      ["cmake", "--build", "--preset", "release", "--target", "ocgate"]):
            done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False)
            if done.returncode != 0:
                say("\n".join(done.stdout.splitlines()[-30:]))
                raise Unavailable("the release build failed")

    def look_at(self, binary):
        self.gateway_sizes["binary_bytes"] = binary.stat().st_size
        if shutil.which("strip"):
            stripped = self.folder / "stripped"
            subprocess.run(["strip", "-o", stripped, binary], check=False, stderr=subprocess.DEVNULL)
            if stripped.exists():
                self.gateway_sizes["binary_stripped_bytes"] = stripped.stat().st_size
                stripped.unlink()
        content = binary.read_bytes()
        for name in (b"__asan_init", b"__ubsan_handle", b"__tsan_init"):
            if name in content:
                self.remark(f"The gateway is a sanitizer build ({name.decode()}): its figures say nothing about speed.")
                break

    def remark(self, text):
        if text not in self.remarks:
            self.remarks.append(text)
            say(text)

    def start_tool(self, tool, log, cores, *words):
        process = self.processes.start([BUILD / tool, *words], cores, log, stdout=subprocess.PIPE)
        line = process.stdout.readline().strip()
        if not line:
            raise CannotStart(f"{tool} did not start")
        return process, int(line)

    def start_upstream(self):
        with open(self.folder / "upstream.log", "wb") as log:
            self.upstream, self.upstream_port = self.start_tool("upstream", log, {self.machine.upstream_core})

    def start_target(self, target):
        """Whether it is there now; if not, it says why."""
        try:
            target.start()
        except Unavailable as why:
            target.skipped = str(why)
            if target.process:
                self.processes.stop(target.process)
            say(f"skipping {target.name}: {why}")
        else:
            target.rest()
        return not target.skipped

    def start_targets(self):
        self.targets = targets.everything(self)
        for target in self.targets:
            self.start_target(target)

    # --- measuring

    def load(self, words, target, anonymous=False):
        """What the load says, or a text why it said nothing."""
        words = [BUILD / "load", *words, "--port", target.port, "--limit", self.options.limit]
        if not anonymous:
            words += ["--credentials", CREDENTIALS]
        for pid in target.pids:
            words += ["--pid", pid]
        process = self.processes.start(words, {self.machine.load_core}, subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            # The load keeps its limit itself; this is for a load that hangs.
            out, err = process.communicate(timeout=self.options.limit + 10)
        except subprocess.TimeoutExpired:
            out, err = b"", b"the load did not end"
        self.processes.stop(process)
        if out and process.returncode == 0:
            return json.loads(out)
        return err.decode(errors="replace").strip().removeprefix("load: ") or f"status {process.returncode}"

    def measure(self, workload, target, check_log=False):
        """Alone on its core: all others are at rest."""
        try:
            target.wake()
            return self.measure_awake(workload, target, check_log)
        except Unavailable as why:
            self.fail(target, workload, str(why))
            return None
        finally:
            target.rest()

    def measure_awake(self, workload, target, check_log):
        logged_before = self.log_bytes(target) if check_log else 0
        result = self.load(workload.words, target, workload.anonymous)
        if isinstance(result, str):
            if target.process.poll() is not None:
                result = f"the target ended with status {target.process.returncode}"
                target.skipped = f"{result} during {workload.name}"
            self.fail(target, workload, result)
            return None
        if check_log and result.get("answers"):
            self.count_lines(workload, target, result, logged_before)
        if result.get("units", 0) < FEW * result.get("expected", 0):
            self.remark(f"{target.name}, {workload.title}: in one round only "
                        f"{result['units'] / result['expected']:.0%} of what was due came in time.")
        return result

    @staticmethod
    def log_bytes(target):
        return target.access_log.stat().st_size if target.logs and target.access_log.exists() else 0

    def count_lines(self, workload, target, result, since):
        """Whether a log that is on was written: a line that is never written costs nothing, and is no log."""
        lines, until = 0, time.monotonic() + LOG_PATIENCE
        while True:
            with open(target.access_log, "rb") as log:
                log.seek(since)
                lines = log.read().count(b"\n")
            if lines >= result["answers"] or time.monotonic() > until:
                break
            time.sleep(0.05)
        result["lines"] = lines
        if lines < result["answers"]:
            self.remark(f"{target.name}, {workload.title}: {lines:,} log lines for {result['answers']:,} answers; its "
                        "cost with a log is that much too good.")

    def measure_fresh(self, workload, target):
        try:
            fresh = target.fresh()
        except Unavailable as why:
            self.fail(target, workload, str(why))
            return None
        try:
            return self.measure(workload, fresh)
        finally:
            fresh.stop()

    def fail(self, target, workload, why):
        self.failures.append(f"{target.name}, {workload.title}: {why}")
        say(f"failed: {self.failures[-1]}")

    def one_round(self, plan, among, number):
        """Each workload with each target that is able, the order rotated from round to round."""
        for position, workload in enumerate(plan):
            able = [t for t in among if not t.skipped and workload.fits(t)]
            turn = (number + position) % len(able) if able else 0
            for target in able[turn:] + able[:turn]:
                if workload.memory:
                    measured = self.measure_fresh(workload, target)
                else:
                    check_log = number == 0 and target.logs
                    measured = self.measure(workload, target, check_log)
                self.results.setdefault(workload.name, {}).setdefault(target.name, []).append(measured)
        for target in among:  # what was logged has been counted; the disk need not keep it
            if self.log_bytes(target) > 0:
                os.truncate(target.access_log, 0)

    def rounds(self, plan):
        """As many rounds as were asked for and fit into the time; returns how many."""
        longest = done = 0
        for number in range(self.options.rounds):
            began = time.monotonic()
            if number > 0 and began + longest > self.ends_at:
                self.remark(f"Stopped after {number} rounds of {self.options.rounds}: another would not have fitted "
                            "into the time.")
                break
            self.one_round(plan, self.targets, number)
            longest = max(longest, time.monotonic() - began)
            done = number + 1
            say(f"round {done} took {time.monotonic() - began:.0f} s")
        return done

    def close(self):
        self.processes.stop_all()
        if self.failures and self.options.keep_logs:
            say(f"logs are in {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
