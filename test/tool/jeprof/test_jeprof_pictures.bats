#!/usr/bin/env bats
# Call graphs as pictures: what graphviz draws, what viewers are started with, what is told when one
# of them is missing. $DG_JEPROF names the program.

setup() {
    cd "$BATS_TEST_TMPDIR" || exit 1
    printf '%s\n' '--- symbol' 'binary=prog' '0x10 leaf' '0x20 main' '0x30 other' --- '--- heap' \
        heap_v2/1 '@ 0x10 0x21' '  t*: 2: 3000 [0: 0]' '@ 0x30 0x21' '  t*: 1: 500 [0: 0]' >a.heap
    sed 's/3000/1000/' a.heap >less.heap
    mkdir tools
    export TMPDIR=$PWD
}

# fails_with TEXT COMMAND...: status 1, nothing but one line, and the text is in it.
fails_with() {
    text=$1
    shift
    run "$@"
    [ "$status" -eq 1 ] && [ "${#lines[@]}" -eq 1 ] && [[ "$output" == "jeprof: "*"$text"* ]]
}

# make_tool NAME [END]: a program that writes down its words and what its last one begins with.
make_tool() {
    cat >"tools/$1" <<EOF
#!/bin/sh
echo "\${0##*/} \$*" >>'$PWD/log'
for word; do :; done
head -c 4 "\$word" >>'$PWD/log'
echo >>'$PWD/log'
${2:-exit 0}
EOF
    chmod +x "tools/$1"
}

@test "the graph as text" {
    run "$DG_JEPROF" --dot --show_bytes a.heap
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = 'digraph "prog; 3500 B" {' ]
    [[ "$output" == *'N1 [label="main\n0 (0.0%)\rof 3500 (100.0%)\r",shape=box,fontsize=8.0];'* ]]
    [[ "$output" == *'N1 -> N2 [label=3000, weight=271, style="setlinewidth(2.000000)"];'* ]]
}

@test "options of pictures" {
    run "$DG_JEPROF" --dot --show_bytes --nodecount=2 a.heap
    [[ "$output" == *N2* ]]
    [[ "$output" != *N3* ]]
    run "$DG_JEPROF" --dot --show_bytes --nodefraction=.2 a.heap
    [[ "$output" == *"Dropped nodes with <= 700 abs(B)"* ]]
    [[ "$output" != *other* ]]
    run "$DG_JEPROF" --dot --show_bytes --edgefraction=.2 a.heap
    [[ "$output" == *"Dropped edges with <= 700 B"* ]]
    run "$DG_JEPROF" --dot --heapcheck a.heap
    [ "$(grep -c fillcolor=gray <<<"$output")" -eq 2 ]
    run "$DG_JEPROF" --dot --heapcheck --show_bytes --base=a.heap less.heap
    [[ "$output" == *'-2000 (100.0%)\r",shape=box,fontsize=8.0,peripheries=3];'* ]]
    fails_with "nothing is large enough for the picture" "$DG_JEPROF" --dot --nodefraction=1 a.heap
}

@test "pictures in each format" {
    "$DG_JEPROF" --ps a.heap >a.ps
    "$DG_JEPROF" --pdf a.heap >a.pdf
    "$DG_JEPROF" --svg a.heap >a.svg
    "$DG_JEPROF" --gif a.heap >a.gif
    [ "$(head -c 10 a.ps)" = '%!PS-Adobe' ]
    [ "$(head -c 5 a.pdf)" = '%PDF-' ]
    [ "$(head -c 6 a.gif)" = 'GIF89a' ]
    grep -q '>leaf</text>' a.svg
}

@test "names of every kind make a graph that dot reads" {
    # shellcheck disable=SC2016
    sed 's/0x10 leaf/0x10 operator"" _a<b>(char\\)\\/; s/prog/pr"o\\g/' a.heap >odd.heap
    "$DG_JEPROF" --svg odd.heap >odd.svg
    grep -q '_a' odd.svg
}

@test "viewers get a file, and its name is told" {
    make_tool gv
    make_tool evince
    run "$DG_JEPROF" --gv --scale=3 --tools="$PWD/tools/" a.heap
    [ "$status" -eq 0 ]
    [[ "$output" == "jeprof: the picture is $PWD/jeprof."*".ps" ]]
    grep -q -- "gv --scale=3 --noantialias $PWD/jeprof.*.ps" log
    grep -q '^%!PS' log
    rm log
    run env PATH="$PWD/tools:$PATH" "$DG_JEPROF" --evince a.heap
    [ "$status" -eq 0 ]
    grep -q '^evince .*pdf$' log
    grep -q '^%PDF' log
}

@test "the browser: \$BROWSER first, then whatever works" {
    make_tool mine
    make_tool xdg-open
    make_tool gnome-www-browser 'exit 1'
    make_tool x-www-browser 'exit 1'
    run env BROWSER="$PWD/tools/mine" "$DG_JEPROF" --web a.heap
    [ "$status" -eq 0 ]
    grep -q '^mine .*svg$' log
    grep -q '^<?xm' log
    rm log
    run env BROWSER= JEPROF_TOOLS="$PWD/tools" "$DG_JEPROF" --web a.heap
    [ "$status" -eq 0 ]
    [ "$(grep -o '^[a-z-]* ' log | tr -d '\n')" = "gnome-www-browser x-www-browser xdg-open " ]
}

@test "programs that are missing, and pictures that fail" {
    dot=$(command -v dot)
    fails_with "drawn by dot, which is not installed (package graphviz)" \
        env PATH="$PWD/tools" "$DG_JEPROF" --svg a.heap
    run env PATH="$PWD/tools" "$DG_JEPROF" --tools="dot:$dot" --gv a.heap
    [ "$status" -eq 1 ]
    [ "${lines[1]}" = "jeprof: gv is not installed (package gv)" ]
    run env -u BROWSER PATH="$PWD/tools" "$DG_JEPROF" --tools="gv:/x,dot:$dot" --web a.heap
    [ "$status" -eq 1 ]
    [[ "${lines[1]}" == "jeprof: no browser shows "*"(package xdg-utils"* ]]
    printf '#!/bin/sh\nexit 3\n' >tools/dot
    chmod +x tools/dot
    fails_with "tools/dot could not draw the picture" "$DG_JEPROF" --tools="$PWD/tools" --pdf a.heap
    TMPDIR=/nowhere
    fails_with "No such file or directory" "$DG_JEPROF" --gv a.heap
}
