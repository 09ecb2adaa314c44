#!/usr/bin/env bash
# Installs what `make bench` compares with, and the applications that it loads, where they are
# missing. A tool that can't be installed is left out: the report says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
for package in bpftrace linux-perf strace wrk nginx-light redis-server redis-tools; do
  tests/setup/packages.sh "$package" || echo "bench: going on without $package" >&2
done
