#!/bin/sh
# A report as cron jobs make them: what the settings ask for, counted, packed, logged.
set -eu
. "$1/job.conf"
work=$(mktemp -d "$1/tmp/job.XXXXXX")
trap 'rm -rf "$work"' EXIT
date -u +%Y-%m-%dT%H:%M:%S >"$work/stamp"
for page in "$1"/data/*; do
  grep -c "$word" "$page" || :
done | sort -n >"$work/counts"
gzip -c "$work/counts" >"$1/report-$(date +%H%M).gz"
echo "$(cat "$work/stamp") $(wc -l <"$work/counts") pages" >>"$1/job.log"
