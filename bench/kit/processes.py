"""Everything the bench starts and nothing else; ended by process id, in the reverse order, however the bench ends."""
import base64
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import time

USER, PASSWORD = "u", "p"
CREDENTIALS = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
PR_SET_PDEATHSIG = 1


class Processes:
    def __init__(self):
        self.started = []
        self.libc = ctypes.CDLL(None)

    def start(self, words, cores, log, env=None, pass_fds=(), stdout=None, cwd=None):
        def in_child():
            self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            os.sched_setaffinity(0, cores)

        # A session of its own: Ctrl-C is for us alone, who then end the others in order.
        process = subprocess.Popen([str(w) for w in words], env=env, pass_fds=pass_fds, stdin=subprocess.DEVNULL,
                                   stdout=stdout or log, stderr=log, cwd=cwd, start_new_session=True,
                                   preexec_fn=in_child)
        self.started.append(process)
        return process

    @staticmethod
    def family(pid):
        """The process and what it started, for as long as they live."""
        members, queue = [], [pid]
        while queue:
            one = queue.pop()
            members.append(one)
            try:
                for thread in os.listdir(f"/proc/{one}/task"):
                    queue += map(int, pathlib.Path(f"/proc/{one}/task/{thread}/children").read_text().split())
            except OSError:
                pass
        return members

    def stop(self, process, patience=8):
        if process not in self.started:
            return
        self.started.remove(process)
        if process.poll() is None:
            family = self.family(process.pid)
            process.terminate()
            wake(family)  # one that rests would not hear of it
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                for pid in reversed(family):  # children first: their parent still keeps their ids from being reused
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                process.wait()

    def stop_all(self):
        while self.started:
            self.stop(self.started[-1], patience=3)


def cpu_ns(pids):
    """What the scheduler has given to all threads of these processes."""
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(task.read_text().split()[0])
            except OSError:
                pass  # ended meanwhile
    return total


def signal_all(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def wake(pids):
    signal_all(pids, signal.SIGCONT)


def rest(pids, look=0.05, patience=3.0):
    """Stops them, after what they still had to do: it is to be paid neither by whoever comes next nor by themselves."""
    until = time.monotonic() + patience
    before = cpu_ns(pids)
    while time.monotonic() < until:
        time.sleep(look)
        now = cpu_ns(pids)
        if now - before < look * 1e9 / 50:
            break
        before = now
    signal_all(pids, signal.SIGSTOP)


def get_status(port, credentials=CREDENTIALS):
    """The status of one GET, 0 when nobody answers yet."""
    request = (f"GET /session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic {credentials}\r\n"
               "Connection: close\r\n\r\n")
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request.encode())
            head = connection.recv(64)
    except OSError:
        return 0
    return int(head[9:12]) if head.startswith(b"HTTP/1.") else 0


def resident_bytes(pids):
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total
