"""Counts per million operations: system calls by strace, and the lock and remote-free counters of
an allocator that tells them.

They do not depend on the number of cores as times do, so they are the evidence for larger
machines. The calls of an empty program under the same allocator are subtracted.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from bench_measure import MeasureError, base_environment, read_values

COUNT_TIMEOUT_S = 300
OPERATIONS_MAX = 2000000


def command_shortened(command):
    """The row's own command, with its last number (the operations) capped: strace makes each call
    slow.
    """
    return (
        command[:-1] + [str(min(int(command[-1]), OPERATIONS_MAX))]
        if int(command[-1]) > OPERATIONS_MAX
        else command
    )


def run_checked(command, environment):
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COUNT_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise MeasureError(
            f"{' '.join(command[:3])}: exit status {done.returncode}: {done.stderr[-300:]!r}"
        )
    return done.stdout.decode(errors="replace")


def system_calls(command, allocator):
    """All calls of the process and its threads, by strace's summary."""
    with tempfile.TemporaryDirectory(prefix="bench-count-") as folder:
        summary = Path(folder) / "summary"
        strace = ["strace", "-f", "-c", "-U", "calls,name", "-o", str(summary)]
        if allocator.path:
            strace += ["-E", f"LD_PRELOAD={allocator.path}"]
        output = run_checked(strace + command, base_environment() | allocator.environment)
        total = next(
            line for line in summary.read_text().splitlines() if line.split()[-1:] == ["total"]
        )
        return int(total.split()[0]), read_values(output)


def counters(command, allocator):
    environment = base_environment() | allocator.environment | {"DG_BENCH_COUNTS": "1"}
    if allocator.path:
        environment["LD_PRELOAD"] = allocator.path
    values = read_values(run_checked(command, environment))
    found = {
        key.removeprefix("count_"): int(value)
        for key, value in values.items()
        if key.startswith("count_")
    }
    return found, int(values["operations"])


def count_rows(rows, allocators, places, smoke):
    counts = []
    for row in rows:
        if not row.counted:
            continue
        command = command_shortened(places.command(row.smoke if smoke else row.command))
        for allocator in allocators:
            empty, _ = system_calls([os.fspath(places.programs / "empty_program")], allocator)
            calls, values = system_calls(command, allocator)
            found, operations = counters(command, allocator)
            scale = 1e6 / operations
            per_million = {"system_calls": (calls - empty) * 1e6 / int(values["operations"])}
            per_million |= {name: value * scale for name, value in found.items()}
            counts.append(
                {"row": row.name, "allocator": allocator.name, "per_million": per_million}
            )
    return counts
