#!/usr/bin/env bash
# Installs the real servers that the tests and the demo profile, where they are missing.
set -euo pipefail
missing=()
for package in nginx-light redis-server redis-tools; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
((${#missing[@]})) || exit 0
echo "setup: installing Debian packages: ${missing[*]} (their services are not started)" >&2
# A policy that forbids services to start: only programs are wanted.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
