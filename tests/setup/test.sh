#!/usr/bin/env bash
# Everything that `make test` does once the toolchain is there: the rest of the set-up (the
# cluster's programs are built beside ours), then every test against the built plugin.
#
# PROCMON_TEST_CONTEXT names a context of your kubeconfig: that cluster is used, and none is started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/setup/lib.sh
source tests/setup/env.sh
cluster=tests/cluster/cluster.sh
own=1
[ -z "${PROCMON_TEST_CONTEXT:-}" ] || own=''

install='' drift=''
finish() {
  code=$?
  trap - EXIT INT TERM
  for group in $install $drift; do kill -- "-$group" 2>/dev/null || true; done
  if [ -n "$own" ]; then $cluster down || true; fi
  exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

tests/setup/packages.sh
apt_install qemu-system-x86 busybox-static cpio xz-utils zstd kmod util-linux strace
tests/vm/get-kernel.sh 5.10 6.1 6.12 7.3
if [ -n "$own" ]; then
  $cluster packages
  set -m # a process group of its own, to be ended as one
  $cluster install >"$cache/log/cluster-install" 2>&1 &
  install=$!
  set +m
fi

tests/setup/build.sh
# The probe is built; the test build of the plugin takes the same one.
export PROCMON_PROBE_DIR=$PWD/target/probe
cargo test --locked --workspace --no-run
if [ -n "$install" ]; then
  say "waiting for the cluster's programs (log: $cache/log/cluster-install)"
  wait "$install" || { tail -20 "$cache/log/cluster-install" >&2; exit 1; }
  install=''
  $cluster up --nodes 2
fi
say "set up; testing"
export PROCMON_TEST_REQUIRE=${PROCMON_TEST_REQUIRE-bpf,browser,cluster,kernels,servers}
# Real servers are watched for minutes, mostly waiting: beside the others.
set -m
PROCMON_TEST_DRIFT=${PROCMON_TEST_DRIFT-here} cargo test --locked --package procmon-tests --test drift -- --test-threads=1 >"$cache/log/drift" 2>&1 &
drift=$!
set +m
code=0
cargo test --locked --workspace --no-fail-fast || code=$?
say "waiting for the real servers"
wait "$drift" || code=$?
drift=''
cat "$cache/log/drift"
exit "$code"
