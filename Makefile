# Makefile: a thin front of CMake and scripts/. `make help` lists what it does.
PREFIX ?= /usr/local
MANIFEST := build/release/install_manifest.txt
ACCEPT_ARGS ?=
BENCH_ARGS ?=
FUZZ_SECONDS ?= 60
FUZZ_ARGS ?=
STRESS_ARGS ?=
CROSS_ARGS ?=

.PHONY: all release run test bench accept stress fuzz cross install uninstall clean help

all: ## build the libraries, into build/release/lib, jeprof and jemalloc
	@command -v cmake >/dev/null && command -v ninja >/dev/null || scripts/bootstrap build
	@test -f build/release/build.ninja || cmake --preset release
	@cmake --build --preset release --target dg_installed

release: ## build the libraries, the tests and the tools
	@scripts/bootstrap build test
	@cmake --preset release
	@cmake --build --preset release

run: ## a real redis-server on this library, beside Debian's jemalloc
	@scripts/run

test: ## every quick test
	@scripts/test

bench: ## compare with other allocators; BENCH_ARGS go to bench/run_bench
	@scripts/bootstrap build bench
	@$(MAKE) --no-print-directory all
	@bench/run_bench $(BENCH_ARGS)

accept: release ## real programs on the library; ACCEPT_ARGS go to ctest
	@scripts/bootstrap accept
	@ctest --test-dir build/release -L '^accept$$' --output-on-failure --no-tests=error $(ACCEPT_ARGS)

stress: release ## long random, thread, fork and fault tests; STRESS_ARGS go to ctest
	@ctest --test-dir build/release -L '^stress$$' --output-on-failure --no-tests=error $(STRESS_ARGS)

fuzz: ## the fuzzers, FUZZ_SECONDS (60) for each; FUZZ_ARGS go to test/fuzz/run_fuzz
	@scripts/bootstrap build fuzz
	@cmake --preset fuzz
	@cmake --build --preset fuzz
	@test/fuzz/run_fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS) build/fuzz/bin/fuzz_*

cross: ## cross-build for aarch64, tests under qemu-user; CROSS_ARGS go to ctest
	@scripts/bootstrap build cross
	@cmake --preset aarch64
	@cmake --build --preset aarch64
	@ctest --test-dir build/aarch64 -L '^(abort|fault|model)$$' -j2 --output-on-failure \
	    --no-tests=error $(CROSS_ARGS)

install: all ## install below PREFIX (default /usr/local); honours DESTDIR
	@cmake --install build/release --prefix $(PREFIX)

uninstall: ## remove exactly the files that the last `make install` wrote
	@test -f $(MANIFEST) || { echo "nothing to remove: there is no $(MANIFEST)" >&2; exit 1; }
	@while IFS= read -r file || [ -n "$$file" ]; do \
	    if [ -e "$(DESTDIR)$$file" ] || [ -L "$(DESTDIR)$$file" ]; then \
	        echo "removing $(DESTDIR)$$file"; rm -f "$(DESTDIR)$$file" || exit 1; \
	    fi; \
	done <$(MANIFEST)

clean: ## remove everything that was built
	@rm -rf build

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1|/p' Makefile | while IFS='|' read -r name text; do \
	    printf '  make %-10s %s\n' "$$name" "$$text"; \
	done
