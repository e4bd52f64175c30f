#!/usr/bin/env python3
"""The comparison in tests/images/reproducible can fail: on what differs, and on what is not there at all."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import selftest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
VERSION = re.search(r"project\(opencode-gateway VERSION (\S+)", PROJECT)[1]


@unittest.skipUnless(shutil.which("dpkg"), "this is not Debian")
class Reproducible(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        dpkg = ["dpkg", "--print-architecture"]
        architecture = subprocess.run(dpkg, capture_output=True, text=True, check=True).stdout.strip()
        self.names = ["ocgate", "ocgate.cdx.json", f"opencode-gateway_{VERSION}_{architecture}.deb"]
        self.builds = [self.folder / "one", self.folder / "two"]
        for build in self.builds:
            build.mkdir()
            for name in self.names:
                (build / name).write_bytes(b"\x7fELF " + name.encode())

    def compare(self):
        command = [ROOT / "tests/images/reproducible", "--compare", *self.builds]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout

    def test_the_same_is_the_same(self):
        code, told = self.compare()
        self.assertEqual(code, 0, told)
        self.assertEqual([line.split()[::2] for line in told.splitlines()], [["ok", name] for name in self.names])

    def test_each_that_differs_is_told(self):
        for name in self.names:
            with self.subTest(name):
                before = (self.builds[1] / name).read_bytes()
                (self.builds[1] / name).write_bytes(before + b"\n")
                code, told = self.compare()
                self.assertEqual((code, told.count("FAIL")), (1, 1), told)
                self.assertIn(f"FAIL  {name}: the two differ\n", told)
                (self.builds[1] / name).write_bytes(before)

    def test_each_that_was_not_built_is_told(self):
        for name in self.names:
            for builds in (self.builds, self.builds[:1], self.builds[1:]):
                with self.subTest(name, builds=len(builds)):
                    before = [(build / name, (build / name).read_bytes()) for build in builds]
                    for path, _ in before:
                        path.unlink()
                    code, told = self.compare()
                    self.assertEqual(code, 1, told)
                    self.assertIn(f"FAIL  {name}: it was not built twice\n", told)
                    for path, data in before:
                        path.write_bytes(data)

    def test_two_empty_files_are_no_proof(self):
        for build in self.builds:
            (build / "ocgate.cdx.json").write_bytes(b"")
        self.assertEqual(self.compare()[0], 1)

    def test_a_folder_in_the_program_is_told(self):
        for build in self.builds:
            (build / "ocgate").write_bytes(b"\0" + str(self.builds[1]).encode() + b"/src/a.cpp\0" + b"\0" * 1_000_000)
        code, told = self.compare()
        self.assertEqual(code, 1, told)
        self.assertIn("stands in the program", told)


if __name__ == "__main__":
    selftest.main()
