#!/usr/bin/env python3
"""The check of the layout can fail, and says so when it cannot run."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import check_format
import selftest

HERE = Path(__file__).parent


class Format(unittest.TestCase):
    def check(self, files, path=None):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "repository"
            for name, text in {".clang-format": "BasedOnStyle: Google\n", **files}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            done = subprocess.run(
                [sys.executable, HERE / "check_format.py", root],
                env={**os.environ, "PATH": path or os.environ["PATH"]},
                stdout=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
            return done.returncode, done.stdout

    def test_without_clang_format_it_is_skipped_with_the_reason(self):
        with tempfile.TemporaryDirectory() as empty:
            code, said = self.check({"src/a.cpp": "int  a;\n"}, path=empty)
        self.assertEqual((code, said), (77, "SKIPPED: clang-format is not installed\n"))

    def test_another_version_is_skipped_too(self):
        with tempfile.TemporaryDirectory() as folder:
            other = Path(folder) / "clang-format"
            other.write_text("#!/bin/sh\necho clang-format version 19.1.7\n", encoding="ascii")
            other.chmod(0o755)
            code, said = self.check({"src/a.cpp": "int  a;\n"}, path=folder)
        self.assertEqual(code, 77)
        self.assertIn("is not version 14: clang-format version 19.1.7", said)

    def test_one_badly_laid_out_file_fails_it_and_is_named(self):
        formatter, why_not = check_format.find_formatter()
        if formatter is None:
            self.skipTest(why_not)
        sound = {"src/a.cpp": "int a;\n", "include/a.hpp": "int a;\n", "docs/a.cpp": "int  a;\n", "src/a.txt": "a  b"}
        self.assertEqual(self.check(sound)[0], 0)
        for name in ("src/b.cpp", "include/deep/b.hpp", "tests/b.cpp", "bench/b.hpp"):
            with self.subTest(name):
                done = self.check({**sound, name: "int  b;\n"})
                self.assertEqual(done[0], 1)
                self.assertIn(f"{name}:1:", done[1])
        self.assertEqual(self.check({"README.md": ""})[0], 1, "nothing to look at is no pass")


if __name__ == "__main__":
    selftest.main()
