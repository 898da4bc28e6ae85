"""accept_tools.py: command line programs: shells, git, make and compilers, text tools, solvers.

Goal and method as in accept.py: each case gives work of about a second to one program, and the
text that it returns is compared between a run with the library and one without.
"""

import hashlib
from pathlib import Path

from accept_harness import WORK, Case, check

MODULE_COUNT = 16
FUNCTION_COUNT = 40


def digest(path):
    data = Path(path).read_bytes()
    return f"{Path(path).name} {len(data)} {hashlib.sha256(data).hexdigest()}\n"


def run_bash(box):
    return box.run(["bash", WORK / "bash_work.sh"])


def run_git(box):
    return box.run(["sh", WORK / "git_work.sh", box.dir], env={"GIT_CONFIG_NOSYSTEM": "1"})


def module_source(module):
    """A C file whose functions keep the optimizer busy: loops, tables and calls to each other."""
    lines = ["#include <stdint.h>", "#include <string.h>", f"uint64_t module_{module}(uint64_t);"]
    for i in range(FUNCTION_COUNT):
        table = ", ".join(str((i * 37 + j * 101 + module * 13) % 65521) for j in range(64))
        before = f"step_{i - 1}(x ^ {i})" if i else "x"
        lines += [
            f"static uint64_t step_{i}(uint64_t x) {{",
            f"    static const uint32_t table[64] = {{{table}}};",
            f"    uint64_t sum = {before};",
            f"    for (int k = 0; k < {16 + i % 7}; k++) {{",
            f"        sum = (sum << {1 + i % 5}) ^ (sum >> {7 + i % 11}) ^ table[(sum + k) & 63];",
            "    }", "    return sum;", "}"]
    lines += [f"uint64_t module_{module}(uint64_t x) {{ return step_{FUNCTION_COUNT - 1}(x); }}"]
    return "\n".join(lines) + "\n"


def write_project(folder):
    for module in range(MODULE_COUNT):
        (folder / f"module_{module}.c").write_text(module_source(module))
    calls = "\n".join(f"    x = module_{m}(x);" for m in range(MODULE_COUNT))
    declarations = "\n".join(f"uint64_t module_{m}(uint64_t);" for m in range(MODULE_COUNT))
    (folder / "main.c").write_text(
        "#include <inttypes.h>\n#include <stdio.h>\n" + declarations +
        "\nint main(void)\n{\n    uint64_t x = 1;\n" + calls +
        '\n    printf("%" PRIu64 "\\n", x);\n    return 0;\n}\n')
    (folder / "Makefile").write_text(
        f"objects := main.o $(patsubst %,module_%.o,$(shell seq 0 {MODULE_COUNT - 1}))\n"
        "program: $(objects)\n\tgcc -o $@ $(objects)\n"
        "%.o: %.c\n\tgcc -O2 -Wall -c -o $@ $<\n")


def run_make(box):
    write_project(box.dir)
    box.run(["make", "-s", "-j2"])
    check(box.run(["make", "-q"]) == "", "make -q finds nothing left to do")
    return box.run(["./program"]) + "".join(digest(p) for p in sorted(box.dir.glob("*.o")))


def compile_both(box, c_compiler, cxx_compiler):
    """One large C file and one C++ file full of templates; the object files must be identical."""
    source = "\n".join(module_source(m).replace("step_", f"step_{m}_") for m in range(2))
    (box.dir / "large.c").write_text(source)
    box.run([c_compiler, "-O2", "-g", "-c", "-o", "large.o", "large.c"])
    box.run([cxx_compiler, "-std=c++17", "-O2", "-o", "templates", WORK / "cxx_work.cc"])
    return box.run(["./templates"]) + digest(box.dir / "large.o") + digest(box.dir / "templates")


def run_gcc(box):
    return compile_both(box, "gcc", "g++")


def run_clang(box):
    return compile_both(box, "clang", "clang++")


def run_perl(box):
    return box.run(["perl", WORK / "perl_work.pl"])


def run_lua(box):
    return box.run(["lua5.4", WORK / "lua_work.lua"])


def run_jq(box):
    rows = ",\n".join(
        f'{{"id": {i}, "name": "user {i * 7919 % 10007}", "tags": ["t{i % 13}", "t{i % 17}"],'
        f' "value": {i * 31 % 977}.{i % 10}}}' for i in range(4000))
    (box.dir / "rows.json").write_text(f"[{rows}]\n")
    return box.run(["jq", "-c", "-f", WORK / "jq_work.jq", "rows.json"])


def run_sqlite3(box):
    output = box.run(["sqlite3", box.dir / "test.db"], text=(WORK / "sqlite_work.sql").read_text())
    check("integrity ok" in output, f"the database is damaged: {output[-500:]}")
    return output


def run_ghostscript(box):
    text = box.run(["gs", "-q", "-dSAFER", "-dBATCH", "-dNOPAUSE", "-sDEVICE=ppmraw", "-r150",
                    "-dTextAlphaBits=4", "-dGraphicsAlphaBits=4", "-sOutputFile=page%d.ppm",
                    WORK / "page_work.ps"])
    pages = sorted(box.dir.glob("page*.ppm"))
    check(len(pages) == 4, f"4 pages expected, {len(pages)} found")
    return text + "".join(digest(page) for page in pages)


def run_z3(box):
    output = box.run(["z3", WORK / "z3_work.smt2"])
    check(output.split()[:2] == ["unsat", "sat"], f"wrong answers: {output[:200]}")
    return output


CASES = (
    Case("bash", run_bash, ("bash", "sort", "awk")),
    Case("git", run_git, ("sh", "git")),
    Case("make", run_make, ("make", "gcc", "cc1", "as", "ld")),
    Case("gcc", run_gcc, ("gcc", "g++", "cc1", "cc1plus", "as", "collect2", "ld", "templates")),
    Case("clang", run_clang, ("clang", "clang++", "ld", "templates")),
    Case("perl", run_perl, ("perl",)),
    Case("lua", run_lua, ("lua5.4",)),
    Case("jq", run_jq, ("jq",)),
    Case("sqlite3", run_sqlite3, ("sqlite3",)),
    Case("ghostscript", run_ghostscript, ("gs",)),
    Case("z3", run_z3, ("z3",)),
)
