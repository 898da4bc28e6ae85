"""The rows of the benchmark, once: name, group, command, and the same command tiny for the smoke
test.

In a command, {bin} is the folder of the programs, {data} of the inputs, {src} of the workloads.
`figures` are the values that a program prints beside its time; `rounds` caps the repetitions of
a row that rests for long or whose figures hardly vary.
"""

from dataclasses import dataclass, field

GROUPS = ("micro", "drift", "real")
GROUP_TITLES = {"micro": "micro", "drift": "over time", "real": "real programs"}


@dataclass(frozen=True)
class Row:
    name: str
    group: str
    command: str
    smoke: str
    figures: tuple = ()
    rounds: int = 40
    environment: dict = field(default_factory=dict)
    kind: str = "command"  # or "redis": the command is then the name of a load
    same_output: bool = False  # what it prints must not depend on the allocator
    timed: bool = True  # False: its time is fixed or too short to compare
    only: tuple = ()  # allocators that can run it; empty: all
    counted: bool = False  # system calls and locks are counted in it by --counts


def micro(name, command, smoke, **more):
    return Row(name, "micro", "{bin}/" + command, "{bin}/" + smoke, **more)


def pair_rows():
    sizes = (("16", 16, 90), ("64", 64, 90), ("128", 128, 90), ("1K", 1024, 90), ("8K", 8192, 50))
    large = (("32K", 32768, 40), ("64K", 65536, 8), ("1M", 1048576, 8))
    for label, size, millions in sizes + large:
        yield micro(
            f"pair {label}",
            f"micro_pair pair {size} {millions}000000",
            f"micro_pair pair {size} 1000",
        )
    for label, size, millions in (("16", 16, 40), ("1K", 1024, 30)):
        yield micro(
            f"calloc {label}",
            f"micro_pair calloc {size} {millions}000000",
            f"micro_pair calloc {size} 1000",
        )


def batch_rows():
    for count, scale in ((32, 1.0), (1000, 0.7)):
        for label, size, millions in (
            ("16", 16, 60),
            ("128", 128, 50),
            ("1K", 1024, 12),
            ("8K", 8192, 3),
        ):
            blocks = int(millions * scale * 1000000)
            yield micro(
                f"batch{count} {label}",
                f"micro_pair batch {size} {count} {blocks}",
                f"micro_pair batch {size} {count} 2000",
                counted=True,
            )


def random_rows():
    yield micro(
        "random 10k live", "micro_random 10000 16 1024 15000000", "micro_random 100 16 1024 1000"
    )
    yield micro(
        "random 1M live", "micro_random 1000000 16 1024 4000000", "micro_random 1000 16 1024 1000"
    )
    yield micro(
        "random 16..32K", "micro_random 2000 16 32768 8000000", "micro_random 100 16 32768 1000"
    )


def realloc_rows():
    yield micro(
        "realloc +64 to 64K",
        "micro_realloc step 64 65536 15000 64",
        "micro_realloc step 64 65536 1 64",
    )
    yield micro(
        "realloc +4K to 4M",
        "micro_realloc step 4096 4194304 300 4096",
        "micro_realloc step 4096 1048576 1 4096",
    )
    yield micro(
        "realloc doubling",
        "micro_realloc double 65536 268435456 3",
        "micro_realloc double 65536 1048576 1",
    )
    yield micro(
        "realloc x1.125",
        "micro_realloc grow 65536 67108864 6",
        "micro_realloc grow 65536 1048576 1",
    )


def thread_rows():
    yield micro(
        "hand-off 64", "micro_handoff 64 1000 12000000", "micro_handoff 64 1000 2000", counted=True
    )
    yield micro(
        "hand-off 1K",
        "micro_handoff 1024 1000 5000000",
        "micro_handoff 1024 1000 2000",
        counted=True,
    )
    for threads, millions in ((2, 10), (16, 10), (256, 8), (1000, 8)):
        yield micro(
            f"server {threads} threads",
            f"micro_server {threads} {millions}000000",
            f"micro_server {threads} 20000",
            counted=True,
        )
    yield micro("threads come and go", "micro_churn 20000 300", "micro_churn 20 300", counted=True)


def other_micro_rows():
    yield micro(
        "sawtooth", "micro_sawtooth 64 25 100", "micro_sawtooth 2 2 1", figures=("idle_rss_kib",)
    )
    yield micro(
        "empty program x1000",
        "micro_start {bin}/empty_program 1000",
        "micro_start {bin}/empty_program 3",
    )
    yield micro(
        "empty program RSS",
        "empty_rss",
        "empty_rss",
        figures=("rss_kib",),
        rounds=5,
        timed=False,
    )
    yield micro(
        "epoch, 8 arenas",
        "micro_epoch 20000",
        "micro_epoch 10",
        figures=("ns_per_refresh",),
        rounds=5,
        environment={"MALLOC_CONF": "narenas:8"},
        timed=False,
        only=("ours", "jemalloc"),
    )


def drift(name, command, smoke, **more):
    return Row(name, "drift", "{bin}/" + command, "{bin}/" + smoke, **more)


def drift_rows():
    yield drift(
        "phases 10^8",
        "drift_phases 100000000 256",
        "drift_phases 20000 2",
        figures=("rss_live_mean", "rss_live_worst", "rss_live_end"),
        rounds=3,
    )
    latency = tuple(
        f"{call}_{point}_ns" for call in ("malloc", "free") for point in ("p50", "p999", "max")
    )
    yield drift(
        "latency",
        "drift_latency 12 64",
        "drift_latency 0 1",
        figures=latency,
        rounds=5,
        timed=False,
    )
    survivors = ("idle_rss_kib", "rss_live")
    yield drift(
        "survivors random",
        "drift_survivors random 512 15000",
        "drift_survivors random 4 1",
        figures=survivors,
        rounds=5,
    )
    yield drift(
        "survivors newest",
        "drift_survivors newest 512 15000",
        "drift_survivors newest 4 1",
        figures=survivors,
        rounds=5,
    )
    yield drift(
        "shifting sizes",
        "drift_shift 1000000 6",
        "drift_shift 2000 6",
        figures=("rss_live",),
        rounds=5,
    )
    yield drift(
        "1000 threads",
        "drift_threads 1000 1000 15000",
        "drift_threads 20 50 1",
        figures=("peak_rss_kib", "gone_rss_kib"),
        rounds=5,
    )
    heap = ("ns_per_replace", "rss_live")
    yield drift(
        "heap 1 GiB", "drift_heap 1024 5000000", "drift_heap 1 1000", figures=heap, rounds=10
    )
    yield drift(
        "heap 8 GiB", "drift_heap 8192 5000000", "drift_heap 1 1000", figures=heap, rounds=3
    )


def real(name, command, smoke, **more):
    return Row(name, "real", command, smoke, same_output=more.pop("same_output", True), **more)


def redis_rows():
    for load in ("set", "get", "list", "mix"):
        yield Row(f"redis {load}", "real", load, load, kind="redis", rounds=20)


def program_rows():
    python = "/usr/bin/python3 {src}/workload_python.py "
    yield real("python3", python + "18", python + "1", environment={"PYTHONMALLOC": "malloc"})
    for name, command in (
        ("z3", "z3 {data}/problem.smt2"),
        ("clang -O2", "clang -O2 -S -o - {data}/source.c"),
        ("gcc -O2", "gcc -O2 -S -o - {data}/source.c"),
        (
            "ghostscript",
            "gs -q -dNOPAUSE -dBATCH -dSAFER -sDEVICE=ppmraw -r72 -o /dev/null {data}/pages.ps",
        ),
        ("jq", "jq -f {src}/workload_jq.jq {data}/records.json"),
    ):
        yield real(name, command, command)
    yield real(
        "sqlite3",
        "sqlite3 :memory: -init {data}/tables.sql .exit",
        "sqlite3 :memory: -init {data}/tables.sql .exit",
    )
    yield real("lua", "lua5.4 {src}/workload_lua.lua 20", "lua5.4 {src}/workload_lua.lua 1")
    yield real("perl", "perl {src}/workload_perl.pl 9", "perl {src}/workload_perl.pl 1")


def all_rows():
    makers = (
        pair_rows,
        batch_rows,
        random_rows,
        realloc_rows,
        thread_rows,
        other_micro_rows,
        drift_rows,
    )
    rows = [row for maker in makers for row in maker()]
    return rows + list(redis_rows()) + list(program_rows())
