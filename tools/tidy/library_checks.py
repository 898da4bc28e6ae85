"""library_checks.py: checks of the built library: what it exports, calls, needs, asks of TLS."""
import os
import re
import subprocess

SYMBOLS = "src/symbols.txt"
UNDEFINED = "tools/tidy/allowed_undefined.txt"
LIBC = re.compile(r"libc\.so(\.6)?$")
TLS_BYTES_MAX = 8  # more would not fit into the surplus that dlopen draws from


def read_list(tree, path):
    """The words of a list file, one a line, "#" starts a comment; None when it is not there."""
    full = os.path.join(tree.root, path)
    if not os.path.exists(full):
        tree.find("library", path, 1, "the list is missing (one name a line)")
        return None
    with open(full, encoding="utf-8") as file:
        lines = [line.split("#")[0].strip() for line in file]
    return {line for line in lines if line}


def _output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True,
                          env=dict(os.environ, LC_ALL="C")).stdout


def dynamic_symbols(library, kind):
    lines = _output("nm", "-D", kind, library).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if line.strip()}


def check_exports(tree, library):
    listed = read_list(tree, SYMBOLS)
    if listed is None:
        return
    exported = dynamic_symbols(library, "--defined-only")
    for name in sorted(exported - listed):
        tree.find("exports", SYMBOLS, 1, f"{name} is exported and not listed (hide it, or list it)")
    for name in sorted(listed - exported):
        tree.find("exports", SYMBOLS, 1, f"{name} is listed and not exported (define it)")


def check_undefined(tree, library):
    allowed = read_list(tree, UNDEFINED)
    if allowed is None:
        return
    undefined = dynamic_symbols(library, "--undefined-only")
    for name in sorted(undefined - allowed):
        tree.find("undefined", UNDEFINED, 1,
                  f"the library calls {name} (do without; allow it only if it never allocates)")


def check_needed(tree, library, shown):
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", _output("readelf", "-dW", library))
    for name in needed:
        if not LIBC.match(name):
            tree.find("needed", shown, 1, f"needs {name} (libc alone)")


def check_tls(tree, library, shown):
    for line in _output("readelf", "-lW", library).splitlines():
        words = line.split()
        if words and words[0] == "TLS" and int(words[5], 16) > TLS_BYTES_MAX:
            tree.find("tls", shown, 1, f"{int(words[5], 16)} bytes of static TLS (at most "
                      f"{TLS_BYTES_MAX}: dlopen of the library would fail)")


def check_library(tree, library):
    shown = os.path.relpath(library, tree.root)
    if not os.path.exists(library):
        tree.find("library", shown, 1, "the library is missing (build it first)")
        return
    check_exports(tree, library)
    check_undefined(tree, library)
    check_needed(tree, library, shown)
    check_tls(tree, library, shown)
