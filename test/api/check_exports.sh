#!/bin/sh
# check_exports.sh <library> <symbols.txt>: the library's dynamic symbols are exactly those of the
# list, without versions; it needs libc alone; its soname is libjemalloc.so.2; data and weak symbols
# are what programs expect.
library=$1
list=$2
failed=0
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

fail() {
    echo "$1"
    failed=1
}

grep '^[A-Za-z_]' "$list" | sort >"$folder/wanted"
nm -D --defined-only "$library" | awk '{ print $NF }' | sort >"$folder/exported"
if ! diff "$folder/wanted" "$folder/exported" >"$folder/difference"; then
    fail "exported symbols differ from the list (< list, > library):"
    cat "$folder/difference"
fi

dynamic=$(readelf -dW "$library")
echo "$dynamic" | grep -q 'Library soname: \[libjemalloc.so.2\]' ||
    fail "the soname is not libjemalloc.so.2"
needed=$(echo "$dynamic" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p' |
    grep -v -e '^libc\.so' -e '^ld-linux')
[ -z "$needed" ] || fail "needs more than libc: $needed"

kind() {
    nm -D --defined-only "$library" | awk -v name="$1" '$NF == name { print $2 }'
}
for name in malloc_conf malloc_conf_2_conf_harder; do
    [ "$(kind $name)" = V ] || fail "$name is not weak data: $(kind $name)"
done
[ "$(kind malloc_message)" = B ] || fail "malloc_message is not zeroed data: $(kind malloc_message)"
[ "$(kind malloc)" = T ] || fail "malloc is not a function: $(kind malloc)"
exit $failed
