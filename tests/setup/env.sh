# Source this before cargo: the tools that tests/setup/toolchain.sh put into the cache, and the
# toolchain that builds the probe. Touches nothing else.
export PATH="${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-procmon/bin:$PATH:/usr/local/go/bin:/usr/sbin:/sbin"
# The scripts expect the result in the workspace's own folder.
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR
if [ -e "${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-procmon/distribution-toolchain" ]; then
  export PROCMON_BPF_TOOLCHAIN="${PROCMON_BPF_TOOLCHAIN:-bpf}"
  # A rustup whose default is missing or older than the workspace wants: the distribution's compiler
  # builds, formats and lints everything.
  case $(rustc --version 2>/dev/null) in
    'rustc 1.9'[5-9].* | 'rustc 1.'[1-9][0-9][0-9].*) ;;
    *) export RUSTUP_TOOLCHAIN="$PROCMON_BPF_TOOLCHAIN" ;;
  esac
fi
