#!/usr/bin/env bash
# Packs what is built for krew: one archive for each platform, the manifest, checksums.
#
#   package.sh VERSION [FOLDER]    VERSION is the workspace's; FOLDER is dist/
#
# A platform's plugin is FOLDER/bin/PLATFORM/kubectl-procmon (.exe for Windows). For this machine's
# platform the one that `make build` leaves, or PROCMON_PLUGIN names, will do. Platforms that are
# not built are left out. Equal plugins of one commit (or SOURCE_DATE_EPOCH) give equal bytes.
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

mkdir -p "$dist"
rm -f "$dist"/kubectl-procmon_v*.tar.gz "$dist/procmon.yaml" "$dist/checksums"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
sed '/^#/d; /^  platforms:$/q' krew/procmon.yaml >"$stage/procmon.yaml"
for platform in "${platforms[@]}"; do
  built=$(source_of "$platform") bin=$(name "$platform") archive=kubectl-procmon_v${version}_$platform.tar.gz
  [ -f "$built" ] || continue
  mkdir "$stage/$platform"
  install -m 755 "$built" "$stage/$platform/$bin"
  install -m 644 LICENSE "$stage/$platform/LICENSE"
  tar -C "$stage/$platform" --format=ustar --mtime="@$date" --owner=0 --group=0 --numeric-owner -cf - LICENSE "$bin" |
    gzip -n9 >"$dist/$archive"
  sum=$(sha256sum <"$dist/$archive")
  sed "1,/^  platforms:$/d; s|@OS@|${platform%_*}|; s|@ARCH@|${platform#*_}|; s|@ARCHIVE@|$archive|
    s|@SHA256@|${sum%% *}|; s|@BIN@|$bin|" krew/procmon.yaml >>"$stage/procmon.yaml"
done
sed "s|@VERSION@|$version|; s|@REPOSITORY@|$repository|" "$stage/procmon.yaml" >"$dist/procmon.yaml"
(cd "$dist" && sha256sum -- kubectl-procmon_v*.tar.gz procmon.yaml | tee checksums)
