#!/bin/sh
# check_snippet.sh <snippet> <include folder> <library folder> <compiler>...: the usual lines that
# print statistics and read some of them compile as they stand, with the header alone, link with
# -ljemalloc, and run. They are the body of main(), below their include, while a block is live;
# behind them the values are looked at. The status is 1 when a program was not built, returned
# another status than 0, or printed no whole report.
set -u
snippet=$1
include=$2
library=$3
shift 3

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# write_program FILE
write_program() {
    sed -n '1,/#include/p' "$snippet"
    echo 'int main(void) { void *block = malloc(100000);'
    sed '1,/#include/d' "$snippet"
    echo 'if (sz != sizeof(size_t) || metadata == 0) return 3;'
    echo 'if (allocated < 100000 || active < allocated) return 4;'
    echo 'free(block); return 0; }'
} >"$1"

# try_compiler LANGUAGE COMPILER
try_compiler() {
    source=$folder/program.$1
    write_program "$source"
    "$2" -Wall -Wextra -Wconversion -Werror -I"$include" "$source" -o "$folder/program" \
        -L"$library" -Wl,-rpath,"$library" -ljemalloc || return
    "$folder/program" 2>"$folder/report"
    status=$?
    if [ "$status" != 0 ]; then
        echo "failed: a program made by $2 returned $status"
        return 1
    fi
    [ "$(head -n 1 "$folder/report")" = "___ Begin jemalloc statistics ___" ] &&
        [ "$(tail -n 1 "$folder/report")" = "--- End jemalloc statistics ---" ] && return
    echo "failed: a program made by $2 printed no whole report"
    return 1
}

failed=0
language=c
for compiler in "$@"; do
    try_compiler "$language" "$compiler" || failed=1
    language=cpp
done
exit "$failed"
