"""Makes the inputs of the real programs: deterministic, written once into a folder, checked by a
stamp.

Each maker takes a scale (1.0 = a run of some seconds, less for the smoke test) and returns the
file's text. The generator is seeded with a constant, so that each machine measures the same
input.
"""

import json
import random
from pathlib import Path

SEED = 20250917
STAMP = "format 1"


def make_c_source(scale):
    """A C file of many structs and functions with loops, switches and inlining to do."""
    generator = random.Random(SEED)
    parts = ["#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n"]
    for index in range(max(4, int(150 * scale))):
        parts.append(c_unit(generator, index))
    return "".join(parts)


def c_unit(generator, index):
    fields = generator.randint(4, 12)
    lines = [f"struct record_{index} {{\n    struct record_{index} *next;\n"]
    for field in range(fields):
        kind = generator.choice(["uint8_t", "uint16_t", "uint32_t", "uint64_t", "double"])
        lines.append(f"    {kind} field_{field}[{generator.randint(1, 9)}];\n")
    lines.append("};\n")
    lines.append(
        f"static uint64_t mix_{index}(const struct record_{index} *record, uint64_t seed)\n{{\n"
    )
    lines.append("    for (size_t i = 0; i < 16; i++) {\n")
    for field in range(fields):
        lines.append(
            f"        seed = seed * {generator.randint(3, 1 << 20) | 1}u"
            f" + (uint64_t)record->field_{field}[0];\n"
        )
    lines.append("        seed ^= seed >> 7;\n    }\n    return seed;\n}\n")
    lines.append(
        f"uint64_t walk_{index}(struct record_{index} *list, const char *text, int kind)\n{{\n"
    )
    lines.append(
        "    uint64_t sum = 0;\n    while (list != NULL) {\n        switch (kind & 15) {\n"
    )
    for case in range(12):
        lines.append(
            f"        case {case}: sum += mix_{index}(list, sum + {generator.randint(1, 999)}u)"
            f" {generator.choice('+^|')} strlen(text); break;\n"
        )
    lines.append("        default: sum ^= (uint64_t)list->field_0[0] * 31u; break;\n        }\n")
    lines.append("        for (const char *c = text; *c != 0; c++) {\n")
    lines.append("            if (*c >= 'a' && *c <= 'z') { sum = sum * 33u + (uint64_t)*c; }\n")
    lines.append(
        "            else if (*c == '%') { sum -= (uint64_t)list->field_1[0]; }\n        }\n"
    )
    lines.append(
        "        kind = (int)(sum >> 5);\n        list = list->next;\n    }\n    return sum;\n}\n"
    )
    return "".join(lines)


def make_smt(scale):
    """Graph colouring and linear arithmetic, in many scopes: a bounded search with a fixed seed."""
    generator = random.Random(SEED)
    lines = ["(set-option :smt.random_seed 7)", "(set-option :sat.random_seed 7)"]
    for problem in range(max(1, int(160 * scale))):
        lines.append("(push)")
        count = 90
        for node in range(count):
            lines.append(f"(declare-const n{problem}_{node} Int)")
            lines.append(f"(assert (and (>= n{problem}_{node} 0) (< n{problem}_{node} 400)))")
        for _ in range(count * 3):
            left, right = generator.sample(range(count), 2)
            gap = generator.randint(1, 12)
            one, two = f"n{problem}_{left}", f"n{problem}_{right}"
            lines.append(f"(assert (or (<= (+ {one} {gap}) {two}) (<= (+ {two} {gap}) {one})))")
        lines += ["(check-sat)", "(pop)"]
    return "\n".join(lines) + "\n"


def make_postscript(scale):
    """Pages of text, curves, clips and dictionaries."""
    pages = max(1, int(24 * scale))
    body = """%!PS
/Times-Roman findfont 9 scalefont setfont
/seed 20250917 def
/next { seed 1103515245 mul 12345 add 2147483647 and dup /seed exch def 600 mod } def
/page {
  50 750 moveto
  1 1 70 { /line exch def 40 line 10 mul moveto (line ) show line 12 string cvs show
    ( the quick brown fox jumps over the lazy dog and 0123456789 again) show } for
  1 1 1500 { pop newpath next next moveto next next next next next next curveto
    next 600 div next 600 div next 600 div setrgbcolor stroke } for
  1 1 300 { pop gsave newpath next next 30 0 360 arc clip next next 100 50 rectfill grestore } for
  1 1 4000 { dup 20 string cvs cvn exch 10 dict dup begin /value 3 -1 roll def end def } for
  showpage
} def
"""
    return body + "seed pop\n" + f"1 1 {pages} {{ pop page }} for\n"


def make_sql(scale):
    """Inserts, joins, sorts and updates on tables in memory."""
    rows = max(500, int(600000 * scale))
    return f"""PRAGMA cache_size = 200000;
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, groupid INTEGER, value REAL);
CREATE TABLE grp (id INTEGER PRIMARY KEY, label TEXT);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO item SELECT i, printf('name-%d-%x', i * 7919 % {rows}, i * 2654435761 % 4294967296),
  i * 31 % 997, (i * 7919 % 10007) / 7.0 FROM n;
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 996)
INSERT INTO grp SELECT i, printf('group %d', i) FROM n;
COMMIT;
CREATE INDEX item_name ON item (name);
SELECT grp.label, count(*), round(sum(value), 2) FROM item JOIN grp ON grp.id = groupid
  GROUP BY grp.label ORDER BY 3 DESC LIMIT 20;
SELECT count(*), length(group_concat(name)) FROM (SELECT name FROM item ORDER BY name DESC);
UPDATE item SET name = name || '-' || groupid WHERE id % 3 = 0;
SELECT count(DISTINCT substr(name, 1, 9)) FROM item;
SELECT a.groupid, max(a.value * b.value) FROM item a JOIN item b ON a.id = b.id + 1
  GROUP BY a.groupid ORDER BY 2 DESC, 1 LIMIT 5;
DELETE FROM item WHERE id % 2 = 0;
SELECT count(*), max(name) FROM item;
"""


def make_json(scale):
    """An array of nested records."""
    generator = random.Random(SEED)
    records = []
    for index in range(max(50, int(60000 * scale))):
        records.append(
            {
                "id": index,
                "name": f"user {generator.randint(0, 999999)}",
                "tags": [f"tag{generator.randint(0, 300)}" for _ in range(generator.randint(1, 6))],
                "score": round(generator.random() * 100, 3),
                "address": {
                    "city": f"city {index % 331}",
                    "zip": str(generator.randint(10000, 99999)),
                },
            }
        )
    return json.dumps(records)


MAKERS = {
    "source.c": make_c_source,
    "problem.smt2": make_smt,
    "pages.ps": make_postscript,
    "tables.sql": make_sql,
    "records.json": make_json,
}


def make_all(folder, scale):
    """Writes the inputs that are missing or were made for another scale or format."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "stamp"
    wanted = f"{STAMP} scale {scale}\n"
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    for name, maker in MAKERS.items():
        (folder / name).write_text(maker(scale))
    stamp.write_text(wanted)
    return folder
