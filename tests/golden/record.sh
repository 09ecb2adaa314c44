#!/usr/bin/env bash
# Records tests/golden/vVERSION/ with the plugin and probe that `make build` left: a stream, its Profile, a
# Baseline of it, and the Drift of another run. Needs root and eBPF, bash and nothing that listens on the
# ports 9 and 10 of loopback, and no other capture meanwhile. A released version is never recorded again.
#
#   record.sh 1.3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
plugin=$PWD/target/release/kubectl-procmon
probe=$PWD/target/probe/procmon-probe-amd64
folder=$PWD/tests/golden/v$1
protocol=$(sed -n 's/^pub const PROTOCOL: &str = "\(.*\)";/\1/p' profile/src/wire/mod.rs)
mkdir "$folder"

# Captures a script of bash, in the root folder: SESSION SCRIPT.
frames() {
  request='{"protocol":"%s","session":"%s","node":"node1","target":{"command":{"argv":["/bin/bash","-c","%s"]}},"window":{},"concurrent":true}'
  # shellcheck disable=SC2059 # the format is a constant
  (cd / && env -i PATH=/usr/bin:/bin "$probe" "$(printf "$request" "$protocol" "$1" "$2")" 2>/dev/null </dev/null)
}

cd "$folder"
frames golden 'cat /etc/hostname >/tmp/golden-copy; cat /nonexistent 2>/dev/null; (: </dev/tcp/127.0.0.1/9) 2>/dev/null; rm /tmp/golden-copy' >stream.ndjson
frames other 'cat /etc/hostname >/tmp/golden-copy; cat /etc/shadow >/dev/null; (: </dev/tcp/127.0.0.1/10) 2>/dev/null; rm /tmp/golden-copy' >other.ndjson
"$plugin" show --frames stream.ndjson -o json >profile.json
"$plugin" show --frames other.ndjson -o json >other.json
"$plugin" baseline save baseline.yaml --from profile.json
"$plugin" diff baseline.yaml other.json -o json --fail-on never >drift.json
rm other.*
chmod 644 ./*
