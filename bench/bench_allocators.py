"""The allocators that are compared: where each library is, how a process gets it, and how to tell
that it did.
"""

import hashlib
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

LIBRARY_FOLDERS = ("/usr/lib/{}-linux-gnu".format(os.uname().machine), "/usr/lib64", "/usr/lib")

# name, library, Debian package, environment beyond the preload
PEERS = (
    ("jemalloc", "libjemalloc.so.2", "libjemalloc2", {}),
    ("mimalloc", "libmimalloc.so.2", "libmimalloc2.0", {}),
    ("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4", {}),
    ("tbbmalloc", "libtbbmalloc_proxy.so.2", "libtbbmalloc2", {}),
    ("glibc", "", "libc6", {}),
    ("jemalloc+bg", "libjemalloc.so.2", "libjemalloc2", {"MALLOC_CONF": "background_thread:true"}),
)

# Not a peer of its own: jemalloc with a setting, for the rows where idle memory is the point.
EXTRA = ("jemalloc+bg",)
OURS = "ours"


@dataclass(frozen=True)
class Allocator:
    name: str
    path: str  # "" is libc's own
    package: str
    environment: dict = field(default_factory=dict)

    @property
    def is_jemalloc(self):
        return Path(self.path).name.startswith("libjemalloc.so")

    @property
    def shown_path(self):
        """Ours as seen from the repository, so that results say nothing of where that lies."""
        root = Path(__file__).resolve().parent.parent
        path = Path(self.path)
        return str(path.relative_to(root)) if path.is_relative_to(root) else self.path

    def version(self):
        if self.name == OURS:
            digest = hashlib.sha256(Path(self.path).read_bytes()).hexdigest()
            return f"sha256 {digest[:16]}"
        query = ["dpkg-query", "-W", "-f", "${Version}", self.package]
        answer = subprocess.run(query, capture_output=True, text=True, check=False)
        return f"{self.package} {answer.stdout.strip() or 'unknown'}"


def library_find(name):
    for folder in LIBRARY_FOLDERS:
        path = Path(folder) / name
        if path.exists():
            return str(path)
    return None


def allocators_find(ours_path):
    """All that are on this machine, ours first. A peer that is not installed is left out and named
    by the second value.
    """
    found = []
    missing = []
    if Path(ours_path).exists():
        found.append(Allocator(OURS, str(Path(ours_path)), ""))
    else:
        missing.append(f"{OURS} ({ours_path})")
    for name, library, package, environment in PEERS:
        path = library_find(library) if library else ""
        if path is None:
            missing.append(f"{name} ({package})")
        else:
            found.append(Allocator(name, path, package, environment))
    return found, missing


def mapping_is_right(allocator, mapped):
    """Whether the allocator libraries that a process had mapped are the intended one and no other.

    A process of libc's row may map none. tbbmalloc's proxy brings its own library with it. A
    file name alone would confuse our libjemalloc.so.2 with Debian's, so paths are compared. The
    forwarding library has no malloc and may be there.
    """
    served = {
        os.path.realpath(path) for path in mapped if not is_forward(path) and is_allocator(path)
    }
    if not allocator.path:
        return not served
    if allocator.path.endswith("libtbbmalloc_proxy.so.2"):
        own = os.path.realpath(allocator.path.replace("_proxy", ""))
        served.discard(own)
    return served == {os.path.realpath(allocator.path)}


def is_forward(path):
    return path.endswith("/forward/libjemalloc.so.2")


def is_allocator(path):
    name = Path(path).name
    return any(
        name.startswith(prefix)
        for prefix in ("libjemalloc", "libmimalloc", "libtcmalloc", "libtbbmalloc")
    )
