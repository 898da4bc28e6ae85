"""python_work.py: json, re, threads, forked worker processes and large objects in CPython.

Run with PYTHONMALLOC=malloc, so that each object is one malloc.
"""

import collections
import decimal
import hashlib
import json
import multiprocessing
import re
import sys
import threading
import zlib


def rows(count, seed):
    found = []
    for i in range(count):
        seed = (seed * 1103515245 + 12345) % 2147483648
        found.append({"id": i, "key": f"key{seed % 1009}", "list": [seed % 7, str(seed)]})
    return found


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def task(seed):
    text = json.dumps(rows(4000, seed))
    counts = collections.Counter(row["key"] for row in json.loads(text))
    swapped = re.sub(r'"key(\d)(\d*)"', r'"\2-\1"', text)
    packed = zlib.compress(swapped.encode())
    assert zlib.decompress(packed).decode() == swapped
    return seed, digest(swapped), counts.most_common(1)[0][1], len(swapped.split(","))


def run_threads():
    results = [None] * 8

    def store(i):
        results[i] = task(i)

    threads = [threading.Thread(target=store, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("threads", results)


def grow():
    text, numbers = "", bytearray()
    for i in range(20000):
        text += chr(97 + i % 26)
        numbers += i.to_bytes(4, "little")
    decimal.getcontext().prec = 400
    print("grow", digest(text), zlib.crc32(numbers), str(decimal.Decimal(2).sqrt())[-12:])
    print("power", digest(str(3 ** 6000)), len([0] * (1 << 22)))


if __name__ == "__main__":
    sys.set_int_max_str_digits(0)
    print("main", task(99))
    run_threads()
    # Forks while other threads allocate: the children must find a usable allocator.
    busy = threading.Event()
    noise = threading.Thread(target=lambda: [task(1000) for _ in iter(busy.is_set, True)])
    noise.start()
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        print("processes", pool.map(task, range(100, 112)))
    busy.set()
    noise.join()
    grow()
