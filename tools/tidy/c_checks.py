"""c_checks.py: checks of C text: function lengths, banned calls, #if, guards of fields, units."""
import re

FUNCTION_LENGTH_MAX = 70
WAIVER = re.compile(r"tidy: long-function \S+")

# What a call would do to an allocator: allocate (and recurse), or write past its buffer.
BANNED_CALLS = {
    "stdio": ("printf fprintf sprintf snprintf vprintf vfprintf vsprintf vsnprintf dprintf "
              "vdprintf puts fputs putchar putc fputc fopen fdopen freopen fclose fread fwrite "
              "fgets fgetc getline fflush perror scanf fscanf sscanf setvbuf asprintf vasprintf"),
    "allocation": ("malloc calloc realloc reallocarray free aligned_alloc posix_memalign memalign "
                   "valloc pvalloc mallocx rallocx xallocx sallocx dallocx sdallocx nallocx strdup "
                   "strndup getcwd opendir readdir qsort backtrace setenv putenv"),
    "unbounded": "strcpy strcat stpcpy gets strtok alloca strerror",
    "loader": "dlsym dlopen dlvsym dlclose",
}
ADVICE = {
    "stdio": "base/print.h, which does not allocate",
    "allocation": "the floor's own functions; the public ones recurse",
    "unbounded": "a form with a bound",
    "loader": "none, or an exception with its reason: it may allocate",
}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(
    name for names in BANNED_CALLS.values() for name in names.split()) + r")\s*\(")
GROUP_OF = {name: group for group, names in BANNED_CALLS.items() for name in names.split()}

CONDITIONAL = re.compile(r"\s*#\s*(if|ifdef|ifndef|elif)\b\s*(.*)")
CONDITIONAL_FLOORS = ("base", "os")
LOCK_FIELD = re.compile(
    r"\b(struct (\w*_)?(lock|mutex)|pthread_(mutex|rwlock|spinlock)_t|(lock|mutex)_t)\b[^*;]*;")
COVERS_ALL = re.compile(r"\ball (that|which) follows?\b|\ball below\b")
STRUCT_START = re.compile(
    r"\s*((static|typedef|extern|const|_Alignas\([^)]*\)) )*(struct|union)\b[^;()]*\{\s*$")


def functions(file):
    """(first line, last line) of each function. The format puts its braces alone in column 0."""
    opened = None
    for number, line in enumerate(file.code_lines, 1):
        if line.rstrip() == "{":
            opened = number
        elif line.rstrip() == "}" and opened is not None:
            yield _signature_start(file, opened), number
            opened = None


def _signature_start(file, brace):
    start = brace - 1
    while start > 1 and file.code_lines[start - 2].strip() and \
            not file.code_lines[start - 2].rstrip().endswith((";", "}")) and \
            not file.code_lines[start - 2].startswith("#"):
        start -= 1
    return start


def check_function_length(tree):
    for file in tree.select("c"):
        for first, last in functions(file):
            length = last - first + 1
            if length > FUNCTION_LENGTH_MAX and not _has_waiver(file, first):
                tree.find("function-length", file.path, first,
                          f"function of {length} lines (at most {FUNCTION_LENGTH_MAX})")


def _has_waiver(file, first):
    """The comment directly above the function names the waiver and a reason."""
    number = first - 1
    while number >= 1 and file.is_comment_alone(number):
        if WAIVER.search(file.lines[number - 1]):
            return True
        number -= 1
    return False


def check_banned_calls(tree):
    for file in tree.select("c", below="src/"):
        for number, line in enumerate(file.code_lines, 1):
            # In column 0 stand definitions and prototypes, inside functions calls.
            if not line.startswith(" "):
                continue
            for match in CALL.finditer(line):
                group = GROUP_OF[match.group(1)]
                tree.find(f"banned-call:{match.group(1)}", file.path, number,
                          f"call of {match.group(1)} ({ADVICE[group]})")


def check_conditionals(tree):
    for file in tree.select("c", below="src/"):
        if file.floor in CONDITIONAL_FLOORS:
            continue
        is_first = file.name.endswith(".h")
        for number, line in enumerate(file.code_lines, 1):
            match = CONDITIONAL.match(line)
            if not match:
                continue
            directive, condition = match.group(1), match.group(2).strip()
            is_guard = is_first and directive == "ifndef" and condition.endswith("_H")
            is_first = False
            if not is_guard and condition != "__cplusplus":
                tree.find("conditional", file.path, number,
                          "#if outside base/ and os/ (a plain if over a static const bool)")


def _structs(file):
    """The line numbers inside each pair of braces of a struct or union, nested ones included."""
    opened = None
    for number, line in enumerate(file.code_lines, 1):
        if opened is None and STRUCT_START.match(line):
            opened, indent = number, len(line) - len(line.lstrip())
        elif opened is not None and re.match(r" {%d}\}" % indent, line):
            yield range(opened + 1, number)
            opened = None


def _is_covered(file, number, first):
    """True when a comment stands above in the same group of lines, no blank line between, or one
    further up in the struct says that it holds for all that follows."""
    in_group = True
    for above in range(number - 1, first - 1, -1):
        in_group = in_group and bool(file.lines[above - 1].strip())
        if in_group and file.is_comment_alone(above):
            return True
        if above in file.comment_lines and COVERS_ALL.search(file.lines[above - 1]):
            return True
    return False


def check_guards(tree):
    for file in tree.select("c", below="src/"):
        for body in _structs(file):
            fields = [n for n in body if file.code_lines[n - 1].rstrip().endswith(";")
                      and not file.code_lines[n - 1].strip().startswith("}")]
            has_lock = any(LOCK_FIELD.search(file.code_lines[n - 1]) for n in fields)
            for number in fields:
                _check_field(tree, file, number, body[0], has_lock)


def _check_field(tree, file, number, first, has_lock):
    if number in file.comment_lines:
        return
    if "_Atomic" in file.code_lines[number - 1] and not file.is_comment_alone(number - 1):
        tree.find("guards", file.path, number,
                  "atomic field without a comment (who writes, who reads, the order)")
    elif has_lock and not LOCK_FIELD.search(file.code_lines[number - 1]) and \
            not _is_covered(file, number, first):
        tree.find("guards", file.path, number,
                  "field beside a lock without a comment (its guard: under the lock, constant, ..)")


def check_unit_files(tree):
    names = {file.path for file in tree.files}
    for file in tree.select("c", below="src/"):
        if file.floor and file.name.endswith(".c"):
            test = f"test/unit/test_{file.name}"
            if test not in names:
                tree.find("unit-file", file.path, 1, f"no unit test ({test})")


CHECKS = [check_function_length, check_banned_calls, check_conditionals, check_guards,
          check_unit_files]
