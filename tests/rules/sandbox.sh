#!/bin/sh
# sandbox.sh FOLDER CGROUP: reads one line, then runs FOLDER/case as a container runs its program: with a root
# of its own over this machine's, namespaces of its own, and the capabilities that runtimes give. With
# FOLDER/privileged it keeps all.
set -e
# shellcheck disable=SC2016 # the inner shell expands
exec unshare --mount --pid --net --ipc --uts --cgroup --fork --kill-child --propagation private sh -ec '
folder=$1
echo 0 > "$2/cgroup.procs"
mkdir -p "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
cp "$folder/case" "$folder/root/case"
keep=
if [ -e "$folder/privileged" ]; then keep=1; fi
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
start="echo ready; read go; exec sh /case </dev/null"
if [ "$keep" ]; then exec sh -c "$start"; fi
caps=-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write
exec setpriv --bounding-set "$caps" --inh-caps "-all" sh -c "$start"
' sh "$1" "$2"
