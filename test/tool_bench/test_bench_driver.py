#!/usr/bin/env python3
"""Goal: the benchmark's driver computes what it says, and does not believe a run that had another
allocator. Method: ratios, intervals and verdicts from made-up samples with known answers; the proof
of the allocator from made-up mappings, and from real processes under a missing library and under
one that does not replace malloc. The argument is a build folder that has bench_programs.
"""

import importlib.machinery
import importlib.util
import math
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import bench_data
import bench_measure
import bench_numbers
import bench_report
import bench_rows
import bench_svg
import bench_verdict
from bench_allocators import Allocator, mapping_is_right

LOADER = importlib.machinery.SourceFileLoader("run_bench", str(ROOT / "bench/run_bench"))
run_bench = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_bench", LOADER))
LOADER.exec_module(run_bench)

BUILD = Path(sys.argv.pop(1)) if len(sys.argv) > 1 else ROOT / "build/release"

OURS = Allocator("ours", "/opt/ours/lib/libjemalloc.so.2", "")
JEMALLOC = Allocator("jemalloc", "/opt/debian/libjemalloc.so.2", "libjemalloc2")
TBB = Allocator("tbbmalloc", "/opt/debian/libtbbmalloc_proxy.so.2", "libtbbmalloc2")
GLIBC = Allocator("glibc", "", "libc6")


def row(name, group, **more):
    return bench_rows.Row(name, group, "true", "true", **more)


def entry(one_row, samples):
    """Samples: {allocator: [cpu_s of each round]}; wall time and memory follow it."""
    rounds = [
        {
            name: {
                "cpu_s": values[index],
                "wall_s": values[index],
                "peak_kib": values[index] * 1000,
            }
            for name, values in samples.items()
        }
        for index in range(len(samples["ours"]))
    ]
    return {"row": one_row, "rounds": rounds, "peers": [name for name in samples if name != "ours"]}


def fake_run(results):
    class Run:
        pass

    run = Run()
    run.results = results
    run.allocators = [OURS, JEMALLOC]
    run.names = ["ours", "jemalloc", "glibc"]
    run.reference = "ours"
    run.machine = {
        "cpu": "a <cpu> & more",
        "cpus": 2,
        "kernel": "k",
        "command": "c",
        "date": "d",
        "memory_gib": 1.0,
        "thp": "none",
        "earlier": [],
    }
    run.verdicts = []
    run.counts = []
    run.failures = []
    return run


class Numbers(unittest.TestCase):
    def test_one_pair_has_a_value_and_no_interval(self):
        ratio = bench_numbers.ratio_of([(3.0, 2.0)])
        self.assertAlmostEqual(ratio.value, 1.5)
        self.assertTrue(math.isinf(ratio.spread))

    def test_the_interval_is_students(self):
        ratio = bench_numbers.ratio_of(
            [(math.e**0.1, 1.0), (math.e**0.2, 1.0), (math.e**0.3, 1.0)]
        )
        self.assertAlmostEqual(ratio.value, math.e**0.2)
        self.assertAlmostEqual(ratio.spread, math.expm1(4.303 * 0.1 / math.sqrt(3)))

    def test_equal_samples_have_an_interval_of_nothing(self):
        self.assertEqual(bench_numbers.ratio_of([(1.0, 2.0)] * 3).spread, 0)

    def test_noise_common_to_a_round_cancels(self):
        one = entry(row("a", "micro"), {"ours": [1.0, 5.0, 2.0], "jemalloc": [2.0, 10.0, 4.0]})
        ratio = bench_numbers.metric_ratio(one["rounds"], "ours", "jemalloc", "cpu_s")
        self.assertAlmostEqual(ratio.value, 0.5)
        self.assertAlmostEqual(ratio.spread, 0)

    def test_a_group_mean_is_over_the_rows_that_all_peers_have(self):
        results = [
            entry(row("a", "micro"), {"ours": [1.0], "jemalloc": [2.0], "glibc": [4.0]}),
            entry(row("b", "micro"), {"ours": [1.0], "jemalloc": [0.5]}),
        ]
        means = bench_numbers.group_means(results, "ours", "micro", "cpu_s")
        self.assertAlmostEqual(means["jemalloc"], 0.5)
        self.assertAlmostEqual(means["glibc"], 0.25)

    def test_an_untimed_row_is_not_in_the_time(self):
        results = [entry(row("a", "micro", timed=False), {"ours": [1.0], "glibc": [2.0]})]
        self.assertEqual(bench_numbers.group_means(results, "ours", "micro", "cpu_s"), {})


class Verdicts(unittest.TestCase):
    def found(self, results, level, words):
        verdicts = bench_verdict.judge(results, "ours")
        return next(one for one in verdicts if one.level == level and words in one.line)

    def test_the_best_single_peer_is_the_hardest_one(self):
        results = [entry(row("a", "micro"), {"ours": [1.0], "jemalloc": [1.25], "glibc": [4.0]})]
        verdict = self.found(results, "must", "micro: time")
        self.assertAlmostEqual(verdict.measured, 0.8)
        self.assertIn("jemalloc", verdict.detail)
        self.assertEqual(verdict.state, "holds")

    def test_one_slow_row_misses_although_the_mean_holds(self):
        results = [
            entry(row("fast", "real"), {"ours": [1.0], "glibc": [4.0]}),
            entry(row("slow", "real"), {"ours": [1.2], "glibc": [1.0]}),
        ]
        self.assertEqual(self.found(results, "must", "programs: time, mean").state, "holds")
        verdict = self.found(results, "must", "programs: time of each row")
        self.assertEqual(verdict.state, "MISSED")
        self.assertIn("slow", verdict.detail)

    def test_glibc_does_not_count_in_the_mean_of_memory(self):
        results = [entry(row("a", "real"), {"ours": [1.0], "jemalloc": [2.0], "glibc": [0.5]})]
        self.assertEqual(self.found(results, "must", "peak RSS, mean").state, "holds")

    def test_what_was_not_run_is_not_said_to_hold(self):
        for verdict in bench_verdict.judge([], "ours"):
            self.assertEqual(verdict.state, "not measured")


class Proof(unittest.TestCase):
    def test_the_intended_library_alone_is_right(self):
        self.assertTrue(mapping_is_right(OURS, [OURS.path]))
        self.assertTrue(mapping_is_right(GLIBC, []))
        self.assertTrue(mapping_is_right(TBB, [TBB.path, "/opt/debian/libtbbmalloc.so.2"]))

    def test_another_one_is_wrong(self):
        self.assertFalse(mapping_is_right(OURS, [JEMALLOC.path]))
        self.assertFalse(mapping_is_right(OURS, [OURS.path, JEMALLOC.path]))
        self.assertFalse(mapping_is_right(OURS, []))
        self.assertFalse(mapping_is_right(GLIBC, [JEMALLOC.path]))

    def test_the_forwarding_library_is_no_allocator(self):
        self.assertTrue(mapping_is_right(GLIBC, ["/build/bench/forward/libjemalloc.so.2"]))

    def test_a_process_without_the_library_is_not_believed(self):
        self.refused(Allocator("ours", "/nonexistent/libjemalloc.so.2", ""))

    def test_a_library_that_does_not_serve_malloc_is_not_believed(self):
        forward = BUILD / "bench/forward/libjemalloc.so.2"
        self.assertTrue(forward.exists(), f"build bench_programs in {BUILD}")
        self.refused(Allocator("ours", str(forward), ""))

    def test_one_process_of_a_tree_on_another_allocator_fails_the_run(self):
        good = f"process\t1\t900\t/bin/a b (deleted)\t{OURS.path}\ncpu_ns\t5\nwall_ns\t6\n"
        result = bench_measure.read_report(row_named("pair 16"), OURS, good)
        self.assertEqual(result["peak_kib"], 900)
        bad = good + "process\t2\t100\t/bin/child\t-\n"
        with self.assertRaises(bench_measure.MeasureError):
            bench_measure.read_report(row_named("pair 16"), OURS, bad)

    def test_libc_is_believed(self):
        one = row_named("pair 16")
        result = bench_measure.run_row(one, GLIBC, self.places(), smoke=True)
        self.assertGreater(result["peak_kib"], 500)
        self.assertEqual(result["processes"], [("micro_pair", "libc")])

    def refused(self, allocator):
        with self.assertRaises(bench_measure.MeasureError):
            bench_measure.run_row(row_named("pair 16"), allocator, self.places(), smoke=True)

    def places(self):
        return bench_measure.Places(BUILD / "bench", BUILD, ROOT / "bench")


def row_named(name):
    return next(one for one in bench_rows.all_rows() if one.name == name)


class Outputs(unittest.TestCase):
    def test_pictures_are_well_formed_and_name_every_row(self):
        results = [
            entry(row("first & last", "micro"), {"ours": [1.0], "jemalloc": [2.0], "glibc": [1e9]}),
            entry(row("other", "real"), {"ours": [1.0], "jemalloc": [2.0], "glibc": [0.1]}),
        ]
        run = fake_run(results)
        for picture in (bench_svg.summary_svg(run), bench_svg.rows_svg(run)):
            xml.etree.ElementTree.fromstring(picture)
        words = "".join(xml.etree.ElementTree.fromstring(bench_svg.rows_svg(run)).itertext())
        self.assertIn("first & last", words)

    def test_table_columns_line_up(self):
        lines = bench_report.table_text(
            ["row", "a"], [["long name", "1"], ["b", "22"]]
        ).splitlines()
        self.assertEqual(len({len(line) for line in lines}), 1)

    def test_rows_of_an_earlier_run_join_those_that_are_measured(self):
        earlier = fake_run(
            [
                entry(row_named("pair 16"), {"ours": [5.0], "jemalloc": [5.0], "glibc": [5.0]}),
                entry(row_named("pair 64"), {"ours": [1.0], "jemalloc": [2.0], "glibc": [4.0]}),
            ]
        )
        run = fake_run(
            [entry(row_named("pair 16"), {"ours": [3.0], "jemalloc": [3.0], "glibc": [3.0]})]
        )
        # Those of these tests have no files whose version a report could tell.
        run.allocators = earlier.allocators = []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "results.json"
            path.write_text(bench_report.report_json(earlier))
            run_bench.add_earlier(run, path)
            self.assertEqual([one["row"].name for one in run.results], ["pair 16", "pair 64"])
            self.assertEqual(run.results[0]["rounds"][0]["ours"]["cpu_s"], 3.0)
            self.assertEqual(run.results[1]["peers"], ["jemalloc", "glibc"])
            self.assertIn("with rows of d: c", bench_report.report_text(run))
            path.write_text("[]")
            with self.assertRaises(SystemExit) as refused:
                run_bench.add_earlier(run, path)
            self.assertIn(str(path), str(refused.exception))

    def test_row_names_are_unique(self):
        names = [one.name for one in bench_rows.all_rows()]
        self.assertEqual(len(names), len(set(names)))

    def test_inputs_are_the_same_each_time(self):
        for maker in bench_data.MAKERS.values():
            self.assertEqual(maker(0.02), maker(0.02))


if __name__ == "__main__":
    unittest.main()
