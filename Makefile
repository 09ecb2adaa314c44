# The front door for developers. Every target sets up what is missing first, and says what.
SHELL := /bin/bash
ENV := source tests/setup/env.sh &&

.PHONY: build demo test lint cluster-up cluster-down setup
.DEFAULT_GOAL := build

setup:
	@tests/setup/toolchain.sh

build: setup
	@$(ENV) cargo build --release
	@echo "built target/release/kubectl-procmon"

demo: build
	@tests/setup/demo.sh

test: build
	@tests/setup/toolchain.sh --vm
	@tests/setup/packages.sh
	@$(ENV) PROCMON_TEST_REQUIRE=bpf,kernels cargo test --workspace

lint:
	@tests/setup/toolchain.sh --lint
	@$(ENV) cargo fmt --all --check
	@$(ENV) cargo clippy --workspace --all-targets -- -D warnings
	@$(ENV) cargo deny --log-level error check licenses bans sources

cluster-up:
	@tests/cluster/cluster.sh install
	@tests/cluster/cluster.sh up --nodes 2

cluster-down:
	@tests/cluster/cluster.sh down
