#!/usr/bin/python3
"""accept_defrag.py: a Redis built with this library's header moves its blocks together.

Goal: `activedefrag yes` is accepted, gives back what a load that deletes most keys left behind,
and ends. Debian's redis-server has no activedefrag: Redis compiles it in when the header of its
allocator has JEMALLOC_FRAG_HINT, so a Redis is built from Debian's source package, with our header
and library. Download and program stay in --build-folder; a changed header builds anew.

    test/accept/accept_defrag.py --build-folder build/release/accept_redis

Exit status 77 and one line when Debian's sources cannot be had, as without a network.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from accept_harness import WORK, Box, CaseFailed, check, find_program, free_port  # noqa: E402
from accept_harness import wait_until  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SKIPPED = 77
END_LIMIT_S = 240
# Redis's default: it scans again while more than that is wasted, and so ends below it only.
THRESHOLD_PERCENT = 10
# One does it, at times three. A hint that calls what is left full enough was seen to take 27.
SCANS_MAX = 8
SETTINGS = ("active-defrag-threshold-lower", THRESHOLD_PERCENT, "active-defrag-ignore-bytes", "1mb",
            "active-defrag-cycle-min", 25, "active-defrag-cycle-max", 75)


class NoSources(Exception):
    """Why Debian's source package cannot be had."""


def run_apt(folder, *words):
    """Its own lists and sources: works without root, and the system's apt stays as it is."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    command = [find_program("apt-get"), "-q", "-o", f"Dir::Etc::sourcelist={folder}/sources.list",
               "-o", "Dir::Etc::sourceparts=/dev/null", "-o", f"Dir::State::lists={folder}/lists",
               "-o", f"Dir::Cache={folder}/cache", "-o", "APT::Sandbox::User=root",
               "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", *words]
    result = subprocess.run(command, cwd=folder, text=True, check=False, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = result.stdout.splitlines()
    errors = [line for line in lines if line.startswith(("E: ", "W: Failed to fetch "))]
    if result.returncode != 0 or errors:
        raise NoSources((errors or lines or ["apt-get failed"])[0])


def source_lines():
    """Where apt knows redis-server from, there are its sources."""
    madison = subprocess.run([find_program("apt-cache"), "madison", "redis-server"], text=True,
                             check=False, stdout=subprocess.PIPE).stdout
    places = [line.split("|")[2].split() for line in madison.splitlines()]
    signed = f"[signed-by={KEYRING}] " if Path(KEYRING).exists() else ""
    return sorted({f"deb-src {signed}{site} {suite.rsplit('/', 1)[0]} {suite.rsplit('/', 1)[1]}"
                   for site, suite, *_ in places})


def fetch_sources(folder):
    """The .dsc file of Debian's redis; from the last run when there is one."""
    kept, fresh = folder / "sources", folder / "download"
    if not kept.exists():
        lines = source_lines()
        if not lines:
            raise NoSources("apt knows no redis-server")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        (fresh / "sources.list").write_text("\n".join(lines) + "\n")
        run_apt(fresh, "update")
        run_apt(fresh, "source", "--download-only", "redis")
        shutil.rmtree(fresh / "lists")
        fresh.rename(kept)
    return next(kept.glob("redis_*.dsc"))


def run_logged(command, log_path, cwd):
    with open(log_path, "wb") as log:
        code = subprocess.run([find_program(command[0]), *map(str, command[1:])], cwd=cwd,
                              stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                              check=False).returncode
    check(code == 0, f"{command[0]} ended with {code}\n{log_path.read_text()[-2000:]}")


def build_redis(folder, library):
    """The server, linked as the guide in docs/arenas.md says; -O1 halves the time of the build."""
    include = REPOSITORY / "include"
    header = (include / "jemalloc" / "jemalloc.h").read_bytes()
    stamp, digest = folder / "built_with", hashlib.sha256(header).hexdigest()
    server = folder / "redis" / "src" / "redis-server"
    if stamp.exists() and stamp.read_text() == digest:
        return server
    description = fetch_sources(folder)
    shutil.rmtree(folder / "redis", ignore_errors=True)
    run_logged(["dpkg-source", "-x", description, folder / "redis"], folder / "unpack.log", folder)
    run_logged(["make", "-C", "src", f"-j{os.cpu_count()}", "redis-server", "USE_JEMALLOC=yes",
                "USE_SYSTEM_JEMALLOC=yes", "USE_SYSTEMD=no", "BUILD_TLS=no", "OPTIMIZATION=-O1",
                f"CPPFLAGS=-I{include}", f"LDFLAGS=-L{library.parent}"],
               folder / "make.log", folder / "redis")
    stamp.write_text(digest)
    return server


class Redis:
    """The server in its box, spoken to by redis-cli."""

    def __init__(self, box, program):
        self.box, self.port = box, free_port()
        self.server = box.start([program, "--bind", "127.0.0.1", "--port", self.port,
                                 "--dir", box.dir, "--save", "", "--loglevel", "verbose",
                                 "--enable-debug-command", "local"])
        self.server.wait_ready(lambda: "Ready to accept connections" in self.server.log())

    def ask(self, *words):
        return self.box.run(["redis-cli", "-h", "127.0.0.1", "-p", self.port, *words]).strip()

    def settle(self, *words):
        check(self.ask("CONFIG", "SET", *words) == "OK", f"CONFIG SET {words} is refused")

    def info(self):
        self.server.check_alive()
        rows = (line.split(":", 1) for line in self.ask("INFO", "everything").splitlines()
                if ":" in line)
        return {name: value.strip() for name, value in rows}

    def resident(self):
        status = Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) >> 10

    def figures(self, when):
        info = self.info()
        print(f"{when}: {self.resident()} MiB resident, allocator_frag_ratio "
              f"{info['allocator_frag_ratio']}, mem_fragmentation_ratio "
              f"{info['mem_fragmentation_ratio']}, {info['active_defrag_hits']} blocks moved "
              f"in {self.scans()} scans")
        return info

    def scans(self):
        return self.server.log().count("Active defrag done in ")

    def is_done(self):
        """Below the threshold, and no scan under way."""
        info = self.info()
        return (float(info["allocator_frag_ratio"]) < 1 + THRESHOLD_PERCENT / 100 and
                info["active_defrag_running"] == "0")


def run_load(redis):
    text = (WORK / "redis_defrag.lua").read_text()
    redis.ask("EVAL", text, "0", "load")
    redis.figures("loaded")
    keys = int(redis.ask("EVAL", text, "0", "drop"))
    check(100_000 < keys < 200_000, f"{keys} keys stay")
    digest = redis.ask("DEBUG", "DIGEST")
    before, resident = redis.figures("deleted"), redis.resident()
    redis.settle(*SETTINGS)
    redis.settle("activedefrag", "yes")
    try:
        wait_until(redis.is_done, "active defrag ends", END_LIMIT_S)
    finally:
        after = redis.figures("moved together")
    check(int(after["active_defrag_hits"]) > 0, "no block was moved")
    check(redis.scans() <= SCANS_MAX, f"{redis.scans()} scans, more than {SCANS_MAX}")
    check(float(before["allocator_frag_ratio"]) > 2, "the load leaves nothing to do")
    check(redis.resident() * 3 < resident * 2, "less than a third of the memory came back")
    check(redis.ask("DEBUG", "DIGEST") == digest, "the data changed")


def run_in_box(program, library):
    with Box() as box:
        box.place_library(library)
        box.begin("replace")
        redis = Redis(box, program)
        run_load(redis)
        box.check_mapped(redis.server.process.pid)
        redis.server.stop()
        box.check_served(("redis-server",))
        box.end()


def on_signal(number, _frame):
    """Leaves through the box, which ends the server."""
    raise SystemExit(128 + number)


def main():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default=REPOSITORY / "build/release/lib/libjemalloc.so.2",
                        type=Path, help="the library under test")
    parser.add_argument("--build-folder", required=True, type=Path,
                        help="where Redis's sources and the program are kept")
    arguments = parser.parse_args()
    library = arguments.library.resolve()
    try:
        run_in_box(build_redis(arguments.build_folder.resolve(), library), library)
    except NoSources as reason:
        print(f"skipped: no source package of redis: {reason}")
        return SKIPPED
    except CaseFailed as failure:
        print(f"FAILED {failure}")
        print(f"repeat: test/accept/accept_defrag.py --library {library} "
              f"--build-folder {arguments.build_folder}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
