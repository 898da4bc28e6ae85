"""A python3 workload for the benchmark: json, dictionaries, string work, regular expressions,
syntax trees.

Run with PYTHONMALLOC=malloc, so that every object comes from malloc. The argument is the number
of rounds; the last line printed is a checksum, the same under every allocator.
"""

import ast
import json
import random
import re
import sys
import zlib


def records_make(generator, count):
    return [
        {
            "id": i,
            "name": f"user{generator.randint(0, 10**6)}",
            "tags": [f"t{generator.randint(0, 99)}" for _ in range(5)],
        }
        for i in range(count)
    ]


def words_count(text):
    counts = {}
    for word in re.findall(r"[a-z]+\d*", text):
        counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def tree_walk(source):
    return sum(
        1
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Name, ast.Call, ast.BinOp))
    )


def round_run(generator, index):
    records = records_make(generator, 6000)
    text = json.dumps(records)
    back = json.loads(text)
    by_tag = {}
    for record in back:
        for tag in record["tags"]:
            by_tag.setdefault(tag, []).append(record["name"])
    joined = " ".join(
        name.replace("user", "person ") for names in by_tag.values() for name in names
    )
    words = words_count(joined)
    swapped = re.sub(r"(\w+) (\d+)", r"\2-\1", joined)
    source = "\n".join(
        f"def f{i}(a, b):\n    return a * {i} + g{i}(b, [x for x in range({i})])"
        for i in range(1200)
    )
    return zlib.crc32(f"{len(words)} {swapped[:5000]} {tree_walk(source)} {index}".encode())


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    generator = random.Random(20250917)
    kept = []
    checksum = 0
    for index in range(rounds):
        checksum ^= round_run(generator, index)
        kept.append(records_make(generator, 1500))
        if len(kept) > 4:
            kept.pop(0)
    print(checksum)


main()
