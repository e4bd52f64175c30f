"""podman for the tests of images: bases made by debootstrap instead of pulled, containers that go away."""

import os
import subprocess
import time

from base import CACHE, SUITE, Failed, output, root_folder, run

BASE = "localhost/ocgate-test-debian:12"
# Some kernels refuse crun's way of starting.
PODMAN = ("podman", "--runtime", "runc")
CONFINED = (
    "--network=host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
    "--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp:rw,exec,mode=1777", "--cap-drop=all",
    "--security-opt", "no-new-privileges",
)  # fmt: skip


def build(tag, file, context, *arguments):
    """The seconds it took. What is compiled in there is kept for the next time."""
    began = time.monotonic()
    kept = CACHE / "ccache"
    kept.mkdir(parents=True, exist_ok=True)
    words = ("podman", "build", "--isolation=chroot", "--network=host", "--format=docker", "--tag", tag, "--file", file,
             "--volume", f"{kept}:/root/.cache/ccache", *arguments, context)  # fmt: skip
    done = subprocess.run([*map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)  # fmt: skip
    if done.returncode != 0:
        raise Failed(f"podman build of {file} ended with {done.returncode}\n{done.stdout[-3000:]}")
    return time.monotonic() - began


def debian():
    """The tag of a Debian 12."""
    if run("podman", "image", "exists", BASE, check=False).returncode != 0:
        tar = subprocess.Popen(["tar", "-C", root_folder(), "-c", "."], stdout=subprocess.PIPE)
        done = subprocess.run(["podman", "import", "-", BASE], stdin=tar.stdout, check=False)
        if tar.wait() or done.returncode:
            raise Failed(f"podman import of {SUITE}")
    return BASE


class Container:
    def __init__(self, name, image, *options, command=(), confined=CONFINED):
        self.name = f"ocgate-test-{os.getpid()}-{name}"
        output(*PODMAN, "run", "--detach", "--name", self.name, *confined, *options, image, *command)

    def inspect(self, what):
        return output("podman", "inspect", "--format", what, self.name)

    def exec(self, *command, **kw):
        return run(*PODMAN, "exec", self.name, *command, capture=True, check=False, **kw)

    def logs(self):
        done = run("podman", "logs", self.name, capture=True, check=False)
        return done.stdout + done.stderr

    def pid(self):
        return int(self.inspect("{{.State.Pid}}"))

    def status(self, key):
        """A row of the main process's /proc/PID/status, as this machine sees it."""
        for line in open(f"/proc/{self.pid()}/status", encoding="ascii"):
            if line.startswith(key + ":"):
                return line.split(":", 1)[1].split()
        raise KeyError(key)

    def remove(self):
        run("podman", "rm", "--force", "--volumes", "--time", "0", self.name, capture=True, check=False)


def wait(what, seconds, probe):
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.2)
