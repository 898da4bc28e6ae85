"""format_checks.py: clang-format decides; its version is pinned: each one formats differently."""
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

VERSION = "14"
FINDING = re.compile(r"(.+?):(\d+):\d+: error: ")


def formatter():
    """The pinned clang-format, or None."""
    for name in (f"clang-format-{VERSION}", "clang-format"):
        if shutil.which(name):
            output = subprocess.run([name, "--version"], capture_output=True, text=True, check=True)
            if re.search(rf"version {VERSION}\.", output.stdout):
                return name
    return None


def check_format(tree):
    paths = [file.path for file in tree.select("c", "c++")]
    if not paths or not os.path.exists(os.path.join(tree.root, ".clang-format")):
        return
    name = formatter()
    if name is None:
        tree.find("format", ".clang-format", 1,
                  f"there is no clang-format {VERSION} here (scripts/bootstrap test)")
        return
    jobs = os.cpu_count()
    with ThreadPoolExecutor(jobs) as pool:
        for output in pool.map(lambda part: _run(tree, name, paths[part::jobs]), range(jobs)):
            _report(tree, output)


def _run(tree, name, paths):
    if not paths:
        return ""
    return subprocess.run([name, "--style=file", "--dry-run", "-Werror", *paths], cwd=tree.root,
                          capture_output=True, text=True, check=False).stderr


def _report(tree, output):
    """Only the first place in a file: the rest follows from the same command."""
    seen = set()
    for line in output.splitlines():
        match = FINDING.match(line)
        if match and match.group(1) not in seen:
            seen.add(match.group(1))
            tree.find("format", match.group(1), int(match.group(2)),
                      f"not as clang-format writes it (clang-format-{VERSION} -i {match.group(1)})")


CHECKS = [check_format]
