#!/usr/bin/env python3
"""The check of the program that ships can fail: each thing it looks for is missing once in a small program."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import check_binary
import selftest

SOURCE = """
#include <cstdio>
#include <cstring>
#include <unistd.h>
#include <vector>
extern "C" int touched(char*);
__attribute__((noinline)) int large(int n) { char all[20000]; all[n] = 1; return touched(all) + all[1]; }
__attribute__((noinline)) long copied(char* to, long n) { char few[16]; n = read(0, few, n); memcpy(to, few, n); return n; }
extern "C" __attribute__((noinline)) int touched(char* all) { std::puts(all); return 0; }
int main(int n, char** words) { std::vector<int> v(3); return v[n] + large(n) + copied(words[0], n); }
"""
GOOD = {
    "pie": ("-fPIE", "-pie"), "protector": ("-fstack-protector-strong",), "probes": ("-fstack-clash-protection",),
    "checked": ("-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"), "containers": ("-D_GLIBCXX_ASSERTIONS",),
    "relro": ("-Wl,-z,relro",), "now": ("-Wl,-z,now",), "stack": ("-Wl,-z,noexecstack",),
    **({"marks": ("-fcf-protection",)} if os.uname().machine == "x86_64" else {}),
}  # fmt: skip
BAD = {
    "pie": (("-fno-pie", "-no-pie"), "position-independent"),
    "protector": (("-fno-stack-protector",), "stack protector"),
    "probes": (("-fno-stack-clash-protection",), "not probed"),
    "checked": (("-U_FORTIFY_SOURCE",), "checked string functions"),
    "containers": ((), "checked containers"),
    "relro": (("-Wl,-z,norelro",), "GNU_RELRO"),
    "now": (("-Wl,-z,lazy",), "bound when they are called"),
    "stack": (("-Wl,-z,execstack",), "stack can be run"),
    "marks": (("-fcf-protection=none",), "marks of control flow"),
}


@unittest.skipUnless(shutil.which("g++") and shutil.which("readelf"), "no compiler")
class Hardening(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def breaches(self, **instead):
        source, program = self.folder / "source.cpp", self.folder / "program"
        source.write_text(SOURCE, encoding="utf-8")
        flags = [flag for name, usual in GOOD.items() for flag in instead.get(name, usual)]
        subprocess.run(["g++", "-O2", "-w", *flags, source, "-o", program], check=True, timeout=60)
        return list(check_binary.hardening(program))

    def test_nothing_is_said_of_a_good_program(self):
        self.assertEqual(self.breaches(), [])

    def test_each_part_is_missed(self):
        for name in GOOD:
            flags, said = BAD[name]
            with self.subTest(name):
                self.assertRegex("\n".join(self.breaches(**{name: flags})), said)

    def test_a_search_path_is_told(self):
        self.assertRegex("\n".join(self.breaches(now=("-Wl,-z,now", "-Wl,-rpath,/tmp"))), "RUNPATH|RPATH")


STRENGTH = "-O2 -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -D_GLIBCXX_ASSERTIONS"
# What is written instead, and what is said of it.
WEAKER = (
    ("-D_FORTIFY_SOURCE=3", "-D_FORTIFY_SOURCE=2", "level 2 of 3"),
    ("-D_FORTIFY_SOURCE=3", "-D_FORTIFY_SOURCE=1", "level 1 of 3"),
    ("-D_FORTIFY_SOURCE=3", "-D_FORTIFY_SOURCE=3 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2", "level 2 of 3"),
    ("-D_FORTIFY_SOURCE=3", "", "level 0 of 3"),
    ("-O2", "-O0", "level 0 of 3"),
    ("-fstack-protector-strong", "-fstack-protector", "no protector"),
    ("-fstack-protector-strong", "-fstack-protector-strong -fno-stack-protector", "no protector"),
    ("-fstack-clash-protection", "-fstack-clash-protection -fno-stack-clash-protection", "not probed"),
    ("-D_GLIBCXX_ASSERTIONS", "", "containers are not checked"),
    ("-O2", "-O2 -fno-such-option-at-all=1", "does not take its own command"),
)


@unittest.skipUnless(shutil.which("g++"), "no compiler")
class Compiled(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def breaches(self, *commands):
        entries = [
            {"directory": str(self.folder), "file": f"/src/{number}.cpp",
             "command": f"g++ -I/src -isystem /usr/include/none {flags} -o {number}.o -c /src/{number}.cpp"}
            for number, flags in enumerate(commands)
        ]  # fmt: skip
        (self.folder / "compile_commands.json").write_text(json.dumps(entries), encoding="utf-8")
        return "\n".join(check_binary.compiled(self.folder / "program"))

    def test_nothing_is_said_of_strong_ones(self):
        self.assertEqual(self.breaches(STRENGTH, STRENGTH + " -DMORE"), "")
        self.assertEqual(self.breaches(STRENGTH.replace("-strong", "-all")), "")

    def test_each_weaker_one_is_told_with_its_file(self):
        for old, new, said in WEAKER:
            with self.subTest(said, new=new):
                told = self.breaches(STRENGTH, STRENGTH.replace(old, new), STRENGTH.replace(old, new))
                self.assertRegex(told, rf"^/src/1\.cpp and 1 more: .*{said}")

    def test_without_commands_there_is_no_saying(self):
        self.assertIn("there is no compile_commands.json", "\n".join(check_binary.compiled(self.folder / "program")))
        self.assertIn("there is no compile_commands.json", self.breaches())


@unittest.skipUnless(shutil.which("dpkg-query") and shutil.which("readelf"), "this is not Debian")
class Materials(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.program = self.folder / "program"
        shutil.copy("/usr/bin/openssl", self.program)
        sbom = Path(__file__).resolve().parents[2] / "deploy/package/sbom"
        subprocess.run([sbom, self.program, "1.2.3"], check=True, timeout=60)
        self.bill = self.folder / "program.cdx.json"

    def breaches(self, change=lambda bill: None):
        bill = json.loads(self.bill.read_text(encoding="utf-8"))
        change(bill)
        self.bill.write_text(json.dumps(bill), encoding="utf-8")
        return "\n".join(check_binary.materials(self.program))

    def test_what_is_written_is_taken(self):
        self.assertEqual(self.breaches(), "")

    def test_another_version_is_told(self):
        self.assertIn("libc6 0.1", self.breaches(lambda bill: self.of(bill, "libc6").update(version="0.1")))

    def test_a_library_that_is_left_out_is_told(self):
        self.assertIn("libssl.so.3", self.breaches(lambda bill: bill["components"].remove(self.of(bill, "libssl3"))))

    def test_what_is_compiled_in_is_told_when_it_is_left_out(self):
        for name in check_binary.COMPILED_IN:
            with self.subTest(name):
                self.setUp()
                self.assertIn(name, self.breaches(lambda bill: bill["components"].remove(self.of(bill, name))))

    def test_the_bill_of_another_build_is_told(self):
        shutil.copy("/usr/bin/env", self.program)
        self.assertIn("another build", self.breaches())

    def test_none_at_all_is_told(self):
        self.bill.unlink()
        self.assertIn("there is no", "\n".join(check_binary.materials(self.program)))

    @staticmethod
    def of(bill, name):
        return next(one for one in bill["components"] if one["name"] == name)


if __name__ == "__main__":
    selftest.main()
