#!/usr/bin/env python3
"""The check of the Python files can fail, and says so when it cannot run."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import selftest

HERE = Path(__file__).parent
SOUND = "import os\n\n\ndef one():\n    return os.getpid()\n"


class Python(unittest.TestCase):
    def check(self, files, path=None):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "repository"
            root.mkdir()
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            done = subprocess.run(
                [sys.executable, HERE / "check_python.py", root],
                env={**os.environ, "PATH": path or os.environ["PATH"]},
                stdout=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
            return done.returncode, done.stdout

    def test_without_pyflakes_it_is_skipped_with_the_reason(self):
        with tempfile.TemporaryDirectory() as empty:
            told = self.check({"a.py": SOUND}, path=empty)
        self.assertEqual(told, (77, "SKIPPED: pyflakes3 is not installed\n"))

    def test_what_hides_or_lacks_a_name_is_told(self):
        if shutil.which("pyflakes3") is None:
            self.skipTest("pyflakes3 is not installed")
        self.assertEqual(self.check({"a.py": SOUND, "notes.txt": "not Python"})[0], 0)
        self.assertEqual(self.check({"notes.txt": "not Python"})[0], 1, "nothing to look at is no pass")
        twice = SOUND + "\n\ndef one():\n    return 1\n"
        for name, text, complaint in (
            ("tests/a.py", twice, "redefinition of unused 'one'"),
            ("tests/a.py", "print(unknown)\n", "undefined name 'unknown'"),
            ("tests/a.py", "import os\n", "'os' imported but unused"),
            ("bench/program", "#!/usr/bin/env python3\nprint(unknown)\n", "undefined name 'unknown'"),
        ):
            with self.subTest(complaint):
                status, told = self.check({"a.py": SOUND, name: text})
                self.assertEqual(status, 1)
                self.assertIn(name, told)
                self.assertIn(complaint, told)


if __name__ == "__main__":
    selftest.main()
