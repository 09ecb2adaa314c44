# Functions that the set-up scripts share; sourced, not run.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-procmon
mkdir -p "$cache/bin" "$cache/log"
export PATH="$cache/bin:$PATH:/usr/local/go/bin:/usr/sbin:/sbin"
started=$SECONDS
say() { printf 'setup: [%3ds] %s\n' $((SECONDS - started)) "$*" >&2; }

# missing_packages NAME...: those that are not installed
missing_packages() {
  local p
  for p in "$@"; do
    dpkg-query -W -f='${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || echo "$p"
  done
}

# apt_install NAME...: Debian packages, where they are missing
apt_install() {
  local missing
  command -v dpkg-query >/dev/null || { say "this is no Debian: please install $* by hand"; return 1; }
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  [ "$(id -u)" = 0 ] || { say "please install as root: apt-get install ${missing[*]}"; return 1; }
  say "installing Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  {
    apt-get update -qq -o DPkg::Lock::Timeout=300 &&
      apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "${missing[@]}"
  } >"$cache/log/apt" 2>&1 || { tail -20 "$cache/log/apt" >&2; return 1; }
}

# once NAME: one set-up at a time; a second one waits for the first
once() {
  exec {lock}>"$cache/$1.lock"
  flock -n "$lock" || { say "another set-up is at work: waiting for it"; flock "$lock"; }
}
