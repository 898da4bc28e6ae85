#!/usr/bin/env python3
"""check_outputs.py: other programs read what jeprof writes for them, and see the same counts.

    check_outputs.py --jeprof FILE --library FILE --paths FILE [--upstream FILE] FOLDER

Goal: --proto, --speedscope, --json, --flame and --symbolize are what their readers take, and their
sums are those of jeprof's own tables. Method: dumps of --paths, made in FOLDER with a library that
profiles, through Go's pprof and parsers of JSON and XML. Prints "SKIPPED" when the library or Go's
pprof is missing.
"""
import argparse
import glob
import gzip
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

MEASURES = ["inuse_space", "inuse_objects", "alloc_space", "alloc_objects"]
SVG = "{http://www.w3.org/2000/svg}"


class Check:
    def __init__(self, arguments):
        self.arguments = arguments
        self.failures = 0
        self.checked = 0
        self.program = os.path.join(arguments.folder, "program")

    def expect(self, what, actual, expected):
        self.checked += 1
        if actual != expected:
            self.failures += 1
            print(f"FAILED: {what}: {actual!r}, not {expected!r}", flush=True)

    def expect_near(self, what, actual, expected, difference):
        self.checked += 1
        if abs(actual - expected) > difference:
            self.failures += 1
            print(f"FAILED: {what}: {actual}, not {expected} +- {difference}", flush=True)

    def jeprof(self, *words):
        result = subprocess.run([self.arguments.jeprof, *words], capture_output=True, check=False)
        self.expect(f"status of {words[:2]}", result.returncode, 0)
        return result.stdout

    def pprof(self, path, *words):
        environment = dict(os.environ, HOME=self.arguments.folder, LC_ALL="C",
                           GOCACHE=self.arguments.folder, GOFLAGS="-mod=mod")
        result = subprocess.run(["go", "tool", "pprof", *words, path], capture_output=True,
                                text=True, env=environment, check=False)
        self.expect(f"status of pprof {words[0]}", result.returncode, 0)
        return result.stdout

    def make_dump(self, name, rounds):
        prefix = os.path.join(self.arguments.folder, name)
        settings = "prof:true,prof_final:true,prof_accum:true,lg_prof_sample:10,prof_prefix:"
        for old in glob.glob(prefix + ".*"):
            os.unlink(old)
        subprocess.run([self.program, str(rounds)], check=True, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, MALLOC_CONF=settings + prefix,
                                LD_PRELOAD=self.arguments.library))
        return glob.glob(prefix + ".*.heap")[0]

    def stacks(self, dump, measure):
        """The counts of --collapsed, each cut to a whole number."""
        lines = self.jeprof("--collapsed", f"--{measure}", dump).decode().splitlines()
        return [int(line.rsplit(" ", 1)[1]) for line in lines]

    def write(self, name, content):
        path = os.path.join(self.arguments.folder, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def check_proto(self, dump):
        packed = self.jeprof("--proto", dump)
        path = self.write("dump.pb.gz", packed)
        self.expect("gzip'd", gzip.decompress(packed)[:1], b"\x0a")
        raw = self.pprof(path, "-raw")
        header, samples, rest = re.search(
            r"Samples:\n(.*?)\n(.*?)\nLocations\n(.*)", raw, re.DOTALL).groups()
        names = [word.split("/")[0] for word in header.replace("[dflt]", "").split()]
        self.expect("sample types", sorted(names), sorted(MEASURES))
        self.expect("period", re.search(r"Period: (\d+)", raw).group(1), "1024")
        values = re.findall(r"^ *(-?\d+) +(-?\d+) +(-?\d+) +(-?\d+): ", samples, re.MULTILINE)
        for column, measure in enumerate(names):
            stacks = self.stacks(dump, measure)
            total = sum(int(row[column]) for row in values)
            # What was cut from each, and no more: the sums themselves are right.
            self.expect_near(f"pprof's {measure}", total, sum(stacks) + len(stacks) / 2,
                             len(stacks) / 2 + 1)
        labels = set(re.findall(r"thread:\[(t\d+)\]", samples))
        self.expect("threads", labels >= {"t0", "t1", "t2", "t3"}, True)
        self.expect("every sample has its thread", len(values),
                    len(re.findall(r"^ +thread:", samples, re.MULTILINE)))
        self.expect("lines", re.search(r" main .*/profiled_paths\.c:\d+", rest) is not None, True)
        self.check_build_id(rest)
        self.check_top(dump, path)

    def check_build_id(self, mappings):
        notes = subprocess.run(["readelf", "-n", self.program], capture_output=True, text=True,
                               check=False).stdout
        build_id = re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)
        program = re.search(r"^1: \S+ (\S+) ([0-9a-f]+) \[FN\]", mappings, re.MULTILINE)
        self.expect("the program is the first mapping", program.groups(),
                    (os.path.realpath(self.program), build_id))

    def check_top(self, dump, path):
        """pprof's table has the rows of ours."""
        ours = {}
        for line in self.jeprof("--show_bytes", dump).decode().splitlines()[1:]:
            words = line.split(maxsplit=5)
            ours[words[5]] = int(words[0])
        top = self.pprof(path, "-top", "-unit=B", "-nodefraction=0", "-sample_index=inuse_space")
        for name in ("leaf", "path_b"):
            row = re.search(rf"^ *(\d+)B? .*  {name}(?: \(inline\))?$", top, re.MULTILINE)
            self.expect_near(f"pprof's {name}", int(row.group(1)), ours[name], 20)

    def check_named_threads(self):
        here = os.path.dirname(os.path.realpath(__file__))
        dump = self.write("named.heap", b"heap_v2/1\n  t*: 3: 30 [0: 0]\n  t1: 1: 10 [0: 0] a b\n"
                          b"@ 0x10 0x20\n  t*: 3: 30 [0: 0]\n  t1: 1: 10 [0: 0]\n"
                          b"\nMAPPED_LIBRARIES:\n10-100 r-xp 0 0 0 /gone\n"
                          b"BUILD_IDS:\n10 00aa11 /gone\n")
        raw = self.pprof(self.write("named.pb.gz", self.jeprof("--proto", dump)), "-raw")
        self.expect("a thread's name", re.findall(r"thread\w*:\[[^]]*\]", raw),
                    ["thread:[t1]", "thread_name:[a b]"])
        self.expect("what no thread has", re.findall(r"^ +(\d+ +\d+ +\d+ +\d+): ", raw,
                                                     re.MULTILINE)[1].split(),
                    ["0", "0", "2", "20"])
        self.expect("the dump's build id", "/gone 00aa11 " in raw, True)
        kept = os.path.join(here, "dumps", "threads.heap")
        self.pprof(self.write("threads.pb.gz", self.jeprof("--proto", kept)), "-top")

    def check_json(self, dump, later):
        data = json.loads(self.jeprof("--json", dump, later))
        self.expect("measures", [one["name"] for one in data["measures"]], MEASURES)
        self.expect("dumps", [one["name"] for one in data["dumps"]], [dump, later])
        for number, path in enumerate((dump, later)):
            for column, measure in enumerate(MEASURES):
                stacks = self.stacks(path, measure)
                total = sum(stack["counts"][number][column] for stack in data["stacks"])
                self.expect_near(f"JSON's {measure} {number}", total,
                                 sum(stacks) + len(stacks) / 2, len(stacks) / 2 + len(stacks))
        named = [data["functions"][data["frames"][frame][0]]["name"]
                 for stack in data["stacks"] for frame in stack["frames"]]
        self.expect("functions are there", {"main", "leaf", "path_a"} <= set(named), True)
        self.expect("inlined frames", any(frame[2] for frame in data["frames"]), True)
        based = json.loads(self.jeprof("--json", f"--base={dump}", later))
        self.expect("the base is a dump", [one["base"] for one in based["dumps"]], [True, False])

    def check_speedscope(self, dump):
        """The facts of speedscope's schema for profiles of its kind "sampled"."""
        data = json.loads(self.jeprof("--speedscope", dump))
        self.expect("schema", data["$schema"],
                    "https://www.speedscope.app/file-format-schema.json")
        frames = data["shared"]["frames"]
        for frame in frames:
            self.expect("a frame's members", set(frame) <= {"name", "file", "line", "col"}, True)
            self.expect("a frame's name", isinstance(frame["name"], str), True)
        self.expect("profiles", [one["name"] for one in data["profiles"]], MEASURES)
        self.expect("shown first", data["activeProfileIndex"], 0)
        for profile in data["profiles"]:
            self.expect("members", set(profile), {"type", "name", "unit", "startValue", "endValue",
                                                  "samples", "weights"})
            self.expect("kind", profile["type"], "sampled")
            self.expect("unit", profile["unit"], "bytes" if "space" in profile["name"] else "none")
            self.expect("a weight each", len(profile["samples"]), len(profile["weights"]))
            self.expect("from, to", (profile["startValue"], profile["endValue"]),
                        (0, sum(profile["weights"])))
            self.expect("frames are there", all(0 <= frame < len(frames) for stack in
                                                profile["samples"] for frame in stack), True)

    def check_flame(self, dump, later):
        for words in ((dump,), (f"--base={dump}", later), ("--alloc_objects", dump)):
            root = xml.etree.ElementTree.fromstring(self.jeprof("--flame", *words))
            frames = [one for one in root.iter(SVG + "g") if one.get("class") == "frame"]
            self.expect("an SVG with frames", (root.tag, len(frames) > 5), (SVG + "svg", True))
            edges = [float(one.get("data-x")) + float(one.get("data-w")) for one in frames]
            self.expect("inside", all(0 <= edge <= 1200.01 for edge in edges), True)

    def check_symbolized(self, dump):
        reports = [("--lines", "--show_bytes"), ("--functions", "--show_bytes"), ("--files",),
                   ("--callgrind",), ("--thread=1", "--lines"), ("--alloc_objects", "--lines")]
        before = [self.jeprof(*words, dump) for words in reports]
        path = self.write("symbolized.heap", self.jeprof("--symbolize", dump))
        again = self.jeprof("--symbolize", path)
        moved = self.program + ".moved"
        os.rename(self.program, moved)
        after = [self.jeprof(*words, path) for words in reports]
        os.rename(moved, self.program)
        for words, expected, actual in zip(reports, before, after):
            self.expect(f"{words} without the program", actual, expected)
        with open(dump, "rb") as file:
            content = file.read()
        with open(path, "rb") as file:
            symbolized = file.read()
        self.expect("threads and maps are kept", content in symbolized, True)
        self.expect("once more changes nothing", again == symbolized, True)
        if self.arguments.upstream and os.path.exists(self.arguments.upstream):
            totals = [subprocess.run([self.arguments.upstream, "--text", "--show_bytes", one],
                                     capture_output=True, check=False).stdout.splitlines()[0]
                      for one in (path, self.write("raw.heap", self.jeprof("--raw", dump)))]
            self.expect("jemalloc's script reads it as it reads --raw", totals[0], totals[1])

    def check_terminal(self, dump):
        """A terminal is no place for --proto."""
        main, child = pty.openpty()
        result = subprocess.run([self.arguments.jeprof, "--proto", dump], stdout=child,
                                stderr=subprocess.PIPE, text=True, check=False)
        os.close(child)
        os.close(main)
        self.expect("status on a terminal", result.returncode, 1)
        self.expect("why", result.stderr,
                    "jeprof: --proto is no text: send it into a file (jeprof --proto ... >FILE)\n")

    def run(self):
        shutil.copy(self.arguments.paths, self.program)
        dump, later = self.make_dump("dump", 1), self.make_dump("later", 3)
        self.check_proto(dump)
        self.check_named_threads()
        self.check_json(dump, later)
        self.check_speedscope(dump)
        self.check_flame(dump, later)
        self.check_symbolized(dump)
        self.check_terminal(dump)
        print(f"{self.checked} checks, {self.failures} failures")
        return 1 if self.failures else 0


def main():
    parser = argparse.ArgumentParser(description="Checks jeprof's reports for other programs.")
    for option in ("jeprof", "library", "paths"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--upstream", help="jemalloc's own script")
    parser.add_argument("folder", help="for what is made")
    arguments = parser.parse_args()
    os.makedirs(arguments.folder, exist_ok=True)
    arguments.folder = os.path.realpath(arguments.folder)
    for needed in (arguments.library, shutil.which("go") or "go"):
        if not os.path.exists(needed):
            print(f"SKIPPED: no {needed}")
            return 0
    return Check(arguments).run()


if __name__ == "__main__":
    sys.exit(main())
