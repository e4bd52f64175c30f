"""Everything the bench starts and nothing else; ended by process id, in the reverse order, however the bench ends."""
import base64
import ctypes
import os
import pathlib
import signal
import socket
import subprocess

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
