#!/usr/bin/python3
"""accept.py: real programs on the library under test give the same output as without it.

Goal: a user can put the library under any program. Each case runs once with the library and
once without; outputs must be equal, and each process must have been served by the library.
Method: DG_LIBRARY names the library (default: build/release/lib/libjemalloc.so.2).
What is variable by nature (process ids, times, ports) never enters a case's output.

    test/accept/accept.py --list                 the cases
    test/accept/accept.py git redis              these cases; no name: all
    test/accept/accept.py --control small        each case must FAIL on a broken library
"""

import argparse
import difflib
import os
import signal
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

import accept_databases  # noqa: E402
import accept_runtimes  # noqa: E402
import accept_servers  # noqa: E402
import accept_tools  # noqa: E402
from accept_harness import Box, CaseFailed, check, end_descendants  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
CASES = {case.name: case for module in (
    accept_tools, accept_runtimes, accept_servers, accept_databases) for case in module.CASES}
CONTROL_KINDS = ("small", "missing")
# Below the limit of 120 s that ctest has, so that it is us who clean up.
CASE_LIMIT_S = 105
CONTROL_STEP_LIMIT_S = 8


def run_once(box, case, mode):
    box.begin(mode)
    output = case.run(box)
    box.check_served(case.served)
    box.end()
    check(output.strip(), "no output")
    return output


def compare(expected, found):
    if expected == found:
        return
    lines = difflib.unified_diff(expected.splitlines(), found.splitlines(),
                                 "without the library", "with the library", lineterm="", n=1)
    raise CaseFailed("the outputs differ:\n" + "\n".join(list(lines)[:40]))


def run_case(case, library):
    with Box() as box:
        box.place_library(library)
        try:
            found = run_once(box, case, case.mode)
        except CaseFailed:
            box.run_at_end()
            end_descendants()
            print("first the same without the library, to see whose fault it is:", file=sys.stderr)
            run_once(box, case, "plain")
            print("passes without the library", file=sys.stderr)
            raise
        compare(run_once(box, case, "plain"), found)


def run_control(case, kind):
    """A library that is wrong must be noticed, or the case proves nothing."""
    with Box(CONTROL_STEP_LIMIT_S) as box:
        box.place_broken_library(kind)
        try:
            found = run_once(box, case, case.mode)
            box.run_at_end()
            compare(run_once(box, case, "plain"), found)
        except Exception as failure:  # garbage breaks the clients in any way there is
            return str(failure).split("\n", 1)[0]
    raise CaseFailed(f"passes on the broken library '{kind}'")


def on_signal(number, _frame):
    """Both kinds of exception leave through the box, which cleans up."""
    if number == signal.SIGALRM:
        raise CaseFailed(f"not done within {CASE_LIMIT_S} s")
    raise SystemExit(128 + number)


def watch_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, on_signal)


def run_and_report(case, library, control):
    started = time.monotonic()
    watch_signals()
    signal.alarm(CASE_LIMIT_S)
    try:
        note = run_control(case, control) if control else run_case(case, library)
        verdict = "ok"
    except Exception as failure:
        note, verdict = f"{type(failure).__name__}: {failure}", "FAILED"
    finally:
        signal.alarm(0)
    print(f"{verdict:6} {case.name:18} {time.monotonic() - started:5.1f} s  {note or ''}",
          flush=True)
    if verdict != "ok":
        print(f"repeat: DG_LIBRARY={library} test/accept/accept.py {case.name}", flush=True)
    return verdict == "ok"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument("--control", choices=CONTROL_KINDS, help="the broken library to use")
    parser.add_argument("names", nargs="*", metavar="CASE")
    parser.add_argument("--library", default=REPOSITORY / "build/release/lib/libjemalloc.so.2",
                        help="the library under test, unless DG_LIBRARY is set")
    parser.add_argument("--same-list", action="store_true", help="fail unless CASE... are all")
    arguments = parser.parse_args()
    if arguments.same_list:
        odd = set(arguments.names) ^ set(CASES)
        print(f"named on one side only: {sorted(odd)}" if odd else "the lists agree")
        return 1 if odd else 0
    unknown = [name for name in arguments.names if name not in CASES]
    if unknown:
        parser.error(f"no such case: {' '.join(unknown)}")
    if arguments.list:
        print("\n".join(CASES))
        return 0
    library = Path(os.environ.get("DG_LIBRARY") or arguments.library).resolve()
    if not arguments.control and not library.is_file():
        print(f"no library at {library}: build first, or set DG_LIBRARY", file=sys.stderr)
        return 2
    results = [run_and_report(CASES[name], library, arguments.control)
               for name in arguments.names or CASES]
    print(f"{sum(results)} of {len(results)} ok")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
