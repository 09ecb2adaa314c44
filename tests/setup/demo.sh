#!/usr/bin/env bash
# Profiles a real redis under load, on this machine: no cluster is needed, but root is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ "$(id -u)" = 0 ] || { echo "demo: loading eBPF programs needs root: sudo make demo" >&2; exit 1; }
tests/setup/packages.sh redis-server redis-tools
work=$(mktemp -d)
server='' load=''
stop() {
  for pid in $load $server; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT

for _ in 1 2 3 4 5; do
  port=$((20000 + RANDOM % 12000))
  redis-server --port $port --bind 127.0.0.1 --dir "$work" --save '' --appendonly yes --daemonize no >"$work/log" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    if redis-cli -p $port ping >/dev/null 2>&1 || ! kill -0 $server 2>/dev/null; then break; fi
    sleep 0.1
  done
  if kill -0 $server 2>/dev/null; then break; fi
  server=''
done
[ -n "$server" ] || { cat "$work/log" >&2; exit 1; }
echo "demo: redis (process $server) listens on 127.0.0.1:$port; redis-benchmark sends it requests"
redis-benchmark -p $port -n 300000 -c 20 -t set,get -q >/dev/null 2>&1 &
load=$!
command=(target/release/kubectl-procmon profile --local --pid "$server" --duration 5s)
echo "demo: kubectl procmon ${command[*]:1}"
if [ -t 2 ]; then
  "${command[@]}"
else
  # Progress is for terminals only: where there is none, script(1) stands in for one.
  TERM=${TERM:-xterm} NO_COLOR=1 script -qefc "stty cols 120; ${command[*]}" /dev/null </dev/null
fi
