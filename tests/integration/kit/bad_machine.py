"""A machine whose clock is set and whose disk fails, as a program sees it: bad_machine.c, preloaded."""

import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from . import gateway
from .opencode import Unavailable

_SOURCE = Path(__file__).with_name("bad_machine.c")


class BadMachine:
    """`environment` goes to the gateway; its `disk` is a folder of its own."""

    def __init__(self, test):
        compiler = shutil.which("cc")
        if not compiler:
            raise Unavailable("a clock that jumps takes a C compiler (cc)")
        self.root = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        test.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.disk = self.root / "disk"
        self.disk.mkdir(mode=0o700)
        library = self.root / "bad_machine.so"
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        page = self.root / "page"
        page.write_bytes(bytes(4096))
        descriptor = os.open(page, os.O_RDWR)
        self._page = mmap.mmap(descriptor, 4096)
        os.close(descriptor)
        # The sanitizer wants to be the first library; here it need not be.
        asan = gateway.environment()["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
        self.environment = {
            "LD_PRELOAD": str(library), "OCGATE_TEST_MACHINE": str(page), "OCGATE_TEST_DISK": str(self.disk),
            "ASAN_OPTIONS": asan,
        }  # fmt: skip

    def set_clock(self, seconds):
        """The time of day is so many seconds off from now on. Everybody else's goes on."""
        struct.pack_into("q", self._page, 0, int(seconds))

    def fail_disk(self, error):
        """What writing comes to: an errno; 0: all is well again."""
        struct.pack_into("q", self._page, 8, error)

    @property
    def failures(self):
        """How often writing has failed."""
        return struct.unpack_from("q", self._page, 16)[0]
