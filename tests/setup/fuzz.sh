#!/usr/bin/env bash
# Builds the fuzz targets, runs each for a number of inputs, and prints a table. Inputs that they
# find beyond fuzz/corpus/ are kept in fuzz/target/corpus/, inputs that fail in fuzz/artifacts/.
#
#   FUZZ_RUNS=1000000       inputs of each target
#   FUZZ_TARGETS="a b"      only these
#   FUZZ_SANITIZER=address  or none, which is taken where the compiler has no runtime of it
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/setup/lib.sh
source tests/setup/env.sh
runs=${FUZZ_RUNS:-1000000}
export RUSTC_BOOTSTRAP=1 # cargo-fuzz passes options that only a nightly compiler takes
unset RUSTFLAGS
# A nightly compiler of rustup comes with the runtimes of sanitizers, a distribution's does not.
if command -v rustup >/dev/null && RUSTUP_AUTO_INSTALL=0 rustup run nightly rustc --version >/dev/null 2>&1; then
  export RUSTUP_TOOLCHAIN=nightly
fi
host=$(rustc -vV | awk '/^host/{print $2}')
runtime=("$(rustc --print sysroot)/lib/rustlib/$host/lib"/librustc*_rt.asan.a)
sanitizer=${FUZZ_SANITIZER:-none}
if [ -z "${FUZZ_SANITIZER:-}" ] && [ -e "${runtime[0]}" ]; then sanitizer=address; fi

say "building the fuzz targets with $(rustc --version), sanitizer: $sanitizer"
# cargo-fuzz hands no --locked on; a lock file that is not up to date fails here.
cargo fetch --quiet --locked --manifest-path fuzz/Cargo.toml
cargo fuzz build --fuzz-dir fuzz --sanitizer "$sanitizer" >"$cache/log/fuzz-build" 2>&1 ||
  { tail -30 "$cache/log/fuzz-build" >&2; exit 1; }

code=0
mkdir -p fuzz/artifacts
printf '%-12s %10s %8s %9s %6s  %s\n' target inputs seconds inputs/s edges result
for target in ${FUZZ_TARGETS:-$(cd fuzz/fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//')}; do
  found=fuzz/target/corpus/$target
  log=$cache/log/fuzz-$target
  mkdir -p "$found"
  begun=$SECONDS
  result=passed
  "fuzz/target/$host/release/$target" "$found" "fuzz/corpus/$target" -runs="$runs" -timeout=20 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="fuzz/artifacts/$target-" >"$log" 2>&1 ||
    { result="FAILED, see $log"; code=1; }
  seconds=$((SECONDS - begun))
  inputs=$(awk '/stat::number_of_executed_units/{print $2}' "$log")
  edges=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2)
  printf '%-12s %10s %8s %9s %6s  %s\n' "$target" "${inputs:-?}" "$seconds" "$((${inputs:-0} / (seconds > 0 ? seconds : 1)))" "${edges:-?}" "$result"
done
exit "$code"
