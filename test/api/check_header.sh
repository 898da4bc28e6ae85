#!/bin/sh
# check_header.sh <include folder> <C compiler> [<C++ compiler>]: compiles header_usage.c in every
# standard and naming mode with warnings as errors. Prints the combinations that fail; the exit
# status is the result.
here=$(dirname "$0")
include=$1
failed=0
warnings="-pedantic -Wall -Wextra -Wconversion -Wshadow -Wundef -Werror"

compile() {
    # Word splitting of the options is meant.
    # shellcheck disable=SC2086
    "$@" $warnings -I"$include" -fsyntax-only && return
    echo "failed: $*"
    failed=1
}

for mode in DEFAULT_MODE JEMALLOC_MANGLE JEMALLOC_NO_DEMANGLE JEMALLOC_PREFIXED; do
    for standard in c89 gnu89 c99 c11 gnu17 c2x; do
        compile "$2" -std=$standard -D$mode -Wstrict-prototypes -Wmissing-prototypes \
            "$here/header_usage.c"
    done
    [ -n "$3" ] || continue
    for standard in c++98 c++11 c++14 c++17 gnu++20; do
        compile "$3" -std=$standard -D$mode -x c++ "$here/header_usage.c"
    done
done
exit $failed
