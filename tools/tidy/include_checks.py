"""include_checks.py: who includes whom: floors, cycles, and headers that compile alone."""
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from source_tree import FLOORS

INCLUDE = re.compile(r'\s*#\s*include\s+([<"])([^">]+)[">]')
WARNINGS = ["-Wall", "-Wextra", "-Wvla", "-Werror"]
INCLUDE_PATHS = ["-Isrc", "-Iinclude"]


def includes(file):
    """(line number, path) of each include with quotes."""
    for number, line in enumerate(file.lines, 1):
        match = INCLUDE.match(line)
        if match and match.group(1) == '"':
            yield number, match.group(2)


def check_floors(tree):
    for file in tree.select("c", below="src/"):
        if file.floor is None:
            continue
        if file.floor not in FLOORS:
            tree.find("floors", file.path, 1, f"{file.floor} is no floor ({', '.join(FLOORS)})")
            continue
        for number, target in includes(file):
            _check_include(tree, file, number, target)


def _check_include(tree, file, number, target):
    if target.endswith(".c"):
        tree.find("floors", file.path, number, f"includes {target} (never a .c)")
    if target.startswith("jemalloc/"):
        return  # the public header, which knows no floor
    floor = target.split("/")[0] if "/" in target else None
    if floor is None:
        if os.path.exists(os.path.join(tree.root, "src", target)):
            return  # directly below src/: glossary types, under all floors
        tree.find("floors", file.path, number,
                  f'includes "{target}" without its floor ("{file.floor}/{target}")')
    elif floor not in FLOORS:
        tree.find("floors", file.path, number, f"includes {target}, which is on no floor")
    elif FLOORS[floor] > FLOORS[file.floor]:
        tree.find("floors", file.path, number,
                  f"{file.floor} includes {target} of a floor above (only its own floor and below)")


def check_cycles(tree):
    """A header must not reach itself. A cycle is reported once, at its first file by name."""
    graph = {file.path: [f"src/{target}" for _, target in includes(file)]
             for file in tree.select("c", below="src/")}
    reported = set()
    for start in sorted(graph):
        path = _path_back_to(graph, start)
        if path and not reported & set(path):
            reported.update(path)
            tree.find("cycles", start, 1, "includes itself: " + " -> ".join(path + [start])
                      + " (cut one of them)")


def _path_back_to(graph, start):
    """The shortest include path from start back to it, without the end; None when there is none."""
    came_from = {}
    queue = [start]
    for current in queue:
        for target in graph.get(current, []):
            if target == start:
                path = [current]
                while path[0] != start:
                    path.insert(0, came_from[path[0]])
                return path
            if target not in came_from and target in graph:
                came_from[target] = current
                queue.append(target)
    return None


def _compile(tree, compiler, language, standard, flags, file):
    """A file that includes the header alone: a header as main file has warnings of its own."""
    source = f'#include "{os.path.join(tree.root, file.path)}"\n'
    result = subprocess.run(
        [*compiler, "-x", language, f"-std={standard}", "-fsyntax-only", *WARNINGS, *flags, "-"],
        input=source, text=True, cwd=tree.root, capture_output=True,
        env=dict(os.environ, LC_ALL="C"), check=False)
    errors = [line for line in result.stderr.splitlines() if "error:" in line]
    if result.returncode == 0:
        return None
    return errors[0].split("error:", 1)[1].strip() if errors else result.stderr.strip()[:200]


def check_headers_alone(tree, definitions):
    """Each file of the library as C, the public header as C++ as well."""
    flags = [*INCLUDE_PATHS, *(f"-D{definition}" for definition in definitions)]
    # A *_table.h holds rows of an X-macro and nothing else: its readers define what a row is.
    jobs = [(["gcc"], "c", "gnu17", flags, file) for file in tree.select("c")
            if file.path.startswith(("src/", "include/")) and not file.path.endswith("_table.h")]
    cxx = next((name for name in ("g++", "clang++") if shutil.which(name)), None)
    if cxx:
        jobs += [([cxx], "c++", "c++17", INCLUDE_PATHS, file)
                 for file in tree.select("c", below="include/")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda job: _compile(tree, *job), jobs))
    for (_, language, _, _, file), error in zip(jobs, results):
        if error:
            tree.find("headers-alone", file.path, 1,
                      f"does not compile alone as {language}: {error} (include what it uses)")


CHECKS = [check_floors, check_cycles]
