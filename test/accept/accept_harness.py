"""accept_harness.py: runs programs in a box that is empty before and gone afterwards.

Goal: a case of the acceptance tests talks about its program only; what it starts is bounded in
time, runs on the library under test when asked to, and leaves no process and no file behind.
Method: one temporary folder; the library is copied into it, so that its path in /proc/PID/maps
belongs to this run alone; orphans are adopted (PR_SET_CHILD_SUBREAPER) and so can be ended too.

Loopback and Unix sockets only. Not thread safe; one box a process.
"""

import ctypes
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

HERE = Path(__file__).resolve().parent
WORK = HERE / "work"
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STEP_LIMIT_S = 60
PR_SET_CHILD_SUBREAPER = 36
COMPILE = ["cc", "-std=gnu17", "-O2", "-fPIC", "-shared", "-fno-builtin", "-Wall", "-Wextra",
           "-Wconversion", "-Werror"]


class CaseFailed(Exception):
    """What went wrong, told so that a reader can repeat it."""


@dataclass(frozen=True)
class Case:
    """run(box) gives the text to compare; served are programs that must be seen on the library."""

    name: str
    run: Callable[["Box"], str]
    served: tuple
    mode: str = "preload"  # or "replace": the program links libjemalloc.so.2, ours stands in


def check(holds, message):
    if not holds:
        raise CaseFailed(message)


def find_program(name):
    if "/" in str(name):
        return str(name)
    path = shutil.which(name, path=SEARCH_PATH)
    check(path is not None, f"{name} is not installed: run scripts/bootstrap accept")
    return path


def free_port():
    """A port that nobody listens on now, for TCP and UDP alike (named wants both)."""
    for _ in range(50):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise CaseFailed("no free port on 127.0.0.1")


def wait_until(is_true, what, limit_s=20):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if is_true():
            return
        time.sleep(0.02)
    raise CaseFailed(f"{what}: not within {limit_s} s")


def descendants(root_pid):
    """Process ids below root_pid, from the parent links in /proc."""
    children = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        parent = int(stat.rsplit(")", 1)[1].split()[1])
        children.setdefault(parent, []).append(int(entry.name))
    found, open_list = [], [root_pid]
    while open_list:
        below = children.get(open_list.pop(), [])
        found += below
        open_list += below
    return found


def reap_all():
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass


def end_descendants():
    """Asks politely first: a database then removes its shared memory itself."""
    for number, patience_s in ((signal.SIGTERM, 3), (signal.SIGKILL, 10)):
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            reap_all()
            alive = descendants(os.getpid())
            if not alive:
                return
            for pid in alive:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
    print(f"left behind: processes {descendants(os.getpid())}", file=sys.stderr)


class Server:
    """A program that stays until stop(); what it prints goes to a log in the box."""

    def __init__(self, process, log_path, name):
        self.process = process
        self.log_path = log_path
        self.name = name

    def log(self):
        return self.log_path.read_text(errors="replace")

    def is_alive(self):
        return self.process.poll() is None

    def wait_ready(self, is_ready, limit_s=20):
        def ready_or_dead():
            return not self.is_alive() or is_ready()
        try:
            wait_until(ready_or_dead, f"{self.name} is ready", limit_s)
        except CaseFailed as failure:
            raise CaseFailed(f"{failure}\n{self.log()[-2000:]}") from None
        self.check_alive()

    def check_alive(self):
        check(self.is_alive(), f"{self.name} ended with {self.process.poll()}\n"
              + self.log()[-2000:])

    def stop(self, number=signal.SIGTERM, accepted=(0,), limit_s=20):
        self.check_alive()
        self.process.send_signal(number)
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise CaseFailed(f"{self.name} does not stop on signal {number}") from None
        check(code in accepted, f"{self.name} ended with {code}\n{self.log()[-2000:]}")


class Box:
    """The folder, the environment and the children of one acceptance test."""

    def __init__(self, step_limit_s=STEP_LIMIT_S):
        self.step_limit_s = step_limit_s
        self.root = None
        self.library = None
        self.mode = "plain"
        self.servers = 0
        self.at_end = []
        self.uid = os.getuid()
        self.is_root = self.uid == 0

    def __enter__(self):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self.root = Path(tempfile.mkdtemp(prefix="dg_accept_")).resolve()
        # A database server gives up root, and must still reach its folder and the library.
        self.root.chmod(0o755)
        self.witness = self.root / "witness.so"
        self.run([*COMPILE, "-o", self.witness, HERE / "accept_witness.c"], cwd=self.root)
        return self

    def __exit__(self, *_):
        # What happens now must not be cut short by the signal that brought us here.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        try:
            self.run_at_end()
        finally:
            end_descendants()
            shutil.rmtree(self.root, ignore_errors=True)

    def run_at_end(self):
        while self.at_end:
            self.at_end.pop()()

    def place_library(self, source):
        """Copies the library to <box>/lib/libjemalloc.so.2, the name that programs ask for."""
        folder = self.root / "lib"
        folder.mkdir(exist_ok=True)
        self.library = folder / "libjemalloc.so.2"
        shutil.copyfile(source, self.library)
        self.library.chmod(0o755)

    def place_broken_library(self, kind):
        folder = self.root / "lib"
        folder.mkdir(exist_ok=True)
        self.library = folder / "libjemalloc.so.2"
        self.run([*COMPILE, f"-DKIND_{kind.upper()}", "-Wl,-soname,libjemalloc.so.2",
                  "-o", self.library, HERE / "accept_broken.c"], cwd=self.root)

    def begin(self, mode):
        """An empty work folder with the same path for each run, so that outputs can be equal."""
        self.mode = mode
        self.dir = self.root / "work"
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir()
        self.dir.chmod(0o777)
        self.seen_file = self.root / "seen"
        self.seen_file.write_text("")
        self.seen_file.chmod(0o666)

    def end(self):
        """After a run of a case: nothing of it may still be alive."""
        self.run_at_end()
        reap_all()
        alive = descendants(os.getpid())
        check(not alive, f"the case left processes behind: {alive}")

    def environment(self, extra=None):
        values = {
            "PATH": SEARCH_PATH, "HOME": str(self.root), "TMPDIR": str(self.root),
            "LC_ALL": "C.UTF-8", "TZ": "UTC", "USER": pwd.getpwuid(os.getuid()).pw_name,
        }
        if self.mode == "preload":
            values["LD_PRELOAD"] = f"{self.library}:{self.witness}"
        if self.mode == "replace":
            values["LD_LIBRARY_PATH"] = str(self.library.parent)
            values["LD_PRELOAD"] = str(self.witness)
        if self.mode != "plain":
            values["DG_WITNESS_FILE"] = str(self.seen_file)
        values.update(extra or {})
        return values

    def run(self, command, *, text=None, cwd=None, env=None, user=None, accepted=(0,)):
        """Runs to the end and returns standard output; anything unexpected fails the case."""
        command = [find_program(command[0]), *map(str, command[1:])]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=cwd or self.dir, env=self.environment(env), user=user, group=user,
            extra_groups=[] if user else None, text=True, errors="replace")
        try:
            output, complaints = process.communicate(text, timeout=self.step_limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise CaseFailed(f"no end within {self.step_limit_s} s: {command}") from None
        check(process.returncode in accepted,
              f"exit code {process.returncode}: {command}\n{output[-1500:]}{complaints[-1500:]}")
        return output

    def start(self, command, *, env=None, user=None):
        command = [find_program(command[0]), *map(str, command[1:])]
        name = Path(command[0]).name
        self.servers += 1
        log_path = self.root / f"{name}.{self.servers}.log"
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.dir,
                env=self.environment(env), user=user, group=user,
                extra_groups=[] if user else None)
        return Server(process, log_path, name)

    def check_mapped(self, pid):
        """The library is in the maps of this running process (forked workers included)."""
        if self.mode == "plain":
            return
        maps = Path(f"/proc/{pid}/maps").read_text()
        check(str(self.library) in maps, f"process {pid} runs without {self.library}")

    def check_served(self, programs):
        """Each program in the list was seen, and its malloc came from the library.

        Under preload that holds for every process of the run, down to the assembler.
        """
        if self.mode == "plain":
            return
        rows = [line.split(" ", 2) for line in self.seen_file.read_text().splitlines()]
        for _, name, path in rows:
            check(path == str(self.library) or (self.mode == "replace" and name not in programs),
                  f"malloc of {name} is served by {path}")
        missing = set(programs) - {name for _, name, _ in rows}
        check(not missing, f"never seen on the library: {sorted(missing)}")

    def library_version(self):
        """What mallctl("version") of the library says; asked in a process of its own."""
        code = ("import ctypes; p = ctypes.c_char_p(); n = ctypes.c_size_t(8);"
                "r = ctypes.CDLL(None).mallctl(b'version', ctypes.byref(p), ctypes.byref(n),"
                " None, 0); print(r, p.value.decode())")
        output = self.run(["/usr/bin/python3", "-c", code],
                          env={"LD_PRELOAD": str(self.library)})
        result, version = output.split()
        check(result == "0", f"mallctl(version) gives {result}")
        return version
