#!/usr/bin/env bash
# Builds what is committed once more, in another folder and with another folder of cargo's, and
# compares the plugin and the probe with those that `make build` left: byte for byte the same, or
# exit code 1. PROCMON_REPRODUCE names the folder, which must not exist.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/setup/lib.sh
here=$PWD
[ -z "$(git status --porcelain --untracked-files=no)" ] ||
  { say "reproduce: commit first: what is built elsewhere is what is committed"; exit 1; }
own=''
if [ -z "${PROCMON_REPRODUCE:-}" ]; then own=$(mktemp -d); fi
folder=${PROCMON_REPRODUCE:-$own/another/folder}
trap '[ -z "$own" ] || rm -rf "$own"' EXIT
mkdir -p "$folder"
git archive HEAD | tar -xf - -C "$folder"
# The same registry under another name: nothing is downloaded twice.
cargo_home=$(realpath "${CARGO_HOME:-$HOME/.cargo}")
ln -s "$cargo_home" "$folder/cargo-home"
say "reproduce: building in $folder"
(cd "$folder" && unset PROCMON_PROBE_DIR && CARGO_HOME=$folder/cargo-home tests/setup/build.sh --quiet)
code=0
for file in probe/procmon-probe-amd64 release/kubectl-procmon; do
  if cmp "$here/target/$file" "$folder/target/$file"; then
    say "reproduce: the same bytes: target/$file ($(sha256sum <"$folder/target/$file" | cut -c1-64))"
  else
    code=1
  fi
done
exit $code
