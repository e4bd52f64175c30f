#!/usr/bin/env python3
"""Sends real requests through a running gateway and prints what it saw. Exit status 0 when all was as it should be.

    check.py TRAFFIC_ADDRESS ADMIN_ADDRESS

Credentials come by OPENCODE_SERVER_USERNAME and OPENCODE_SERVER_PASSWORD.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "integration"))

from kit.sse import EventStream  # noqa: E402  (the path must be set first)
from kit.websocket import WebSocket  # noqa: E402
from kit.wire import Client  # noqa: E402


def expect(condition, seen):
    if not condition:
        raise AssertionError(seen)


def gateway_ready(_, admin):
    answer = admin.get("/readyz?upstream=1")
    expect(answer.status == 200, answer)
    return f"{answer.status} {answer.body.decode().strip()}"


def health(client, _):
    answer = client.get("/global/health")
    expect(answer.status == 200 and answer.json().get("healthy") is True, answer)
    return answer.body.decode()


def no_password(client, _):
    answer = Client(client.address).get("/global/health")
    expect(answer.status == 401 and answer.header("www-authenticate"), answer)
    return f"{answer.status} {answer.header('www-authenticate')} {answer.body.decode()}"


def foreign_page(client, _):
    answer = client.post("/pty", body=b'{"command":"/bin/true"}', headers=[("Origin", "https://elsewhere.example")])
    expect(answer.status == 403 and client.get_json("/pty") == [], answer)
    return f"{answer.status} {answer.body.decode()}"


def session_and_event(client, _):
    made = []
    with EventStream(client, "/global/event") as events:
        events.until_type("server.connected")
        created = events.until_provoked(
            lambda: made.append(client.post_json("/session", {"title": "deploy/local/up --check"})["id"]),
            lambda kind, properties: kind == "session.created" and properties["sessionID"] in made,
            every=1.0,
        )
    for session in made:
        client.request("DELETE", f"/session/{session}")
    return f"created, and /global/event told: session.created {created['sessionID']} {created['info']['title']!r}"


def terminal(client, _):
    pty = client.post_json("/pty", {"command": "/bin/sh"})
    try:
        with WebSocket(client, f"/pty/{pty['id']}/connect") as socket:
            socket.send("echo the answer is $((6 * 7))\r")
            socket.output_until(b"the answer is 42\r\n")
    finally:
        client.request("DELETE", f"/pty/{pty['id']}")
    return f"{pty['id']}: typed \"echo the answer is $((6 * 7))\", read \"the answer is 42\""


def metrics(_, admin):
    answer = admin.get("/metrics")
    lines = [line for line in answer.body.decode().splitlines() if line.startswith("ocgate_") and "build_info" in line]
    expect(answer.status == 200 and lines, answer)
    return lines[0]


CHECKS = (
    ("ready", gateway_ready),
    ("health through the gateway", health),
    ("no password", no_password),
    ("a foreign page's request", foreign_page),
    ("a session and its event", session_and_event),
    ("a terminal", terminal),
    ("metrics", metrics),
)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    client = Client(sys.argv[1], os.environ["OPENCODE_SERVER_USERNAME"], os.environ["OPENCODE_SERVER_PASSWORD"])
    admin = Client(sys.argv[2])
    failed = 0
    for name, check in CHECKS:
        try:
            print(f"ok    {name}: {check(client, admin)}", flush=True)
        except Exception as error:  # each check tells its own story, and the others still run
            failed += 1
            print(f"FAIL  {name}: {error.__class__.__name__}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
