"""Git repositories over HTTP behind a token, on a free loopback port: git's own http-backend as a CGI program."""

import base64
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .opencode import Unavailable


def _backend():
    where = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    program = Path(where) / "git-http-backend"
    if not program.exists():
        raise Unavailable(f"git comes without {program}")
    return program


class GitServer:
    """Serves the bare repositories in `root` to whoever logs in with `token`. close() ends it."""

    def __init__(self, root, token):
        self.token = token
        self.backend = _backend()
        self.root = Path(root)
        self.seen = []  # (request line, Authorization or None)
        self.command_lines_with_token = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.git = self
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def url(self, name):
        return f"http://{self.address}/{name}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def admits(self, authorization):
        if not authorization or not authorization.startswith("Basic "):
            return False
        return base64.b64decode(authorization[6:]).decode().partition(":")[2] == self.token

    def look_around(self):
        """What any user of the machine sees while git is working: everybody's command lines."""
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                try:
                    words = (process / "cmdline").read_bytes()
                except OSError:
                    continue
                if self.token.encode() in words:
                    self.command_lines_with_token.append(words)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _serve(self):
        git = self.server.git
        authorization = self.headers.get("Authorization")
        git.seen.append((self.requestline, authorization))
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding"):
            raise AssertionError("git sent chunks; raise http.postBuffer in the test")
        body = self.rfile.read(length)
        if not git.admits(authorization):
            self._answer(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
            return
        git.look_around()
        path, _, query = self.path.partition("?")
        done = subprocess.run(
            [git.backend],
            input=body,
            capture_output=True,
            check=False,
            env={
                "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
                "GIT_PROJECT_ROOT": str(git.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(length),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_USER": "somebody",
                "GIT_CONFIG_GLOBAL": "/dev/null",
                "GIT_CONFIG_SYSTEM": "/dev/null",
            },
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status = 200
        fields = []
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "status":
                status = int(value.split()[0])
            elif name:
                fields.append((name, value))
        self._answer(status, fields, content)

    do_GET = do_POST = _serve

    def _answer(self, status, fields, body):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
