"""The pictures: summary.svg, bars of the groups' geometric means, and rows.svg, a table of each row
relative to its best.

Both carry their own background and follow the reader's light or dark setting, so that they are
readable wherever they are shown.
"""

from html import escape

from bench_allocators import EXTRA
from bench_numbers import geometric_mean, metric_ratio
from bench_rows import GROUP_TITLES, GROUPS

STYLE = """<style>
  .back { fill: #ffffff; stroke: #d0d7de }
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .note { font-size: 11px; fill: #656d76 }
  .cell { font-size: 12px; text-anchor: middle }
  .head { font-size: 12px; font-weight: 600; text-anchor: middle }
  .ours { fill: #1a7f5a } .peer { fill: #a3b1c2 } .line { stroke: #d0d7de }
  .good { fill: #2da44e } .bad { fill: #d1652b }
  @media (prefers-color-scheme: dark) {
    .back { fill: #0d1117; stroke: #30363d } text { fill: #e6edf3 } .note { fill: #8d96a0 }
    .ours { fill: #3fb984 } .peer { fill: #52606f } .line { stroke: #30363d }
  }
</style>
"""

METRICS = (("cpu_s", "CPU time"), ("peak_kib", "peak RSS"))
BAR_PIXELS = 300
NOTE_LETTER_PIXELS = 6.4
BAR_LIMIT = 3.0  # a bar of three times ours is drawn no longer


def document(width, height, title, body):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(title)}">\n{STYLE}'
        f'<rect class="back" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>\n'
        f"{body}</svg>\n"
    )


def text(x, y, words, kind="", anchor=""):
    extra = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}"{extra}>{escape(words)}</text>\n'


def note(run, y, width):
    """When, where and how, cut to the picture's width; results.txt has it whole."""
    facts = run.machine
    words = f"{facts['date']}; {facts['cpu']}, {facts['cpus']} CPUs; {facts['command']}"
    most = int((width - 40) / NOTE_LETTER_PIXELS)
    return text(20, y, words if len(words) <= most else words[: most - 3] + "...", "note")


def relative_means(run, group, metric):
    """{allocator: geometric mean relative to ours}, ours being 1."""
    means = {run.reference: 1.0}
    for name in run.names:
        if name == run.reference or name in EXTRA:
            continue
        ratios = [
            ratio.value
            for entry in run.results
            if entry["row"].group == group
            and (metric == "peak_kib" or entry["row"].timed)
            and (ratio := metric_ratio(entry["rounds"], run.reference, name, metric)) is not None
        ]
        if ratios:
            means[name] = 1.0 / geometric_mean(ratios)
    return means if len(means) > 1 else {}


def bar_panel(x, y, title, means, reference):
    body = text(x, y, title, "title")
    for index, (name, value) in enumerate(sorted(means.items(), key=lambda pair: pair[1])):
        top = y + 12 + index * 22
        length = BAR_PIXELS * min(value, BAR_LIMIT) / BAR_LIMIT
        kind = "ours" if name == reference else "peer"
        body += text(x + 82, top + 13, name, "", "end")
        place = f'x="{x + 90}" y="{top + 2}" width="{length:.1f}"'
        body += f'<rect class="{kind}" {place} height="15" rx="2"/>\n'
        body += text(
            x + 96 + length, top + 14, f"{value:.2f}" + (" (cut)" if value > BAR_LIMIT else "")
        )
    return body


def summary_svg(run):
    panels = [
        (f"{GROUP_TITLES[group]}: {title}", means)
        for group in GROUPS
        for metric, title in METRICS
        if (group, metric) != ("micro", "peak_kib")
        and (means := relative_means(run, group, metric))
    ]
    height_of = 50 + 22 * max((len(means) for _, means in panels), default=0)
    body = text(20, 28, "Geometric means relative to ours (1.00); shorter is better", "title")
    for index, (title, means) in enumerate(panels):
        body += bar_panel(
            20 + 480 * (index % 2), 66 + height_of * (index // 2), title, means, run.reference
        )
    height = 66 + height_of * ((len(panels) + 1) // 2) + 16
    body += note(run, height - 12, 980)
    return document(980, height, "geometric means of time and memory", body)


def relative_row(run, entry, metric):
    """{allocator: relative to the row's best}."""
    values = {run.reference: 1.0}
    for name in entry["peers"]:
        ratio = metric_ratio(entry["rounds"], run.reference, name, metric)
        if ratio is not None and name not in EXTRA:
            values[name] = 1.0 / ratio.value
    best = min(values.values())
    return {name: value / best for name, value in values.items()}


def cell_svg(x, y, width, value):
    """Green near the best, orange far from it; the strength says how far."""
    if value <= 1.05:
        kind, strength = "good", 0.45
    else:
        kind, strength = "bad", min(0.55, 0.08 + 0.25 * (value - 1.05))
    place = f'x="{x + 1}" y="{y - 14}" width="{width - 2}" height="19"'
    shape = f'<rect class="{kind}" fill-opacity="{strength:.2f}" {place}/>\n'
    return shape + text(x + width / 2, y, f"{value:.2f}" if value < 100 else f"{value:.0f}", "cell")


def rows_svg(run):
    names = [name for name in run.names if name not in EXTRA]
    width_of = 66
    left = 170
    gap = 24
    body = text(20, 28, "Each row relative to its best (1.00); lower is better", "title")
    for side, (_, title) in enumerate(METRICS):
        x = left + side * (width_of * len(names) + gap)
        body += text(x + width_of * len(names) / 2, 52, title, "head")
        for index, name in enumerate(names):
            body += text(x + width_of * (index + 0.5), 72, name, "head")
    y = 94
    for group in GROUPS:
        entries = [entry for entry in run.results if entry["row"].group == group]
        if entries:
            body += text(20, y, GROUP_TITLES[group], "title")
            y += 20
        for entry in entries:
            body += text(20, y, entry["row"].name)
            for side, (metric, _) in enumerate(METRICS):
                if metric == "cpu_s" and not entry["row"].timed:
                    continue
                x = left + side * (width_of * len(names) + gap)
                values = relative_row(run, entry, metric)
                for index, name in enumerate(names):
                    if name in values:
                        body += cell_svg(x + width_of * index, y, width_of, values[name])
            y += 21
        y += 10
    width = left + len(METRICS) * (width_of * len(names) + gap)
    body += note(run, y + 6, width)
    return document(width, y + 22, "each row relative to its best", body)
