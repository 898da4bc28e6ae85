#!/usr/bin/env bats
# jeprof as a program: what it is given wrong, it tells in one line, with status 1; help and
# version; which of its arguments is the program. $DG_JEPROF names it;
# $DG_LIBRARY our library, if the build has one that programs can run on, and $DG_PATHS a program.

setup() {
    cd "$BATS_TEST_TMPDIR" || exit 1
    printf '%s\n' 'heap_v2/1' '  t*: 2: 3000 [0: 0]' '  t0: 1: 1000 [0: 0]' '@ 0x10 0x21' \
        '  t*: 2: 3000 [0: 0]' '  t0: 1: 1000 [0: 0]' '' 'MAPPED_LIBRARIES:' \
        '1-100 r-xp 00000000 00:00 0 ' >plain.heap
    printf '%s\n' '--- symbol' 'binary=prog' '0x10 leaf' '0x20 main' --- '--- heap' >named.heap
    cat plain.heap >>named.heap
}

# fails_with TEXT COMMAND...: status 1, nothing but one line, and the text is in it.
fails_with() {
    text=$1
    shift
    run "$@"
    [ "$status" -eq 1 ] && [ "${#lines[@]}" -eq 1 ] && [[ "$output" == "jeprof: "*"$text"* ]]
}

@test "a profile alone, and behind a program" {
    run "$DG_JEPROF" --show_bytes named.heap
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "Total: 3000 B" ]
    [ "${lines[1]}" = "    3000 100.0% 100.0%     3000 100.0% leaf" ]
    [ "${lines[2]}" = "       0   0.0% 100.0%     3000 100.0% main" ]
    run "$DG_JEPROF" -text -inuse_objects "$DG_JEPROF" named.heap
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "Total: 2 objects" ]
}

@test "a thread, with its name in the first line" {
    run "$DG_JEPROF" --show_bytes --thread=0 named.heap
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "Total (t0): 1000 B" ]
}

@test "two profiles are added up, and that is said" {
    run "$DG_JEPROF" --show_bytes named.heap named.heap
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" == "jeprof: the 2 profiles are added up (--base="* ]]
    [ "${lines[1]}" = "Total: 6000 B" ]
}

@test "--raw writes what can be read without the program, as often as one likes" {
    "$DG_JEPROF" --raw named.heap >once
    "$DG_JEPROF" --raw once >twice
    cmp once twice
    [ "$(sed -n '/^heap_v2/,$p' once)" = "$(cat plain.heap)" ]
    [ "$("$DG_JEPROF" --collapsed twice)" = "main;leaf 3000" ]
}

@test "--symbolize writes lines too, which --lines then shows" {
    "$DG_JEPROF" --symbolize named.heap >once
    grep -qx "SOURCE_LINES:" once
    run "$DG_JEPROF" --lines --show_bytes once
    [ "$status" -eq 0 ] && [[ "${lines[1]}" == *" leaf ??:?" ]]
    fails_with "--symbolize writes one profile" "$DG_JEPROF" --symbolize --base=once named.heap
}

@test "reports for other programs: of two dumps apart, and with nothing in them" {
    [ "$("$DG_JEPROF" --json named.heap plain.heap | grep -c '"base":false')" = 2 ]
    [ "$("$DG_JEPROF" --json --base=plain.heap named.heap | grep -c '"base":true')" = 1 ]
    run "$DG_JEPROF" --flame named.heap named.heap
    [ "$status" -eq 0 ] && [[ "${lines[0]}" == "jeprof: the 2 profiles are added up"* ]]
    printf 'heap_v2/524288\n  t*: 0: 0 [0: 0]\n' >empty.heap
    for report in flame proto speedscope json; do
        fails_with "the profile is empty" "$DG_JEPROF" --$report empty.heap
    done
    fails_with "there is no difference" "$DG_JEPROF" --speedscope --base=named.heap named.heap
}

@test "--symbols names addresses, and shows those without a name" {
    printf '%s\n' '1-100 r-xp 00000000 00:00 0 ' 0x10 0x20 >input
    run "$DG_JEPROF" --symbols "$DG_JEPROF" <input
    [ "$status" -eq 0 ]
    [ "$output" = "0x0000000000000010
0x0000000000000020" ]
}

@test "files that are not there, or are something else" {
    fails_with "none.heap: No such file or directory (a dump is written at exit with" \
        "$DG_JEPROF" --text "$DG_JEPROF" none.heap
    [[ "$output" == *"prof_final:true; the newest dump there is ./"*".heap)" ]]
    fails_with "noprogram: No such file" "$DG_JEPROF" noprogram named.heap
    fails_with ":1: this is no heap profile" "$DG_JEPROF" "$DG_JEPROF"
    head -c 60 plain.heap >cut.heap
    fails_with "the last line is cut" "$DG_JEPROF" cut.heap
}

@test "reports with nothing in them" {
    printf 'heap_v2/524288\n  t*: 0: 0 [0: 0]\n' >empty.heap
    fails_with "the profile is empty" "$DG_JEPROF" empty.heap
    fails_with "prof_accum:true" "$DG_JEPROF" --alloc_space named.heap
    fails_with "no samples of thread 7" "$DG_JEPROF" --thread=7 named.heap
    run "$DG_JEPROF" --show_bytes --focus=nobody named.heap
    [ "$status" -eq 1 ]
    [ "$output" = "Total: 3000 B
jeprof: the filters leave nothing" ]
    fails_with "there is no difference" "$DG_JEPROF" --base=named.heap named.heap
}

@test "options that are wrong, or for other profiles" {
    fails_with "--bogus: unknown option" "$DG_JEPROF" --bogus named.heap
    fails_with "no profile is named" "$DG_JEPROF" --text
    fails_with "only one of the options for reports" "$DG_JEPROF" --text --raw named.heap
    fails_with "only one of the options for rows" "$DG_JEPROF" --lines --files named.heap
    fails_with "only one of the options for what is counted" \
        "$DG_JEPROF" --inuse_space --alloc_space named.heap
    fails_with "--focus: \"(be\" is no regular expression" "$DG_JEPROF" --focus='(be' named.heap
    fails_with "--thread=x: this is no number" "$DG_JEPROF" --thread=x named.heap
    fails_with "--raw writes one profile" "$DG_JEPROF" --raw --base=named.heap named.heap
    fails_with "--lines needs the program" "$DG_JEPROF" --lines named.heap
    for option in total_delay contentions mean_delay; do
        fails_with "are for contention profiles: this jeprof reads heap profiles" \
            "$DG_JEPROF" --$option named.heap
    done
    fails_with "--list needs the program" "$DG_JEPROF" --list=leaf named.heap
    fails_with "--disasm needs the program" "$DG_JEPROF" --disasm=leaf named.heap
}

@test "options of pictures change nothing in a table" {
    run "$DG_JEPROF" --nodecount=1 --nodefraction=.5 --edgefraction=.5 --maxdegree=1 --scale=2 \
        --heapcheck --tools=/usr/bin --debug-syms-by-id named.heap
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 3 ]
}

@test "jeprof checks itself" {
    run "$DG_JEPROF" --test
    [ "$status" -eq 0 ]
    [ "${lines[${#lines[@]}-1]}" = PASS ]
}

@test "help, version, and a report that cannot be written" {
    run "$DG_JEPROF" --help
    [ "$status" -eq 0 ]
    [[ "$output" == *"--drop_negative"*"PROFILE"* ]]
    run "$DG_JEPROF" --version
    [ "$status" -eq 0 ]
    [[ "$output" == "jeprof "*"(dg-jemalloc)" ]]
    run sh -c "'$DG_JEPROF' named.heap >/dev/full"
    [ "$status" -eq 1 ]
    [ "$output" = "jeprof: the report could not be written" ]
}

@test "what jemalloc's script printed for the kept dumps" {
    cd "$BATS_TEST_DIRNAME/dumps" || exit 1
    for expected in *.expected; do
        read -r -a words <"$expected"
        run "$DG_JEPROF" "${words[@]:1}"
        [ "$status" -eq 0 ] && [ "$output" = "$(tail -n +2 "$expected")" ] || {
            echo "$expected: $output"
            return 1
        }
    done
}

@test "a dump of our library names the line of the call, not the next" {
    [ -n "$DG_LIBRARY" ] || skip "no library in this build"
    line=$(grep -n 'void \*block = malloc' "$BATS_TEST_DIRNAME/profiled_paths.c" | cut -d: -f1)
    MALLOC_CONF=prof:true,prof_final:true,lg_prof_sample:0,prof_prefix:own \
        LD_PRELOAD=$DG_LIBRARY "$DG_PATHS"
    run "$DG_JEPROF" --lines --show_bytes "$DG_PATHS" own.*.heap
    [ "$status" -eq 0 ]
    [[ "$output" == *"profiled_paths.c:$line"* ]]
    [[ "$output" != *"profiled_paths.c:$((line + 1))"* ]]
}
