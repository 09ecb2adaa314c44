#!/usr/bin/env bash
# Profiles a real redis under load, on this machine: no cluster is needed, but root is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tests/setup/packages.sh
port=$((20000 + RANDOM % 20000))
work=$(mktemp -d)
server=''
stop() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"; }
trap stop EXIT
redis-server --port $port --bind 127.0.0.1 --dir "$work" --save '' --appendonly yes --daemonize no >"$work/log" 2>&1 &
server=$!
for _ in $(seq 100); do redis-cli -p $port ping >/dev/null 2>&1 && break; sleep 0.1; done
echo "demo: redis (process $server) listens on 127.0.0.1:$port; redis-benchmark makes 200,000 requests"
(sleep 1; redis-benchmark -p $port -n 100000 -c 20 -t set,get -q >/dev/null 2>&1) &
load=$!
echo "demo: kubectl procmon profile --local --pid $server --duration 5s"
target/release/kubectl-procmon profile --local --pid "$server" --duration 5s
wait $load || true
