"""The redis rows: Debian's redis-server under redis-benchmark, with any allocator.

The server is linked against libjemalloc.so.2. Debian's row runs it as it is; ours puts our
library in its place by LD_LIBRARY_PATH; any other puts the forwarding library there, which has
no malloc, and preloads the allocator. /proc/PID/maps proves it. The figures are of the server
alone: CPU time by the scheduler's account of its threads, peak by VmHWM, after a start that is
not counted. Everything is on 127.0.0.1.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from bench_allocators import OURS, is_allocator, is_forward, mapping_is_right

START_TIMEOUT_S = 10
LOAD_TIMEOUT_S = 300
KEYS = 200000

# Each load is a list of redis-benchmark command lines: requests, then arguments.
LOADS = {
    "set": [(1500000, "-d 100 -t set")],
    "get": [(KEYS, "-d 100 -t set"), (1500000, "-d 100 -t get")],
    "list": [(700000, "-d 60 -t lpush"), (20000, "-t lrange_300")],
    "mix": [
        (500000, "SET key:__rand_int__ {value}"),
        (300000, "SETEX short:__rand_int__ 1 {value}"),
        (300000, "DEL key:__rand_int__"),
        (200000, "HSET hash:__rand_int__ field __rand_int__ other {value}"),
        (300000, "APPEND key:__rand_int__ {value}"),
        (200000, "DEL hash:__rand_int__"),
    ],
}


class RedisError(Exception):
    """The server or a load failed, or the wrong allocator served it."""


def measure(load, allocator, forward, environment, smoke):
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
        address = str(Path(folder) / "redis.sock")
        server = server_start(allocator, forward, environment, folder, address)
        try:
            server_wait(server, address)
            check_allocator(allocator, server.pid)
            before_s = cpu_seconds(server.pid)
            start = time.monotonic()
            for requests, arguments in LOADS[load]:
                load_run(address, requests // 1000 if smoke else requests, arguments)
            wall_s = time.monotonic() - start
            return {
                "cpu_s": cpu_seconds(server.pid) - before_s,
                "wall_s": wall_s,
                "peak_kib": float(status_kib(server.pid, "VmHWM")),
                "processes": [("redis-server", Path(allocator.path).name or "libc")],
            }
        finally:
            server.kill()
            server.wait()


def server_start(allocator, forward, environment, folder, address):
    environment = dict(environment)
    if allocator.name == OURS:
        environment["LD_LIBRARY_PATH"] = str(Path(allocator.path).parent)
    elif not allocator.is_jemalloc:
        environment["LD_LIBRARY_PATH"] = str(forward)
        if allocator.path:
            environment["LD_PRELOAD"] = allocator.path
    program = shutil.which("redis-server")
    if program is None:
        raise RedisError("redis-server is not installed")
    # A socket file instead of a port: nothing on the network, and no port to collide on.
    arguments = ["--port", "0", "--unixsocket", address, "--save", "", "--appendonly", "no"]
    arguments += ["--dir", folder, "--daemonize", "no", "--logfile", str(Path(folder) / "log")]
    return subprocess.Popen(
        [program] + arguments, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def server_wait(server, address):
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RedisError(f"redis-server ended at its start with status {server.returncode}")
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(address)
                client.sendall(b"PING\r\n")
                if client.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            time.sleep(0.02)
    raise RedisError(f"redis-server did not answer within {START_TIMEOUT_S} s")


def load_run(address, requests, arguments):
    command = [
        "redis-benchmark",
        "-s",
        address,
        "-q",
        "-r",
        str(KEYS),
        "-c",
        "30",
        "-P",
        "16",
        "-n",
        str(max(requests, 10)),
    ]
    command += arguments.format(value="v" * 200).split()
    environment = {
        key: value for key, value in os.environ.items() if key not in ("LD_PRELOAD", "MALLOC_CONF")
    }
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LOAD_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RedisError(f"redis-benchmark: {error}") from error
    if done.returncode != 0:
        raise RedisError(
            f"redis-benchmark ended with status {done.returncode}: {done.stderr[-300:]!r}"
        )


def check_allocator(allocator, pid):
    mapped = set()
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        path = line.split(maxsplit=5)[-1]
        if is_allocator(path) and path.startswith("/"):
            mapped.add(path)
    if not mapping_is_right(allocator, mapped):
        raise RedisError(f"the server mapped {sorted(mapped)}, not {allocator.name} alone")
    if (
        allocator.name != OURS
        and not allocator.is_jemalloc
        and not any(is_forward(path) for path in mapped)
    ):
        raise RedisError("the forwarding library is not in place")


def cpu_seconds(pid):
    """User and system time of all threads, in nanoseconds of the scheduler where the kernel has
    them, else in ticks.
    """
    total_ns = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total_ns += int((task / "schedstat").read_text().split()[0])
        return total_ns / 1e9
    except (OSError, ValueError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status_kib(pid, key):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise RedisError(f"no {key} in /proc/{pid}/status")
