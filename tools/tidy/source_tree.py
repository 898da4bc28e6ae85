"""source_tree.py: the files that tidy looks at, their text, and the shape of a finding.

Files are those that git tracks or would track; without git, all files below the root but build/
and npm's packages.
"""
import os
import re
import subprocess

C_SUFFIXES = (".c", ".h")
FLOORS = {"base": 0, "os": 1, "pages": 2, "config": 2, "heap": 3, "profile": 4, "cache": 5,
          "control": 6, "api": 7}
COMMENT_OR_STRING = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
SHELL = re.compile(r"\b(sh|bash|bats)\b")


class SourceFile:
    """One file. path is relative to the root; lines come without their newline."""

    def __init__(self, root, path):
        self.path = path
        self.name = os.path.basename(path)
        with open(os.path.join(root, path), "rb") as file:
            self.bytes = file.read()
        self.is_binary = b"\0" in self.bytes
        self.text = "" if self.is_binary else self.bytes.decode("utf-8", "replace")
        self.lines = self.text.split("\n")
        if self.lines and self.lines[-1] == "":
            self.lines.pop()
        self._code_lines = None
        self._comment_lines = None

    @property
    def is_c(self):
        return self.path.endswith(C_SUFFIXES)

    @property
    def kind(self):
        """c, cmake, sh, python, markdown, make or other, told from the name or the first line."""
        if self.is_c:
            return "c"
        if self.path.endswith((".cpp", ".cc", ".hpp")):
            return "c++"
        if self.name == "CMakeLists.txt" or self.path.endswith(".cmake"):
            return "cmake"
        first = self.lines[0] if self.lines else ""
        is_script = first.startswith("#!")
        if self.path.endswith((".sh", ".bats")) or is_script and SHELL.search(first):
            return "sh"
        if self.path.endswith(".py") or is_script and "python" in first:
            return "python"
        if self.path.endswith(".md"):
            return "markdown"
        return "make" if self.name == "Makefile" else "other"

    @property
    def floor(self):
        """The floor's name for src/<floor>/..., else None."""
        parts = self.path.split("/")
        return parts[1] if parts[0] == "src" and len(parts) > 2 else None

    @property
    def code_lines(self):
        """The lines of a C file with comments and the insides of strings blanked out."""
        if self._code_lines is None:
            blanked = COMMENT_OR_STRING.sub(_blank, self.text)
            self._code_lines = blanked.split("\n")[:len(self.lines)]
        return self._code_lines

    @property
    def comment_lines(self):
        """The numbers of the lines of a C file that hold a comment or a part of one."""
        if self._comment_lines is None:
            self._comment_lines = set()
            for match in COMMENT_OR_STRING.finditer(self.text):
                if match.group(0)[0] == "/":
                    first = self.text.count("\n", 0, match.start()) + 1
                    self._comment_lines.update(range(first, first + match.group(0).count("\n") + 1))
        return self._comment_lines

    def is_comment_alone(self, number):
        return number in self.comment_lines and not self.code_lines[number - 1].strip()


def _blank(match):
    text = match.group(0)
    if text[0] == "/":
        return re.sub(r"[^\n]", " ", text)
    return text[0] + " " * (len(text) - 2) + text[-1]


class SourceTree:
    """All files below a root, the exceptions that it lists, and the findings so far."""

    def __init__(self, root):
        self.root = root
        self.files = [SourceFile(root, path) for path in sorted(list_paths(root))]
        self.findings = []
        self.exceptions = self._read_exceptions()
        self.used_exceptions = set()

    def _read_exceptions(self):
        """tools/tidy/exceptions.txt: "CHECK PATH REASON..." a line."""
        exceptions = {}
        path = os.path.join(self.root, "tools/tidy/exceptions.txt")
        if not os.path.exists(path):
            return exceptions
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                words = line.split("#")[0].split(None, 2)
                if len(words) == 3:
                    exceptions[words[0], words[1]] = number
                elif words:
                    self.findings.append(("tools/tidy/exceptions.txt", number,
                                          "an exception without a reason (CHECK PATH REASON)"))
        return exceptions

    def is_excepted(self, check, path):
        if (check, path) in self.exceptions:
            self.used_exceptions.add((check, path))
            return True
        return False

    def find(self, check, path, line, message):
        if not self.is_excepted(check, path):
            self.findings.append((path, line, message))

    def report_unused_exceptions(self):
        for key, number in self.exceptions.items():
            if key not in self.used_exceptions:
                self.findings.append(("tools/tidy/exceptions.txt", number,
                                      f"the exception {key[0]} {key[1]} is not needed (remove it)"))

    def select(self, *kinds, below=""):
        return [file for file in self.files
                if file.kind in kinds and file.path.startswith(below) and not file.is_binary]


def list_paths(root):
    if os.path.exists(os.path.join(root, ".git")):
        output = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"],
                                capture_output=True, check=True).stdout
        paths = [path for path in output.decode().split("\0") if path]
    else:
        paths = []
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders
                          if name not in ("build", "node_modules", "__pycache__")]
            paths += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return [path for path in paths if _is_plain_file(os.path.join(root, path))]


def _is_plain_file(path):
    return os.path.isfile(path) and not os.path.islink(path)
