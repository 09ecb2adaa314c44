#!/usr/bin/env bash
# Installs the real servers that the tests profile and the browser that opens reports, or those named, where
# they are missing. Only the programs are wanted: no service is started.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
once packages
servers=("$@")
if [ $# = 0 ]; then
  servers=(nginx-light redis-server redis-tools postgresql python3 curl)
  # Other sources of these serve as well.
  command -v node >/dev/null || servers+=(nodejs)
  command -v chromium-headless-shell chromium google-chrome >/dev/null || servers+=(chromium-headless-shell)
  [ -d /usr/share/fonts/truetype ] || servers+=(fonts-dejavu-core)
  if ! command -v java >/dev/null || ! command -v javac >/dev/null; then servers+=(default-jdk-headless); fi
fi
[ -n "$(missing_packages "${servers[@]}")" ] || exit 0
policy=/usr/sbin/policy-rc.d
if [ "$(id -u)" = 0 ] && [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt_install "${servers[@]}"
