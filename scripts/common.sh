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

configure_and_build() {
    preset=$1
    shift
    cd "$top" && configure "$preset" && cmake --build --preset "$preset" "$@"
}

# build PRESET [TARGET...]: builds with one progress line and a log; silent when up to date. Whether
# there is work is told by ninja's own lines, as its dry run cannot tell when files are globbed.
build() {
    preset=$1
    shift
    log=$top/build/$preset.log
    mkdir -p "$top/build"
    started=$(now)
    [ $# = 0 ] || set -- --target "$@"
    { (configure_and_build "$preset" "$@") 2>&1 </dev/null || echo "BUILD FAILED"; } |
        awk -v log_file="$log" -v name="$preset" '
            /^\[[1-9]|^-- The C/ && !said { printf "building %s ... ", name; fflush(); said = 1 }
            { print >log_file }
        ' >&2
    if [ "$(tail -n 1 "$log")" = "BUILD FAILED" ]; then
        echo "FAILED; the end of build/$preset.log:" >&2
        tail -n 20 "$log" >&2
        return 1
    fi
    if grep -q '^\[[1-9]' "$log"; then
        echo "done in $(($(now) - started)) s (log: build/$preset.log)" >&2
    fi
}
