#!/usr/bin/env python3
"""test_tidy.py: goal: each check of tidy fires on what it forbids, and on nothing else.

Method: for each check a small tree is written into a temporary folder, once good and once with one
fault; tidy runs on it as a user runs it. A fault must give exactly the findings expected, the good
tree none. The faults are written here, not kept as files, so that tidy passes on this tree.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
TIDY = os.path.join(TOP, "tools/tidy/tidy")

HEADER = """/* {name}: goal: shows the form that passes.
 *
 * Method: none is needed here.
 */
"""
GOOD = {
    "src/base/bits.h": HEADER + """#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stddef.h>

size_t bits_double(size_t value);

#endif
""",
    "src/base/bits.c": HEADER + """#include "base/bits.h"

size_t bits_double(size_t value)
{
    return value * 2;
}
""",
    "src/heap/slab.h": HEADER + """#ifndef HEAP_SLAB_H
#define HEAP_SLAB_H

#include <stddef.h>

#include "base/bits.h"

struct slab {
    /* Written by the owner, read by all, relaxed: a hint. */
    _Atomic size_t count;
};

#endif
""",
    "include/jemalloc/jemalloc.h": HEADER + """#ifndef JEMALLOC_H
#define JEMALLOC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *mallocx(size_t size, int flags);

#ifdef __cplusplus
}
#endif

#endif
""",
    "test/unit/test_bits.c": HEADER + """int main(void)
{
    return 0;
}
""",
    "docs/decisions/first.md": "# First\n## Question\n## Command\n## Numbers\n## Decision\n",
    "scripts/hello": "#!/bin/sh\n# hello: greets.\necho hello\n",
}


class Tree(unittest.TestCase):
    """A small good tree in a temporary folder, and the ways to spoil it."""

    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        shutil.copy(os.path.join(TOP, ".clang-format"), self.root)
        for path, text in GOOD.items():
            self.write(path, text)

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text.replace("{name}", os.path.basename(path)))

    def append(self, path, text):
        with open(os.path.join(self.root, path), "a", encoding="utf-8") as file:
            file.write(text)

    def replace(self, path, old, new):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            text = file.read()
        self.assertIn(old, text)
        self.write(path, text.replace(old, new))

    def tidy(self, *arguments):
        result = subprocess.run([sys.executable, TIDY, "--root", self.root, *arguments],
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.stderr, "")
        lines = result.stdout.splitlines()
        self.assertEqual(result.returncode, 1 if lines else 0)
        return lines

    def assert_finds(self, place, words, *arguments):
        """Exactly one finding, at the place given, that says the words."""
        lines = self.tidy(*arguments)
        self.assertEqual(len(lines), 1, lines)
        self.assertTrue(lines[0].startswith(place + ":"), lines)
        self.assertIn(words, lines[0])


class TextTest(Tree):
    def test_good_tree_has_no_finding(self):
        self.assertEqual(self.tidy(), [])

    def test_long_line(self):
        self.append("src/base/bits.c", "/* " + "x" * 95 + " */\n")
        self.assert_finds("src/base/bits.c:11", "line of 101 columns")

    def test_line_at_the_limit_passes(self):
        self.append("src/base/bits.c", "/* " + "x" * 94 + " */\n")
        self.assertEqual(self.tidy(), [])

    def test_long_line_of_a_script(self):
        self.append("scripts/hello", "echo " + "x" * 96 + "\n")
        self.assert_finds("scripts/hello:4", "line of 101 columns")

    def test_trailing_space(self):
        self.append("scripts/hello", "echo \n")
        self.assert_finds("scripts/hello:4", "trailing space")

    def test_tab(self):
        self.append("scripts/hello", "\techo\n")
        self.assert_finds("scripts/hello:4", "tab")

    def test_no_newline_at_the_end(self):
        self.append("scripts/hello", "echo")
        self.assert_finds("scripts/hello:4", "no newline")

    def test_long_file(self):
        self.append("scripts/hello", "echo\n" * 798)
        self.assert_finds("scripts/hello:801", "file of 801 lines")

    def test_same_name_twice(self):
        self.write("tools/hello", GOOD["scripts/hello"])
        self.assert_finds("tools/hello:1", "taken by scripts/hello")

    def test_name_in_capitals(self):
        self.write("tools/Hello.sh", GOOD["scripts/hello"])
        self.assert_finds("tools/Hello.sh:1", "snake_case")

    def test_unfinished_mark(self):
        self.append("scripts/hello", "# TO" + "DO: more\n")
        self.assert_finds("scripts/hello:4", "unfinished mark")

    def test_unfinished_mark_with_an_issue_passes(self):
        self.append("scripts/hello", "# TO" + "DO #12: more\n")
        self.assertEqual(self.tidy(), [])

    def test_missing_header_comment(self):
        self.replace("src/base/bits.c", HEADER.replace("{name}", "bits.c"), "")
        self.assert_finds("src/base/bits.c:1", "no header comment")

    def test_header_comment_of_one_line(self):
        self.replace("src/base/bits.c", HEADER.replace("{name}", "bits.c"), "/* bits.c: bits. */\n")
        self.assert_finds("src/base/bits.c:1", "header comment of 1 lines")

    def test_script_without_header_comment(self):
        self.write("scripts/hello", "#!/bin/sh\necho\n")
        self.assert_finds("scripts/hello:1", "no header comment")

    def test_test_without_method(self):
        self.replace("test/unit/test_bits.c", "Method:", "Way:")
        self.assert_finds("test/unit/test_bits.c:1", 'no "method:"')

    def test_decision_without_numbers(self):
        self.replace("docs/decisions/first.md", "## Numbers\n", "")
        self.assert_finds("docs/decisions/first.md:1", 'no section "Numbers"')


class CodeTest(Tree):
    def long_function(self, comment):
        body = "    value++;\n" * 66
        self.append("src/base/bits.c", f"\n{comment}size_t bits_long(size_t value);\n\n"
                    f"{comment}size_t bits_long(size_t value)\n{{\n{body}"
                    "    return value;\n    /* The end. */\n}\n")

    def test_long_function(self):
        self.long_function("")
        self.assert_finds("src/base/bits.c:14", "function of 71 lines")

    def test_long_function_with_a_waiver_passes(self):
        self.long_function("/* tidy: long-function a table of cases */\n")
        self.assertEqual(self.tidy(), [])

    def test_banned_calls(self):
        for call in ("printf(0)", "malloc(value)", "free(0)", "strcpy(0, 0)", "dlsym(0, 0)",
                     "alloca(value)", "sprintf(0, 0)"):
            with self.subTest(call):
                self.write("src/base/bits.c", GOOD["src/base/bits.c"].replace(
                    "return value * 2", f"return (size_t){call}"))
                name = call.split("(", maxsplit=1)[0]
                self.assert_finds("src/base/bits.c:9", f"call of {name}", "--only", "banned_calls")

    def test_words_that_are_no_calls_pass(self):
        self.append("src/base/bits.c", """
/* free(p) calls malloc(n). */
static const char *bits_text = "printf(1)";

void *malloc(size_t size)
{
    return hooks.free(size) + hooks->malloc(size) + slab_free(size);
}
""")
        self.assertEqual(self.tidy("--only", "banned_calls"), [])

    def test_exception_lets_a_banned_call_pass(self):
        self.replace("src/base/bits.c", "value * 2", "dlsym(0, 0)")
        self.write("tools/tidy/exceptions.txt", "banned-call:dlsym src/base/bits.c a reason\n")
        self.assertEqual(self.tidy("--only", "banned_calls"), [])

    def test_exception_without_reason(self):
        self.write("tools/tidy/exceptions.txt", "banned-call:dlsym src/base/bits.c\n")
        self.assert_finds("tools/tidy/exceptions.txt:1", "without a reason")

    def test_conditional(self):
        self.replace("src/heap/slab.h", "struct slab {", "#if X\n#endif\n\nstruct slab {")
        self.assert_finds("src/heap/slab.h:12", "#if outside", "--only", "conditionals")

    def test_conditional_in_base_passes(self):
        self.append("src/base/bits.c", "\n#if defined(__x86_64__)\n#endif\n")
        self.assertEqual(self.tidy(), [])

    def test_atomic_without_comment(self):
        self.replace("src/heap/slab.h",
                     "    /* Written by the owner, read by all, relaxed: a hint. */\n", "")
        self.assert_finds("src/heap/slab.h:13", "atomic field without a comment")

    def test_field_beside_a_lock_without_comment(self):
        self.replace("src/heap/slab.h", "struct slab {", "struct os_lock {\n    int word;\n};\n\n"
                     "struct slab {\n    struct os_lock lock;\n    int used;\n")
        self.assert_finds("src/heap/slab.h:18", "field beside a lock")

    def test_group_of_fields_under_one_comment_passes(self):
        self.replace("src/heap/slab.h", "struct slab {", "struct os_lock {\n    int word;\n};\n\n"
                     "struct slab {\n    struct os_lock lock;\n"
                     "    /* Under the lock. */\n    int used;\n    int size;\n")
        self.assertEqual(self.tidy(), [])

    def test_comment_on_all_that_follows_passes(self):
        self.replace("src/heap/slab.h", "struct slab {", "struct os_lock {\n    int word;\n};\n\n"
                     "struct slab {\n    struct os_lock lock;\n"
                     "    int used; /* under the lock, like all that follows */\n\n    int size;\n")
        self.assertEqual(self.tidy(), [])

    def test_module_without_unit_test(self):
        self.write("src/base/other.c", HEADER)
        self.assert_finds("src/base/other.c:1", "test/unit/test_other.c")

    def test_format(self):
        self.replace("src/base/bits.c", "    return value * 2;", "  return value*2;")
        self.assert_finds("src/base/bits.c:8", "not as clang-format writes it")


class IncludeTest(Tree):
    def test_include_of_a_floor_above(self):
        self.replace("src/base/bits.c", '#include "base/bits.h"\n',
                     '#include "base/bits.h"\n#include "heap/slab.h"\n')
        self.assert_finds("src/base/bits.c:6", "of a floor above")

    def test_include_without_floor(self):
        self.replace("src/base/bits.c", '"base/bits.h"', '"bits.h"')
        self.assert_finds("src/base/bits.c:5", "without its floor", "--only", "floors")

    def test_include_of_a_source_file(self):
        self.replace("src/base/bits.c", '"base/bits.h"', '"base/bits.c"')
        self.assert_finds("src/base/bits.c:5", "never a .c", "--only", "floors")

    def test_unknown_floor(self):
        self.write("src/attic/old.h", HEADER)
        self.assert_finds("src/attic/old.h:1", "attic is no floor")

    def test_cycle(self):
        self.write("src/heap/arena.h", HEADER + '#ifndef HEAP_ARENA_H\n#define HEAP_ARENA_H\n\n'
                   '#include "heap/slab.h"\n\n#endif\n')
        self.replace("src/heap/slab.h", '"base/bits.h"', '"heap/arena.h"')
        self.assert_finds("src/heap/arena.h:1", "src/heap/arena.h -> src/heap/slab.h",
                          "--only", "cycles")

    def test_header_that_does_not_compile_alone(self):
        self.replace("src/base/bits.h", "#include <stddef.h>\n\n", "")
        self.replace("src/base/bits.c", '#include "base/bits.h"', "#include <stddef.h>")
        self.assert_finds("src/base/bits.h:1", "does not compile alone as c: unknown type name",
                          "--only", "headers_alone")

    def test_table_of_rows_passes(self):
        self.write("src/base/rows_table.h", HEADER + "ROW(one, 1)\nROW(two, 2)\n")
        self.assertEqual(self.tidy("--only", "headers_alone"), [])

    def test_public_header_that_is_no_cxx(self):
        self.replace("include/jemalloc/jemalloc.h", "int flags", "int new")
        self.assert_finds("include/jemalloc/jemalloc.h:1", "does not compile alone as c++")

    def test_variable_length_array(self):
        self.replace("src/base/bits.c", "return value * 2;",
                     "char room[value];\n    return sizeof room;")
        self.assert_finds("src/base/bits.c:1", "variable length array")


class LibraryTest(Tree):
    """The checks of the built library, on libraries of a few lines."""

    def setUp(self):
        super().setUp()
        self.write("src/symbols.txt", "# names\nmallocx\n")
        self.write("tools/tidy/allowed_undefined.txt", "write\n")

    def build(self, source, *flags):
        library = os.path.join(self.root, "build", "lib.so")
        os.makedirs(os.path.dirname(library), exist_ok=True)
        subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-nostartfiles", "-Wl,--no-as-needed",
                        *flags, "-x", "c", "-", "-o", library],
                       input=source, text=True, check=True)
        return library

    GOOD_SOURCE = "long write(); void *mallocx(void) { write(); return 0; }"

    def check(self, place, words, source, *flags):
        library = self.build(source, *flags)
        self.assert_finds(place, words, "--only", "library", "--library", library)

    def test_good_library_has_no_finding(self):
        self.assertEqual(self.tidy("--library", self.build(self.GOOD_SOURCE)), [])

    def test_missing_library(self):
        self.assert_finds("build/none.so:1", "missing", "--library",
                          os.path.join(self.root, "build/none.so"))

    def test_unlisted_export(self):
        self.check("src/symbols.txt:1", "extra is exported and not listed",
                   self.GOOD_SOURCE + " int extra;")

    def test_missing_export(self):
        self.check("src/symbols.txt:1", "mallocx is listed and not exported",
                   "long write(); __attribute__((constructor)) static void f(void) { write(); }")

    def test_forbidden_call(self):
        self.check("tools/tidy/allowed_undefined.txt:1", "the library calls printf",
                   self.GOOD_SOURCE.replace("write();", "write(); printf();"), "-fno-builtin")

    def test_needed_beyond_libc(self):
        self.check("build/lib.so:1", "needs libm.so.6", self.GOOD_SOURCE, "-Wl,--push-state",
                   "-Wl,--no-as-needed", "-l:libm.so.6", "-Wl,--pop-state")

    def test_static_tls(self):
        self.check("build/lib.so:1", "16 bytes of static TLS",
                   self.GOOD_SOURCE + " static __thread long pair[2];"
                   " __attribute__((constructor)) static void f(void) { pair[0]++; pair[1]--; }",
                   "-ftls-model=initial-exec")

    def test_unused_exception(self):
        self.write("tools/tidy/exceptions.txt", "line-length src/base/bits.c a reason\n")
        self.assert_finds("tools/tidy/exceptions.txt:1", "is not needed",
                          "--library", self.build(self.GOOD_SOURCE))


if __name__ == "__main__":
    unittest.main()
