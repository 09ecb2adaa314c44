#!/bin/sh
# sandbox.sh FOLDER CGROUP: reads one line, then runs FOLDER/case as a container runs its program: with a root
# of its own over this machine's, namespaces of its own, and the capabilities that runtimes give. With
# FOLDER/privileged it keeps all; with FOLDER/filtered a seccomp filter that allows everything holds; with
# FOLDER/nonroot user 1000 runs it, who can gain nothing; with FOLDER/host-ipc it shares the node's IPC.
set -e
ipc=--ipc
if [ -e "$1/host-ipc" ]; then ipc=; fi
# shellcheck disable=SC2016 # the inner shell expands
exec unshare --mount --pid --net $ipc --uts --cgroup --fork --kill-child --propagation private sh -ec '
folder=$1
echo 0 > "$2/cgroup.procs"
mkdir -p "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
cp "$folder/case" "$folder/root/case"
for option in privileged filtered nonroot; do
  if [ -e "$folder/$option" ]; then eval "$option=1"; fi
done
cd "$folder/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/shm dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs run
ip link set lo up
# Every address is this machine: no packet leaves the namespace.
ip route add local default dev lo
mkdir -p .old
pivot_root . .old
cd /
umount -l /.old
rmdir /.old
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
set -- sh -c "echo ready; read go; exec sh /case </dev/null"
if [ "$nonroot" ]; then set -- setpriv --reuid 1000 --regid 1000 --clear-groups --no-new-privs "$@"; fi
if [ ! "$privileged" ]; then
  caps=-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write
  set -- setpriv --bounding-set "$caps" --inh-caps "-all" "$@"
fi
if [ "$filtered" ]; then
  set -- python3 -c "
import ctypes, os, struct, sys
allow = ctypes.create_string_buffer(struct.pack(\"HBBI\", 6, 0, 0, 0x7fff0000))
ctypes.CDLL(None).prctl(22, 2, ctypes.create_string_buffer(struct.pack(\"HxxxxxxQ\", 1, ctypes.addressof(allow))), 0, 0)
os.execvp(sys.argv[1], sys.argv[1:])" "$@"
fi
exec "$@"
' sh "$1" "$2"
