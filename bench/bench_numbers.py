"""What the samples say: ratios with their intervals, means of groups, and the verdicts.

A ratio is always ours over the other, of two runs of the same round, so below 1 is in our
favour. Its mean is geometric and its 95 % interval is Student's over the logarithms; `spread`
is the interval's half width, as a fraction.
"""

import math
import statistics
from dataclasses import dataclass

# Two-sided 95 % quantiles of Student's t by degrees of freedom; between entries the larger one.
STUDENT = {
    1: 12.706,
    2: 4.303,
    3: 3.182,
    4: 2.776,
    5: 2.571,
    6: 2.447,
    7: 2.365,
    8: 2.306,
    9: 2.262,
    10: 2.228,
}
STUDENT |= {12: 2.179, 15: 2.131, 20: 2.086, 25: 2.060, 30: 2.042, 40: 2.021, 60: 2.000}


@dataclass(frozen=True)
class Ratio:
    value: float
    spread: float  # infinite with one sample
    count: int


def student(degrees):
    below = [value for key, value in STUDENT.items() if key <= degrees]
    return below[-1]


def ratio_of(pairs):
    """Geometric mean of ours / other over pairs of positive samples, or None when there is none."""
    logs = [math.log(ours / other) for ours, other in pairs if ours > 0 and other > 0]
    if not logs:
        return None
    mean = statistics.fmean(logs)
    if len(logs) == 1:
        return Ratio(math.exp(mean), math.inf, 1)
    half = student(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return Ratio(math.exp(mean), math.expm1(half), len(logs))


def metric_ratio(rounds, reference, other, metric):
    """Over the rounds in which both ran. Rounds: [{allocator: {metric: value}}]."""
    pairs = [
        (one[reference][metric], one[other][metric])
        for one in rounds
        if reference in one and other in one and metric in one[reference] and metric in one[other]
    ]
    return ratio_of(pairs)


def median_of(rounds, allocator, metric):
    values = [
        one[allocator][metric] for one in rounds if allocator in one and metric in one[allocator]
    ]
    return statistics.median(values) if values else None


def geometric_mean(values):
    return math.exp(statistics.fmean(math.log(value) for value in values))


def stop_metric(row):
    return "cpu_s" if row.timed else "peak_kib"


def group_means(results, reference, group, metric, skip=()):
    """{peer: geometric mean of ours / peer over the rows of the group that every peer has}."""
    ratios = {}
    rows = [
        entry
        for entry in results
        if entry["row"].group == group and (metric == "peak_kib" or entry["row"].timed)
    ]
    for entry in rows:
        for peer in entry["peers"]:
            ratio = metric_ratio(entry["rounds"], reference, peer, metric)
            if ratio is not None and peer not in skip:
                ratios.setdefault(peer, {})[entry["row"].name] = ratio.value
    if not ratios:
        return {}
    common = set.intersection(*(set(rows_of) for rows_of in ratios.values()))
    if not common:
        return {}
    return {
        peer: geometric_mean([rows_of[name] for name in common]) for peer, rows_of in ratios.items()
    }


def row_worst(entry, reference, metric, skip=()):
    """Ours over the best peer of the row, with that peer's name, or None."""
    ratios = [
        (ratio.value, peer)
        for peer in entry["peers"]
        if peer not in skip
        and (ratio := metric_ratio(entry["rounds"], reference, peer, metric)) is not None
    ]
    return max(ratios) if ratios else None
