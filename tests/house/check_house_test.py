#!/usr/bin/env python3
"""The check of the house can fail: each rule is broken once in a small repository of its own."""

import tempfile
import unittest
from pathlib import Path

import check_house

SOUND = {
    "CMakeLists.txt": "",
    ".gitignore": "/build/\n",
    "include/ocgate/rt/clock.hpp": '#include "ocgate/base/failure.hpp"\n',
    "include/ocgate/base/failure.hpp": "#include <string>\n",
    "src/rt/clock.cpp": '#include "ocgate/rt/clock.hpp"\n#include "inner.hpp"\n',
    "src/rt/inner.hpp": "",
    "src/app/main.cpp": '#include "ocgate/rt/clock.hpp"\n#include <CLI/CLI.hpp>\n',
    "build/x.cpp": '#include "ocgate/nonsense/x.hpp"\n',
}


class House(unittest.TestCase):
    def breaches(self, **changes):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            files = dict(SOUND)
            files.update({name.replace("__", "/"): text for name, text in changes.pop("files", {}).items()})
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            return check_house.breaches(root)

    def test_a_sound_house_stands(self):
        self.assertEqual(self.breaches(), [])

    def broken(self, name, text, what):
        found = self.breaches(files={name: text})
        self.assertEqual(len(found), 1, found)
        self.assertIn(what, found[0])

    def test_arrows_point_down(self):
        self.broken("src/base/a.cpp", '#include "ocgate/rt/clock.hpp"\n', "a.cpp:1: base must not include rt")
        self.broken("include/ocgate/base/a.hpp", "\n#  include <ocgate/rt/clock.hpp>\n", "a.hpp:2: base must not")

    def test_sisters_do_not_know_each_other(self):
        for sister, other in (("auth", "ops"), ("opencode", "proxy"), ("ops", "auth")):
            found = self.breaches(files={f"include/ocgate/{other}/a.hpp": "",
                                         f"src/{sister}/a.cpp": f'#include "ocgate/{other}/a.hpp"\n'})
            self.assertEqual(len(found), 1, found)
            self.assertIn(f"{sister} must not include {other}", found[0])

    def test_private_headers_are_private(self):
        self.broken("src/app/a.cpp", '#include "../rt/inner.hpp"\n', "reaches out")
        self.broken("src/app/a.cpp", '#include "inner.hpp"\n', "no private header of app")
        self.broken("src/app/a.cpp", '#include "rt/inner.hpp"\n', "no private header of app")
        self.broken("include/ocgate/rt/a.hpp", '#include "inner.hpp"\n', "a promise includes")

    def test_headers_exist_and_modules_are_known(self):
        self.broken("src/rt/a.cpp", '#include "ocgate/base/none.hpp"\n', "does not exist")
        self.broken("src/rt/a.cpp", '#include "ocgate/attic/a.hpp"\n', "belongs to no module")
        self.broken("src/attic/a.cpp", "", "unknown module")

    def test_libraries_stay_where_they_are_meant(self):
        self.broken("src/rt/a.cpp", "#include <nlohmann/json.hpp>\n", "rt must not know nlohmann")
        self.broken("src/wire/a.cpp", "#include <boost/asio/post.hpp>\n", "wire must not know boost/asio")

    def test_nothing_beside_the_repository(self):
        self.broken("tests/unit/a.cpp", '// see ../shared/x.json\n', "a.cpp:1: the repository does not need")
        self.assertEqual(self.breaches(files={"tests/house/a.py": '"../shared/x"\n'}), [])

    def test_length(self):
        self.broken("tests/unit/a.cpp", "\n" * 451, "451 lines")
        self.assertEqual(self.breaches(files={"tests/unit/a.cpp": "\n" * 450}), [])

    def test_top_level(self):
        self.broken("attic/notes.txt", "", "attic: not one of")


if __name__ == "__main__":
    unittest.main()
