"""A gateway that is given so much memory and no more: a control group of its own (cgroups(7), version 1 or 2)."""

import os
from pathlib import Path

from . import gateway
from .opencode import Unavailable

_ROOT = Path("/sys/fs/cgroup")


class _Group:
    """A control group that holds nothing yet. Goes with `close`, once it is empty."""

    def __init__(self, limit_bytes):
        first = _ROOT / "memory" if (_ROOT / "memory/memory.limit_in_bytes").exists() else _ROOT
        self._v1 = first != _ROOT
        own = _own_group("memory" if self._v1 else "")
        why = "there is no such controller here"
        # Below our own group; with version 2 that is allowed in few, so below those above it as well.
        for parent in (first / own.lstrip("/"), *((first / own.lstrip("/")).parents if not self._v1 else ())):
            if parent != first and first not in parent.parents:
                break
            self.path = parent / f"ocgate-test-{os.getpid()}"
            try:
                self.path.mkdir()
            except OSError as error:
                why = error
                continue
            try:
                limit = self.path / ("memory.limit_in_bytes" if self._v1 else "memory.max")
                limit.write_text(str(limit_bytes), encoding="ascii")
                return
            except OSError as error:
                why = error
                self.path.rmdir()
        raise Unavailable(f"memory cannot be limited here (cgroups): {why}")

    @property
    def procs(self):
        return self.path / "cgroup.procs"

    def peak_bytes(self):
        name = "memory.max_usage_in_bytes" if self._v1 else "memory.peak"
        try:
            return int((self.path / name).read_text(encoding="ascii"))
        except FileNotFoundError:  # before Linux 5.19
            return int((self.path / "memory.current").read_text(encoding="ascii"))

    def killed(self):
        """How often somebody was killed for want of memory."""
        name = "memory.oom_control" if self._v1 else "memory.events"
        for line in (self.path / name).read_text(encoding="ascii").splitlines():
            key, count = line.split()
            if key == "oom_kill":
                return int(count)
        return 0

    def close(self):
        try:
            self.path.rmdir()
        except OSError:
            pass


def _own_group(controller):
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return "/"


class GatewayWithin(gateway.Gateway):
    def __init__(self, limit_bytes, *arguments, **named):
        self.group = _Group(limit_bytes)
        try:
            super().__init__(*arguments, **named)
        except BaseException:
            self.group.close()
            raise

    def start(self):
        if self.command[0] != "/bin/sh":
            script = 'echo $$ > "$0" && exec "$@"'  # from the first page on
            self.command = ["/bin/sh", "-c", script, str(self.group.procs), *self.command]
        super().start()

    def close(self):
        try:
            super().close()
        finally:
            self.group.close()
