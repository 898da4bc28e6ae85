# common.sh: what the scripts share: where the tree is, and how a preset is built. Sourced, not run.
# shellcheck shell=sh
# The sourcing script sets `top`, the absolute path of the tree.
: "${top:?}"

# Prints the seconds since the epoch.
now() {
    date +%s
}

have_build_tools() {
    command -v cmake >/dev/null && command -v ninja >/dev/null && command -v cc >/dev/null
}

# configure PRESET: configures a build folder. A C++ compiler that was not there the first time is
# remembered as missing, so that a folder from before the bootstrap is made anew.
configure() {
    fresh=
    if grep -qs '^CMAKE_CXX_COMPILER:.*NOTFOUND' "$top/build/$1/CMakeCache.txt"; then
        fresh=--fresh
    fi
    (cd "$top" && cmake --preset "$1" $fresh)
}

# build PRESET [TARGET...]: builds quietly, with one progress line and a log; silent when up to date.
build() {
    preset=$1
    shift
    log=$top/build/$preset.log
    mkdir -p "$top/build"
    if [ -f "$top/build/$preset/build.ninja" ] &&
        ninja -C "$top/build/$preset" -n "$@" 2>/dev/null | grep -q 'no work to do'; then
        return 0
    fi
    printf 'building %s ... ' "$preset" >&2
    started=$(now)
    [ $# = 0 ] || set -- --target "$@"
    if { [ -f "$top/build/$preset/build.ninja" ] || configure "$preset"; } >"$log" 2>&1 </dev/null &&
        (cd "$top" && cmake --build --preset "$preset" "$@") >>"$log" 2>&1 </dev/null; then
        echo "done in $(($(now) - started)) s (log: build/$preset.log)" >&2
        return 0
    fi
    echo "FAILED; the end of build/$preset.log:" >&2
    tail -n 20 "$log" >&2
    return 1
}
