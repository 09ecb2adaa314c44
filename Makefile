# The front door for developers. Every target sets up what is missing first, and says what.
SHELL := /bin/bash
ENV := source tests/setup/env.sh &&
# Where the types of C differ from those here.
ARM := aarch64-unknown-linux-musl
# Back traces need lines, nothing needs variables.
export CARGO_PROFILE_DEV_DEBUG ?= line-tables-only

.PHONY: build setup demo test fuzz bench drift-report lint reproduce package cluster-up cluster-down
.DEFAULT_GOAL := build

build: setup
	@tests/setup/build.sh
	@echo "built target/release/kubectl-procmon"

setup:
	@tests/setup/toolchain.sh

demo: build
	@tests/setup/demo.sh

test: setup
	@tests/setup/test.sh

# Every parser of bytes that somebody else chose: FUZZ_RUNS inputs each, 1,000,000 when unset.
fuzz:
	@tests/setup/toolchain.sh --fuzz
	@tests/setup/fuzz.sh

# How long things take, and what a capture costs, as curves: writes docs/benchmarks.md. Takes about
# ten minutes, needs root, and a machine that does nothing else; BENCH=--quick takes two.
bench: build
	@tests/setup/bench.sh
	@$(ENV) cargo bench --locked --quiet --package procmon-profile --features compare --bench diff --bench check
	@tests/setup/build.sh --quiet --package procmon-tests --bin bench --bin workload-load
	@target/release/bench $(BENCH)

# Every server, more windows than `make test`: the figures of docs/diff.md. Takes about 45 minutes.
drift-report: build
	@tests/setup/packages.sh
	@$(ENV) PROCMON_PROBE_DIR=$(CURDIR)/target/probe cargo run --locked --quiet --package procmon-tests --bin drift-report -- --out target/drift --repeats 10

# The plugin embeds a probe; to be linted it needs none that works.
lint:
	@tests/setup/toolchain.sh --lint
	@mkdir -p target/lint && touch -a target/lint/procmon-probe-amd64
	@$(ENV) cargo fmt --all --check
	@$(ENV) cargo fmt --manifest-path fuzz/Cargo.toml --check
	@$(ENV) PROCMON_PROBE_DIR=$(CURDIR)/target/lint cargo clippy --locked --workspace --all-targets -- -D warnings
	@$(ENV) if rustup target list --installed 2>/dev/null | grep -qx $(ARM); then \
	  cargo check --locked --quiet --package procmon-probe --target $(ARM); \
	else echo "lint: no rustup target $(ARM): the probe was not checked for arm64"; fi
	@tests/setup/deny.sh

# The committed sources give the same bytes in another folder: takes another build.
reproduce: build
	@tests/setup/reproduce.sh

package: build
	@tests/setup/toolchain.sh --package
	@krew/package.sh $(VERSION)

cluster-up:
	@tests/cluster/cluster.sh install
	@tests/cluster/cluster.sh up --nodes 2

cluster-down:
	@tests/cluster/cluster.sh down
