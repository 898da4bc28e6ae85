"""The results as text and as JSON."""

import json
import math

from bench_allocators import EXTRA
from bench_numbers import group_means, median_of, metric_ratio
from bench_rows import GROUP_TITLES, GROUPS

METRICS = (("cpu_s", "CPU time (user + system)"), ("wall_s", "wall time"), ("peak_kib", "peak RSS"))


def figure_text(metric, value):
    if value is None:
        return "-"
    if metric.endswith("_kib"):
        return f"{value / 1024:.1f} MiB"
    if metric.endswith("_s"):
        return f"{value:.3f} s"
    if metric.endswith("_ns"):
        return f"{value:.0f} ns" if value < 10000 else f"{value / 1000:.0f} us"
    return f"{value:.3f}"


def ratio_text(ratio):
    if ratio is None:
        return "-"
    spread = "one run" if math.isinf(ratio.spread) else f"+-{100 * ratio.spread:.1f}%"
    return f"{ratio.value:.3f} {spread}"


def table_text(header, rows, left=1):
    """The first `left` columns are words, set to the left; so is a last column without a header."""
    widths = [max(len(row[column]) for row in [header] + rows) for column in range(len(header))]
    lines = []
    for row in [header] + rows:
        words = [index < left or not name for index, name in enumerate(header)]
        cells = [
            cell.ljust(width) if is_word else cell.rjust(width)
            for cell, width, is_word in zip(row, widths, words)
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(lines)


def group_table(run, group, metric):
    """Our median, and ours / peer with its interval."""
    entries = [
        entry
        for entry in run.results
        if entry["row"].group == group and (metric == "peak_kib" or entry["row"].timed)
    ]
    peers = [name for name in run.names if name != run.reference]
    rows = []
    for entry in entries:
        ours = median_of(entry["rounds"], run.reference, metric)
        cells = [
            ratio_text(metric_ratio(entry["rounds"], run.reference, peer, metric)) for peer in peers
        ]
        rows.append([entry["row"].name, figure_text(metric, ours)] + cells)
    if not rows:
        return ""
    means = group_means(run.results, run.reference, group, metric, EXTRA)
    rows.append(
        ["geometric mean", ""] + [f"{means[peer]:.3f}" if peer in means else "-" for peer in peers]
    )
    text = table_text(["row", run.reference] + [f"/ {peer}" for peer in peers], rows)
    if means:
        best = max(means, key=means.get)
        text += f"\nbest single peer: {best}, ours / {best} = {means[best]:.3f}"
    return text


def figures_table(run):
    rows = []
    for entry in run.results:
        for metric in entry["row"].figures:
            cells = [
                figure_text(metric, median_of(entry["rounds"], name, metric)) for name in run.names
            ]
            rows.append([f"{entry['row'].name}: {metric}"] + cells)
    return table_text(["figure (median)"] + run.names, rows) if rows else ""


def verdict_table(verdicts):
    rows = [
        [
            verdict.level,
            verdict.line,
            f"{verdict.limit:.2f}",
            "-" if verdict.measured is None else f"{verdict.measured:.3f}",
            verdict.state,
            verdict.detail,
        ]
        for verdict in verdicts
    ]
    return table_text(["level", "line", "limit", "measured", "state", ""], rows, left=2)


def counts_table(counts):
    rows = []
    for count in counts:
        per_million = {name: f"{value:.1f}" for name, value in count["per_million"].items()}
        others = ", ".join(
            f"{name} {value}" for name, value in per_million.items() if name != "system_calls"
        )
        rows.append(
            [count["row"], count["allocator"], per_million.get("system_calls", "-"), others]
        )
    return table_text(["row", "allocator", "system calls", ""], rows, left=2)


def report_text(run):
    parts = [f"command: {run.machine['command']}", f"date: {run.machine['date']}"]
    parts += [f"with rows of {one['date']}: {one['command']}" for one in run.machine["earlier"]]
    parts.append(
        f"machine: {run.machine['cpu']}, {run.machine['cpus']} CPUs, "
        f"{run.machine['memory_gib']:.1f} GiB"
    )
    parts.append(f"kernel: {run.machine['kernel']}, transparent huge pages: {run.machine['thp']}")
    parts += [f"{one.name}: {one.shown_path or 'libc'} ({one.version()})" for one in run.allocators]
    parts.append(
        "A ratio is ours / peer of the same round: below 1 is in our favour. "
        "+- is its 95 % interval."
    )
    for group in GROUPS:
        for metric, title in METRICS:
            table = group_table(run, group, metric)
            if table:
                parts.append(f"\n{GROUP_TITLES[group]}: {title}\n{table}")
    figures = figures_table(run)
    if figures:
        parts.append(f"\nfigures\n{figures}")
    if run.counts:
        parts.append(
            "\ncounts per million operations: system calls by strace, then the allocator's own\n"
            + counts_table(run.counts)
        )
    parts.append(f"\nverdicts\n{verdict_table(run.verdicts)}")
    if run.failures:
        parts.append("\nFAILED RUNS\n" + "\n".join(run.failures))
    return "\n".join(parts) + "\n"


def report_json(run):
    return json.dumps(
        {
            "machine": run.machine,
            "reference": run.reference,
            "allocators": [
                {
                    "name": one.name,
                    "path": one.shown_path,
                    "version": one.version(),
                    "environment": one.environment,
                }
                for one in run.allocators
            ],
            "rows": [row_json(run, entry) for entry in run.results],
            "verdicts": [vars(verdict) | {"state": verdict.state} for verdict in run.verdicts],
            "counts": run.counts,
            "failures": run.failures,
        },
        indent=1,
    )


def row_json(run, entry):
    row = entry["row"]
    ratios = {}
    for metric in ("cpu_s", "wall_s", "peak_kib") + row.figures:
        for peer in entry["peers"]:
            ratio = metric_ratio(entry["rounds"], run.reference, peer, metric)
            if ratio is not None:
                spread = None if math.isinf(ratio.spread) else ratio.spread
                one = {"ours_over_peer": ratio.value, "spread": spread, "pairs": ratio.count}
                ratios.setdefault(metric, {})[peer] = one
    return {
        "name": row.name,
        "group": row.group,
        "command": row.command,
        "environment": row.environment,
        "ratios": ratios,
        "rounds": entry["rounds"],
    }
