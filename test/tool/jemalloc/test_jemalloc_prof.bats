#!/usr/bin/env bats
# jemalloc prof: a program that was started without profiling is switched on and off from outside,
# and writes profiles that jeprof reads; what cannot be asked is told in one line with its exit
# code, and nothing happens there then. $DG_JEMALLOC, $DG_JEPROF, $DG_LIBRARY and $DG_ASKED name the
# programs and the library; $DG_ASKED_STATIC has the library linked in, where that can be built.
# bats sets status, lines and output.
# shellcheck disable=SC2030,SC2031,SC2154

setup() {
    work=$(mktemp -d /tmp/test_jemalloc_prof.XXXXXX)
    chmod 755 "$work"
    cd "$work" || exit 1
    mkfifo orders answers
    exec 7<>orders 8<>answers
    pids=()
}

teardown() {
    exec 7>&- 8>&-
    for pid in "${pids[@]}"; do
        kill -CONT "$pid" 2>/dev/null || true
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}

# heard WORD: the next line that the program says begins so.
heard() {
    read -r -t 60 -u 8 line && [[ "$line" == "$1"* ]]
}

# start PROGRAM...: in the background, its number is $pid. Profiling is off.
start() {
    "$@" <orders >answers 7>&- 8>&- 3>&- &
    pid=$!
    pids+=("$pid")
    heard ready
}

# finish: ends that program, so that it takes no orders any more.
finish() {
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null || true
}

start_asked() {
    start env -u MALLOC_CONF LD_PRELOAD="$DG_LIBRARY" "$DG_ASKED"
}

order() {
    printf '%s' "$1" >&7
    heard "done $1"
}

prof() {
    run "$DG_JEMALLOC" prof "$@"
}

# fails_with CODE TEXT ARGUMENT...: that exit code, one line on standard error, and the text in it.
fails_with() {
    code=$1 text=$2
    shift 2
    prof "$@"
    [ "$status" -eq "$code" ] && [ "${#lines[@]}" -eq 1 ] &&
        [[ "$output" == "jemalloc prof: "*"$text"* ]]
}

is_on() {
    prof status "$pid"
    [[ "${lines[0]}" == *": profiling is on, a sample each 2^19 bytes" ]]
}

was_never_on() {
    prof status "$pid"
    [[ "${lines[0]}" == *": profiling is off, and was never on" ]]
}

@test "on, a leak, a dump: jeprof names the function" {
    start_asked
    was_never_on
    order t
    prof on "$pid"
    [ "$status" -eq 0 ] && [ "$output" = "process $pid (asked_program): profiling is on" ]
    is_on
    for _ in 1 2 3 4 5; do order l; done
    prof dump "$pid"
    [ "$status" -eq 0 ] && [ "$output" = "$work/jeprof.$pid.0.m0.heap" ]
    run "$DG_JEPROF" --text --drop_negative "$output"
    [ "$status" -eq 0 ]
    [[ "${lines[1]}" == *" leak_in_one_place" ]]
}

@test "a dump under a name of one's own, from another folder" {
    start_asked
    order t
    prof on "$pid"
    order l
    mkdir other
    cd other
    prof dump --out mine.heap "$pid"
    [ "$status" -eq 0 ] && [ "$output" = "$work/other/mine.heap" ]
    grep -q '^heap_v2/524288' mine.heap
    prof dump -o "$work/whole.heap" --json "$pid"
    [ "$status" -eq 0 ]
    echo "$output" | python3 -c 'import json, sys
answer = json.load(sys.stdin)
assert answer["done"] is True and answer["file"].endswith("/whole.heap"), answer'
    fails_with 1 "cannot write $work/no/such.heap" dump -o "$work/no/such.heap" "$pid"
}

@test "off: what comes then is in no profile" {
    start_asked
    order t
    prof on "$pid"
    prof off "$pid"
    [ "$status" -eq 0 ] && [ "$output" = "process $pid (asked_program): profiling is off" ]
    prof status "$pid"
    [[ "${lines[0]}" == *": profiling is off, a sample each 2^19 bytes" ]]
    for _ in 1 2 3 4 5; do order l; done
    prof dump "$pid"
    [ "$status" -eq 0 ]
    run "$DG_JEPROF" --text "$output"
    [[ "$output" != *leak_in_one_place* ]]
}

@test "no dump before on, and none without a name" {
    start_asked
    order t
    fails_with 1 "profiling was never on in process $pid" dump "$pid"
    was_never_on
    finish
    start env MALLOC_CONF=prof_prefix: LD_PRELOAD="$DG_LIBRARY" "$DG_ASKED"
    order t
    prof on "$pid"
    [ "$status" -eq 0 ]
    fails_with 1 "name a file by --out" dump "$pid"
    prof dump -o named.heap "$pid"
    [ "$status" -eq 0 ] && [ -s named.heap ]
}

@test "an idle process: nothing is done, not later either" {
    start_asked
    fails_with 1 "did not allocate meanwhile" on --timeout 1 "$pid"
    fails_with 1 "did not allocate meanwhile" on --timeout 0 "$pid"
    order a
    was_never_on
}

@test "what a killed or interrupted command asked for is withdrawn" {
    start_asked
    "$DG_JEMALLOC" prof on "$pid" 3>&- &
    asker=$!
    until "$DG_JEMALLOC" prof status --json "$pid" | grep -q '"request_waits": true'; do
        sleep 0.01
    done
    kill -KILL "$asker"
    wait "$asker" || true
    fails_with 1 "did not allocate meanwhile" off --timeout 0 "$pid"
    order a
    was_never_on
    "$DG_JEMALLOC" prof on "$pid" 2>told 3>&- &
    asker=$!
    until "$DG_JEMALLOC" prof status --json "$pid" | grep -q '"request_waits": true'; do
        sleep 0.01
    done
    kill -TERM "$asker"
    code=0
    wait "$asker" || code=$?
    [ "$code" -eq 1 ] && grep -q "interrupted: nothing was done in process $pid" told
    order a
    was_never_on
}

@test "a stopped process is not asked, and tells its status" {
    start_asked
    kill -STOP "$pid"
    until grep -q '^State:.T' "/proc/$pid/status"; do sleep 0.01; done
    fails_with 1 "is stopped: it can answer when it goes on" on "$pid"
    prof status --json "$pid"
    [ "$status" -eq 0 ] && [[ "$output" == *'"stopped": true'* ]]
    [[ "$output" == *'"request_waits": false'* ]]
    kill -CONT "$pid"
    order a
    was_never_on
}

@test "no process, a zombie, a thread of the kernel" {
    fails_with 4 "there is no process 4194305" status 4194305
    python3 -c 'import os, sys
child = os.fork()
if child == 0: os._exit(0)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
print(child, flush=True)
sys.stdin.read(1)' <orders >answers 3>&- 7>&- 8>&- &
    pids+=("$!")
    read -r -t 60 -u 8 zombie
    fails_with 4 "a zombie" on "$zombie"
    if [ "$(cat /proc/2/comm 2>/dev/null)" = kthreadd ]; then
        fails_with 3 "thread of the kernel" status 2
    fi
}

@test "a process without the library, or with another jemalloc" {
    start "$DG_ASKED"
    fails_with 4 "does not have the library" on "$pid"
    finish
    other=$(find /usr/lib -name libjemalloc.so.2 2>/dev/null | head -n 1)
    [ -n "$other" ] || skip "no other jemalloc is installed"
    start env LD_PRELOAD="$other" "$DG_ASKED"
    fails_with 3 "has another jemalloc, which cannot be asked: $other" on "$pid"
    fails_with 3 "has another jemalloc" status "$pid"
}

@test "a program of 32 bits" {
    # An i386 program that calls pause() for ever.
    python3 -c 'import struct
code = bytes.fromhex("b81d000000cd80ebf7")
base, at = 0x8048000, 84
open("small", "wb").write(
    b"\x7fELF\x01\x01\x01" + bytes(9) +
    struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + at, 52, 0, 0, 52, 32, 1, 0, 0, 0) +
    struct.pack("<8I", 1, 0, base, base, at + len(code), at + len(code), 5, 4096) + code)'
    chmod +x small
    ./small 3>&- 7>&- 8>&- &
    pid=$!
    pids+=("$pid")
    sleep 0.2
    [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$work/small" ] || skip "no 32-bit programs here"
    fails_with 3 "a program of 32 bits" on "$pid"
}

@test "whoever may not trace the process may not ask it" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to be somebody else"
    start_asked
    order t
    install -m 755 "$DG_JEMALLOC" "$work/jemalloc"
    nobody=(--reuid=65534 --regid=65534 --clear-groups)
    for action in on off dump status; do
        run setpriv "${nobody[@]}" "$work/jemalloc" prof "$action" "$pid"
        [ "$status" -eq 1 ] && [ "${#lines[@]}" -eq 1 ]
        [[ "$output" == *"of user root may not be traced by this user"* ]]
    done
    was_never_on
    finish
    start setpriv "${nobody[@]}" env LD_PRELOAD="$DG_LIBRARY" "$DG_ASKED"
    order t
    prof on "$pid"
    [ "$status" -eq 0 ]
    fails_with 1 "cannot write" dump "$pid"
    chmod 777 "$work"
    prof dump "$pid"
    [ "$status" -eq 0 ] && [ "$(stat -c %u "$output")" -eq 65534 ]
}

@test "commands at the same time: each is done once" {
    start_asked
    order t
    prof on "$pid"
    for i in 1 2 3 4 5 6 7 8; do
        "$DG_JEMALLOC" prof dump --timeout 60 "$pid" >"file.$i" 3>&- &
        pids+=("$!")
    done
    for i in 1 2 3 4 5 6 7 8; do
        wait "${pids[$i]}"
    done
    [ "$(cat file.* | sort -u | wc -l)" -eq 8 ]
    [ "$(find . -name '*.heap' | wc -l)" -eq 8 ]
    while read -r file; do
        head -n 1 "$file" | grep -q '^heap_v2/524288'
    done < <(cat file.*)
}

@test "while another thread loads libraries" {
    start_asked
    order d
    order t
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        prof on "$pid"
        [ "$status" -eq 0 ]
        prof off "$pid"
        [ "$status" -eq 0 ]
    done
    prof dump "$pid"
    [ "$status" -eq 0 ]
    order a
}

@test "a forked child leaves alone what its parent was asked" {
    start_asked
    "$DG_JEMALLOC" prof on --timeout 60 "$pid" 3>&- 2>told &
    asker=$!
    pids+=("$asker")
    until "$DG_JEMALLOC" prof status --json "$pid" | grep -q '"request_waits": true'; do
        sleep 0.01
    done
    printf f >&7
    for _ in 1 2; do
        read -r -t 60 -u 8 line
        [[ "$line" != child* ]] || child=${line#child }
    done
    pids+=("$child")
    was_never_on # ... the parent, which allocates nothing
    prof status --json "$child"
    [[ "$output" == *'"active": false'* ]] && [[ "$output" == *'"request_waits": false'* ]]
    [ ! -e "/proc/$asker/status" ] || kill -TERM "$asker"
}

@test "in another PID namespace" {
    unshare --pid --fork true 2>/dev/null || skip "no namespaces for this user"
    start unshare --pid --fork env LD_PRELOAD="$DG_LIBRARY" "$DG_ASKED"
    pid=$(cat "/proc/$pid/task/$pid/children")
    pid=${pid%% *}
    pids+=("$pid")
    order t
    prof on "$pid"
    [ "$status" -eq 0 ]
    prof dump "$pid"
    [ "$status" -eq 0 ] && [ "$output" = "$work/jeprof.1.0.m0.heap" ] && [ -s "$output" ]
}

@test "a static program" {
    [ -n "$DG_ASKED_STATIC" ] || skip "libc has no archive here"
    start "$DG_ASKED_STATIC"
    order t
    prof on "$pid"
    [ "$status" -eq 0 ]
    for _ in 1 2 3 4 5; do order l; done
    prof dump "$pid"
    [ "$status" -eq 0 ] && [ "$output" = "$work/jeprof.$pid.0.m0.heap" ]
    run "$DG_JEPROF" --text "$output"
    [[ "$output" == *" leak_in_one_place"* ]]
}

@test "in another root folder" {
    [ -n "$DG_ASKED_STATIC" ] || skip "libc has no archive here"
    [ "$(id -u)" -eq 0 ] || skip "needs root"
    mkdir -p root/tmp
    install -m 755 "$DG_ASKED_STATIC" root/asked_static
    start chroot "$work/root" /asked_static
    order t
    prof on "$pid"
    [ "$status" -eq 0 ]
    fails_with 2 "has another root folder" dump -o mine.heap "$pid"
    prof dump -o /tmp/mine.heap "$pid"
    [ "$status" -eq 0 ] && [ "$output" = "/proc/$pid/root/tmp/mine.heap" ] && [ -s "$output" ]
    [ -s "$work/root/tmp/mine.heap" ]
    prof dump "$pid"
    [ "$status" -eq 0 ] && [ "$output" = "/proc/$pid/cwd/jeprof.$pid.0.m0.heap" ]
    [ -s "$output" ]
}

@test "the library's file is gone" {
    install -m 755 "$DG_LIBRARY" "$work/libjemalloc.so.2"
    start env LD_PRELOAD="$work/libjemalloc.so.2" "$DG_ASKED"
    rm libjemalloc.so.2
    order t
    prof on "$pid"
    [ "$status" -eq 0 ]
    is_on
}

@test "a process that ends while it is asked" {
    start_asked
    "$DG_JEMALLOC" prof on --timeout 60 "$pid" 3>&- 2>told &
    asker=$!
    until "$DG_JEMALLOC" prof status --json "$pid" | grep -q '"request_waits": true'; do
        sleep 0.01
    done
    kill -KILL "$pid"
    code=0
    wait "$asker" || code=$?
    [ "$code" -eq 1 ] && grep -q "process $pid ended, or began another program" told
}

@test "help, version and wrong words" {
    run "$DG_JEMALLOC" --version
    [ "$status" -eq 0 ] && [[ "$output" == "jemalloc 5.3.1 (dg-jemalloc)" ]]
    run "$DG_JEMALLOC" --help
    [ "$status" -eq 0 ] && [[ "$output" == *"prof on|off|dump|status PID"* ]]
    run "$DG_JEMALLOC"
    [ "$status" -eq 2 ]
    run "$DG_JEMALLOC" no-such-verb
    [ "$status" -eq 2 ] && [ "${#lines[@]}" -eq 1 ]
    prof --help
    [ "$status" -eq 0 ] && [[ "$output" == *"Examples:"* ]]
    fails_with 2 "an action and a PID" on
    fails_with 2 "an action and a PID" on 1 2
    fails_with 2 "there is no such action" begin 1
    fails_with 2 "this is no number of a process" on x1
    fails_with 2 "this is no number of a process" on 0
    fails_with 2 "this is no number of a process" on 99999999999
    fails_with 2 "--out is for dump alone" on -o x 1
    fails_with 2 "--bad: unknown option" on --bad 1
    prof on --json 4194305
    [ "$status" -eq 4 ] && [[ "$output" == *'"exit_code": 4'* ]]
}
