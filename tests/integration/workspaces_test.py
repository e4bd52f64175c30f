#!/usr/bin/env python3
"""deploy/workspaces: real repositories over file, a token and ssh; a real opencode's store, backed up and restored."""

import contextlib
import hashlib
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kit import case, opencode
from kit.git_server import GitServer
from kit.model import FakeModel, Say
from kit.opencode import Opencode, Unavailable, private_environment

SCRIPTS = opencode.REPOSITORY / "deploy" / "workspaces"


def need(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        raise unittest.SkipTest(f"missing: {' '.join(missing)}")


def picture(folder, ignore=()):
    """Every file below, its kind, mode and content: what "left exactly as it was" means."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if any(part in ignore for part in path.relative_to(folder).parts):
            continue
        mode = stat.filemode(path.lstat().st_mode)
        if path.is_symlink():
            found[name] = (mode, os.readlink(path))
        elif path.is_file():
            found[name] = (mode, hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            found[name] = (mode, "")
    return found


class InFolder(unittest.TestCase):
    maxDiff = None

    def assert_same(self, now, before):
        """Pictures; only what differs is shown."""
        differ = [f"{n}: {before.get(n)} → {now.get(n)}" for n in {*now, *before} if now.get(n) != before.get(n)]
        self.assertFalse(differ, "\n".join(sorted(differ)[:20]))

    def setUp(self):
        need("git", "flock")
        self.root = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.workspaces = self.root / "workspaces"
        self.workspaces.mkdir()
        (self.root / "home").mkdir()
        self.env = private_environment(
            self.root / "home", GIT_CONFIG_SYSTEM="/dev/null", WORKSPACES_DIR=str(self.workspaces)
        )

    def git(self, where, *arguments, check=True, **env):
        done = subprocess.run(
            ["git", "-C", where, "-c", "user.name=Test", "-c", "user.email=test@example.invalid", *arguments],
            env={**self.env, "GIT_TERMINAL_PROMPT": "0", **env}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if check:
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout.strip() if check else done

    def new_origin(self, name="api.git"):
        """A bare repository with one commit, and a clone to push more with."""
        served = self.root / "served"
        author = opencode.make_project(self.root / "author" / name)
        self.git(author, "clone", "-q", "--bare", ".", str(served / name))
        self.git(author, "remote", "add", "origin", str(served / name))
        self.git(served / name, "config", "http.receivepack", "true")
        return served / name, author

    def commit(self, where, file, text, push=False):
        (Path(where) / file).write_text(text, encoding="utf-8")
        self.git(where, "add", file)
        self.git(where, "commit", "-q", "-m", f"Change {file}")
        if push:
            self.git(where, "push", "-q", "origin", "main")

    def init(self, *lines, arguments=(), **env):
        return subprocess.run(
            [SCRIPTS / "init-workspace", *arguments], env={**self.env, "WORKSPACES": "\n".join(lines), **env},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def init_well(self, *lines, **kw):
        done = self.init(*lines, **kw)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stderr


class InitWorkspace(InFolder):
    def test_it_clones_and_the_second_time_finds_nothing_to_do(self):
        origin, _ = self.new_origin()
        who = {"GIT_USER_NAME": "Ann Agent", "GIT_USER_EMAIL": "ann@example.invalid"}
        line = f"api file://{origin} main  # a comment"
        self.assertIn("api: cloned", self.init_well("# all of them", "", line, **who))
        self.assertEqual((self.workspaces / "api" / "README.md").read_text(), "# A project\n")
        self.assertEqual(stat.S_IMODE((self.workspaces / "api").stat().st_mode), 0o777 & ~self.umask())
        for name in ("api", "scratch"):
            where = self.workspaces / name
            self.assertEqual(self.git(where, "config", "--local", "user.email"), "ann@example.invalid")
            self.assertEqual(self.git(where, "status", "--porcelain"), "")
            self.assertTrue(self.git(where, "rev-parse", "HEAD"))
        before = picture(self.workspaces)
        self.assertIn("api: up to date", self.init_well(line, **who))
        # Fetching leaves FETCH_HEAD behind; nothing else may differ.
        after = picture(self.workspaces)
        after.pop("api/.git/FETCH_HEAD")
        self.assert_same(after, before)
        self.assertEqual([p for p in os.listdir(self.workspaces) if p.startswith(".clone")], [])

    @staticmethod
    def umask():
        mask = os.umask(0)
        os.umask(mask)
        return mask

    def test_a_clean_workspace_is_forwarded(self):
        origin, author = self.new_origin()
        self.init_well(f"api file://{origin}")
        self.commit(author, "new.txt", "new", push=True)
        self.assertIn("main forwarded", self.init_well(f"api file://{origin}"))
        self.assertEqual((self.workspaces / "api" / "new.txt").read_text(), "new")

    def test_where_there_is_work_nothing_is_touched(self):
        origin, author = self.new_origin()
        line = f"api file://{origin}"
        self.init_well(line)
        pristine = self.root / "pristine"
        shutil.copytree(self.workspaces / "api", pristine, symlinks=True)
        self.commit(author, "README.md", "theirs", push=True)
        api = self.workspaces / "api"

        def changed():
            (api / "README.md").write_text("mine")

        def untracked():
            (api / "notes.txt").write_text("mine")

        def staged():
            (api / "README.md").write_text("mine")
            self.git(api, "add", "README.md")

        def own_commit():
            self.commit(api, "mine.txt", "mine")

        def other_branch():
            self.git(api, "checkout", "-q", "-b", "feature")

        def detached():
            self.git(api, "checkout", "-q", "--detach")

        def merging():
            self.commit(api, "README.md", "mine")
            self.git(api, "fetch", "-q", "origin")
            self.git(api, "merge", "-q", "origin/main", check=False)
            self.assertTrue((api / ".git/MERGE_HEAD").exists())

        def locked():
            (api / ".git/index.lock").write_text("")

        for make in (changed, untracked, staged, own_commit, other_branch, detached, merging, locked):
            with self.subTest(make.__name__):
                shutil.rmtree(api)
                shutil.copytree(pristine, api, symlinks=True)
                make()
                # What fetching alone leaves is no work: remote branches, objects, FETCH_HEAD.
                aside = ("objects", "FETCH_HEAD", "remotes", "index", "logs")
                before = picture(api, aside)
                head = self.git(api, "rev-parse", "HEAD")
                staged_before = self.git(api, "diff", "--cached")
                told = self.init_well(line if make is not other_branch else line + " main")
                self.assertIn("api: left alone", told)
                self.assert_same(picture(api, aside), before)
                self.assertEqual(self.git(api, "rev-parse", "HEAD"), head)
                self.assertEqual(self.git(api, "diff", "--cached"), staged_before)

    def test_ignored_files_are_not_overwritten(self):
        origin, author = self.new_origin()
        self.commit(author, ".gitignore", ".env\nbuild/\n", push=True)
        self.init_well(f"api file://{origin}")
        api = self.workspaces / "api"
        (api / ".env").write_text("SECRET=mine")
        (api / "build").mkdir()
        (api / "build" / "kept").write_text("mine")
        self.commit(author, "new.txt", "new", push=True)
        # As long as they are not in the way, they are no reason to stay behind.
        self.assertIn("main forwarded", self.init_well(f"api file://{origin}"))
        head = self.git(api, "rev-parse", "HEAD")
        for theirs in (".env", "build"):
            with self.subTest(theirs):
                self.git(author, "rm", "-q", "--cached", ".gitignore", check=False)
                (author / theirs).write_text("theirs")
                self.git(author, "add", "-f", theirs)
                self.git(author, "commit", "-q", "-m", theirs)
                self.git(author, "push", "-q", "origin", "main")
                done = self.init(f"api file://{origin}")
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn("api: cannot be forwarded; it stays as it was", done.stderr)
                self.assertIn(theirs, done.stderr)
                self.assertEqual((api / ".env").read_text(), "SECRET=mine")
                self.assertEqual((api / "build" / "kept").read_text(), "mine")
                self.assertEqual(self.git(api, "rev-parse", "HEAD"), head)
                self.assertEqual(self.git(api, "status", "--porcelain"), "")

    def test_a_server_that_is_silent_holds_nobody_up(self):
        origin, _ = self.new_origin()
        with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections and says nothing
            there = f"127.0.0.1:{mute.getsockname()[1]}"
            self.init_well(f"old file://{origin}")
            old = self.workspaces / "old"
            self.git(old, "remote", "set-url", "origin", f"http://{there}/old.git")
            lines = (f"old http://{there}/old.git", f"first https://{there}/first.git", f"api file://{origin}")
            done = self.init(*lines, GIT_ANSWER_LIMIT="4")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f"old: {there} does not answer within 4 s", done.stderr)
            self.assertIn("old: cannot be fetched; it stays as it was", done.stderr)
            self.assertIn(f"first: not asked for, since {there} did not answer", done.stderr)
            self.assertIn("api: cloned", done.stderr)
            self.assertEqual(sorted(os.listdir(self.workspaces)), [".init-workspace.lock", "api", "old", "scratch"])

    def test_a_transfer_that_does_not_end_is_ended(self):
        origin, _ = self.new_origin()
        tools, asked, stuck = self.root / "tools", self.root / "asked", self.root / "stuck"
        tools.mkdir()
        # In ssh's place: the question whether it is there it answers, then it takes for ever.
        (tools / "ssh").write_text(
            f'#!/bin/sh\nif [ -e {asked} ]; then echo $$ >{stuck}; exec sleep 300; fi\n'
            f': >{asked}\nfor last; do :; done\nexec sh -c "$last"\n'
        )
        (tools / "ssh").chmod(0o755)
        env = {"PATH": f"{tools}:{self.env['PATH']}", "GIT_TIME_LIMIT": "1"}
        done = self.init(f"api git@git.example:{origin}", **env)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("api: not cloned within 1 s", done.stderr)
        self.assertEqual(sorted(os.listdir(self.workspaces)), [".init-workspace.lock", "scratch"])
        self.assertFalse(Path("/proc", stuck.read_text().strip(), "cwd").exists(), "what git started goes on")

    def test_best_effort_does_what_can_be_done(self):
        origin, _ = self.new_origin()
        good = f"api file://{origin}"
        key = self.root / "key"
        key.write_text("a key\n")
        key.chmod(0o644)
        locked = self.root / "locked"
        locked.mkdir()
        # As where a network file system has no locks.
        (locked / "flock").write_text("#!/bin/sh\necho 'flock: 9: No locks available' >&2\nexit 1\n")
        (locked / "flock").chmod(0o755)
        cases = {
            "a URL with a user": ({}, ("web https://me@github.com/a/b", good), "line 1: web: expected a URL"),
            "twice": ({}, (good, good), "line 2: \"api\" stands there twice"),
            "the token's host": ({"GIT_TOKEN_FILE": str(key), "GIT_TOKEN_HOST": "a b"}, (good,), "GIT_TOKEN_HOST: "),
            "an open key": ({"GIT_SSH_KEY_FILE": str(key)}, (good,), "is readable by others"),
            "a limit": ({"GIT_TIME_LIMIT": "soon"}, (good,), "GIT_TIME_LIMIT: expected seconds"),
            "no locks": ({"PATH": f"{locked}:{self.env['PATH']}"}, (good,), "cannot be locked"),
        }
        for name, (env, lines, told) in cases.items():
            with self.subTest(name):
                strict = self.init(*lines, **env)
                self.assertEqual(strict.returncode, 1, strict.stderr)
                self.assertFalse((self.workspaces / "api").exists())
                done = self.init(*lines, arguments=["--best-effort"], **env)
                self.assertEqual(done.returncode, 0, done.stderr)
                for words in (told, "api: cloned", "exit status 0 instead of 2"):
                    self.assertIn(words, done.stderr)
                shutil.rmtree(self.workspaces / "api")
        # As BusyBox has it, in the image that RUNBOOK builds: a descriptor and nothing else.
        (locked / "flock").write_text('#!/bin/sh\n[ "$*" = 9 ] || { echo "Usage: flock [-sxun] FD" >&2; exit 1; }\n')
        self.assertEqual(self.init(good, PATH=cases["no locks"][0]["PATH"]).returncode, 0)
        # Where nothing can be done at all, it says so and stands in nobody's way.
        for env in ({"WORKSPACES_DIR": str(self.root / "nowhere")}, {"WORKSPACES_FILE": str(self.root / "nowhere")}):
            self.assertEqual(self.init(good, **env).returncode, 1)
            done = self.init(good, arguments=["--best-effort"], **env)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("nowhere", done.stderr)
        self.assertEqual(self.init(arguments=["--best-effort", "--fast"]).returncode, 1)

    def test_what_is_there_and_something_else_is_left_alone_and_told(self):
        origin, _ = self.new_origin()
        other, _ = self.new_origin("other.git")
        (self.workspaces / "plain").mkdir()
        (self.workspaces / "plain" / "file").write_text("mine")
        self.init_well(f"api file://{origin}")
        before = picture(self.workspaces)
        done = self.init(f"plain file://{origin}", f"api file://{other}")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("plain: left alone: it is there and no git repository", done.stderr)
        self.assertIn("api: left alone: its origin is", done.stderr)
        self.assert_same(picture(self.workspaces), before)

    def test_one_that_fails_keeps_no_other_from_being_made(self):
        origin, _ = self.new_origin()
        lines = (f"gone file://{self.root}/nowhere.git", f"api file://{origin}")
        done = self.init(*lines)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("gone: cannot be cloned", done.stderr)
        self.assertEqual(sorted(os.listdir(self.workspaces)), [".init-workspace.lock", "api", "scratch"])
        self.assertEqual(self.init(*lines, arguments=["--best-effort"]).returncode, 0)

    def test_what_a_killed_run_left_goes_with_the_next(self):
        origin, _ = self.new_origin()
        half = self.workspaces / ".clone.api.Ab12Cd"
        half.mkdir()
        (half / "half").write_text("")
        self.init_well(f"api file://{origin}")
        self.assertFalse(half.exists())
        self.assertTrue((self.workspaces / "api" / ".git").is_dir())

    def test_mistakes_are_told_all_at_once_and_no_secret_is_repeated(self):
        done = self.init(
            "../up https://github.com/a/b",
            "api https://ghp_verysecret@github.com/a/b",
            "web https://me:verysecret@github.com/a/b",
            "run ext::sh",
            "scratch https://github.com/a/b",
            "two https://github.com/a/b --upload-pack=x",
            "ok https://github.com/a/b",
            "ok https://github.com/a/b",
        )
        self.assertEqual(done.returncode, 1)
        self.assertNotIn("verysecret", done.stdout + done.stderr)
        for number in (1, 2, 3, 4, 5, 6, 8):
            self.assertIn(f"line {number}: ", done.stderr)
        self.assertNotIn("line 7: ", done.stderr)
        self.assertEqual(os.listdir(self.workspaces), [])

    def test_hooks_of_the_agents_do_not_run(self):
        origin, author = self.new_origin()
        self.init_well(f"api file://{origin}")
        trace = self.root / "trace"
        hook = self.workspaces / "api/.git/hooks/post-merge"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho hook >>{trace}\n")
        hook.chmod(0o755)
        self.git(self.workspaces / "api", "config", "core.fsmonitor", str(hook))
        self.commit(author, "new.txt", "new", push=True)
        self.assertIn("main forwarded", self.init_well(f"api file://{origin}"))
        self.assertFalse(trace.exists())

    def test_ssh_gets_the_key_and_believes_known_hosts_only(self):
        origin, _ = self.new_origin()
        tools = self.root / "tools"
        tools.mkdir()
        log = self.root / "ssh.log"
        # In ssh's place: notes its arguments, and does here what it would have done there.
        (tools / "ssh").write_text(f'#!/bin/sh\necho "$@" >>{log}\nfor last; do :; done\nexec sh -c "$last"\n')
        (tools / "ssh").chmod(0o755)
        key, hosts = self.root / "key", self.root / "known_hosts"
        key.write_text("a key\n")
        hosts.write_text("git.example ssh-ed25519 AAAA\n")
        key.chmod(0o644)
        env = {
            "PATH": f"{tools}:{self.env['PATH']}",
            "GIT_SSH_KEY_FILE": str(key),
            "GIT_SSH_KNOWN_HOSTS_FILE": str(hosts),
        }
        line = f"api git@git.example:{origin}"
        refused = self.init(line, **env)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("readable by others", refused.stderr)
        key.chmod(0o600)
        self.init_well(line, **env)
        words = log.read_text()
        for wanted in (f"-i {key}", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={hosts}", "git@git.example"):
            self.assertIn(wanted, words)
        self.init_well(line, **env)  # and when it is there


class WithToken(InFolder):
    token = "ghp_0123456789abcdef"

    def setUp(self):
        super().setUp()
        self.origin, self.author = self.new_origin()
        try:
            self.server = GitServer(self.root / "served", self.token)
        except Unavailable as reason:
            self.skipTest(str(reason))
        self.addCleanup(self.server.close)
        secret = self.root / "secret"
        secret.mkdir()
        self.token_file = secret / "token"
        self.token_file.write_text(self.token + "\n")
        self.with_token = {"GIT_TOKEN_FILE": str(self.token_file), "GIT_TOKEN_HOST": self.server.address}

    def files_with_token(self):
        return [p for p in self.workspaces.rglob("*") if p.is_file() and self.token.encode() in p.read_bytes()]

    def test_the_token_opens_the_door_and_stands_nowhere(self):
        line = f"api {self.server.url('api.git')}"
        self.init_well(line, **self.with_token)
        self.commit(self.author, "new.txt", "new", push=True)
        self.init_well(line, **self.with_token)
        self.assertTrue((self.workspaces / "api" / "new.txt").exists())
        self.assertTrue(any(self.server.admits(authorization) for _, authorization in self.server.seen))
        self.assertEqual(self.server.command_lines_with_token, [])
        self.assertFalse(any(self.token in request for request, _ in self.server.seen))
        self.assertEqual(self.files_with_token(), [])
        self.assertEqual(self.git(self.workspaces / "api", "remote", "get-url", "origin"), self.server.url("api.git"))

    def test_the_agent_can_push_where_it_sees_the_file_too(self):
        self.init_well(f"api {self.server.url('api.git')}", **self.with_token)
        api = self.workspaces / "api"
        self.commit(api, "mine.txt", "mine")
        self.git(api, "push", "-q", "origin", "main")
        self.assertEqual(self.git(self.origin, "rev-parse", "main"), self.git(api, "rev-parse", "HEAD"))
        self.token_file.unlink()
        self.commit(api, "mine.txt", "more")
        self.assertNotEqual(self.git(api, "push", "-q", "origin", "main", check=False).returncode, 0)

    def test_a_wrong_token_leaves_nothing_behind(self):
        self.token_file.write_text("another")
        done = self.init(f"api {self.server.url('api.git')}", **self.with_token)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(sorted(os.listdir(self.workspaces)), [".init-workspace.lock", "scratch"])

    def test_no_other_host_is_given_it(self):
        other = GitServer(self.root / "served", self.token)
        self.addCleanup(other.close)
        done = self.init(f"api {other.url('api.git')}", **self.with_token)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertTrue(other.seen)
        self.assertFalse(any(other.admits(authorization) for _, authorization in other.seen))
        # Not even when the workspace's own configuration sends git there.
        self.init_well(f"api {self.server.url('api.git')}", **self.with_token)
        api = self.workspaces / "api"
        self.git(api, "config", f"url.http://{other.address}/.insteadOf", f"http://{self.server.address}/")
        helper = self.git(api, "config", f"credential.http://{self.server.address}.helper")
        self.git(api, "config", "credential.helper", helper)
        other.seen.clear()
        self.init(f"api {self.server.url('api.git')}", **self.with_token)
        self.assertTrue(other.seen)
        self.assertFalse(any(other.admits(authorization) for _, authorization in other.seen))
        # And where git does ask the script, outside of here, the script looks at the host itself.
        other.seen.clear()
        self.git(api, "fetch", "-q", check=False)
        self.assertTrue(other.seen)
        self.assertFalse(any(other.admits(authorization) for _, authorization in other.seen))


class WithStore(InFolder):
    """A store as opencode's, made by hand; the scripts run as a user from whom files can be kept."""

    nobody = 65534

    def setUp(self):
        super().setUp()
        need("sqlite3", "tar", "gzip", "sha256sum", "setpriv")
        self.data, self.kept = self.root / "data" / "opencode", self.root / "backups"
        self.data.mkdir(parents=True)
        self.kept.mkdir()
        self.store = self.data / "opencode.db"
        with contextlib.closing(sqlite3.connect(self.store)) as store:
            store.execute("PRAGMA journal_mode=WAL").fetchall()
            store.executescript("CREATE TABLE session(id); INSERT INTO session VALUES (1),(2);")
        (self.data / "auth.json").write_text("{}")
        self.api = self.workspaces / "api"
        self.api.mkdir()
        (self.api / "file").write_text("mine")
        self.scripts = self.root / "scripts"
        shutil.copytree(SCRIPTS, self.scripts)
        self.root.chmod(0o755)

    def run_script(self, script, *arguments, **env):
        as_nobody = ["setpriv", f"--reuid={self.nobody}", f"--regid={self.nobody}", "--clear-groups"]
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{self.nobody}:{self.nobody}", self.root], check=True)
        return subprocess.run(
            [*(as_nobody if os.geteuid() == 0 else ()), self.scripts / script, *map(str, arguments)],
            env={**self.env, "XDG_DATA_HOME": str(self.data.parent), **env},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def backups(self):
        return sorted(p.name for p in self.kept.iterdir() if p.is_dir())

    def stub(self, name, script):
        """The PATH with a program of ours in the place of a real one, which `script` calls "$real"."""
        tools = self.root / "tools"
        tools.mkdir(exist_ok=True)
        (tools / name).write_text(f"#!/bin/sh\nreal={shutil.which(name)}\n{script}\n")
        (tools / name).chmod(0o755)
        return f"{tools}:{self.env['PATH']}"

    def test_what_cannot_be_read_costs_no_backup(self):
        whole = self.run_script("backup", "--to", self.kept)
        self.assertEqual(whole.returncode, 0, whole.stdout + whole.stderr)
        (complete,) = self.backups()
        (self.kept / complete).rename(self.kept / "opencode-20260101T031700Z")
        (self.api / "fixture").write_text("closed")
        (self.api / "fixture").chmod(0)
        (self.api / "closed").mkdir(mode=0)
        made = []
        for day in ("02", "03"):
            done = self.run_script("backup", "--to", self.kept, "--keep", "1")
            self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
            self.assertIn("INCOMPLETE: 2 files or folders of the workspaces cannot be read", done.stderr)
            (newest,) = set(self.backups()) - {"opencode-20260101T031700Z", *made}
            made = [f"opencode-202601{day}T031700Z"]
            (self.kept / newest).rename(self.kept / made[0])
            # The last complete one is not pushed out by those.
            self.assertEqual(self.backups(), ["opencode-20260101T031700Z", *made])
        made = self.kept / made[0]
        manifest = (made / "MANIFEST").read_text().splitlines()
        self.assertIn("sessions 2", manifest)
        self.assertIn("incomplete 2 of the workspaces cannot be read", manifest)
        named = sorted(line.split()[2] for line in manifest if line.startswith("unread workspaces "))
        self.assertEqual(named, ["./api/closed:", "./api/fixture:"])
        self.assertEqual(sorted(p.name for p in made.iterdir()),
                         ["MANIFEST", "data.tar.gz", "opencode.db.gz", "workspaces.tar.gz"])  # fmt: skip

        # What is in it comes back, and it is said that it is not all.
        for words in (("--test", made), (made,)):
            done = self.run_script("restore", *words, "--workspaces", self.workspaces)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("INCOMPLETE: 2 of the workspaces cannot be read", done.stderr)
            self.assertNotIn("whole", done.stderr)
        self.assertEqual((self.api / "file").read_text(), "mine")

        # A complete one again, and the others go in their turn.
        (aside,) = self.workspaces.glob(".before-restore-*")
        (aside / "api" / "closed").chmod(0o700)
        shutil.rmtree(self.api)
        done = self.run_script("backup", "--to", self.kept, "--keep", "1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(len(self.backups()), 1)

    def test_workspaces_that_cannot_be_archived_cost_only_themselves(self):
        path = self.stub("tar", f'case "$*" in "-C {self.workspaces} "*) "$real" "$@" | head -c 9; exit 2 ;; esac\n'
                                'exec "$real" "$@"')  # fmt: skip
        done = self.run_script("backup", "--to", self.kept, PATH=path)
        self.assertEqual(done.returncode, 3, done.stdout + done.stderr)
        (name,) = self.backups()
        self.assertEqual(sorted(p.name for p in (self.kept / name).iterdir()),
                         ["MANIFEST", "data.tar.gz", "opencode.db.gz"])  # fmt: skip
        self.assertIn("\nincomplete without the workspaces", (self.kept / name / "MANIFEST").read_text())
        path = self.stub("tar", f'case "$*" in "-C {self.data} "*) exit 2 ;; esac\nexec "$real" "$@"')
        done = self.run_script("backup", "--to", self.kept, PATH=path)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(self.backups(), [name])

    def made(self):
        """A backup, and a picture of what is there after life went on."""
        self.run_script("backup", "--to", self.kept, "--no-test")
        (name,) = self.backups()
        (self.api / "file").write_text("later")
        return self.kept / name, picture(self.data), picture(self.workspaces)

    def test_opencode_started_while_it_unpacks_is_seen(self):
        made, data, workspaces = self.made()
        reached, go_on = self.root / "reached", self.root / "go-on"
        path = self.stub("tar", f'case "$*" in *{self.workspaces}/.restoring*) : >{reached}\n'
                                f"while [ ! -e {go_on} ]; do sleep 0.1; done ;; esac\n"
                                'exec "$real" "$@"')  # fmt: skip
        with ThreadPoolExecutor(1) as pool:
            restoring = pool.submit(self.run_script, "restore", made, "--workspaces", self.workspaces, PATH=path)
            try:
                while not (reached.exists() or restoring.done()):
                    time.sleep(0.05)
                with contextlib.closing(sqlite3.connect(self.store)) as store:
                    store.execute("SELECT count(*) FROM session").fetchall()  # what opencode does at its start
                    go_on.touch()
                    done = restoring.result()
            finally:
                go_on.touch()
        self.assertTrue(reached.exists(), "it did not come to that")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("opencode is running", done.stderr)
        self.assertIn("what was there is back", done.stderr)
        self.assert_same(picture(self.workspaces), workspaces)
        for one in (data, now := picture(self.data)):
            for transient in ("opencode.db-shm", "opencode.db-wal"):
                one.pop(transient, None)
        self.assert_same(now, data)

    def test_when_it_cannot_be_told_it_is_not_done(self):
        made, _, workspaces = self.made()
        answers = {
            "attempt to write a readonly database": 8,
            "disk I/O error": 10,
            "file is not a database": 26,
            "": 1,
        }
        for answer, status in answers.items():
            with self.subTest(answer):
                path = self.stub("sqlite3", f'case "$*" in *EXCLUSIVE*) echo "Error: {answer}" | sed "/: $/d" >&2; '
                                            f'exit {status} ;; esac\nexec "$real" "$@"')  # fmt: skip
                done = self.run_script("restore", made, "--workspaces", self.workspaces, PATH=path)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertIn("it cannot be told whether opencode is stopped", done.stderr)
                self.assertIn(answer, done.stderr)
                self.assert_same(picture(self.workspaces), workspaces)
        # A store that is damaged is what one restores for.
        (self.root / "tools" / "sqlite3").unlink()
        self.store.write_bytes(b"damaged" * 1000)
        done = self.run_script("restore", made, "--workspaces", self.workspaces)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("--force", done.stderr)
        done = self.run_script("restore", made, "--workspaces", self.workspaces, "--force")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with contextlib.closing(sqlite3.connect(self.store)) as store:
            self.assertEqual(store.execute("SELECT count(*) FROM session").fetchall(), [(2,)])
        # --force is for what cannot be told, not for what is seen.
        with contextlib.closing(sqlite3.connect(self.store)) as store:
            store.execute("PRAGMA journal_mode=WAL").fetchall()
            store.execute("SELECT count(*) FROM session").fetchall()
            done = self.run_script("restore", made, "--workspaces", self.workspaces, "--force")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("opencode is running", done.stderr)

    def test_it_says_how_much_room_it_needs_and_does_not_begin_without(self):
        made, data, workspaces = self.made()
        path = self.stub("df", '"$real" "$@" | awk \'NR == 2 { $4 = 5000 } { print }\'')
        done = self.run_script("restore", made, "--workspaces", self.workspaces, PATH=path)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stderr, r"needs room for \d+(\.\d+)?KB beside what is there; 4\.9KB are free")
        self.assert_same(picture(self.data), data)
        self.assert_same(picture(self.workspaces), workspaces)
        done = self.run_script("restore", made, "--workspaces", self.workspaces)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{self.data} needs room for", done.stderr)
        self.assertEqual((self.api / "file").read_text(), "mine")


class Backups(InFolder):
    """A real opencode with sessions in its store, and a folder of workspaces."""

    def setUp(self):
        super().setUp()
        need("sqlite3", "tar", "gzip", "sha256sum")
        try:
            self.model = FakeModel()
            self.addCleanup(self.model.close)
            self.opencode = Opencode(self.model)
        except Unavailable as reason:
            self.skipTest(str(reason))
        self.addCleanup(self.opencode.close)
        self.data = self.opencode.home / ".local/share/opencode"
        self.kept = self.root / "backups"
        api = opencode.make_project(self.workspaces / "api")
        (api / "run").write_text("#!/bin/sh\n")
        (api / "run").chmod(0o755)
        (api / "link").symlink_to("run")
        (api / ".hidden file").write_text("hidden")
        (self.workspaces / ".known_hosts").write_text("git.example ssh-ed25519 AAAA\n")

    def run_script(self, script, *arguments, **env):
        return subprocess.run(
            [SCRIPTS / script, *map(str, arguments)],
            env={**self.env, "XDG_DATA_HOME": str(self.data.parent), **env},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip

    def well(self, *arguments, **env):
        done = self.run_script(*arguments, **env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done

    def backup(self, *arguments):
        before = set(self.folders())
        self.well("backup", "--to", self.kept, *arguments)
        (made,) = set(self.folders()) - before
        return self.kept / made

    def folders(self):
        return sorted(p.name for p in self.kept.iterdir() if p.is_dir()) if self.kept.exists() else []

    def new_session(self, title, text=None):
        client = self.opencode.client()
        session = client.post_json("/session", {"title": title})
        if text:
            body = {"model": {"providerID": "fake", "modelID": "fake-1"}, "parts": [{"type": "text", "text": text}]}
            self.model.script(Say(f"an answer to {text}"))
            client.post_json(f"/session/{session['id']}/message", body)
        return session["id"]

    def sessions(self):
        """All of them with all of their messages, as opencode tells them."""
        client = self.opencode.client()
        listed = sorted(client.get_json("/session"), key=lambda session: session["id"])
        return {s["id"]: (s, client.get_json(f"/session/{s['id']}/message")) for s in listed}

    def test_sessions_after_a_restore_are_those_of_the_backup(self):
        for number in range(3):
            self.new_session(f"session {number}", text=f"question {number}")
        before = self.sessions()
        self.assertEqual(len(before), 3)
        self.assertTrue(all(len(messages) == 2 for _, messages in before.values()))
        tree = picture(self.workspaces)
        made = self.backup()
        self.assertEqual(stat.S_IMODE(made.stat().st_mode), 0o700)
        for file in made.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600, file)

        # Life goes on, and then somebody wants it undone.
        late = self.new_session("late", text="late")
        self.opencode.client().request("DELETE", f"/session/{min(before)}")
        (self.workspaces / "api" / "run").write_text("broken")
        (self.workspaces / "new").mkdir()

        everything = picture(self.data), picture(self.workspaces)
        refused = self.run_script("restore", made)
        self.assertEqual(refused.returncode, 1, refused.stdout + refused.stderr)
        self.assertIn("opencode is running", refused.stderr)
        self.assert_same(picture(self.workspaces), everything[1])
        self.assertEqual(set(picture(self.data)), set(everything[0]))
        self.assertIn(late, self.sessions())

        self.opencode.kill()
        done = self.well("restore", made)
        self.assertIn("3 sessions", done.stdout)
        self.opencode.start()
        self.assertEqual(self.sessions(), before)
        # How the runbook counts them, of all projects.
        self.assertEqual(len(self.opencode.client().get_json("/experimental/session?limit=1000")), 3)
        (aside,) = self.workspaces.glob(".before-restore-*")
        self.assert_same(picture(self.workspaces, (aside.name,)), tree)
        self.assertEqual((aside / "api" / "run").read_text(), "broken")
        (aside,) = self.data.glob(".before-restore-*")
        self.assertTrue((aside / "opencode.db").exists())
        titles = subprocess.run(
            ["sqlite3", aside / "opencode.db", "SELECT title FROM session"], capture_output=True, text=True, check=True
        )
        self.assertIn("late", titles.stdout)

        # What was kept aside is in no later backup, and the restored server still works.
        self.new_session("after", text="after")
        again = self.backup("--workspaces", self.workspaces)
        for archive in ("data.tar.gz", "workspaces.tar.gz"):
            names = subprocess.run(["tar", "-tzf", again / archive], capture_output=True, text=True, check=True).stdout
            self.assertNotIn(".before-restore", names)
        self.assertIn("sessions 4\n", (again / "MANIFEST").read_text())

    def test_a_backup_under_way_while_opencode_writes(self):
        self.new_session("first", text="first")
        over = threading.Event()
        made = []

        def write():
            client = self.opencode.client()
            while not over.is_set():
                made.append(client.post_json("/session", {"title": "busy"})["id"])

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        try:
            folders = [self.backup("--workspaces", "none", "--keep", "0")]
            counted = len(made)
        finally:
            over.set()
            writer.join(60)
        self.assertGreater(len(made), 0)
        said = dict(line.split(" ", 1) for line in (folders[0] / "MANIFEST").read_text().splitlines()[:3])
        self.assertGreaterEqual(int(said["sessions"]), 1)
        self.assertLessEqual(int(said["sessions"]), counted + 2)
        self.well("restore", "--test", folders[0])

    def test_only_the_newest_are_kept(self):
        self.new_session("one")
        first = self.backup()
        for day in ("01", "02", "03"):
            shutil.copytree(first, self.kept / f"opencode-202601{day}T031700Z")
        (self.kept / "mine").mkdir()
        (self.kept / "opencode-of-mine").mkdir()
        (self.kept / ".partial-opencode-20260101T000000Z").mkdir()
        first.rename(self.kept / "opencode-20260104T031700Z")
        made = self.backup("--keep", "2")
        left = sorted(p.name for p in self.kept.iterdir())
        self.assertEqual(left, sorted([".lock", "mine", "opencode-20260104T031700Z", "opencode-of-mine", made.name]))

    def test_what_is_damaged_is_not_restored(self):
        self.new_session("one", text="one")
        made = self.backup()
        self.opencode.kill()
        everything = picture(self.data), picture(self.workspaces)
        for file in ("opencode.db.gz", "workspaces.tar.gz", "data.tar.gz"):
            with self.subTest(file):
                damaged = self.root / "damaged"
                shutil.copytree(made, damaged)
                content = bytearray((damaged / file).read_bytes())
                content[len(content) // 2] ^= 0xFF
                (damaged / file).write_bytes(content)
                for arguments in ((damaged,), ("--test", damaged)):
                    done = self.run_script("restore", *arguments)
                    self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                    self.assertIn("is damaged", done.stderr)
                shutil.rmtree(damaged)
        self.assert_same(picture(self.data), everything[0])
        self.assert_same(picture(self.workspaces), everything[1])

    def test_a_damaged_store_makes_no_backup(self):
        self.new_session("one", text="one")
        self.opencode.kill()
        store = self.data / "opencode.db"
        subprocess.run(["sqlite3", store, "PRAGMA wal_checkpoint(TRUNCATE)"], check=True, capture_output=True)
        content = bytearray(store.read_bytes())
        for at in range(3 * 4096, len(content), 4096):
            content[at : at + 64] = os.urandom(64)
        store.write_bytes(content)
        self.kept.mkdir()
        done = self.run_script("backup", "--to", self.kept)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual([p.name for p in self.kept.iterdir()], [".lock"])

    def test_when_it_fails_on_the_way_everything_is_as_it_was(self):
        self.new_session("one", text="one")
        made = self.backup()
        self.opencode.kill()
        everything = picture(self.data), picture(self.workspaces)
        tools = self.root / "tools"
        tools.mkdir()
        real = {name: shutil.which(name) for name in ("tar", "mv")}
        failed = self.root / "failed"
        once = f"[ -e {failed} ] || {{ : >{failed}; exit 1; }}"
        # What fails, and the words it is called with then: the second archive does not unpack; the second folder cannot
        # be emptied; it cannot be filled.
        cases = (
            ("tar", f"*{self.workspaces}/.restoring*"),
            ("mv", f"'-t {self.workspaces}/.before-restore-'*"),
            ("mv", f"'-t {self.workspaces} '*"),
        )
        for name, words in cases:
            with self.subTest(name, words=words):
                (tools / name).write_text(f'#!/bin/sh\ncase "$*" in {words}) {once} ;; esac\nexec {real[name]} "$@"\n')
                (tools / name).chmod(0o755)
                done = self.run_script("restore", made, PATH=f"{tools}:{self.env['PATH']}")
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertTrue(failed.exists(), "it did not come to that")
                self.assert_same(picture(self.data), everything[0])
                self.assert_same(picture(self.workspaces), everything[1])
                failed.unlink()
                (tools / name).unlink()

    def test_only_a_part(self):
        self.new_session("one", text="one")
        made = self.backup()
        (self.workspaces / "api" / "run").write_text("mine")
        self.opencode.kill()
        self.well("restore", made, "--only", "data")
        self.assertEqual((self.workspaces / "api" / "run").read_text(), "mine")
        self.well("restore", made, "--only", "workspaces")
        self.assertEqual((self.workspaces / "api" / "run").read_text(), "#!/bin/sh\n")


if __name__ == "__main__":
    case.main()
