"""The lines to hold: each must and each goal, with the measured figure beside it. A line whose
rows were not run says so.
"""

from dataclasses import dataclass

from bench_allocators import EXTRA
from bench_numbers import group_means, median_of, row_worst

MIB_ALLOWED = 0.3


@dataclass(frozen=True)
class Verdict:
    level: str  # "must" or "goal"
    line: str
    limit: float
    measured: float | None
    detail: str

    @property
    def state(self):
        if self.measured is None:
            return "not measured"
        return "holds" if self.measured <= self.limit else "MISSED"


class Judge:
    def __init__(self, results, reference):
        self.results = results
        self.reference = reference
        self.verdicts = []

    def add(self, level, line, limit, measured, detail=""):
        self.verdicts.append(Verdict(level, line, limit, measured, detail))

    def group(self, level, line, limit, group, metric, skip=EXTRA):
        """The best single peer is the one against which our mean ratio is largest."""
        means = group_means(self.results, self.reference, group, metric, skip)
        if not means:
            self.add(level, line, limit, None)
            return
        best = max(means, key=means.get)
        self.add(level, line, limit, means[best], f"best single peer: {best}")

    def each_row(self, level, line, limit, group, metric, skip=EXTRA):
        worst = None
        for entry in self.results:
            if entry["row"].group != group or (metric != "peak_kib" and not entry["row"].timed):
                continue
            found = row_worst(entry, self.reference, metric, skip)
            if found is not None and (worst is None or found[0] > worst[0]):
                worst = (found[0], found[1], entry["row"].name)
        detail = f"worst row: {worst[2]}, best there: {worst[1]}" if worst else ""
        self.add(level, line, limit, worst[0] if worst else None, detail)

    def entry(self, name):
        return next((entry for entry in self.results if entry["row"].name == name), None)

    def median(self, name, allocator, metric):
        entry = self.entry(name)
        return median_of(entry["rounds"], allocator, metric) if entry else None

    def figure(self, level, line, limit, name, metric):
        self.add(level, line, limit, self.median(name, self.reference, metric))

    def against_best(self, level, name, metric, skip=EXTRA):
        entry = self.entry(name)
        found = row_worst(entry, self.reference, metric, skip) if entry else None
        line = f"{name}: {metric} / best peer's"
        self.add(
            level, line, 1.0, found[0] if found else None, f"best: {found[1]}" if found else ""
        )

    def against(self, level, line, name, metric, other, limit=1.0):
        ours = self.median(name, self.reference, metric)
        theirs = self.median(name, other, metric)
        measured = ours / theirs if ours is not None and theirs else None
        self.add(level, line, limit, measured)

    def empty_program(self):
        ours = self.median("empty program RSS", self.reference, "rss_kib")
        none = self.median("empty program RSS", "glibc", "rss_kib")
        measured = None if ours is None or none is None else (ours - none) / 1024
        self.add("must", "empty program: MB above no allocator", MIB_ALLOWED, measured)


def judge(results, reference):
    judge_ = Judge(results, reference)
    judge_musts(judge_)
    judge_goals(judge_)
    return judge_.verdicts


def judge_musts(judge_):
    judge_.group("must", "real programs: time, mean / best single peer", 1.00, "real", "cpu_s")
    lean = EXTRA + ("glibc",)
    judge_.group(
        "must",
        "real programs: peak RSS, mean / best single peer apart from glibc",
        1.00,
        "real",
        "peak_kib",
        lean,
    )
    judge_.each_row("must", "real programs: time of each row / its best", 1.10, "real", "cpu_s")
    judge_.each_row(
        "must", "real programs: peak RSS of each row / its best", 1.20, "real", "peak_kib"
    )
    judge_.group("must", "micro: time, mean / best single peer", 0.90, "micro", "cpu_s")
    judge_.empty_program()


def judge_goals(judge_):
    judge_.each_row("goal", "real programs: time of each row / its best", 1.00, "real", "cpu_s")
    judge_.each_row(
        "goal", "real programs: peak RSS of each row / its best", 1.00, "real", "peak_kib"
    )
    judge_.group("goal", "micro: time, mean / best single peer", 0.80, "micro", "cpu_s")
    judge_.each_row("goal", "micro: time of each row / its best", 1.20, "micro", "cpu_s")
    judge_.figure("goal", "survivors newest: RSS / live", 1.10, "survivors newest", "rss_live")
    judge_.against(
        "goal",
        "survivors random: RSS / jemalloc's with background thread",
        "survivors random",
        "idle_rss_kib",
        "jemalloc+bg",
    )
    judge_.against(
        "goal",
        "epoch, 8 arenas: time of a refresh / jemalloc's",
        "epoch, 8 arenas",
        "ns_per_refresh",
        "jemalloc",
        limit=0.1,
    )
    judge_.figure("goal", "shifting sizes: RSS / live", 1.9, "shifting sizes", "rss_live")
    for name, metrics in (
        ("1000 threads", ("cpu_s", "peak_rss_kib", "gone_rss_kib")),
        ("heap 1 GiB", ("ns_per_replace", "rss_live")),
        ("heap 8 GiB", ("ns_per_replace", "rss_live")),
        ("realloc x1.125", ("cpu_s", "peak_kib")),
    ):
        for metric in metrics:
            judge_.against_best("goal", name, metric)
