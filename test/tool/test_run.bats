#!/usr/bin/env bats
# test_run.bats: goal: scripts/run gives a program's input, output and exit status through, proves
# the library that served it, and refuses in one line what cannot be preloaded.
# Method: real programs through the launcher that scripts/run uses, and through the script itself.
# DG_LAUNCH and DG_LIBRARY name the launcher and the library; the build's are the default.
# bats sets status, output and stderr; the programs in single quotes expand their own variables.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154

setup() {
    top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd -P)
    launch=${DG_LAUNCH:-$top/build/release/bin/launch}
    library=$(readlink -f "${DG_LIBRARY:-$top/build/release/lib/libjemalloc.so.2}")
    work=$BATS_TEST_TMPDIR
    bats_require_minimum_version 1.5.0
}

launched() {
    run --separate-stderr "$launch" "$library" "$@"
}

is_proved() {
    [[ "$stderr" == *"malloc served by  $library (seen in /proc/"* ]]
}

@test "the shortest program is proved" {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        launched true
        [ "$status" = 0 ]
        [ -z "$output" ]
        is_proved
    done
}

@test "peak memory and time are told" {
    launched sh -c 'head -c 30000000 /dev/zero | tail -n 1 >/dev/null'
    [ "$status" = 0 ]
    mib=$(echo "$stderr" | sed -n 's/^peak RSS *\([0-9]*\).*/\1/p')
    [ "$mib" -ge 28 ]
    [ "$mib" -le 100 ]
    [[ "$stderr" == *" s wall, "*" s user, "*" s system"* ]]
}

@test "input, output, arguments and exit status pass through" {
    printf '#!/bin/sh\ncat\necho "$1"\nexit 7\n' >"$work/program"
    chmod +x "$work/program"
    run --separate-stderr sh -c 'echo hello | "$0" "$@"' "$launch" "$library" "$work/program" "a  b"
    [ "$status" = 7 ]
    [ "$output" = "hello
a  b" ]
    is_proved
}

@test "death by a signal gives 128 and its number" {
    launched sh -c 'kill -9 $$'
    [ "$status" = 137 ]
    is_proved
}

@test "SIGTERM reaches the program" {
    program='trap "exit 5" TERM; echo ready >"$0"; while :; do sleep 0.05; done'
    "$launch" "$library" sh -c "$program" "$work/ready" 2>"$work/stderr" 3>&- &
    pid=$!
    for _ in $(seq 100); do [ -e "$work/ready" ] && break; sleep 0.05; done
    kill -TERM "$pid"
    status=0
    wait "$pid" || status=$?
    [ "$status" = 5 ]
}

@test "an LD_PRELOAD that was there stays behind the library" {
    LD_PRELOAD=libm.so.6 launched sh -c 'echo "$LD_PRELOAD"'
    [ "$output" = "$library:libm.so.6" ]
}

@test "a script counts as its interpreter" {
    printf '#!/bin/sh\necho of a script\n' >"$work/script"
    chmod +x "$work/script"
    launched "$work/script"
    [ "$status" = 0 ]
    [ "$output" = "of a script" ]
    is_proved
}

refused() {
    [ "$status" = "$1" ]
    [ -z "$output" ]
    [ "$(echo "$stderr" | wc -l)" = 1 ]
    [[ "$stderr" == *"$2"* ]]
}

@test "a program that does not exist" {
    run -127 --separate-stderr "$launch" "$library" no-such-program
    refused 127 "there is no program no-such-program"
}

@test "a file that is no program" {
    run -127 --separate-stderr "$launch" "$library" "$top/LICENSE"
    refused 127 "there is no program"
}

@test "a statically linked program" {
    echo 'int main(void) { return 0; }' | gcc -static -x c - -o "$work/static"
    launched "$work/static"
    refused 126 "is statically linked"
}

@test "a program on musl" {
    echo 'int main(void) { return 0; }' | musl-gcc -x c - -o "$work/musl"
    launched "$work/musl"
    refused 126 "runs on musl"
}

@test "a program that changes its user" {
    [ "$(id -u)" = 0 ] || skip "only root can make one"
    cp "$(type -P true)" "$work/other"
    chown nobody "$work/other"
    chmod u+s "$work/other"
    launched "$work/other"
    refused 126 "changes its user"
}

@test "a library that is not there" {
    run --separate-stderr "$launch" "$work/none.so" true
    refused 126 "cannot find the library"
}

@test "a library that cannot be loaded is told, and the status is not 0" {
    echo 'no library' >"$work/broken.so"
    run --separate-stderr "$launch" "$work/broken.so" true
    [ "$status" = 1 ]
    [[ "$stderr" == *"malloc NOT served by $work/broken.so"* ]]
}

@test "scripts/run runs a program on the library of the release build" {
    unset DG_LIBRARY
    run --separate-stderr "$top/scripts/run" python3 -c 'print(sum(range(1000)))'
    [ "$status" = 0 ]
    [ "$output" = 499500 ]
    [[ "$stderr" == *"malloc served by  $top/build/release/lib/libjemalloc.so.2"* ]]
}

@test "scripts/run works from any folder" {
    cd /
    run --separate-stderr "$top/scripts/run" pwd
    [ "$status" = 0 ]
    [ "$output" = / ]
}
