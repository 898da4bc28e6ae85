#!/usr/bin/env bats
# test_bootstrap.bats: goal: bootstrap is silent when all is there, installs only what is missing
# and starts no service meanwhile, and says in one line what it cannot install.
# Method: a copy of the script with a list of its own, a PATH that holds only what the test puts
# there, and an apt-get that records its arguments. No network, nothing is installed.

setup() {
    top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd -P)
    work=$BATS_TEST_TMPDIR
    cp "$top/scripts/bootstrap" "$work/"
    printf '%s\n' '[build]' 'bash  # always there' '' '[test]' no-such-one bash no-such-two \
        '[other]' third >"$work/packages.txt"
    mkdir "$work/bin"
    for tool in sh awk grep sed dirname id mktemp dpkg-query rm mv env head chmod printf cat; do
        ln -s "$(command -v "$tool")" "$work/bin/$tool"
    done
    export BOOTSTRAP_POLICY=$work/policy-rc.d
}

bootstrap() {
    run env PATH="$work/bin" "$work/bin/sh" "$work/bootstrap" "$@"
}

# An apt-get and an id of root: the test needs no rights.
fake_root() {
    rm -f "$work/bin/id"
    printf '#!/bin/sh\necho 0\n' >"$work/bin/id"
    chmod +x "$work/bin/id"
}

fake_apt() {
    cat >"$work/bin/apt-get" <<END
#!/bin/sh
echo "\$*" >>"$work/calls"
case "\$*" in *install*)
    "$work/policy-rc.d" redis start
    echo "policy \$?" >>"$work/calls"
    $1 ;;
esac
END
    chmod +x "$work/bin/apt-get"
}

@test "installed packages: silent" {
    bootstrap build
    [ "$status" = 0 ]
    [ -z "$output" ]
}

@test "without apt-get: one line that names what is missing" {
    bootstrap test
    [ "$status" = 1 ]
    [ "$output" = "bootstrap: there is no apt-get here; missing: no-such-one no-such-two" ]
}

@test "without arguments: build and test" {
    bootstrap
    [ "$output" = "bootstrap: there is no apt-get here; missing: no-such-one no-such-two" ]
}

@test "an unknown section is an error" {
    bootstrap bild
    [ "$status" = 1 ]
    [ "$output" = "bootstrap: packages.txt has no section [bild]" ]
}

@test "neither root nor sudo: one line" {
    fake_root
    sed -i 's/echo 0/echo 1000/' "$work/bin/id"
    fake_apt true
    bootstrap test
    [ "$status" = 1 ]
    [ "$output" = "bootstrap: not root and no sudo; missing: no-such-one no-such-two" ]
    [ ! -e "$work/calls" ]
}

@test "missing packages: one update, one install, services forbidden only meanwhile" {
    fake_root
    fake_apt true
    bootstrap test other
    [ "$status" = 0 ]
    [ "$output" = "bootstrap: installing no-such-one no-such-two third" ]
    [ "$(grep -c ' update$' "$work/calls")" = 1 ]
    install='install --no-install-recommends no-such-one no-such-two third'
    [ "$(grep -c " $install\$" "$work/calls")" = 1 ]
    grep -q '^policy 101$' "$work/calls"
    [ ! -e "$work/policy-rc.d" ]
}

@test "a policy that was there comes back" {
    fake_root
    fake_apt true
    printf '#!/bin/sh\nexit 0\n' >"$work/policy-rc.d"
    chmod +x "$work/policy-rc.d"
    bootstrap test
    [ "$status" = 0 ]
    grep -q '^policy 101$' "$work/calls"
    [ "$(tail -n 1 "$work/policy-rc.d")" = "exit 0" ]
}

@test "apt fails: one line with the packages and apt's reason" {
    fake_root
    fake_apt 'echo "E: Unable to locate package no-such-one" >&2; exit 100'
    bootstrap test
    [ "$status" = 1 ]
    [ "${lines[1]}" = "bootstrap: cannot install no-such-one no-such-two:\
 Unable to locate package no-such-one" ]
    [ "${#lines[@]}" = 2 ]
    [ ! -e "$work/policy-rc.d" ]
}

# A folder with a lock file, in a section of its own, and an npm that records its arguments.
fake_npm() {
    mkdir -p "$work/page"
    touch -d '1 hour ago' "$work/page/package-lock.json"
    printf '%s\n' '[page]' bash "npm:$(basename "$work")/page" >>"$work/packages.txt"
    cat >"$work/bin/npm" <<END
#!/bin/sh
echo "\$PWD \$*" >>"$work/calls"
$1
END
    chmod +x "$work/bin/npm"
    ln -sf "$(command -v mkdir)" "$(command -v touch)" "$(command -v find)" "$work/bin/"
}

@test "npm's packages: installed once, and again when the lock file is newer" {
    fake_npm 'mkdir -p node_modules && touch node_modules/.package-lock.json'
    bootstrap page
    [ "$status" = 0 ] && [[ "$output" == "bootstrap: installing npm's packages for "*"/page" ]]
    [[ "$(cat "$work/calls")" == *"/page ci --ignore-scripts --no-audit --no-fund" ]]
    bootstrap page
    [ "$status" = 0 ] && [ -z "$output" ]
    touch -d '1 hour' "$work/page/package-lock.json"
    bootstrap page
    [ "$(wc -l <"$work/calls")" = 2 ]
}

@test "npm fails, or is not there: one line, and all goes on" {
    fake_npm 'echo "npm error code ENOTFOUND" >&2; exit 1'
    bootstrap page
    [ "$status" = 0 ]
    [[ "${lines[1]}" == "bootstrap: no npm packages for "*" built without: code ENOTFOUND" ]]
    rm "$work/bin/npm"
    bootstrap page
    [ "$status" = 0 ] && [[ "${lines[1]}" == *"which is built without: "* ]]
}

@test "an npm that is there already counts as Debian's" {
    fake_npm true
    printf '%s\n' '[both]' bash npm >>"$work/packages.txt"
    bootstrap both
    [ "$status" = 0 ] && [ -z "$output" ]
}

@test "each package of the real list exists once a section" {
    run awk '{ sub(/#.*/, ""); gsub(/[ \t]/, "") } /^\[/ { section = $0; next }
        $0 != "" && seen[section, $0]++ { print section, $0 }' "$top/scripts/packages.txt"
    [ -z "$output" ]
}
