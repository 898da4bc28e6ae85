#!/usr/bin/env bats
# Source and instructions with counts, of a real program. $DG_JEPROF names jeprof, $DG_PATHS the
# program, whose addresses are looked up as it was linked: the profile has no mappings.

setup() {
    cd "$BATS_TEST_TMPDIR" || exit 1
    in_leaf=$(call_in leaf malloc)
    in_a=$(call_in path_a leaf)
    # The instruction itself is the innermost; a return address stands behind its call.
    printf '%s\n' heap_v2/1 "@ 0x$in_leaf $(printf 0x%x $((0x$in_a + 1)))" \
        '  t*: 2: 3000 [0: 0]' "@ 0x$in_a" '  t*: 1: 500 [0: 0]' >a.heap
}

# The address of the first call of a function to another.
call_in() {
    objdump -d --no-show-raw-insn "$DG_PATHS" |
        sed -n "/<$1>:/,/^\$/ { /call.*<$2/ { s/^ *\([0-9a-f]*\):.*/\1/p; q; } }"
}

fails_with() {
    text=$1
    shift
    run "$@"
    [ "$status" -eq 1 ] && [ "${#lines[@]}" -eq 1 ] && [[ "$output" == "jeprof: "*"$text"* ]]
}

@test "--list: a function's source, with the counts of each line" {
    run "$DG_JEPROF" --list='^leaf$' --show_bytes "$DG_PATHS" a.heap
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == "ROUTINE ====================== leaf in /"*"/profiled_paths.c" ]]
    [ "${lines[1]}" = "  3000   3000 Total B (flat / cumulative)" ]
    [ "$(grep -c '^---$' <<<"$output")" -eq 2 ]
    [[ "$output" == *"
  3000   3000   "*":     void *block = malloc(size);
     .      .   "*":     memset(block, 1, size);"* ]]
}

@test "--list: callers, in MB and in objects, the largest first" {
    run "$DG_JEPROF" --list='leaf|path_a' --inuse_objects "$DG_PATHS" a.heap
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == *" path_a in "* ]]
    [ "${lines[1]}" = "     1      3 Total objects (flat / cumulative)" ]
    [[ "$output" == *"     1      3 "*":         keep(leaf(100 + (size_t)i % 50));"* ]]
    [[ "$output" == *"ROUTINE ====================== leaf in "* ]]
    run "$DG_JEPROF" --list='path_a' "$DG_PATHS" a.heap
    [ "${lines[1]}" = "   0.0    0.0 Total MB (flat / cumulative)" ]
}

@test "--disasm: a function's instructions, below their lines" {
    run "$DG_JEPROF" --disasm='^leaf$' --show_bytes "$DG_PATHS" a.heap
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "ROUTINE ====================== leaf" ]
    [ "${lines[1]}" = "  3000   3000 B (flat, cumulative) 85.7% of total" ]
    [[ "${lines[2]}" == "-------------------- /"*"/profiled_paths.c" ]]
    grep -Eq "^  3000   3000 +[0-9]+: void \*block = malloc\(size\);" <<<"$output"
    grep -Eq "^  3000   3000 +$in_leaf: call .*malloc" <<<"$output"
    grep -Eq "^     \.      \. +[0-9a-f]+:    ret" <<<"$output"
    [ "$(grep -c ': memset(block, 1, size);' <<<"$output")" -eq 1 ] # above several instructions
    [ "$(grep -c ': call .*malloc' <<<"$output")" -eq 1 ]
    run "$DG_JEPROF" --disasm='path_a' --show_bytes "$DG_PATHS" a.heap
    grep -Eq "^   500   3500 +$in_a: call .*leaf" <<<"$output"
}

@test "a program without lines has instructions, and no source" {
    cp "$DG_PATHS" stripped
    strip --strip-debug stripped
    run "$DG_JEPROF" --disasm='^leaf$' --show_bytes stripped a.heap
    [ "$status" -eq 0 ]
    [ "$(grep -c -- --- <<<"$output")" -eq 0 ]
    grep -Eq "^  3000   3000 +$in_leaf: call .*malloc" <<<"$output"
    fails_with 'no function in the profile matches "leaf"' "$DG_JEPROF" --list=leaf stripped a.heap
}

@test "functions, sources and programs that are not there" {
    fails_with 'no function in the profile matches "nobody"' \
        "$DG_JEPROF" --list=nobody "$DG_PATHS" a.heap
    fails_with 'no function in the profile matches "nobody"' \
        "$DG_JEPROF" --disasm=nobody "$DG_PATHS" a.heap
    fails_with "no regular expression" "$DG_JEPROF" --list='(' "$DG_PATHS" a.heap
    fails_with "no regular expression" "$DG_JEPROF" --disasm='(' "$DG_PATHS" a.heap
    fails_with "objdump, which is not installed (package binutils)" \
        env PATH=/nowhere "$DG_JEPROF" --disasm=leaf "$DG_PATHS" a.heap
    printf '%s\n' 'void *malloc(unsigned long);' 'void *f(void)' '{' '    return malloc(8);' '}' \
        'int main(void) { return f() == 0; }' >f.c
    cc -g -O0 -o f f.c
    mv f.c moved.c
    program=./f
    printf 'heap_v2/1\n@ 0x%s\n  t*: 1: 8 [0: 0]\n' \
        "$(DG_PATHS=f; call_in f malloc)" >f.heap
    run "$DG_JEPROF" --list='^f$' "$program" f.heap
    [ "$status" -eq 1 ]
    [ "${lines[0]}" = "jeprof: $(pwd -P)/f.c: No such file or directory" ]
    run "$DG_JEPROF" --disasm='^f$' --show_bytes "$program" f.heap
    [ "$status" -eq 0 ]
    grep -Eq '^     8      8 +[0-9a-f]+: call ' <<<"$output"
}
