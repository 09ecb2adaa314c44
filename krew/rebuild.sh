#!/usr/bin/env bash
# Builds what is committed as releases are built, and leaves the probe and the plugin for Linux on
# amd64 in FOLDER: in the Debian of one moment (tests/setup/versions.sh), which mmdebstrap takes from
# Debian's archive of old states and checks by Debian's keys. A run on a tag gives the
# bytes that were released. Needs root, mmdebstrap (apt-get install mmdebstrap), 6 GB below TMPDIR,
# Debian's archive and crates.io.
#
#   rebuild.sh FOLDER
#
# PROCMON_DEBIAN names another archive than snapshot.debian.org, as it is now: for trying this out.
set -euo pipefail
fail() { echo "rebuild.sh: $*" >&2; exit 2; }
[ $# = 1 ] || fail "usage: rebuild.sh FOLDER"
folder=$(realpath -m "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/setup/versions.sh
[ "$(id -u)" = 0 ] || fail "needs root, for a root file system of its own"
command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing: apt-get install mmdebstrap"
[ "$(uname -m)" = x86_64 ] || fail "builds on amd64 only"

root=$(mktemp -d)/debian
finish() {
  for part in proc dev; do umount --recursive --lazy "$root/$part" 2>/dev/null || true; done
  rm -rf --one-file-system "${root%/*}"
}
trap finish EXIT
archive() { if [ -n "${PROCMON_DEBIAN:-}" ]; then echo "$PROCMON_DEBIAN/$1"; else echo "http://snapshot.debian.org/archive/$1/$debian_moment"; fi; }
# A state of the archive is older than its own date of expiry; its signature counts all the same.
sources=$(for suite in "debian $debian_release" "debian $debian_release-updates" "debian-security $debian_release-security"; do
  echo "deb [check-valid-until=no] $(archive "${suite% *}") ${suite#* } main"
done)
mmdebstrap --variant=apt --include=ca-certificates,git "$debian_release" "$root" - <<<"$sources"
mount -t proc proc "$root/proc"
mount --rbind --make-rslave /dev "$root/dev"
cp /etc/resolv.conf "$root/etc/resolv.conf"
if [ -n "${SSL_CERT_FILE:-}" ]; then cp "$SSL_CERT_FILE" "$root/etc/ssl/certs/ca-certificates.crt"; fi
mkdir -p "$root/src/kubectl-procmon"
git archive HEAD | tar -xf - -C "$root/src/kubectl-procmon"
chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin bash -euc '
  cd /src/kubectl-procmon
  tests/setup/toolchain.sh
  tests/setup/build.sh
'
mkdir -p "$folder"
cp "$root/src/kubectl-procmon/target/release/kubectl-procmon" "$root/src/kubectl-procmon/target/probe/procmon-probe-amd64" "$folder"
(cd "$folder" && sha256sum kubectl-procmon procmon-probe-amd64)
