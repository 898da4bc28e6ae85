"""accept_databases.py: databases set up from nothing and loaded: postgres, mariadbd, redis-server.

Goal and method as in accept.py. Unix sockets in the box, or loopback. Debian links redis-server
with libjemalloc.so.2: redis_replace puts the library under test in that place.
"""

import pwd
import re
import signal
import subprocess
from pathlib import Path

from accept_harness import WORK, Case, check, find_program, free_port


def postgres_folder():
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    check(folders, "postgres is not installed: run scripts/bootstrap accept")
    return folders[-1].parent


def drop_shared_memory(data):
    """A killed postgres leaves a System V segment; its key is in line 7 of postmaster.pid."""
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    lines = pid_file.read_text().splitlines()
    if len(lines) > 6:
        subprocess.run([find_program("ipcrm"), "-m", lines[6].split()[1]], check=False)


def stop_at_end(box, server, number, data):
    def stop():
        if server.is_alive():
            server.process.send_signal(number)
            try:
                server.process.wait(10)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
        drop_shared_memory(data)
    box.at_end.append(stop)


def start_postgres(box, programs, user):
    data = box.dir / "data"
    box.run([programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync",
             "--no-instructions", "--locale=C", "-E", "UTF8"], user=user)
    server = box.start([programs / "postgres", "-D", data, "-k", box.dir, "-h", "",
                        "-c", "fsync=off", "-c", "shared_buffers=32MB",
                        "-c", "dynamic_shared_memory_type=mmap", "-c", "jit=off",
                        "-c", "max_parallel_workers_per_gather=2"], user=user)
    stop_at_end(box, server, signal.SIGINT, data)
    server.wait_ready(lambda: "ready to accept connections" in server.log())
    return server


def run_postgres(box):
    programs = postgres_folder()
    user = "postgres" if box.is_root else None
    server = start_postgres(box, programs, user)
    to_server = ["-h", box.dir, "-U", "postgres"]
    box.run([programs / "pgbench", "-i", "-q", "-s", "2", *to_server, "postgres"], user=user)
    bench = box.run([programs / "pgbench", "-n", "-c", "4", "-j", "2", "-t", "250",
                     *to_server, "postgres"], user=user)
    done = re.search(r"actually processed: (\d+/\d+)", bench)
    check(done is not None, f"pgbench says nothing of its transactions: {bench}")
    output = box.run([programs / "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1",
                      *to_server, "-f", WORK / "postgres_work.sql", "postgres"], user=user)
    box.check_mapped(server.process.pid)
    server.stop(signal.SIGINT)
    return f"transactions {done.group(1)}\n{output}"


def start_mariadb(box):
    data, user = box.dir / "data", pwd.getpwuid(box.uid).pw_name
    socket_path = box.dir / "sql.sock"
    box.run(["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}",
             "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"])
    server = box.start(["mariadbd", "--no-defaults", f"--datadir={data}", f"--user={user}",
                        f"--socket={socket_path}", f"--pid-file={box.dir}/mariadbd.pid",
                        f"--tmpdir={box.dir}", "--skip-networking", "--skip-name-resolve",
                        "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0"])
    stop_at_end(box, server, signal.SIGTERM, data)
    server.wait_ready(lambda: "ready for connections" in server.log(), 40)
    return server, ["mariadb", "--no-defaults", f"--socket={socket_path}", "--user=root",
                    "--batch", "--skip-column-names"]


def run_mariadbd(box):
    server, client = start_mariadb(box)
    # Asked before the load: it is the server's own answer to which library serves malloc.
    library = box.run([*client, "-e", "SHOW GLOBAL VARIABLES LIKE 'version_malloc_library'"])
    if box.mode != "plain":
        check(library.split("\t")[1].startswith("jemalloc"), f"not jemalloc: {library}")
    output = box.run(client, text=(WORK / "mariadb_work.sql").read_text())
    loads = []
    for i in range(4):
        statements = "".join(f"INSERT INTO load_test (owner, text) VALUES ({i}, REPEAT('{n}', 50));"
                             f"SELECT COUNT(*) FROM load_test WHERE owner = {i};"
                             for n in range(150))
        loads.append(subprocess.Popen([find_program(client[0]), *client[1:], "accept"], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      env=box.environment()))
        loads[-1].stdin.write(statements)
        loads[-1].stdin.close()
    for load in loads:
        counts = load.stdout.read().split()
        load.stdout.close()
        check(load.wait(30) == 0, "a client failed")
        output += f"{len(counts)} {counts[-1]}\n"
    output += box.run([*client, "accept", "-e", "CHECK TABLE load_test, item"])
    box.check_mapped(server.process.pid)
    server.stop(limit_s=30)
    return output


def redis_info(ask):
    rows = (line.split(":", 1) for line in ask("INFO", "memory").splitlines() if ":" in line)
    return {name: value.strip() for name, value in rows}


def check_redis_memory(box, ask):
    """What redis asks of jemalloc's control interface, and the version that it prints."""
    stats = ask("MEMORY", "MALLOC-STATS")
    info = redis_info(ask)
    check(info["mem_allocator"].startswith("jemalloc"), f"mem_allocator {info['mem_allocator']}")
    allocated, active = int(info["allocator_allocated"]), int(info["allocator_active"])
    resident = int(info["allocator_resident"])
    check(0 < allocated <= active <= resident, f"not in order: {allocated} {active} {resident}")
    check(resident < 1 << 33, f"not believable: {resident} bytes resident")
    check(ask("MEMORY", "PURGE").strip() == "OK", "MEMORY PURGE")
    for value in ("no", "yes"):
        check(ask("CONFIG", "SET", "jemalloc-bg-thread", value).strip() == "OK",
              f"jemalloc-bg-thread {value}")
    if box.mode != "plain":
        version = box.library_version()
        found = re.search(r'Version: "?([^"\s]+)', stats)
        check(found and found.group(1) == version,
              f"MEMORY MALLOC-STATS has no line 'Version: {version}': {stats[:200]}")


def redis_load(ask):
    lines = [ask("DEBUG", "POPULATE", "50000", "key", "200"), ask("DBSIZE")]
    lines += [ask("SET", "greeting", "hello"), ask("APPEND", "greeting", " world"),
              ask("GET", "greeting"), ask("STRLEN", "key:4711"),
              ask("GETRANGE", "key:4711", "0", "9")]
    lines += [ask("EVAL", (WORK / "redis_work.lua").read_text(), "0"), ask("DBSIZE"),
              ask("ZRANGE", "zset", "0", "4", "WITHSCORES"),
              ask("HLEN", "hash42"), ask("SCARD", "set3"), ask("LLEN", "list7")]
    return lines


def run_redis(box):
    port = free_port()
    server = box.start(["redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", box.dir,
                        "--save", "", "--daemonize", "no", "--enable-debug-command", "local"])
    server.wait_ready(lambda: "Ready to accept connections" in server.log())

    def ask(*words):
        return box.run(["redis-cli", "-h", "127.0.0.1", "-p", port, *words])

    lines = redis_load(ask)
    check_redis_memory(box, ask)
    lines += [ask("CONFIG", "SET", "maxmemory", "1gb"), ask("CONFIG", "GET", "maxmemory")]
    # A fork that walks the whole data set while the parent goes on.
    digest = ask("DEBUG", "DIGEST")
    lines += [digest, ask("SAVE"), ask("DEBUG", "RELOAD"), ask("BGSAVE")]
    check(ask("DEBUG", "DIGEST") == digest, "the data changed over DEBUG RELOAD")
    lines += [ask("EVAL", "for i = 1, 50000 do redis.call('DEL', 'key:' .. i) end return 1", "0"),
              ask("DBSIZE")]
    bench = box.run(["redis-benchmark", "-h", "127.0.0.1", "-p", port, "-n", "20000", "-c", "20",
                     "-d", "200", "-r", "10000", "--csv", "-t", "set,get,lpush,lrange_100"])
    lines += [row.split(",")[0] for row in bench.splitlines()]
    box.check_mapped(server.process.pid)
    server.stop()
    return "\n".join(lines) + "\n"


CASES = (
    Case("postgres", run_postgres, ("postgres", "initdb", "pgbench", "psql")),
    Case("mariadbd", run_mariadbd, ("mariadbd", "mariadb")),
    Case("redis", run_redis, ("redis-server", "redis-cli", "redis-benchmark")),
    Case("redis_replace", run_redis, ("redis-server",), "replace"),
)
