#!/usr/bin/env python3
"""Nothing is skipped in silence: what tests/run and .ci/run say of it, with a real ctest where there is one."""

import io
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import selftest
import skips

RULES = [("may.*", "a package"), ("one.name", "a kernel")]
RUN = Path(skips.__file__)
# What tests print, and how they end.
TESTS = {
    "passes": ("echo fine", ""),
    "may.ours": ("echo 'SKIPPED: strace: none'; exit 77", "SKIP_RETURN_CODE 77"),
    "must.ours": (
        "echo 'ok'; echo 'SKIPPED test_a (__main__.A.test_a): no namespaces: denied' >&2; "
        "echo 'SKIPPED test_b (__main__.A.test_b): no namespaces: denied'; exit 77",
        "SKIP_RETURN_CODE 77",
    ),
    "must.googles": (
        "printf '%s\\n' '/a b/c_test.cpp:104: Skipped' 'no Landlock here: none' '' '[  SKIPPED ] C.C (0 ms)'",
        "SKIP_REGULAR_EXPRESSION '[  SKIPPED ]'",
    ),
    "must.silent": ("exit 77", "SKIP_RETURN_CODE 77"),
}


class Rules(unittest.TestCase):
    def test_a_line_is_a_pattern_and_a_reason(self):
        self.assertEqual(skips.read_rules("# why\n\nmay.*   a package, and more\n"), [("may.*", "a package, and more")])
        for text in ("unit.*\n", "unit.*   \n"):
            with self.assertRaisesRegex(ValueError, "may_skip:1: no reason"):
                skips.read_rules(text)

    def test_a_pattern_fits_the_whole_name(self):
        for name, fits in (("may.be", True), ("one.name", True), ("one.name.too", False), ("dismay.be", False)):
            self.assertEqual(skips.foreseen(name, RULES), fits, name)

    def test_what_always_can_run_must(self):
        rules = skips.read_rules(skips.MAY_SKIP.read_text(encoding="utf-8"))
        for name in ("unit.Head.X", "scenario.X", "framing.Corpus.X/chunked", "fuzz.exchange", "house.binary",
                     "house.includes", "house.deploy_manifests", "house.skips_self_test", "integration.dos",
                     "integration.framing", "integration.descriptors", "integration.fakes", "soak.minute"):  # fmt: skip
            self.assertFalse(skips.foreseen(name, rules), name)


class Told(unittest.TestCase):
    def test_only_strictness_makes_a_skip_a_failure(self):
        skipped = [("may.be", "why"), ("unit.X", "because")]
        for strict, failed in ((False, False), (True, True)):
            text, bad = skips.told(skipped, RULES, strict)
            self.assertEqual(bad, failed)
            self.assertIn("Skipped, 2 in all:\n  may.be: why\n  unit.X: because\n", text)
            self.assertEqual("has failed, whatever the summary says:\n  unit.X\n" in text, failed)
        self.assertEqual(skips.told(skipped[:1], RULES, True)[1], False)
        self.assertEqual(skips.told([], RULES, True), ("", False))

    def test_reasons_are_told_once_and_in_short(self):
        self.assertEqual(skips.reasons_in("SKIPPED: a\nSKIPPED t (m.T): a\nSKIPPED: b: c\n"), "a; b: c")
        self.assertEqual(skips.reasons_in("it was SKIPPED: not so\n"), "no reason was given")
        self.assertEqual(len(skips.reasons_in(f"SKIPPED: {'x' * 999}\n")), skips.LONGEST)

    def test_the_summary_waits_and_all_else_is_passed_on(self):
        passed = []
        text = b"1/2 Test\n\n50% tests passed, 1 tests failed out of 2\n\nTotal\nErrors\n"
        kept = skips.pass_on(io.BytesIO(text), passed.append)
        self.assertEqual(passed, [b"1/2 Test\n", b"\n"])
        self.assertEqual(b"".join(passed) + kept, text)


@unittest.skipUnless(shutil.which("ctest"), "ctest is not on the PATH")
class Whole(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ocgate-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_it(self, tests, *arguments, strict=()):
        lines = []
        for name, (script, properties) in tests.items():
            path = self.folder / name
            path.write_text(f"{script}\n", encoding="utf-8")
            lines.append(f'add_test({name} "/bin/sh" "{path}")')
            if properties:
                word, _, value = properties.partition(" ")
                value = value.strip("'").replace("[", "\\\\[").replace("]", "\\\\]")
                lines.append(f'set_tests_properties({name} PROPERTIES {word} "{value}")')
        (self.folder / "CTestTestfile.cmake").write_text("\n".join(lines) + "\n", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, RUN, *strict, "--", "ctest", "--test-dir", self.folder, "--output-on-failure", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    def test_all_is_told_before_the_summary(self):
        code, text = self.run_it(TESTS)
        self.assertEqual(code, 0, text)
        told, summary = text.split("\n100% tests passed, 0 tests failed out of 5\n")
        self.assertIn("Test #1: passes", told)
        self.assertIn(
            "Skipped, 4 in all:\n"
            "  may.ours: strace: none\n"
            "  must.googles: no Landlock here: none\n"
            "  must.ours: no namespaces: denied\n"
            "  must.silent: no reason was given\n",
            told,
        )
        self.assertIn("Total Test time", summary)
        self.assertIn("The following tests did not run:", summary)

    def test_strictness_fails_what_is_not_foreseen(self):
        code, text = self.run_it(TESTS, strict=["--strict"])
        self.assertEqual(code, 1, text)
        self.assertIn("whatever the summary says:\n  may.ours\n  must.googles\n  must.ours\n  must.silent\n\n", text)
        self.assertTrue(text.rstrip().splitlines()[-1].endswith("must.silent (Skipped)"), text)
        foreseen = {"house.deploy_schemas": TESTS["must.ours"], "passes": TESTS["passes"]}
        code, text = self.run_it(foreseen, strict=["--strict"])
        self.assertEqual(code, 0, text)
        self.assertIn("  house.deploy_schemas: no namespaces: denied\n", text)

    def test_a_failure_stays_one(self):
        tests = {"passes": TESTS["passes"], "fails": ("echo its output; exit 3", "")}
        for strict in ((), ["--strict"]):
            code, text = self.run_it(tests, strict=strict)
            self.assertEqual(code, 8, text)
            self.assertIn("its output", text)
            self.assertNotIn("Skipped,", text)
            self.assertTrue(text.endswith("(Failed)\nErrors while running CTest\n"), text)

    def test_a_program_that_is_not_there_is_no_skip(self):
        (self.folder / "CTestTestfile.cmake").write_text('add_test(gone "/nowhere/gone")\n', encoding="utf-8")
        done = subprocess.run([sys.executable, RUN, "--", "ctest", "--test-dir", self.folder],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
        self.assertEqual(done.returncode, 8, done.stdout)
        self.assertNotIn("Skipped,", done.stdout)

    def test_a_list_of_tests_is_just_that(self):
        code, text = self.run_it(TESTS, "-N", strict=["--strict"])
        self.assertEqual(code, 0, text)
        self.assertTrue(text.endswith("Total Tests: 5\n"), text)


if __name__ == "__main__":
    selftest.main()
