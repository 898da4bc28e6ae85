"""text_checks.py: checks of any text: widths, blanks, lengths, names, headers, marks, pages."""
import re

LINE_LENGTH_MAX = 100
FILE_LENGTH_MAX = 800
HEADER_LINES = {False: (3, 15), True: (3, 40)}  # by "is a .h": it opens with its whole contract
# Names that tools demand, each of which may stand in many folders.
SHARED_NAMES = {"CMakeLists.txt", "README.md", "Makefile", ".gitignore", ".gitattributes"}
# The words are joined here so that this file passes its own check.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK"]) + r")\b")
ENTRY_POINT = re.compile(r"int (main|LLVMFuzzerTestOneInput)\(")
ISSUE = re.compile(r"#\d+")
CODE_KINDS = ("c", "c++", "cmake", "sh", "python", "make")
DECISION_SECTIONS = ("Question", "Command", "Numbers", "Decision")


def check_line_length(tree):
    for file in tree.select(*CODE_KINDS):
        for number, line in enumerate(file.lines, 1):
            if len(line) > LINE_LENGTH_MAX:
                tree.find("line-length", file.path, number,
                          f"line of {len(line)} columns (at most {LINE_LENGTH_MAX})")


def check_blanks(tree):
    for file in tree.select(*CODE_KINDS, "markdown"):
        for number, line in enumerate(file.lines, 1):
            if line != line.rstrip():
                tree.find("blanks", file.path, number, "trailing space (remove it)")
            if "\t" in line and file.kind != "make":
                tree.find("blanks", file.path, number, "a tab (spaces)")
        if file.text and not file.text.endswith("\n"):
            tree.find("blanks", file.path, len(file.lines), "no newline at the end (add one)")


def check_file_length(tree):
    for file in tree.select(*CODE_KINDS):
        if len(file.lines) > FILE_LENGTH_MAX:
            tree.find("file-length", file.path, FILE_LENGTH_MAX + 1,
                      f"file of {len(file.lines)} lines (at most {FILE_LENGTH_MAX}: split it)")


def check_unique_names(tree):
    seen = {}
    for file in tree.files:
        if file.name in SHARED_NAMES:
            continue
        if file.name in seen:
            tree.find("unique-names", file.path, 1,
                      f"the name is taken by {seen[file.name]} (a name of its own)")
        else:
            seen[file.name] = file.path
        is_code = file.kind in ("c", "c++", "sh", "python")
        if is_code and not re.fullmatch(r"[a-z0-9_.]+", file.name):
            tree.find("unique-names", file.path, 1, "the name is not snake_case (lower_case_words)")


def check_unfinished(tree):
    for file in tree.select(*CODE_KINDS, "markdown", "other"):
        for number, line in enumerate(file.lines, 1):
            if UNFINISHED.search(line) and not ISSUE.search(line):
                tree.find("unfinished", file.path, number,
                          "an unfinished mark without an issue (finish it, or name the issue: #12)")


def header_comment(file):
    """The comment that a C file opens with, or the comment lines on top of another; as lines."""
    if file.kind in ("c", "c++"):
        if not file.lines or not file.lines[0].startswith("/*"):
            return []
        end = file.text.find("*/")
        return file.text[:end].split("\n") if end >= 0 else []
    lines = file.lines[1:] if file.lines and file.lines[0].startswith("#!") else file.lines
    if file.kind == "python":
        return [line for line in lines[:1] if line.startswith(('"""', "#"))]
    header = []
    for line in lines:
        if not line.startswith("#"):
            break
        header.append(line)
    return header


def check_header_comment(tree):
    for file in tree.select("c", "c++"):
        header = header_comment(file)
        least, most = HEADER_LINES[file.name.endswith(".h")]
        if not header or not re.match(r"/\*+\s+" + re.escape(file.name) + r"\b", file.lines[0]):
            tree.find("header-comment", file.path, 1,
                      f"no header comment (/* {file.name}: what it is, the invariant)")
        elif not least <= len(header) <= most:
            tree.find("header-comment", file.path, 1,
                      f"header comment of {len(header)} lines ({least} to {most})")
    for file in tree.select("cmake", "sh", "python", "make"):
        if file.lines and not header_comment(file):
            tree.find("header-comment", file.path, 1, "no header comment (what it is)")


def check_test_header(tree):
    """Of each program below test/: what has no entry point is a part of one."""
    for file in tree.select("c", "c++", below="test/"):
        if not any(ENTRY_POINT.match(line) for line in file.code_lines):
            continue
        header = "\n".join(header_comment(file)).lower()
        for word in ("goal:", "method:"):
            if word not in header:
                tree.find("test-header", file.path, 1,
                          f'the header comment has no "{word}" (say it)')


def check_decisions(tree):
    for file in tree.select("markdown", below="docs/decisions/"):
        if file.name == "README.md":
            continue
        titles = [line.lstrip("#").strip() for line in file.lines if line.startswith("#")]
        for section in DECISION_SECTIONS:
            if not any(title.startswith(section) for title in titles):
                tree.find("decisions", file.path, 1, f'no section "{section}" (add it)')


CHECKS = [check_line_length, check_blanks, check_file_length, check_unique_names, check_unfinished,
          check_header_comment, check_test_header, check_decisions]
