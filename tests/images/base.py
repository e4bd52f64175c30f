"""A clean Debian 12 for the tests of images and packages: by debootstrap, from where this machine's own apt has it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / "build" / "images"
SUITE = "bookworm"
SKIPPED = 77

sys.path.insert(0, str(REPOSITORY / "tests" / "integration"))


class Failed(Exception):
    pass


def skip(reason):
    print(f"SKIPPED: {reason}", file=sys.stderr)
    sys.exit(SKIPPED)


def need(*programs, packages):
    if os.geteuid() != 0:
        skip("needs root")
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        skip(f"{' '.join(missing)} missing: apt-get install {packages}")


def run(*command, capture=False, check=True, timeout=3600, **kw):
    """A command's CompletedProcess; its output is shown unless captured."""
    done = subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, text=True, timeout=timeout, check=False,
        **({"capture_output": True} if capture else {}), **kw,
    )  # fmt: skip
    if check and done.returncode != 0:
        said = f"\n{done.stdout}{done.stderr}" if capture else ""
        raise Failed(f"{' '.join(map(str, command[:6]))} … ended with {done.returncode}{said}")
    return done


def output(*command, **kw):
    return run(*command, capture=True, **kw).stdout.strip()


class Report:
    """Lines "ok" and "FAIL", each with what was seen; the exit status of the whole."""

    def __init__(self):
        self.failed = 0
        self._began = time.monotonic()

    def __call__(self, name, good, seen):
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {name}: {seen}", flush=True)

    def step(self, name):
        print(f"\n=== {name} ({time.monotonic() - self._began:.0f} s)", flush=True)

    def end(self):
        print(f"\n{'all well' if not self.failed else f'{self.failed} failed'}", flush=True)
        return 1 if self.failed else 0


def _sources():
    """Debian's own archives, as apt here is told of them; its main one is where debootstrap fetches."""
    listed = output(
        "apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)", "Created-By: Packages"
    ).splitlines()
    found = []
    for line in listed:
        uri, release, origin = (line.split(" ", 2) + ["", ""])[:3]
        if origin == "Debian" and release.startswith((SUITE, "oldstable", "stable")) and (uri, release) not in found:
            found.append((uri, release))
    if not found:
        skip("apt knows no mirror of Debian here")
    return found


def package(argument=None):
    """The Debian package: the one named, or built anew."""
    if argument:
        return Path(argument).resolve()
    run("cmake", "--preset", "release", cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    run("cmake", "--build", "--preset", "release", "--target", "package", "--parallel", "2", cwd=REPOSITORY,
        stdout=subprocess.DEVNULL)  # fmt: skip
    return max((REPOSITORY / "build/release").glob("opencode-gateway_*.deb"), key=lambda p: p.stat().st_mtime)


def root_folder():
    """The folder of a minimal system, made once; copy it before changing anything."""
    folder = CACHE / SUITE
    if not (folder / ".whole").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        staging = CACHE / f"{SUITE}.new"
        shutil.rmtree(staging, ignore_errors=True)
        sources = _sources()
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, staging, sources[0][0],
            stdout=subprocess.DEVNULL)  # fmt: skip
        lines = "".join(f"deb {uri} {release} main\n" for uri, release in sources)
        (staging / "etc/apt/sources.list").write_text(lines, encoding="utf-8")
        run("chroot", staging, "apt-get", "clean")
        (staging / ".whole").touch()
        shutil.rmtree(folder, ignore_errors=True)
        staging.rename(folder)
    return folder
