#!/usr/bin/env python3
"""check_upstream_jeprof.py: jeprof prints what jemalloc's own script prints, to the digit.

    check_upstream_jeprof.py --jeprof FILE --upstream FILE --library FILE --paths FILE
        [--only DUMP]... FOLDER

Goal: totals, rows and addresses of every report are those of the script, so nothing that reads them
notices the change. Method: dumps of real programs and of --paths, made in FOLDER with a library
that profiles, go through both. Behind the names that the script's --raw gives, both see the same
names, and whole reports must be equal; with the program's own files, totals, addresses, their
numbers and the addresses of --raw must be. Prints "SKIPPED" when the script or library is missing.
"""
import argparse
import glob
import os
import re
import subprocess
import sys

# name: (command, settings). {paths} has several call paths, named threads, recursion, inlining.
CORPUS = {
    "exact": (["{paths}"], "lg_prof_sample:0"),
    "small_period": (["{paths}"], "lg_prof_sample:10"),
    "default_period": (["{paths}"], "lg_prof_sample:19"),
    "accumulated": (["{paths}"], "lg_prof_sample:12,prof_accum:true"),
    "accumulated_exact": (["{paths}"], "lg_prof_sample:0,prof_accum:true"),
    "more": (["{paths}", "3"], "lg_prof_sample:11,prof_accum:true"),
    "python": (["{python}", "-c", "x = [str(i) * 9 for i in range(20000)]; import json"],
               "lg_prof_sample:15,prof_accum:true"),
    "python_tree": (["{python}", "-c", "import ast, inspect; ast.parse(inspect.getsource(ast))"],
                    "lg_prof_sample:13"),
    "sort": (["sort", "-n", "/usr/share/dict/words", "/etc/passwd", "/etc/services"],
             "lg_prof_sample:8,prof_accum:true"),
    "perl": (["perl", "-e", "my %h; $h{$_ x 3} = [1..20] for 1..5000"], "lg_prof_sample:14"),
    "awk": (["awk", "BEGIN { for (i = 0; i < 20000; i++) a[i] = i \"x\" }"], "lg_prof_sample:12"),
    "sed": (["sed", "-n", "-e", "H;$x;$p", "/etc/services"], "lg_prof_sample:4"),
}
# Reports that must be equal as they are, on profiles with names.
REPORTS = ["--text", "--text --show_bytes", "--text --cum --show_bytes", "--text --inuse_objects",
           "--text --addresses --show_bytes", "--text --addresses --inuse_objects",
           "--text --files --show_bytes", "--text --alloc_space --show_bytes",
           "--text --alloc_objects --cum", "--text --show_bytes --focus=a", "--text --ignore=a",
           "--text --show_bytes --retain=^[a-m]", "--text --show_bytes --exclude=^main$",
           "--text --show_bytes --focus=path_.$ --ignore=recurse", "--collapsed",
           "--collapsed --inuse_objects", "--text --nodecount=3 --show_bytes",
           "--dot --show_bytes --edgefraction=0 --maxdegree=1000 --heapcheck",
           "--dot --edgefraction=0 --maxdegree=1000 --focus=path_a",
           "--dot --addresses --inuse_objects --nodefraction=.05 --edgefraction=0 --maxdegree=1000"]
# Commands of a session, with the numbers of rows that leave no choice among equals.
COMMANDS = "top1000 --cum\ntop1000 -path_a\ntop999 -path_a -recurse\nnonsense\n\nquit\ntop\n"
# Reports of functions that the files of --paths are needed for. The script's names have an address
# behind them where it looks for a function, so "$" finds none.
CODE = ["--list=^leaf --show_bytes", "--list=^leaf --inuse_objects", "--disasm=^leaf",
        "--disasm=^leaf --show_bytes --focus=path_a", "--disasm=^recurse --show_bytes"]


class Check:
    def __init__(self, arguments):
        self.arguments = arguments
        self.compared = 0
        self.failures = 0

    def run(self, program, words, commands=""):
        result = subprocess.run([program, *words], capture_output=True, text=True, check=False,
                                input=commands,
                                env=dict(os.environ, LC_ALL="C", PERL_HASH_SEED="0"))
        return result.stdout

    def both(self, words, commands=""):
        return (self.run(self.arguments.upstream, words, commands),
                self.run(self.arguments.jeprof, words, commands))

    def compare(self, what, upstream, ours):
        self.compared += 1
        if upstream == ours:
            return
        self.failures += 1
        print(f"FAILED: {what}", flush=True)
        if isinstance(upstream, str):
            upstream, ours = upstream.splitlines(), ours.splitlines()
        for line in [line for line in upstream if line not in ours][:5]:
            print(f"  script: {line}")
        for line in [line for line in ours if line not in upstream][:5]:
            print(f"  jeprof: {line}")

    def make_dump(self, name):
        command, settings = CORPUS[name]
        places = {"{paths}": self.arguments.paths, "{python}": os.path.realpath(sys.executable)}
        command = [places.get(word, word) for word in command]
        command = [word for word in command if not word.startswith("/") or os.path.exists(word)]
        prefix = os.path.join(self.arguments.folder, name)
        for old in glob.glob(prefix + ".*"):
            os.remove(old)
        settings = f"prof:true,prof_final:true,prof_prefix:{prefix},{settings}"
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True,
                       env=dict(os.environ, LC_ALL="C", LD_PRELOAD=self.arguments.library,
                                MALLOC_CONF=settings))
        dumps = sorted(glob.glob(prefix + ".*.heap"))
        if len(dumps) != 1:
            sys.exit(f"{name}: {len(dumps)} dumps instead of one: {dumps}")
        program = subprocess.run(["sh", "-c", f"command -v {command[0]}"], capture_output=True,
                                 text=True, check=True).stdout.strip()
        return os.path.realpath(program), dumps[0]

    def with_names(self, program, dump):
        """The dump behind the names that the script finds: both programs then see the same."""
        names = self.run(self.arguments.upstream, ["--raw", program, dump])
        # Names without an address of their own, and a suffix that only the script gives.
        named = re.sub(r"<[0-9a-f]{16}>", "", names)
        path = dump.replace(".heap", ".named")
        with open(path, "w", encoding="utf-8") as out, open(dump, encoding="utf-8") as file:
            out.write(named + file.read())
        return path, re.findall(r"^(0x[0-9a-f]{16}) ", names, re.MULTILINE)

    @staticmethod
    def rows(report, text):
        """What is compared of a report. The script adds fractions up in random order, so rows whose
        counts are equal but for the last bit change places, and with them the sums so far."""
        lines = text.splitlines()
        if "--dot" in report:
            return sorted(lines)
        if "--collapsed" in report:
            return sorted(line for line in lines if not line.endswith(" 0"))
        row = re.compile(r"( *\S+ +\S+) +\S+( +\S+ +\S+ .*)")
        return lines[:1] + sorted(row.sub(r"\1\2", line) for line in lines[1:])

    def check_named(self, name, path):
        with open(path, encoding="utf-8") as file:
            is_inlined = re.search(r"^0x[0-9a-f]+ .*--", file.read(), re.MULTILINE)
        # The script is slow, and the dumps of our own program have all that others have.
        is_own = CORPUS[name][0][0] == "{paths}"
        for report in REPORTS if is_own else REPORTS[1::3]:
            if is_inlined and re.search("--(retain|exclude)", report):
                continue  # the script looks at the function alone that others were inlined into
            upstream, ours = self.both([*report.split(), path])
            upstream, ours = self.rows(report, upstream), self.rows(report, ours)
            self.compare(f"{name}: {report}", upstream, ours)
        if is_own:
            upstream, ours = self.both(["--interactive", "--show_bytes", path], COMMANDS)
            self.compare(f"{name}: a session", *[self.rows("", text) for text in (upstream, ours)])

    def check_program(self, name, program, dump, addresses):
        """With names of our own finding: what does not depend on them."""
        upstream, ours = self.both(["--text", "--show_bytes", program, dump])
        self.compare(f"{name}: total", upstream.split("\n", 1)[0], ours.split("\n", 1)[0])
        for report in CODE if CORPUS[name][0][0] == "{paths}" else []:
            # The script goes on into what fills the room up to the next function.
            upstream, ours = [re.sub(r"\n.*: .*nop[lw]? .*", "", text)
                              for text in self.both([*report.split(), program, dump])]
            self.compare(f"{name}: {report}", upstream, ours)
        ours = self.run(self.arguments.jeprof, ["--raw", program, dump])
        found = re.findall(r"^(0x[0-9a-f]{16}) ", ours, re.MULTILINE)
        self.compare(f"{name}: addresses of --raw", sorted(addresses), found)
        with open(dump, encoding="utf-8") as file:
            self.compare(f"{name}: --raw keeps the dump", file.read(),
                         ours.split("--- heap\n", 1)[1])

    def check_base(self, first, second):
        for words in ["--show_bytes", "--show_bytes --drop_negative", "--addresses --show_bytes"]:
            words = ["--text", *words.split(), f"--base={first}", second]
            self.compare(" ".join(words), *self.both(words))

    def run_all(self):
        named = {}
        for name in self.arguments.only or CORPUS:
            program, dump = self.make_dump(name)
            named[name], addresses = self.with_names(program, dump)
            self.check_named(name, named[name])
            self.check_program(name, program, dump, addresses)
        if "small_period" in named:
            self.check_scaled_base(named["small_period"])

    def check_scaled_base(self, path):
        """A base with every second stack at another count, so that differences have both signs."""
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        count = 0
        for number, line in enumerate(lines):
            if line.startswith("@"):
                count += 1
            elif line.startswith("  t*:") and count % 2 == 1:
                objects, size = map(int, re.findall(r"\d+", line)[:2])
                lines[number] = f"  t*: {objects * 2 + 1}: {size * 2 + 100} [0: 0]"
        base = path.replace(".named", ".base")
        with open(base, "w", encoding="utf-8") as out:
            out.write("\n".join(lines))
        self.check_base(base, path)
        self.check_base(path, base)


def main():
    parser = argparse.ArgumentParser(description="Compares jeprof with jemalloc's script.")
    for option in ("jeprof", "upstream", "library", "paths"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--only", action="append", choices=CORPUS, help="of the dumps this one")
    parser.add_argument("folder")
    arguments = parser.parse_args()
    for needed in (arguments.upstream, arguments.library):
        if not os.path.exists(needed):
            print(f"SKIPPED: there is no {needed} (scripts/bootstrap test)")
            return 0
    os.makedirs(arguments.folder, exist_ok=True)
    check = Check(arguments)
    check.run_all()
    print(f"{check.compared} comparisons, {check.failures} differences")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
