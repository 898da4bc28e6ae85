#!/usr/bin/env bats
# Profiles that a program serves: what is asked of it, what is kept, and what is told when it fails.
# $DG_JEPROF names jeprof; the server is remote_server.py.

setup() {
    cd "$BATS_TEST_TMPDIR" || exit 1
    export HOME=$PWD no_proxy='*' NO_PROXY='*'
    unset JEPROF_TMPDIR
    printf '%s\n' heap_v2/1 '@ 0x10 0x21' '  t*: 2: 3000 [0: 0]' '@ 0x30 0x21' \
        '  t*: 1: 500 [0: 0]' >profile
    printf '%s\n' '0x0000000000000010 leaf(int)' '0x0000000000000020 main' \
        '0x0000000000000030 big--small' >names
    python3 "$BATS_TEST_DIRNAME/remote_server.py" "$PWD" 3>&- &
    server=$!
    for _ in $(seq 600); do
        [ ! -e port ] || break
        sleep .05
    done
    at=127.0.0.1:$(cat port)
}

teardown() {
    kill "$server"
}

@test "a profile, named by its server" {
    "$DG_JEPROF" --text --show_bytes "http://$at/pprof/heap" >table 2>told
    [ "$(head -n 1 table)" = "Total: 3500 B" ]
    [ "$(tail -n +2 table | awk '{ print $1, $4, $6 }')" = "3000 3000 leaf
500 500 small
0 500 big
0 3500 main" ]
    [ "$(head -n 1 told)" = "jeprof: fetching http://$at/pprof/heap" ]
    kept=$(sed -n 's/^jeprof: the profile is kept as //p' told)
    [[ "$kept" == "$HOME/jeprof/127.0.0.1."*.heap ]]
    cmp "$kept" profile
    [ "$(cat log)" = "GET /pprof/heap
GET /pprof/cmdline
POST /pprof/symbol 0x0000000000000010+0x0000000000000020+0x0000000000000030" ]
}

@test "ways to name a profile" {
    for name in "$at" "http://$at" "http://$at/" "$at/pprof/heap" "http://$at/debug/pprof/heap" \
        "http://$at/debug/" "http://$at/pprof/growth" "http://$at/pprof/heap?a=b" \
        "http://$at/moved/pprof/heap"; do
        run "$DG_JEPROF" --text --show_bytes "$name"
        [ "$status" -eq 0 ]
        [[ "$output" == *"Total: 3500 B"* ]]
    done
    grep -q 'GET /debug/pprof/heap' log
    grep -q 'POST /debug/pprof/symbol' log
    grep -q 'GET /pprof/heap?a=b' log
}

@test "a program beside it names, and the server is not asked" {
    run "$DG_JEPROF" --text --show_bytes "$DG_JEPROF" "$at"
    [ "$status" -eq 0 ]
    [ "$(cat log)" = "GET /pprof/heap" ]
}

@test "a server without names" {
    rm names
    run "$DG_JEPROF" --text --show_bytes "$at"
    [ "$status" -eq 0 ]
    [[ "$output" == *"/pprof/symbol: "*" 404; names are looked for"* ]]
    [[ "$output" == *"3000"*"0x0000000000000010"* ]]
    : >names
    run "$DG_JEPROF" --text --show_bytes "$at"
    [ "$status" -eq 0 ]
    [[ "$output" == *"/pprof/symbol: it names nothing; names are"* ]]
}

@test "--raw of a server's profile can be read anywhere" {
    "$DG_JEPROF" --raw "$at" >raw 2>told
    [ "$("$DG_JEPROF" --collapsed raw)" = "main;big;small[inline] 500
main;leaf(int) 3000" ]
    grep -q '^binary=/bin/served$' raw
}

@test "--base and --dot of a server" {
    sed 's/3000/1000/' profile >less.heap
    run "$DG_JEPROF" --text --show_bytes --base=less.heap "$at"
    [ "$status" -eq 0 ]
    [[ "$output" == *"Total: 2000 B"* ]]
    run "$DG_JEPROF" --dot --show_bytes --base="$at" "$at/pprof/growth"
    [ "$status" -eq 1 ]
    [[ "$output" == *"there is no difference" ]]
}

@test "--seconds is for services that gather" {
    run "$DG_JEPROF" --text --seconds=7 "$at/pprof/profile"
    [ "$status" -eq 0 ]
    grep -q 'GET /pprof/profile?seconds=7$' log
    run "$DG_JEPROF" --text "$at/pprof/profile?seconds=2"
    [ "$status" -eq 0 ]
    grep -q 'GET /pprof/profile?seconds=2$' log
}

@test "servers that are not there or answer something else" {
    run "$DG_JEPROF" --text "http://$at/pprof/nothing"
    [ "$status" -eq 1 ]
    [[ "${lines[1]}" == "jeprof: http://$at/pprof/nothing"*": "*404* ]]
    run "$DG_JEPROF" --text "http://127.0.0.1:1/pprof/heap"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 2 ]
    [[ "${lines[1]}" == "jeprof: http://127.0.0.1:1/pprof/heap: "*onnect* ]]
    run "$DG_JEPROF" --text "http://$at/pprof/cut"
    [ "$status" -eq 1 ]
    [[ "${lines[2]}" == "jeprof: $HOME/jeprof/"*"the last line is cut"* ]]
}

@test "the folder for fetched profiles" {
    JEPROF_TMPDIR=$PWD/kept run "$DG_JEPROF" --text "$at"
    [ "$status" -eq 0 ]
    [ "$(find kept -name '*.heap' | wc -l)" -eq 1 ]
    [ ! -e jeprof ]
    JEPROF_TMPDIR=/nowhere/kept run "$DG_JEPROF" --text "$at"
    [ "$status" -eq 1 ]
    [[ "${lines[1]}" == *"name a folder for fetched profiles in"* ]]
}
