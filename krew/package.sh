#!/usr/bin/env bash
# Packs what is built for a release: one archive for each platform, krew's manifest, what each plugin
# is made of (CycloneDX), the digests of the probes, checksums of all that.
#
#   package.sh VERSION [FOLDER]    VERSION is the workspace's; FOLDER is dist/
#
# A platform's plugin is FOLDER/bin/PLATFORM/kubectl-procmon (.exe for Windows). For this machine's
# platform the one that `make build` leaves, or PROCMON_PLUGIN names, will do. Platforms that are
# not built are left out. Equal plugins of one commit (or SOURCE_DATE_EPOCH) give equal bytes.
# A plugin in which a folder of this machine stands is refused. PROCMON_SBOM=no leaves the bills of
# materials out.
set -euo pipefail
platforms=(linux_amd64 linux_arm64 darwin_amd64 darwin_arm64 windows_amd64)
fail() { echo "package.sh: $*" >&2; exit 2; }

[ $# = 1 ] || [ $# = 2 ] || fail "usage: package.sh VERSION [FOLDER]"
version=${1#v}
dist=${2:+$(realpath -m "$2")}
plugin=${PROCMON_PLUGIN:+$(realpath -m "$PROCMON_PLUGIN")}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dist=${dist:-dist}
plugin=${plugin:-target/release/kubectl-procmon}

# workspace KEY: its value in [workspace.package]
workspace() { sed -n '/^\[workspace\.package\]/,/^$/s/^'"$1"' = "\(.*\)"$/\1/p' Cargo.toml; }
repository=$(workspace repository)
part='[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*' number='(0|[1-9][0-9]*)'
[[ $version =~ ^$number\.$number\.$number(-$part)?(\+$part)?$ ]] ||
  fail "\`$1\` is no semantic version, like 1.2.3 or v1.2.3-rc.1"
[ "$version" = "$(workspace version)" ] ||
  fail "\`$1\` is not the version of the workspace: Cargo.toml says $(workspace version)"
case $(uname -sm) in
  'Linux x86_64') here=linux_amd64 ;;
  'Linux aarch64') here=linux_arm64 ;;
  *) fail "packs on Linux only, amd64 or arm64" ;;
esac
date=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)} || fail "no commit to take the date from: set SOURCE_DATE_EPOCH"
sbom=${PROCMON_SBOM:-yes}
export PATH="${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-procmon/bin:$PATH"
[ "$sbom" = no ] || command -v cargo-cyclonedx >/dev/null ||
  fail "cargo-cyclonedx is missing: run \`make package VERSION=$version\`, or set PROCMON_SBOM=no"

# name PLATFORM, source_of PLATFORM: the plugin's name in the archive, and where it was built
name() { case $1 in windows_*) echo kubectl-procmon.exe ;; *) echo kubectl-procmon ;; esac; }
source_of() {
  local own
  own=$dist/bin/$1/$(name "$1")
  if [ "$1" = $here ] && [ ! -e "$own" ]; then echo "$plugin"; else echo "$own"; fi
}
built=$(source_of $here)
[ -f "$built" ] || fail "$built is missing: run \`make build\`"
[ "$("$built" --version)" = "kubectl-procmon $version" ] ||
  fail "$built is another version, $("$built" --version): run \`make build\`"

for folder in "$PWD" "${CARGO_HOME:-$HOME/.cargo}"; do
  ! grep -qaF "$folder/" "$built" || fail "$built names folders of this machine ($folder/): run \`make build\`"
done

mkdir -p "$dist"
rm -f "$dist"/kubectl-procmon_v*.tar.gz "$dist"/*.cdx.json "$dist/procmon.yaml" "$dist/probes.sha256" "$dist/checksums"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# triple PLATFORM: what rustc calls it
triple() {
  case $1 in
    linux_amd64) echo x86_64-unknown-linux-gnu ;;
    linux_arm64) echo aarch64-unknown-linux-gnu ;;
    darwin_amd64) echo x86_64-apple-darwin ;;
    darwin_arm64) echo aarch64-apple-darwin ;;
    windows_amd64) echo x86_64-pc-windows-msvc ;;
  esac
}
# bill PACKAGE FOLDER TARGET NAME: what a package of the workspace is made of, in FOLDER of the copy
# of the sources, as NAME.cdx.json
bill() {
  (cd "$stage/sources" && SOURCE_DATE_EPOCH=$date cargo cyclonedx --quiet --quiet --manifest-path "$2/Cargo.toml" \
    --format json --spec-version 1.5 --target "$3" --override-filename bill) || fail "cargo-cyclonedx failed for $1"
  # Ids of packages carry the folder of the workspace.
  sed "s|$stage/sources|/procmon|g" "$stage/sources/$2/bill.json" >"$dist/$4.cdx.json"
}
if [ "$sbom" != no ]; then
  # cargo-cyclonedx writes beside the manifests.
  mkdir "$stage/sources"
  tar --exclude=./target --exclude=./dist --exclude=./.git --exclude=./fuzz -cf - . | tar -xf - -C "$stage/sources"
fi
sed '/^#/d; /^  platforms:$/q' krew/procmon.yaml >"$stage/procmon.yaml"
for platform in "${platforms[@]}"; do
  built=$(source_of "$platform") bin=$(name "$platform") archive=kubectl-procmon_v${version}_$platform.tar.gz
  [ -f "$built" ] || continue
  mkdir "$stage/$platform"
  install -m 755 "$built" "$stage/$platform/$bin"
  install -m 644 LICENSE "$stage/$platform/LICENSE"
  tar -C "$stage/$platform" --format=ustar --mtime="@$date" --owner=0 --group=0 --numeric-owner -cf - LICENSE "$bin" |
    gzip -n9 >"$dist/$archive"
  if [ "$sbom" != no ]; then bill kubectl-procmon kubectl-procmon "$(triple "$platform")" "${archive%.tar.gz}"; fi
  sum=$(sha256sum <"$dist/$archive")
  sed "1,/^  platforms:$/d; s|@OS@|${platform%_*}|; s|@ARCH@|${platform#*_}|; s|@ARCHIVE@|$archive|
    s|@SHA256@|${sum%% *}|; s|@BIN@|$bin|" krew/procmon.yaml >>"$stage/procmon.yaml"
done
sed "s|@VERSION@|$version|; s|@REPOSITORY@|$repository|" "$stage/procmon.yaml" >"$dist/procmon.yaml"
if [ "$sbom" != no ]; then
  bill procmon-probe probe x86_64-unknown-linux-musl "procmon-probe_v${version}_amd64"
  bill procmon-probe-ebpf probe-ebpf bpfel-unknown-none "procmon-probe-ebpf_v$version"
  cmp -s Cargo.lock "$stage/sources/Cargo.lock" || fail "Cargo.lock is not up to date: run \`make build\`"
fi
"$(source_of $here)" version | sed -n 's/^probe \([a-z0-9]*\): .* sha256 \([0-9a-f]*\)$/\2  procmon-probe-\1/p' >"$dist/probes.sha256"
cd "$dist"
shopt -s nullglob
sha256sum -- *.cdx.json kubectl-procmon_v*.tar.gz probes.sha256 procmon.yaml | tee checksums
