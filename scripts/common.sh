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

# lacks_compiler PRESET: true when the folder was configured without a C++ compiler and there is one
# now. CMake remembers the miss, so that the folder must be configured anew.
lacks_compiler() {
    grep -qs '^CMAKE_CXX_COMPILER:.*NOTFOUND' "$top/build/$1/CMakeCache.txt" &&
        command -v c++ >/dev/null
}

configure() {
    if lacks_compiler "$1"; then
        cmake --preset "$1" --fresh
    elif [ ! -f "build/$1/build.ninja" ]; then
        cmake --preset "$1"
    fi
}

is_up_to_date() {
    preset=$1
    shift
    [ -f "$top/build/$preset/build.ninja" ] && ! lacks_compiler "$preset" &&
        ninja -C "$top/build/$preset" -n "$@" 2>/dev/null | grep -q 'no work to do'
}

# build PRESET [TARGET...]: builds with one progress line and a log; silent when up to date.
build() {
    if is_up_to_date "$@"; then
        return 0
    fi
    preset=$1
    shift
    log=$top/build/$preset.log
    mkdir -p "$top/build"
    printf 'building %s ... ' "$preset" >&2
    started=$(now)
    [ $# = 0 ] || set -- --target "$@"
    if (cd "$top" && configure "$preset" && cmake --build --preset "$preset" "$@") \
        >"$log" 2>&1 </dev/null; then
        echo "done in $(($(now) - started)) s (log: build/$preset.log)" >&2
        return 0
    fi
    echo "FAILED; the end of build/$preset.log:" >&2
    tail -n 20 "$log" >&2
    return 1
}
