#!/usr/bin/env bash
# `cargo build --locked --release`, as releases are built: no folder of this machine stands in the
# result, so that equal sources give equal bytes wherever they lie. Arguments go to cargo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/setup/env.sh
# The folders of registries have names that nobody knows before something was fetched.
cargo fetch --quiet --locked
flags=("--remap-path-prefix=$(pwd -P)=/procmon")
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/; do
  flags+=("--remap-path-prefix=${registry%/}=/registry")
done
# shellcheck disable=SC2206 # RUSTFLAGS are words
flags+=(${RUSTFLAGS:-})
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\037'; echo "${flags[*]}") cargo build --locked --release "$@"
# kubectl-procmon/build.rs refuses one that no ConfigMap takes; growth is seen here earlier.
for probe in target/probe/procmon-probe-*; do
  if [ -s "$probe" ]; then echo "$probe has $(stat --format %s "$probe") of 1,000,000 bytes"; fi
done
