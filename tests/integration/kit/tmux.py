"""A program in a terminal of its own: tmux, followed through its control mode so that waiting needs no polling."""

import queue
import shutil
import subprocess
import threading
import time

from .opencode import Unavailable

COLUMNS, ROWS = 120, 40


class Terminal:
    """Runs argv in a fresh tmux server. close() ends that server and everything in it."""

    def __init__(self, folder, argv, env, cwd):
        if not shutil.which("tmux"):
            raise Unavailable("tmux is not installed")
        self._tmux = ["tmux", "-S", str(folder / "tmux.sock"), "-f", "/dev/null"]
        self.status_file = folder / "exit-status"
        self._env = env
        # The exit status goes to a file: a pane that ended has nothing else to say it with. remain-on-exit keeps the
        # last screen. argv travels as positional parameters, so nothing is quoted twice.
        script = f'"$@"; echo $? >"{self.status_file}.new"; mv "{self.status_file}.new" "{self.status_file}"'
        subprocess.run(
            [*self._tmux, "set-option", "-g", "remain-on-exit", "on", ";",
             "new-session", "-d", "-s", "t", "-x", str(COLUMNS), "-y", str(ROWS), "-c", str(cwd),
             "/bin/sh", "-c", script, "sh", *map(str, argv)],
            env=env, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self._changes = queue.SimpleQueue()
        self._control = subprocess.Popen(
            [*self._tmux, "-C", "attach", "-t", "t"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def _follow(self):
        for line in self._control.stdout:
            if line.startswith((b"%output", b"%exit", b"%pane-mode", b"%layout")):
                self._changes.put(line)
        self._changes.put(None)

    def _command(self, *arguments):
        command = [*self._tmux, *arguments]
        done = subprocess.run(
            command, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    def screen(self, history=False):
        """What is shown now; with `history`, also what scrolled away."""
        return self._command("capture-pane", "-p", "-t", "t", *(["-S", "-"] if history else []))

    def wait_screen(self, wanted, timeout=60):
        """The first screen on which the text (or one of the texts) stands."""
        texts = [wanted] if isinstance(wanted, str) else wanted
        deadline = time.monotonic() + timeout
        while True:
            screen = self.screen()
            if any(text in screen for text in texts):
                return screen
            self._wait_change(deadline, f"{texts} did not appear", screen)

    def wait_exit(self, timeout=60):
        """The program's exit status."""
        deadline = time.monotonic() + timeout
        while not self.status_file.exists():
            self._wait_change(deadline, "the program did not end", None)
        return int(self.status_file.read_text(encoding="ascii"))

    def _wait_change(self, deadline, complaint, screen):
        if time.monotonic() > deadline:
            raise AssertionError(f"{complaint}; the screen:\n{screen or self.screen()}")
        try:
            # tmux tells of output before it has drawn it, and of a file not at all: look again a little later anyway.
            self._changes.get(timeout=0.5)
        except queue.Empty:
            pass

    def type(self, text):
        self._command("send-keys", "-t", "t", "-l", text)

    def key(self, name):
        self._command("send-keys", "-t", "t", name)

    def close(self):
        command, quiet = [*self._tmux, "kill-server"], subprocess.DEVNULL
        subprocess.run(command, env=self._env, check=False, stdin=quiet, stderr=quiet)
        self._control.stdin.close()
        self._control.wait(10)
        self._reader.join(5)
        self._control.stdout.close()
