#!/usr/bin/env bats
# test_redis_demo.bats: goal: the demonstration of scripts/run proves both libraries from the maps,
# shows measured figures, and leaves no process and no folder behind, also when it is interrupted.
# Method: the real demonstration with 2 % of its load, once to the end and once stopped by SIGTERM.
# DG_LIBRARY names the library; the release build's is the default.
# bats sets status, output, stderr and lines.
# shellcheck disable=SC2154

setup() {
    top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd -P)
    library=$(readlink -f "${DG_LIBRARY:-$top/build/release/lib/libjemalloc.so.2}")
    bats_require_minimum_version 1.5.0
    export TMPDIR=$BATS_TEST_TMPDIR/tmp DG_DEMO_PERCENT=2 DG_DEMO_IDLE=0
    mkdir "$TMPDIR"
}

# No server that the demonstration told of is alive, and its folder is gone.
nothing_is_left() {
    while read -r pid; do
        [ ! -e "/proc/$pid" ] || return 1
    done < <(sed -n 's/.*(PID \([0-9]*\), .*/\1/p' "$1")
    [ -z "$(ls -A "$TMPDIR")" ]
}

@test "the table is whole and proved, and nothing is left" {
    run --separate-stderr "$top/scripts/redis_demo" "$library"
    [ "$status" = 0 ]
    echo "$stderr" >"$BATS_TEST_TMPDIR/stderr"
    [ "$(grep -c '(PID ' "$BATS_TEST_TMPDIR/stderr")" = 2 ]
    nothing_is_left "$BATS_TEST_TMPDIR/stderr"
    [[ "$output" == *"malloc served by $library"* ]]
    [ "$(grep -cE '^ +Version: 5\.3\.[01]-0-g[0-9a-f]{40}$' <<<"$output")" = 2 ]
    [ "$(grep -cE '^requests per second +[0-9]{4,} +[0-9]{4,}$' <<<"$output")" = 1 ]
    [ "$(grep -cE '^peak RSS, MiB +[0-9.]+ +[0-9.]+$' <<<"$output")" = 1 ]
    [ "$(grep -cE '^RSS 0 s after FLUSHALL +[0-9.]+ +[0-9.]+$' <<<"$output")" = 1 ]
}

@test "interrupted, it leaves nothing" {
    export DG_DEMO_PERCENT=100
    "$top/scripts/redis_demo" "$library" >"$TMPDIR.out" 2>"$TMPDIR.err" 3>&- &
    demo=$!
    for _ in $(seq 100); do
        grep -q '(PID ' "$TMPDIR.err" && break
        sleep 0.1
    done
    sleep 0.5
    kill -TERM "$demo"
    wait "$demo" || true
    grep -q '(PID ' "$TMPDIR.err"
    nothing_is_left "$TMPDIR.err"
}

@test "a library that is not there: one line" {
    run --separate-stderr "$top/scripts/redis_demo" "$BATS_TEST_TMPDIR/none.so"
    [ "$status" = 1 ]
    [ "$stderr" = "redis_demo: there is no library $BATS_TEST_TMPDIR/none.so" ]
}
