#!/usr/bin/env bats
# The interactive mode, with commands from a pipe and on a terminal. $DG_JEPROF names jeprof,
# session_terminal.py types.

setup() {
    cd "$BATS_TEST_TMPDIR" || exit 1
    export HOME=$PWD
    printf '%s\n' '--- symbol' 'binary=prog' '0x10 leaf' '0x20 main' '0x30 other' --- '--- heap' \
        'heap_v2/1' '@ 0x10 0x21' '  t*: 2: 3000 [0: 0]' '@ 0x30 0x21' '  t*: 1: 500 [0: 0]' >a.heap
}

# session COMMAND...: what standard output gets; standard error goes to told.
session() {
    printf '%s\n' "$@" | "$DG_JEPROF" --interactive --show_bytes a.heap 2>told
}

@test "commands from a pipe, and their order" {
    [ "$(session top1 'top --cum' '' quit top)" = "Total: 3500 B
    3000  85.7%  85.7%     3000  85.7% leaf
Total: 3500 B
       0   0.0%   0.0%     3500 100.0% main
    3000  85.7%  85.7%     3000  85.7% leaf
     500  14.3% 100.0%      500  14.3% other" ]
    [ "$(cat told)" = "Welcome to jeprof!  For help, type 'help'.
(jeprof) (jeprof) (jeprof) (jeprof) " ]
}

@test "the end of the input ends it, and an unknown command does not" {
    session peek >out
    [ ! -s out ]
    grep -q "Unknown command: try 'help'" told
    [[ "$(session help)" == "Commands:"*"disasm REGEXP"* ]]
}

@test "stacks are chosen for one command" {
    [ "$(session 'top other' 'top -other' 'text main -leaf' top1)" = "Total: 3500 B
After focusing on 'other': 500 B of 3500 (14.3%)
     500 100.0% 100.0%      500 100.0% other
       0   0.0% 100.0%      500 100.0% main
Total: 3500 B
After ignoring 'other': 3000 B of 3500 (85.7%)
    3000 100.0% 100.0%     3000 100.0% leaf
       0   0.0% 100.0%     3000 100.0% main
Total: 3500 B
After focusing on 'main': 3500 B of 3500 (100.0%)
After ignoring 'leaf': 500 B of 3500 (14.3%)
     500 100.0% 100.0%      500 100.0% other
       0   0.0% 100.0%      500 100.0% main
Total: 3500 B
    3000  85.7%  85.7%     3000  85.7% leaf" ]
}

@test "options of the command line stay" {
    printf 'top -none\ntop -other\n' |
        "$DG_JEPROF" --interactive --inuse_objects --ignore=leaf a.heap >out 2>told
    [ "$(cat out)" = "Total: 3 objects
After ignoring 'none': 1 objects of 3 (33.3%)
       1 100.0% 100.0%        1 100.0% other
       0   0.0% 100.0%        1 100.0% main
Total: 3 objects
After ignoring 'other': 0 objects of 3 (0.0%)" ]
    grep -q "the filters leave nothing" told
}

@test "reports into files, pictures, and graphs for other programs" {
    [ -z "$(session 'top2 > top.txt' 'svg leaf > a.svg' 'callgrind a.callgrind')" ]
    [ "$(wc -l <top.txt)" -eq 3 ]
    grep -q '>leaf</text>' a.svg
    [ "$(grep -c '>other</text>' a.svg)" -eq 0 ]
    grep -q '^events: Hits' a.callgrind
    [ "$(session collapsed)" = "main;leaf 3000
main;other 500" ]
    [[ "$(session 'dot')" == 'digraph "prog; 3500 B" {'* ]]
    session 'top > /nowhere/x' 'top (' callgrind 'list leaf' top1 >out
    grep -q '/nowhere/x: No such file' told
    grep -q 'no regular expression' told
    grep -q 'jeprof: --list needs the program' told
    [ "$(tail -n 1 out)" = "    3000  85.7%  85.7%     3000  85.7% leaf" ]
}

@test "viewers are started from a session" {
    mkdir tools
    cat >tools/gv <<EOF
#!/bin/sh
head -c 4 "\$3" >'$PWD/seen.new'
mv '$PWD/seen.new' '$PWD/seen'
EOF
    chmod +x tools/gv
    printf 'gv leaf\n' | TMPDIR=$PWD "$DG_JEPROF" --interactive --tools="$PWD/tools" a.heap
    for _ in $(seq 600); do
        [ ! -e seen ] || break
        sleep .05
    done
    [ "$(cat seen)" = '%!PS' ]
}

@test "without a format a terminal gets a session, with history and completion" {
    run python3 "$BATS_TEST_DIRNAME/session_terminal.py" "$DG_JEPROF" --show_bytes a.heap
    echo "$output"
    [ "$status" -eq 0 ]
    grep -q 'top3' .jeprof_history
}

@test "without a terminal the default is the table" {
    [ "$("$DG_JEPROF" --show_bytes a.heap </dev/null | head -n 1)" = "Total: 3500 B" ]
}
