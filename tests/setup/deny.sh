#!/usr/bin/env bash
# Asks cargo-deny everything: licences, bans and sources of what Cargo.lock names, and advisories of
# what both lock files name. Which advisories:
#
#   PROCMON_ADVISORIES=fetch     the RustSec database, fetched now; no network is a failure
#   PROCMON_ADVISORIES=FOLDER    a checkout of it that somebody brought here
#   unset                        the copy that cargo-deny fetched earlier, at most 90 days old; else
#                                the extract in tests/advisories.tsv, and a line that says so
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/setup/lib.sh
source tests/setup/env.sh
# cargo-deny's own folder of databases, and its name for RustSec's.
databases=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
database=advisory-db-3157b0e258782691

# extract: tests/advisories.tsv in the database's form
extract() {
  # Fields may be empty, so the separator must not be white space.
  grep -v '^#' tests/advisories.tsv | tr '\t' '\037' |
    while IFS=$'\037' read -r id crate date kind patched unaffected what; do
      local folder=$databases/$database/crates/$crate informational=''
      mkdir -p "$folder"
      [ "$kind" = vulnerability ] || informational="informational = \"$kind\""
      cat >"$folder/$id.md" <<ADVISORY
\`\`\`toml
[advisory]
id = "$id"
package = "$crate"
date = "$date"
url = "https://rustsec.org/advisories/$id"
$informational

[versions]
patched = $(list "$patched")
unaffected = $(list "$unaffected")
\`\`\`

# $what

See https://rustsec.org/advisories/$id
ADVISORY
    done
  # cargo-deny wants to know when the database was fetched.
  git -C "$databases/$database" init --quiet
  touch "$databases/$database/.git/FETCH_HEAD"
}
# other_databases NAME: a folder in the cache is the place of the databases from here on
other_databases() {
  databases=$cache/$1
  rm -rf "$databases"
  mkdir -p "$databases"
  sed "s|^\[advisories\]\$|&\ndb-path = \"$databases\"|" deny.toml >"$databases/deny.toml"
  config=$databases/deny.toml
}
# list A|B: as TOML writes it
list() { if [ -n "$1" ]; then printf '["%s"]' "${1//|/\", \"}"; else printf '[]'; fi; }

offline=--offline config=deny.toml
case ${PROCMON_ADVISORIES:-} in
  fetch) offline='' which="the RustSec database, fetched now" ;;
  '')
    if [ -n "$(find "$databases/$database/.git/FETCH_HEAD" -mtime -90 2>/dev/null)" ]; then
      which="the RustSec database as fetched at $(date -r "$databases/$database/.git/FETCH_HEAD" +%F)"
    else
      other_databases advisories
      extract
      which="an extract of $(sed -n 's/^# date of the extract: //p' tests/advisories.tsv) with $(grep -vc '^#' tests/advisories.tsv) entries: NOT the whole RustSec database, which is not here (PROCMON_ADVISORIES=fetch fetches it, PROCMON_ADVISORIES=FOLDER names a checkout)"
    fi ;;
  *)
    [ -d "$PROCMON_ADVISORIES/crates" ] || { say "PROCMON_ADVISORIES: $PROCMON_ADVISORIES is no checkout of the RustSec database: it has no folder crates"; exit 1; }
    other_databases advisories-given
    ln -s "$(realpath "$PROCMON_ADVISORIES")" "$databases/$database"
    which="the checkout $PROCMON_ADVISORIES" ;;
esac
# Crates of other platforms are looked at too, so they have to be here.
cargo fetch --quiet --locked
cargo fetch --quiet --locked --manifest-path fuzz/Cargo.toml
cargo deny --locked --log-level error $offline --config "$config" check
cargo deny --locked --log-level error $offline --manifest-path fuzz/Cargo.toml --config "$config" check advisories
say "no advisory concerns what the lock files name; asked was $which"
