"""Runs one row under one allocator once, and proves that the allocator served it."""

import hashlib
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import bench_redis
from bench_allocators import mapping_is_right
from bench_rows import all_rows

RUN_TIMEOUT_S = 900

# Inherited settings of an allocator would make its row another allocator's.
CLEARED = ("LD_PRELOAD", "MALLOC_CONF", "GLIBC_TUNABLES", "PYTHONMALLOC", "LD_LIBRARY_PATH")


class MeasureError(Exception):
    """A run that failed, or was served by another allocator than intended."""


class Places:
    """Where programs, inputs and workloads are."""

    def __init__(self, programs, data, source):
        self.programs = Path(programs)
        self.data = Path(data)
        self.source = Path(source)

    def program(self, row):
        return "redis-benchmark" if row.kind == "redis" else self.command(row.command)[0]

    def command(self, text):
        return shlex.split(text.format(bin=self.programs, data=self.data, src=self.source))


def base_environment():
    environment = {key: value for key, value in os.environ.items() if key not in CLEARED}
    environment["LC_ALL"] = "C.UTF-8"
    environment["PYTHONHASHSEED"] = "0"
    return environment


def run_row(row, allocator, places, smoke):
    """One run: {"cpu_s", "wall_s", "peak_kib", figures of the row ...}, or MeasureError."""
    if row.kind == "redis":
        environment = base_environment() | allocator.environment
        forward = places.programs / "forward"
        try:
            return bench_redis.measure(row.command, allocator, forward, environment, smoke)
        except bench_redis.RedisError as error:
            raise MeasureError(f"{row.name} under {allocator.name}: {error}") from error
    return run_command(row, allocator, places, smoke)


def prove(allocator, places):
    """That a preload of the library makes it serve malloc at all: programs that do not report
    who served them are then judged by their mappings."""
    probe = next(row for row in all_rows() if row.name == "empty program RSS")
    run_row(probe, allocator, places, smoke=True)


def run_command(row, allocator, places, smoke):
    environment = base_environment() | allocator.environment | row.environment
    environment["BENCH_PRELOAD"] = allocator.path
    with tempfile.TemporaryDirectory(prefix="bench-run-") as folder:
        report = Path(folder) / "report"
        launch = [str(places.programs / "bench_launch"), str(report)]
        command = places.command(row.smoke if smoke else row.command)
        try:
            done = subprocess.run(
                launch + command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=RUN_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MeasureError(
                f"{row.name} under {allocator.name}: over {RUN_TIMEOUT_S} s"
            ) from error
        text = report.read_text() if report.exists() else ""
    if done.returncode != 0:
        problem = done.stderr.decode(errors="replace").strip()[-500:]
        raise MeasureError(
            f"{row.name} under {allocator.name}: exit status {done.returncode}: {problem}"
        )
    return read_result(row, allocator, text, done.stdout)


def read_result(row, allocator, report, output):
    result = read_report(row, allocator, report)
    if row.same_output:
        result["output"] = hashlib.sha256(output).hexdigest()
        return result
    values = read_values(output.decode(errors="replace"))
    check_provider(row, allocator, values)
    result["cpu_s"] = float(values["cpu_ns"]) / 1e9
    result["wall_s"] = float(values["wall_ns"]) / 1e9
    for figure in row.figures:
        if figure not in values:
            raise MeasureError(f"{row.name}: the program did not print {figure}")
        result[figure] = float(values[figure])
    return result


def read_values(text):
    """`key value` lines."""
    return dict(line.split(" ", 1) for line in text.splitlines() if " " in line)


def read_report(row, allocator, text):
    """Peak and CPU time from the launcher; every process must have had the intended allocator."""
    peak_kib = 0
    processes = set()
    times = {}
    for line in text.splitlines():
        words = line.split("\t")
        if words[0] != "process":
            times[words[0]] = int(words[1])
            continue
        mapped = [] if words[4] == "-" else words[4].split(",")
        if not mapping_is_right(allocator, mapped):
            raise MeasureError(
                f"{row.name}: {words[3]} should run on {allocator.name}, "
                f"but mapped {mapped or 'none'}"
            )
        processes.add((Path(words[3]).name, ",".join(Path(path).name for path in mapped) or "libc"))
        peak_kib = max(peak_kib, int(words[2]))
    if not processes or "cpu_ns" not in times:
        raise MeasureError(f"{row.name}: the launcher reported nothing")
    return {
        "cpu_s": times["cpu_ns"] / 1e9,
        "wall_s": times["wall_ns"] / 1e9,
        "peak_kib": float(peak_kib),
        "processes": sorted(processes),
    }


def check_provider(row, allocator, values):
    """The program's own answer, by the dynamic linker, to who serves malloc."""
    provider = os.path.realpath(values.get("provider", "unknown"))
    wanted = os.path.realpath(allocator.path) if allocator.path else ""
    right = provider == wanted if wanted else Path(provider).name.startswith(("libc.so", "libc-"))
    if not right:
        raise MeasureError(f"{row.name}: malloc came from {provider}, not from {wanted or 'libc'}")
