#!/usr/bin/env python3
"""Holds the program that ships to what its build promises, read from the ELF file and from what lies beside it.

    check_binary.py PROGRAM          one line per breach; exit status 0 none, 1 some, 77 cannot run here

How it is hardened: position-independent, relocations read-only before main, no memory that is written and run, no
search path of its own, stack protector, stack probes, checked string functions and containers, control-flow marks. The
file shows that a protection is there, not how much of it: that says the compiler itself, asked with each command in
compile_commands.json. And its bill of materials (PROGRAM.cdx.json): every library that it names is in there, in the
version installed.
"""

import json
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

SKIPPED = 77
COMPILED_IN = {"libboost1.81-dev", "nlohmann-json3-dev", "libcli11-dev"}


class CannotRun(Exception):
    pass


def output(*command):
    if not shutil.which(command[0]):
        raise CannotRun(f"{command[0]} is not installed")
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=True, timeout=120).stdout


class Elf:
    def __init__(self, program):
        text = output("readelf", "-W", "-h", "-l", "-d", "-n", "--dyn-syms", program)
        self.type = re.search(r"^\s*Type:\s+(\w+)", text, re.MULTILINE)[1]
        self.machine = re.search(r"^\s*Machine:\s+(.+)", text, re.MULTILINE)[1]
        self.segments = re.findall(r"^\s+([A-Z_]+)(?:\s+0x[0-9a-f]+){5}\s+([RWE ]{3})\s", text, re.MULTILINE)
        self.dynamic = re.findall(r"^\s+0x[0-9a-f]+ \((\w+)\)\s+(.*)", text, re.MULTILINE)
        self.needed = re.findall(r"\(NEEDED\)\s+Shared library: \[(.*?)\]", text)
        self.imports = set(re.findall(r"\sUND\s+([\w.]+)", text))
        build = re.search(r"Build ID: (\w+)", text)
        self.build = build and build[1]

    def tags(self, name):
        return " ".join(value for tag, value in self.dynamic if tag == name)

    def flags_of(self, segment):
        return [flags for name, flags in self.segments if name == segment]


def hardening(program):
    elf = Elf(program)
    if elf.type != "DYN" or "PIE" not in elf.tags("FLAGS_1"):
        yield "it is no position-independent executable"
    if not elf.flags_of("GNU_RELRO"):
        yield "its relocations stay writable: no GNU_RELRO"
    if "NOW" not in elf.tags("FLAGS_1") and "BIND_NOW" not in elf.tags("FLAGS"):
        yield "its relocations stay writable: functions are bound when they are called first, not at the start"
    if not elf.flags_of("GNU_STACK") or any("E" in flags for flags in elf.flags_of("GNU_STACK")):
        yield "its stack can be run"
    if any("W" in flags and "E" in flags for flags in elf.flags_of("LOAD")):
        yield "some of its memory can be written and run"
    for tag in ("TEXTREL", "RPATH", "RUNPATH"):
        if any(name == tag for name, _ in elf.dynamic):
            yield f"it has {tag} {elf.tags(tag)}".rstrip()
    if "__stack_chk_fail" not in elf.imports:
        yield "no stack protector: __stack_chk_fail is never called"
    if not {"__memcpy_chk", "__vsnprintf_chk", "__snprintf_chk", "__read_chk", "__recv_chk"} & elf.imports:
        yield "no checked string functions: _FORTIFY_SOURCE had no effect"
    if not any("glibcxx_assert_fail" in name for name in elf.imports):
        yield "no checked containers: std::__glibcxx_assert_fail is never called"
    # glibc's own start-up objects carry no marks in Debian 12, so the linker leaves the note away; the code has them.
    text = output("objdump", "-d", "--no-show-raw-insn", program)
    for machine, mark, flag in (
        ("X86-64", r"\bendbr64\b", "-fcf-protection"),
        ("AArch64", r"\b(?:bti|paciasp)\b", "-mbranch-protection=standard"),
    ):
        if machine in elf.machine and len(re.findall(mark, text)) < 3:
            yield f"its functions have no marks of control flow: {flag}"
    # A frame larger than a page is touched page by page.
    if "X86-64" in elf.machine and not re.search(r"\borq?\s+\$0x0,\(%rsp\)", text):
        yield "large stack frames are not probed: -fstack-clash-protection"


def arguments_of(entry):
    """The compiler and its options, without what they are about: the source, the output and folders of headers."""
    words = entry.get("arguments") or shlex.split(entry["command"])
    kept, skip = [], False
    for word in words:
        if skip or word in ("-o", "-I", "-isystem", "-MF", "-MT"):
            skip = not skip
        elif word != entry["file"] and word not in ("-c", "-MD", "-MMD") and not word.startswith("-I"):
            kept.append(word)
    return tuple(kept)


def defined(arguments, folder):
    """{macro: value} that a C++ file compiled like this finds in glibc and libstdc++."""
    done = subprocess.run([*arguments, "-dM", "-E", "-x", "c++", "-"], input="#include <cstring>\n", cwd=folder,
                          capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    if done.returncode != 0:
        return None
    return dict(re.findall(r"^#define (\w+) (.*)$", done.stdout, re.MULTILINE))


def compiled(program):
    """What of the program's own code was compiled with less protection than it should have been."""
    path = Path(program).resolve().parent / "compile_commands.json"
    entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    if not entries:
        yield f"there is no {path.name} beside it that says how it was compiled"
    alike = {}
    for entry in entries:
        alike.setdefault(arguments_of(entry), []).append(entry)
    for arguments, files in alike.items():
        which = f"{files[0]['file']}{f' and {len(files) - 1} more' if len(files) > 1 else ''}"
        macros = defined(arguments, files[0]["directory"])
        if macros is None:
            yield f"{which}: the compiler does not take its own command any more"
            continue
        level = macros.get("__USE_FORTIFY_LEVEL", "0")
        if int(level) < 3:
            yield f"{which}: string functions are checked at level {level} of 3: -D_FORTIFY_SOURCE=3 and -O1 or more"
        if not {"__SSP_STRONG__", "__SSP_ALL__"} & set(macros):
            yield f"{which}: some stack frames have no protector: -fstack-protector-strong"
        if "_GLIBCXX_ASSERTIONS" not in macros:
            yield f"{which}: containers are not checked: -D_GLIBCXX_ASSERTIONS"
        probes = [word for word in arguments if word.endswith("stack-clash-protection")]
        if probes[-1:] != ["-fstack-clash-protection"]:
            yield f"{which}: large stack frames are not probed: -fstack-clash-protection"


def installed_version(package):
    return output("dpkg-query", "-W", "-f", "${Version}", package)


def materials(program):
    path = Path(f"{program}.cdx.json")
    if not path.is_file():
        yield f"there is no {path.name} beside it"
        return
    bill = json.loads(path.read_text(encoding="utf-8"))
    if (bill.get("bomFormat"), bill.get("specVersion")) != ("CycloneDX", "1.5"):
        yield f"{path.name} is no CycloneDX 1.5"
    described = bill["metadata"]["component"]
    elf = Elf(program)
    if described["properties"] != [{"name": "ocgate:build-id", "value": elf.build}]:
        yield f"{path.name} is of another build"
    components = {one["bom-ref"]: one for one in bill["components"]}
    files = {
        name.rsplit("/", 1)[-1]: one
        for one in components.values()
        for name in (entry["value"] for entry in one["properties"] if entry["name"] == "ocgate:file")
    }
    for library in elf.needed:
        if library not in files:
            yield f"{path.name} does not name {library}"
    for name in COMPILED_IN - {one["name"] for one in components.values()}:
        yield f"{path.name} does not name {name}, which is compiled in"
    for one in components.values():
        if installed_version(one["name"]) != one["version"]:
            yield f"{path.name} says {one['name']} {one['version']}; {installed_version(one['name'])} is installed"
        if not one["purl"].startswith(f"pkg:deb/debian/{one['name']}@"):
            yield f"{one['name']} has the address {one['purl']}"
    edges = {one["ref"]: set(one["dependsOn"]) for one in bill["dependencies"]}
    if edges.get(described["bom-ref"]) != set(components):
        yield f"{path.name} does not say that the program depends on all of it"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = sys.argv[1]
    try:
        if platform.system() != "Linux":
            raise CannotRun("this is not Linux")
        if not Path(program).is_file():
            raise CannotRun(f"no {program}: cmake --preset release && cmake --build --preset release")
        breaches = [*hardening(program), *compiled(program)]
        if shutil.which("dpkg-query"):
            breaches += materials(program)
    except CannotRun as why:
        print(f"SKIPPED: {why}")
        sys.exit(SKIPPED)
    for breach in breaches:
        print(f"{program}: {breach}")
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
