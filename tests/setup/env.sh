# Source this before cargo: the tools that tests/setup/toolchain.sh put into the cache, and the
# toolchain that builds the probe. Touches nothing else.
export PROCMON_CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-procmon"
export PATH="$PROCMON_CACHE/bin:$PATH:/usr/local/go/bin:/usr/sbin:/sbin"
if [ -z "${PROCMON_BPF_TOOLCHAIN:-}" ] && [ -e "$PROCMON_CACHE/distribution-toolchain" ]; then
  export PROCMON_BPF_TOOLCHAIN=bpf
fi
# A rustup without any toolchain builds, formats and lints everything with the distribution's.
if [ "${PROCMON_BPF_TOOLCHAIN:-}" = bpf ] && command -v rustup >/dev/null && ! rustup default >/dev/null 2>&1; then
  export RUSTUP_TOOLCHAIN=bpf
fi
