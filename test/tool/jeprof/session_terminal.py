#!/usr/bin/env python3
"""session_terminal.py: types into jeprof on a terminal of its own.

    session_terminal.py JEPROF ARGUMENT...

Goal: commands are completed, earlier ones come back, and the session ends with its input. Method:
each step types something and waits until the terminal shows what must follow.
"""
import os
import pty
import select
import sys
import termios
import time

WAIT_SECONDS = 60
# What is typed, and what must then be shown. A tab completes, "\x1b[A" is the key that goes up.
# What is typed is shown in parts, so only what the commands write is looked for.
STEPS = [
    (b"", b"(jeprof) "),
    (b"top3 --cum\n", b" other\r\n"),
    (b"", b"(jeprof) "),
    (b"te\tlea\t\n", b"After focusing on 'leaf': 3000 B of 3500 (85.7%)"),
    (b"", b"(jeprof) "),
    (b"\x1b[A\x1b[A\n", b"3500 100.0% main"),
    (b"", b"(jeprof) "),
    (b"top -oth\t\n", b"After ignoring 'other'"),
    (b"", b"(jeprof) "),
    (b"gif\n", b"a picture is not for a terminal"),
    (b"", b"(jeprof) "),
]


def read_some(terminal, seconds):
    """What is shown next; None when nothing is for so long. Empty: the terminal is closed."""
    ready, _, _ = select.select([terminal], [], [], seconds)
    if not ready:
        return None
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def wait_for(terminal, shown, wanted):
    """Reads until the text is there; what follows it."""
    while wanted not in shown:
        read = read_some(terminal, WAIT_SECONDS)
        if not read:
            sys.exit(f"waited for {wanted!r}, saw {shown!r}")
        shown += read
    return shown[shown.index(wanted) + len(wanted):]


def wait_for_reader(terminal):
    """The prompt is shown before the terminal stops cutting what is typed into lines; an end of the
    input that comes between is lost."""
    deadline = time.monotonic() + WAIT_SECONDS
    while termios.tcgetattr(terminal)[3] & termios.ICANON:
        if time.monotonic() > deadline:
            sys.exit("nobody reads the terminal")
        time.sleep(0.01)


def read_end(terminal):
    read = read_some(terminal, WAIT_SECONDS)
    while read:
        read = read_some(terminal, WAIT_SECONDS)
    if read is None:
        sys.exit("the session did not end with its input")


def main():
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm"
        os.execv(sys.argv[1], sys.argv[1:])
    shown = b""
    for typed, wanted in STEPS:
        if typed:
            wait_for_reader(terminal)
            os.write(terminal, typed)
        shown = wait_for(terminal, shown, wanted)
    wait_for_reader(terminal)
    os.write(terminal, b"\x04")
    read_end(terminal)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
