#!/usr/bin/env python3
"""symbols_bench.py: how long jeprof takes for the symbols of a large program, and how much memory.

    symbols_bench.py --reader build/release/bin/symbol_reader --folder DIR [--files N] [--frames N]
                     [--compiler CC] [--counts] [--others] [--check]

Writes C files with deep inlining and many types, builds a program of ten copies of each (-O2 -g3),
and looks random addresses of its code up. What was compiled before stays in the folder, so that a
run that was interrupted goes on. --counts adds instructions by callgrind, --others
times binutils' addr2line and upstream's jeprof on the same addresses, --check fails above 10 s of
the processor or 1 GB, or with less than 300 MB of DWARF, macros not counted.
"""
import argparse
import os
import random
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

SECONDS_MAX = 10
KIB_MAX = 1 << 20
DWARF_MIN = 300_000_000
TYPES, FIELDS = 4000, 8    # of the common header: most entries of large programs are for types
INLINED, DEPTH = 24, 12    # chains of inlined functions in each file, and calls in each
FUNCTIONS, CALLS = 40, 10  # functions of each file, and the chains that each calls
COPIES = 10                # of each file, with other symbols: compiling is what takes long
# Without variables' places: they are a third of real DWARF, nobody reads them here, and they take
# most of the compiler's time.
FLAGS = ["-O2", "-g3", "-fno-eliminate-unused-debug-types", "-fno-var-tracking"]


def header():
    """Types as a large program's headers have them."""
    lines = ["#ifndef COMMON_H", "#define COMMON_H", "#include <stdint.h>"]
    for i in range(TYPES):
        lines.append(f"#define LIMIT_{i} {i}")
        fields = " ".join(
            f"{'struct type_%d *' % random.randrange(i + 1) if j % 3 == 0 else 'uint32_t '}"
            f"field_{i}_{j};" for j in range(FIELDS))
        lines.append(f"struct type_{i} {{ {fields} }};")
    return "\n".join([*lines, "static volatile int sink;", "#endif", ""])


def source(number):
    """One file: chains of inlined functions, and functions that call them."""
    lines = ['#include "common.h"']
    for chain in range(INLINED):
        for level in reversed(range(DEPTH)):
            call = (f"value += inlined_{number}_{chain}_{level + 1}(value ^ {level}, value);"
                    if level + 1 < DEPTH else "value += sink;")
            lines += ["static inline __attribute__((always_inline)) int",
                      f"inlined_{number}_{chain}_{level}(int first, int second)", "{",
                      f"    int value = first * {chain + level + 3} + second;",
                      "    sink = value;", f"    {call}", f"    sink = value + {level};",
                      "    return value;", "}"]
    for function in range(FUNCTIONS):
        lines += [f"int function_{number}_{function}(int argument, struct type_{function} *type)",
                  "{", f"    int value = (int)(argument + type->field_{function}_1);"]
        for call in range(CALLS):
            chain = (function + call) % INLINED
            lines.append(f"    value += inlined_{number}_{chain}_0(value, argument);")
        lines += ["    return value;", "}"]
    return "\n".join([*lines, ""])


def build(folder, compiler, files):
    """The program, of as many files; compiles what is not there yet."""
    program = os.path.join(folder, f"large_{files}")
    if os.path.exists(program):
        return program
    os.makedirs(folder, exist_ok=True)
    random.seed(1)
    write(os.path.join(folder, "common.h"), header())
    write(os.path.join(folder, "main.c"), "int main(void) { return 0; }\n")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda number: compile_file(folder, compiler, number), range(files)))
    objects = []
    for number in range(files):
        for copy in range(COPIES):
            objects.append(f"file_{number}_{copy}.o")
            subprocess.run(["objcopy", f"--prefix-symbols=copy_{copy}_", f"file_{number}.o",
                            objects[-1]], cwd=folder, check=True)
    subprocess.run([compiler, *FLAGS, "main.c", *objects, "-o", program], cwd=folder, check=True)
    for name in objects:
        os.remove(os.path.join(folder, name))
    return program


def compile_file(folder, compiler, number):
    name = f"file_{number}"
    if not os.path.exists(os.path.join(folder, name + ".o")):
        write(os.path.join(folder, name + ".c"), source(number))
        subprocess.run([compiler, *FLAGS, "-c", name + ".c", "-o", name + ".part"], cwd=folder,
                       check=True)
        os.rename(os.path.join(folder, name + ".part"), os.path.join(folder, name + ".o"))


def write(path, text):
    if not os.path.exists(path):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def sections(program):
    """{name: (address, size)} of the program's sections."""
    output = subprocess.run(["readelf", "-SW", program], capture_output=True, text=True,
                            check=True).stdout
    rows = re.findall(r"\] (\S+)\s+\S+\s+([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+)", output)
    return {name: (int(address, 16), int(size, 16)) for name, address, size in rows}


def timed(command, text, folder):
    """A text with the figures, the processor's seconds, KiB at most, and stderr's last line."""
    path = os.path.join(folder, "input.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    start = time.monotonic()
    with open(path, encoding="utf-8") as file, \
            open(os.path.join(folder, "output.txt"), "w+", encoding="utf-8") as output, \
            open(os.path.join(folder, "errors.txt"), "w+", encoding="utf-8") as errors:
        child = subprocess.Popen(command, stdin=file, stdout=output, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = status
        seconds = time.monotonic() - start
        errors.seek(0)
        last = (errors.read().splitlines() or [""])[-1]
    if status != 0:
        sys.exit(f"symbols_bench.py: FAILED: {command[0]}: {last}")
    busy = usage.ru_utime + usage.ru_stime
    figures = f"{seconds:.2f} s, {busy:.2f} s of the processor, {usage.ru_maxrss} KiB"
    return figures, busy, usage.ru_maxrss, last


def instructions(command, text, folder):
    log = os.path.join(folder, "callgrind.log")
    subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                    f"--log-file={log}", *command], input=text, text=True, check=True,
                   capture_output=True)
    with open(log, encoding="utf-8") as file:
        return int(re.search(r"Collected : (\d+)", file.read()).group(1))


def profile(program, addresses, path):
    """A heap profile of one sample an address, as upstream's jeprof reads it."""
    with open(path, "w", encoding="utf-8") as file:
        count = len(addresses)
        file.write(f"heap profile: {count}: {count} [0: 0] @ heapprofile\n")
        # The +1 is what upstream takes off a return address: the innermost frame is dropped.
        file.writelines(f"1: 1 [0: 0] @ 0x1 0x{address + 1:x}\n" for address in addresses)
        file.write(f"MAPPED_LIBRARIES:\n{mapping(program)}\n")


def mapping(program):
    """The one executable mapping, placed where the program is linked to."""
    output = subprocess.run(["readelf", "-lW", program], capture_output=True, text=True,
                            check=True).stdout
    offset, address, size = re.search(
        r"LOAD\s+0x(\S+) 0x(\S+) 0x\S+ 0x(\S+) 0x\S+ R E", output).groups()
    start = int(address, 16)
    end = start + (int(size, 16) + 0xFFF & ~0xFFF)
    return f"{start:012x}-{end:012x} r-xp {int(offset, 16):08x} 00:00 1    {program}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--reader", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--files", type=int, default=28)
    parser.add_argument("--frames", type=int, default=100000)
    parser.add_argument("--compiler", default="gcc")
    for flag in ("--counts", "--others", "--check"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args()
    program = build(os.path.abspath(options.folder), options.compiler, options.files)
    table = sections(program)
    debug = {name: size for name, (_, size) in table.items() if name.startswith(".debug")}
    dwarf = sum(size for name, size in debug.items() if name not in (".debug_macro",))
    print(f"program: {os.path.getsize(program)} bytes, DWARF {dwarf} and macros "
          f"{debug.get('.debug_macro', 0)}", *(f"\n  {n} {s}" for n, s in sorted(debug.items())))
    start, size = table[".text"]
    random.seed(1)
    addresses = random.sample(range(start, start + size), options.frames)
    text = "".join([mapping(program), "\n", *(f"{address:x}\n" for address in addresses)])
    reader = [options.reader, "--quiet"]
    figures, seconds, memory, last = timed(reader, text, options.folder)
    print(f"symbols.h: {figures}: {last}")
    if options.counts:
        print(f"symbols.h: {instructions(reader, text, options.folder)} instructions")
    if options.others:
        lines = "".join(f"{address:x}\n" for address in addresses)
        print("addr2line:",
              timed(["addr2line", "-aifC", "-e", program], lines, options.folder)[0])
        path = os.path.join(options.folder, "large.heap")
        profile(program, addresses, path)
        print("upstream's jeprof:", timed(["jeprof", "--text", program, path], "",
                                          options.folder)[0])
    if options.check and (seconds > SECONDS_MAX or memory > KIB_MAX or dwarf < DWARF_MIN):
        sys.exit("symbols_bench.py: FAILED: too slow, too large, or too little DWARF")


if __name__ == "__main__":
    main()
