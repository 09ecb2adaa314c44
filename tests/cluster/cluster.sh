#!/usr/bin/env bash
# A real Kubernetes on this one machine, in network namespaces of its own: API server, etcd,
# controllers, scheduler, kubelets, containerd, runc, CNI, DNS, network policy. No registry, no packet
# to the outside. One cluster at a time: names and addresses are fixed.
#   cluster.sh install            packages and Go builds, kept in the cache
#   cluster.sh up --nodes 2       returns with ready nodes
#   eval "$(cluster.sh env)"      KUBECONFIG and PATH
#   cluster.sh down               stops and removes everything
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${PMC_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kubectl-procmon/cluster}
STATE=${PMC_STATE:-/var/lib/procmon-cluster}
export PMC_PORT=${PMC_PORT:-6443}
KUBE=v1.37.2
BIN=$CACHE/bin
CNI=$CACHE/cni
CG=procmon-cluster                     # name of our cgroup, in every hierarchy
NS=pmc                                 # prefix of our network namespaces
BR_IP=10.231.0.1                       # control plane; node I is 10.231.0.(10+I)
POD_NET=10.244.0.0/16                  # node I: 10.244.I.0/24
SVC_NET=10.96.0.0/16
VNI=231
export PATH=$BIN:/usr/local/go/bin:$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "cluster: $*" >&2; }
die() { say "$*"; exit 1; }
secs() { awk -v a="$1" -v b="$(date +%s.%N)" 'BEGIN{printf "%.1f s", b-a}'; }
KC() { kubectl --kubeconfig "$STATE/pki/admin.kubeconfig" "$@"; }
node_ip() { echo "10.231.0.$((10 + $1))"; }
need_root() { [ "$(id -u)" = 0 ] || die "must be root"; }

# ---------------------------------------------------------------- install

PACKAGES="busybox-static iptables nftables conntrack ipset iproute2 util-linux procps libseccomp-dev pkg-config gcc libc6-dev python3 ca-certificates"

have_packages() { dpkg-query -W -f '${Status}\n' $PACKAGES 2>/dev/null | grep -c '^install ok installed$'; }

# build NAME GO_ARGS...: run go build in build/NAME unless its inputs are unchanged
build() {
	local name=$1 out=$2 stamp; shift 2
	stamp=$CACHE/stamps/$name
	local sum; sum=$(cd "$HERE/build/$name" && { find . -type f | sort | xargs cat; echo "$@"; go version; } | sha256sum)
	if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sum" ] && [ "${PMC_REBUILD:-}" = "" ]; then return; fi
	local t; t=$(date +%s.%N)
	say "building $name"
	mkdir -p "$CACHE/log"
	(cd "$HERE/build/$name" && go build -mod=readonly -trimpath -buildvcs=false -o "$out" "$@") 2> "$CACHE/log/$name" ||
		{ cat "$CACHE/log/$name" >&2; die "build of $name failed"; }
	mkdir -p "$CACHE/stamps"; echo "$sum" > "$stamp"
	say "built $name in $(secs "$t")"
}

# packages: Debian packages, where they are missing
cmd_packages() {
	need_root
	local t; t=$(date +%s.%N)
	[ "$(have_packages)" != "$(set -- $PACKAGES; echo $#)" ] || return 0
	say "installing Debian packages: $PACKAGES"
	DEBIAN_FRONTEND=noninteractive apt-get update -qq -o DPkg::Lock::Timeout=300
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends $PACKAGES >/dev/null
	say "packages installed in $(secs "$t")"
}

cmd_install() {
	need_root
	local t; t=$(date +%s.%N)
	cmd_packages
	command -v go >/dev/null || die "needs Go 1.26 or newer on PATH"
	mkdir -p "$BIN" "$CNI"
	# Modules and objects (6 GiB) are kept only until all is built.
	export GOMODCACHE=$CACHE/go/modules GOCACHE=$CACHE/go/build
	local s='-s -w'
	export GOFLAGS=-buildvcs=false
	CGO_ENABLED=0 build tool "$BIN/pmctool" -ldflags "$s" .
	CGO_ENABLED=0 build etcd "$BIN/etcd" -ldflags "$s" go.etcd.io/etcd/server/v3
	CGO_ENABLED=0 build cni "$CNI/" -ldflags "$s -X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=v1.9.1" tool
	CGO_ENABLED=1 build runc "$BIN/runc" -tags seccomp -ldflags "$s" github.com/opencontainers/runc
	CGO_ENABLED=0 build containerd "$BIN/" -tags "no_btrfs no_devmapper no_zfs no_aufs" -ldflags "$s -X github.com/containerd/containerd/v2/version.Version=2.4.2" tool
	CGO_ENABLED=0 build coredns "$BIN/coredns" -ldflags "$s" .
	local v=k8s.io/component-base/version c=k8s.io/client-go/pkg/version p f=""
	for p in $v $c; do f="$f -X $p.gitVersion=$KUBE -X $p.gitMajor=1 -X $p.gitMinor=${KUBE:3:2} -X $p.gitTreeState=clean"; done
	CGO_ENABLED=0 build kube "$BIN/kube" -ldflags "$s$f" .
	for p in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl pmc-netpol; do ln -sf kube "$BIN/$p"; done
	[ "$BIN/pause" -nt "$HERE/build/pause.c" ] || gcc -Os -static -s -o "$BIN/pause" "$HERE/build/pause.c"
	if [ -d "$CACHE/go" ]; then chmod -R u+w "$CACHE/go"; rm -rf "$CACHE/go"; fi
	say "install finished in $(secs "$t"); $(du -shL "$CACHE" 2>/dev/null | cut -f1) in the cache"
}

# ---------------------------------------------------------------- processes

# spawn NAME LOG COMMAND...: start detached, remember pid and start time
spawn() {
	local name=$1 log=$2; shift 2
	mkdir -p "$STATE/run" "$(dirname "$log")"
	setsid "$@" >>"$log" 2>&1 </dev/null &
	local pid=$!
	echo "$pid $(proc_start "$pid")" > "$STATE/run/$name.pid"
}
proc_start() { local s; s=$(cat "/proc/$1/stat" 2>/dev/null) || true; s=${s##*) }; set -- $s; echo "${20:-0}"; }
alive() { # NAME: prints the pid when it is the process we started
	local pid st
	read -r pid st 2>/dev/null < "$STATE/run/$1.pid" || return 1
	[ -d "/proc/$pid" ] && [ "$(proc_start "$pid")" = "$st" ] && echo "$pid"
}
wait_for() { # SECONDS WHAT COMMAND...
	local n=$(( $1 * 10 )) what=$2; shift 2
	until "$@" >/dev/null 2>&1; do
		n=$((n - 1)); [ $n -gt 0 ] || die "gave up waiting for $what (logs under $STATE)"
		sleep 0.1
	done
}

# ---------------------------------------------------------------- cgroups

V1="cpu cpuacct cpuset memory devices freezer blkio pids systemd hugetlb net_cls net_prio perf_event"
hierarchies() { local h; for h in $V1 unified; do [ -d "/sys/fs/cgroup/$h" ] && echo "/sys/fs/cgroup/$h"; done; }
cgroup_make() { # PATH under our cgroup, in every hierarchy
	local h d part
	for h in $(hierarchies); do
		d=$h
		local IFS=/
		for part in $1; do
			d=$d/$part; mkdir -p "$d"
			if [ -f "$d/cpuset.cpus" ] && [ -z "$(cat "$d/cpuset.cpus")" ]; then
				cat "$d/../cpuset.cpus" > "$d/cpuset.cpus"; cat "$d/../cpuset.mems" > "$d/cpuset.mems"
			fi
		done
	done
}
# Daemons are named in the tracking hierarchies only; resource accounting stays as it is.
cgroup_enter() { # PATH: put this shell in
	local h
	for h in systemd unified; do
		[ -d "/sys/fs/cgroup/$h/$1" ] && echo $BASHPID > "/sys/fs/cgroup/$h/$1/cgroup.procs" || true
	done
}
cgroup_pids() { local h; for h in $(hierarchies); do [ -d "$h/$CG" ] && find "$h/$CG" -name cgroup.procs -exec cat {} + 2>/dev/null; done | sort -un; }
cgroup_remove() {
	local h
	for h in $(hierarchies); do
		[ -d "$h/$CG" ] && find "$h/$CG" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done
}

# in_cg PATH COMMAND...: internal, run the command inside a cgroup
cmd___in_cg() { local p=$1; shift; cgroup_enter "$p"; exec "$@"; }

# ---------------------------------------------------------------- up

net_up() {
	local n=$1 i j ip
	ip netns add $NS-cp
	ip -n $NS-cp link set lo up
	ip -n $NS-cp link add br0 type bridge
	ip -n $NS-cp addr add $BR_IP/24 dev br0
	ip -n $NS-cp link set br0 up
	for i in $(seq "$n"); do
		ip=$(node_ip "$i")
		ip netns add $NS-node$i
		ip -n $NS-node$i link set lo up
		ip -n $NS-cp link add node$i type veth peer name eth0 netns $NS-node$i
		ip -n $NS-cp link set node$i master br0 up
		ip -n $NS-node$i addr add "$ip/24" dev eth0
		ip -n $NS-node$i link set eth0 up
		ip -n $NS-cp route add 10.244.$i.0/24 via "$ip"
		# overlay: VXLAN over eth0, one static peer per other node
		ip -n $NS-node$i link add vxlan0 address "02:00:0a:e7:00:$(printf %02x $((10 + i)))" mtu 1450 type vxlan id $VNI local "$ip" dev eth0 dstport 8472 nolearning
		ip -n $NS-node$i addr add 10.244.$i.0/32 dev vxlan0
		ip -n $NS-node$i link set vxlan0 up
		for j in $(seq "$n"); do
			[ "$j" = "$i" ] && continue
			local mac; mac="02:00:0a:e7:00:$(printf %02x $((10 + j)))"
			ip -n $NS-node$i neigh add 10.244.$j.0 lladdr "$mac" dev vxlan0 nud permanent
			bridge -n $NS-node$i fdb add "$mac" dev vxlan0 dst "$(node_ip "$j")"
			ip -n $NS-node$i route add 10.244.$j.0/24 via 10.244.$j.0 dev vxlan0 onlink
		done
		ip netns exec $NS-node$i sh -c '
			sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
			[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] && sysctl -qw net.bridge.bridge-nf-call-iptables=1
			nft -f - <<-N
			table ip pmc { chain post { type nat hook postrouting priority 100; ip saddr '$POD_NET' ip daddr != '$POD_NET' oifname eth0 masquerade; }; }
			N'
	done
}

# Runs in the node's own mount, UTS and network namespace and holds them open.
cmd___holder() {
	local i=$1 d=$STATE/node$1 p
	hostname "node$i"
	mount --make-rshared /
	for p in /var/lib/kubelet /var/lib/containerd /run/containerd /run/netns /var/lib/cni /etc/cni/net.d /opt/cni/bin /var/log/pods /var/log/containers /etc/kubernetes; do
		mkdir -p "$d/fs$p"
		mount --bind "$d/fs$p" "$p"
		mount --make-shared "$p"
	done
	: > "$d/ready"
	exec -a "pmc-holder-node$i" sleep infinity
}

MOUNTPOINTS="/var/lib/kubelet /var/lib/containerd /run/containerd /run/netns /var/lib/cni /etc/cni/net.d /opt/cni/bin /var/log/pods /var/log/containers /etc/kubernetes"

on_node() { # I COMMAND...: run inside node I's namespaces
	local i=$1 pid; shift
	pid=$(alive "holder-node$i") || die "node$i is not up"
	nsenter -t "$pid" -m -u -n -- "$@"
}

node_up() {
	local i=$1 d=$STATE/node$1 ip pid
	ip=$(node_ip "$i")
	mkdir -p "$d" $MOUNTPOINTS
	cgroup_make "$CG/node$i/system/containerd"; cgroup_make "$CG/node$i/system/kubelet"; cgroup_make "$CG/node$i/system/kube-proxy"; cgroup_make "$CG/node$i/system/netpol"
	rm -f "$d/ready"
	spawn "holder-node$i" "$d/log/holder.log" "$HERE/cluster.sh" __in_cg "$CG/holders" nsenter --net=/run/netns/$NS-node$i unshare --mount --uts --propagation slave "$HERE/cluster.sh" __holder "$i"
	wait_for 10 "node$i's namespaces" test -e "$d/ready"
	pid=$(alive "holder-node$i")

	mkdir -p "$d/fs/etc/kubernetes" "$d/fs/etc/cni/net.d" "$d/fs/opt/cni/bin" "$d/fs/etc/kubernetes/manifests"
	cp -f "$CNI"/* "$d/fs/opt/cni/bin/"
	cp -f "$STATE/pki/ca.crt" "$STATE/pki/node$i.crt" "$STATE/pki/node$i.key" "$d/fs/etc/kubernetes/"
	cp -f "$STATE/pki/node$i.kubeconfig" "$d/fs/etc/kubernetes/kubelet.conf"
	cp -f "$STATE/pki/kube-proxy.kubeconfig" "$d/fs/etc/kubernetes/kube-proxy.conf"
	: > "$d/fs/etc/kubernetes/resolv.conf"
	cat > "$d/fs/etc/cni/net.d/10-pod.conflist" <<-J
	{"cniVersion":"1.0.0","name":"pods","plugins":[
	 {"type":"bridge","bridge":"cni0","isGateway":true,"isDefaultGateway":true,"hairpinMode":true,"mtu":1450,
	  "ipam":{"type":"host-local","ranges":[[{"subnet":"10.244.$i.0/24"}]]}},
	 {"type":"portmap","capabilities":{"portMappings":true}}]}
	J
	cat > "$d/containerd.toml" <<-T
	version = 3
	root = "/var/lib/containerd"
	state = "/run/containerd"
	disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp", "io.containerd.snapshotter.v1.erofs"]
	[grpc]
	  address = "/run/containerd/containerd.sock"
	[plugins."io.containerd.cri.v1.runtime"]
	  restrict_oom_score_adj = true
	  disable_hugetlb_controller = true
	  tolerate_missing_hugetlb_controller = true
	  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
	    runtime_type = "io.containerd.runc.v2"
	    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
	      BinaryName = "$BIN/runc"
	      SystemdCgroup = false
	  [plugins."io.containerd.cri.v1.runtime".cni]
	    bin_dirs = ["/opt/cni/bin"]
	    conf_dir = "/etc/cni/net.d"
	[plugins."io.containerd.cri.v1.images"]
	  snapshotter = "overlayfs"
	  [plugins."io.containerd.cri.v1.images".pinned_images]
	    sandbox = "localhost/pause:1"
	T
	cat > "$d/kubelet.yaml" <<-Y
	apiVersion: kubelet.config.k8s.io/v1beta1
	kind: KubeletConfiguration
	authentication:
	  anonymous: {enabled: false}
	  webhook: {enabled: true, cacheTTL: 10s}
	  x509: {clientCAFile: /etc/kubernetes/ca.crt}
	authorization: {mode: Webhook}
	tlsCertFile: /etc/kubernetes/node$i.crt
	tlsPrivateKeyFile: /etc/kubernetes/node$i.key
	staticPodPath: /etc/kubernetes/manifests
	containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
	clusterDomain: cluster.local
	clusterDNS: [10.96.0.10]
	resolvConf: /etc/kubernetes/resolv.conf
	cgroupDriver: cgroupfs
	cgroupRoot: /$CG/node$i
	failCgroupV1: false
	failSwapOn: false
	oomScoreAdj: 0
	maxOpenFiles: $(ulimit -Hn)
	protectKernelDefaults: false
	registerNode: true
	enableDebuggingHandlers: true
	serializeImagePulls: false
	imageGCHighThresholdPercent: 100
	evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
	syncFrequency: 20s
	nodeStatusUpdateFrequency: 5s
	fileCheckFrequency: 5s
	shutdownGracePeriod: 0s
	Y
	cat > "$d/kube-proxy.yaml" <<-Y
	apiVersion: kubeproxy.config.k8s.io/v1alpha1
	kind: KubeProxyConfiguration
	mode: ${PMC_PROXY_MODE:-nftables}
	clusterCIDR: $POD_NET
	hostnameOverride: node$i
	bindAddress: 0.0.0.0
	oomScoreAdj: 0
	clientConnection: {kubeconfig: /etc/kubernetes/kube-proxy.conf}
	conntrack: {maxPerCore: 0}
	Y
	spawn "containerd-node$i" "$d/log/containerd.log" "$HERE/cluster.sh" __in_cg "$CG/node$i/system/containerd" \
		nsenter -t "$pid" -m -u -n -- "$BIN/containerd" --config "$d/containerd.toml"
}

node_join() { # after the API server answers
	local i=$1 d=$STATE/node$1 ip pid
	ip=$(node_ip "$i"); pid=$(alive "holder-node$i")
	spawn "kubelet-node$i" "$d/log/kubelet.log" "$HERE/cluster.sh" __in_cg "$CG/node$i/system/kubelet" \
		nsenter -t "$pid" -m -u -n -- "$BIN/kubelet" --config "$d/kubelet.yaml" --kubeconfig /etc/kubernetes/kubelet.conf \
		--hostname-override "node$i" --node-ip "$ip" --node-labels "procmon.test/node=$i" --v="${PMC_V:-2}"
	spawn "kube-proxy-node$i" "$d/log/kube-proxy.log" "$HERE/cluster.sh" __in_cg "$CG/node$i/system/kube-proxy" \
		nsenter -t "$pid" -m -u -n -- "$BIN/kube-proxy" --config "$d/kube-proxy.yaml" --v="${PMC_V:-2}"
	spawn "netpol-node$i" "$d/log/netpol.log" "$HERE/cluster.sh" __in_cg "$CG/node$i/system/netpol" \
		nsenter -t "$pid" -m -u -n -- "$BIN/pmc-netpol" --node "node$i" --kubeconfig "$STATE/pki/netpol.kubeconfig"
}

cp_spawn() { # NAME COMMAND...: in the control plane's network namespace
	local name=$1; shift
	spawn "$name" "$STATE/cp/log/$name.log" "$HERE/cluster.sh" __in_cg "$CG/control-plane" nsenter --net=/run/netns/$NS-cp -- "$@"
}

control_plane_up() {
	local p=$STATE/pki
	mkdir -p "$STATE/cp/etcd" "$STATE/cp/audit"; chmod 700 "$STATE/cp/etcd"
	cgroup_make "$CG/control-plane"; cgroup_make "$CG/holders"
	cp_spawn etcd "$BIN/etcd" --name cp --data-dir "$STATE/cp/etcd" --listen-client-urls http://127.0.0.1:2379 \
		--advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 \
		--initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster cp=http://127.0.0.1:2380 \
		--unsafe-no-fsync --log-level warn
	cp_spawn kube-apiserver "$BIN/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --bind-address 0.0.0.0 --secure-port 6443 \
		--advertise-address $BR_IP --external-hostname $BR_IP --service-cluster-ip-range $SVC_NET --allow-privileged \
		--tls-cert-file "$p/apiserver.crt" --tls-private-key-file "$p/apiserver.key" --client-ca-file "$p/ca.crt" \
		--kubelet-client-certificate "$p/apiserver-kubelet-client.crt" --kubelet-client-key "$p/apiserver-kubelet-client.key" \
		--kubelet-certificate-authority "$p/ca.crt" --kubelet-preferred-address-types InternalIP \
		--authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
		--service-account-issuer https://kubernetes.default.svc.cluster.local \
		--service-account-key-file "$p/sa.pub" --service-account-signing-key-file "$p/sa.key" \
		--requestheader-client-ca-file "$p/front-proxy-ca.crt" --requestheader-allowed-names front-proxy-client \
		--requestheader-extra-headers-prefix X-Remote-Extra- --requestheader-group-headers X-Remote-Group \
		--requestheader-username-headers X-Remote-User --proxy-client-cert-file "$p/front-proxy-client.crt" \
		--proxy-client-key-file "$p/front-proxy-client.key" --enable-aggregator-routing \
		--audit-policy-file "$HERE/conf/audit-policy.yaml" --audit-log-path "$STATE/cp/audit/audit.log" \
		--audit-log-maxsize 200 --audit-log-maxbackup 2 ${PMC_APISERVER_ARGS:-}
	spawn forward "$STATE/cp/log/forward.log" "$HERE/cluster.sh" __in_cg "$CG/holders" "$BIN/pmctool" forward "127.0.0.1:$PMC_PORT" /run/netns/$NS-cp $BR_IP:6443
}

controllers_up() { # once the API server has made its own roles
	local p=$STATE/pki
	cp_spawn kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig "$p/controller-manager.kubeconfig" \
		--authentication-kubeconfig "$p/controller-manager.kubeconfig" --authorization-kubeconfig "$p/controller-manager.kubeconfig" \
		--service-account-private-key-file "$p/sa.key" --root-ca-file "$p/ca.crt" --cluster-signing-cert-file "$p/ca.crt" \
		--cluster-signing-key-file "$p/ca.key" --use-service-account-credentials --leader-elect=false \
		--node-monitor-period 5s --node-monitor-grace-period 50s --kube-api-qps 100 --kube-api-burst 200
	cp_spawn kube-scheduler "$BIN/kube-scheduler" --kubeconfig "$p/scheduler.kubeconfig" \
		--authentication-kubeconfig "$p/scheduler.kubeconfig" --authorization-kubeconfig "$p/scheduler.kubeconfig" --leader-elect=false
}

SYSCTLS="vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes"

# healthy N: a cluster of N nodes is up, all its programs run and its nodes are ready
healthy() {
	local f
	[ "$(cat "$STATE/run/nodes" 2>/dev/null)" = "$1" ] || return 1
	for f in "$STATE"/run/*.pid; do alive "$(basename "$f" .pid)" >/dev/null || return 1; done
	timeout 10 kubectl --kubeconfig "$STATE/pki/admin.kubeconfig" get --raw /readyz >/dev/null 2>&1 || return 1
	[ "$(timeout 10 kubectl --kubeconfig "$STATE/pki/admin.kubeconfig" get nodes --no-headers 2>/dev/null | grep -c ' Ready ')" = "$1" ]
}

# strays: processes of a cluster whose state folder is gone or elsewhere
strays() {
	local d line
	for d in /proc/[0-9]*; do
		line=$(tr '\0' ' ' 2>/dev/null < "$d/cmdline") || continue
		case $line in
		pmc-holder-node[0-9]*\ * | *"pmctool forward "*" /run/netns/$NS-cp "*) echo "${d#/proc/}" ;;
		esac
	done
}

cmd_up() {
	need_root
	local n=1 i t t1
	while [ $# -gt 0 ]; do
		case $1 in
		--nodes) n=$2; shift 2 ;;
		--nodes=*) n=${1#*=}; shift ;;
		*) die "unknown argument: $1" ;;
		esac
	done
	[ "$n" -ge 1 ] && [ "$n" -le 9 ] || die "--nodes must be 1 to 9"
	[ -x "$BIN/kube" ] || cmd_install
	if healthy "$n"; then say "already up with $n node(s)"; return; fi
	# The rest of an earlier one would be in the way.
	cmd_down
	t=$(date +%s.%N)
	mkdir -p "$STATE/run"; echo "$n" > "$STATE/run/nodes"
	for i in $SYSCTLS; do echo "$i=$(sysctl -n "$i")"; done > "$STATE/run/sysctls"
	pmctool pki "$STATE/pki" "$n"
	net_up "$n"
	control_plane_up
	for i in $(seq "$n"); do node_up "$i"; done
	base_images & local images=$!
	wait_for 60 "the API server" KC get --raw /readyz
	say "API server ready after $(secs "$t")"
	controllers_up
	for i in $(seq "$n"); do
		KC apply -f - >/dev/null <<-Y
		apiVersion: v1
		kind: Node
		metadata: {name: node$i, labels: {kubernetes.io/hostname: node$i}}
		spec: {podCIDR: 10.244.$i.0/24, podCIDRs: [10.244.$i.0/24]}
		Y
	done
	KC create clusterrolebinding procmon:kube-proxy --clusterrole system:node-proxier --user system:kube-proxy >/dev/null
	KC create clusterrole procmon:netpol --verb get,list,watch --resource pods,namespaces,networkpolicies.networking.k8s.io >/dev/null
	KC create clusterrolebinding procmon:netpol --clusterrole procmon:netpol --user procmon:netpol >/dev/null
	for i in $(seq "$n"); do
		wait_for 30 "containerd on node$i" on_node "$i" "$BIN/ctr" version
		node_join "$i"
	done
	wait "$images" || die "base images could not be loaded"
	KC apply -f "$HERE/conf/coredns.yaml" >/dev/null
	KC wait --for=condition=Ready node --all --timeout=90s >/dev/null
	say "nodes ready after $(secs "$t")"
	wait_for 20 "the default service account" KC get serviceaccount default
	KC -n kube-system rollout status deployment/coredns --timeout=90s >/dev/null
	for i in $(seq "$n"); do wait_for 20 "network policy on node$i" grep -q "rules applied" "$STATE/node$i/log/netpol.log"; done
	say "up with $n node(s) in $(secs "$t"); eval \"\$($0 env)\""
}

# ---------------------------------------------------------------- images

import_tar() { # TAR: into every node
	local i out
	for i in $(seq "$(cat "$STATE/run/nodes")"); do
		out=$(on_node "$i" "$BIN/ctr" -n k8s.io images import --local "$1" 2>&1) || die "import into node$i failed: $out"
	done
}

cmd_load_image() { # NAME ROOTFS [ENTRYPOINT...]; options of mkimage.py before NAME
	need_root
	local opts=() tar
	while [[ ${1:-} == --* ]]; do opts+=("$1" "$2"); shift 2; done
	[ $# -ge 2 ] || die "load-image [--env K=V] [--user U] [--workdir D] [--cmd ARG] NAME ROOTFS_DIR_OR_TAR [ENTRYPOINT...]"
	local name=$1 root=$2; shift 2
	tar=$(mktemp --suffix .tar)
	python3 "$HERE/mkimage.py" --name "$name" --out "$tar" "${opts[@]}" "$root" "$@"
	import_tar "$tar"
	rm -f "$tar"
}

# rootfs DIR PROGRAM...: a busybox root with these programs and the libraries they load
rootfs() {
	local d=$1 p l; shift
	mkdir -p "$d"/{bin,sbin,usr/bin,usr/sbin,etc,proc,sys,dev,tmp,root,var/log,run}
	chmod 1777 "$d/tmp"
	cp /bin/busybox "$d/bin/busybox"
	for p in $(/bin/busybox --list); do [ "$p" = busybox ] || ln -sf busybox "$d/bin/$p"; done
	printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' > "$d/etc/passwd"
	printf 'root:x:0:\nnogroup:x:65534:\n' > "$d/etc/group"
	for p in "$@"; do
		p=$(readlink -f "$(command -v "$p")")
		install -D -m 755 "$p" "$d$p"
		for l in $(ldd "$p" 2>/dev/null | grep -oE '/[^ ]+' || true); do
			[ -e "$d$l" ] || install -D -m 755 "$(readlink -f "$l")" "$d$l"
		done
	done
}

cmd_load_programs() { # NAME PROGRAM...: busybox plus programs of this machine
	need_root
	local name=$1 d; shift
	d=$(mktemp -d)
	rootfs "$d" "$@"
	cmd_load_image "$name" "$d"
	rm -rf "$d"
}

base_images() {
	local c=$CACHE/images d i
	mkdir -p "$c"
	if [ ! "$c/done" -nt "$BIN/coredns" ] || [ ! "$c/done" -nt "$HERE/mkimage.py" ] || [ ! "$c/done" -nt "$BIN/pause" ]; then
		d=$(mktemp -d)
		mkdir -p "$d/pause" "$d/coredns"
		cp "$BIN/pause" "$d/pause/pause"; cp "$BIN/coredns" "$d/coredns/coredns"
		rootfs "$d/busybox"
		python3 "$HERE/mkimage.py" --name localhost/pause:1 --out "$c/pause.tar" "$d/pause" /pause
		python3 "$HERE/mkimage.py" --name localhost/coredns:1 --out "$c/coredns.tar" "$d/coredns" /coredns
		python3 "$HERE/mkimage.py" --name localhost/busybox:1 --cmd /bin/sh --out "$c/busybox.tar" "$d/busybox"
		rm -rf "$d"; : > "$c/done"
	fi >/dev/null
	for i in $(seq "$(cat "$STATE/run/nodes")"); do
		wait_for 30 "containerd on node$i" on_node "$i" "$BIN/ctr" version
	done
	for i in pause coredns busybox; do import_tar "$c/$i.tar"; done
}

# ---------------------------------------------------------------- down, status

cmd_down() {
	need_root
	local t i pid st f
	t=$(date +%s.%N)
	# everything that runs in our cgroups was started by this cluster
	for i in 1 2 3; do
		for f in "$STATE"/run/kubelet-*.pid "$STATE"/run/*.pid; do
			[ -e "$f" ] || continue
			pid=$(alive "$(basename "$f" .pid)") && kill -9 "$pid" 2>/dev/null || true
		done
		for pid in $(cgroup_pids) $(strays); do kill -9 "$pid" 2>/dev/null || true; done
		[ -z "$(cgroup_pids)$(strays)" ] && break
		sleep 0.2
	done
	for i in $(ip netns list 2>/dev/null | awk '{print $1}' | grep -E "^$NS-(cp|node[0-9]+)$" || true); do ip netns del "$i"; done
	for i in $(seq 20); do cgroup_remove; [ -d /sys/fs/cgroup/systemd/$CG ] || [ -d /sys/fs/cgroup/memory/$CG ] || break; sleep 0.1; done
	if [ -f "$STATE/run/sysctls" ]; then xargs -r sysctl -qw < "$STATE/run/sysctls" || true; fi
	# the nodes' mounts went with their namespaces; nothing of them is left here
	if grep -q " $STATE/" /proc/self/mountinfo; then say "warning: mounts left under $STATE"; grep " $STATE/" /proc/self/mountinfo >&2; return 1; fi
	[ ! -e "$STATE/run/nodes" ] || rm -rf "$STATE"
	rmdir --ignore-fail-on-non-empty $MOUNTPOINTS 2>/dev/null || true
	say "down in $(secs "$t")"
}

cmd_status() {
	local f name
	[ -e "$STATE/run/nodes" ] || { echo "down"; return 1; }
	for f in "$STATE"/run/*.pid; do
		name=$(basename "$f" .pid)
		if alive "$name" >/dev/null; then echo "running  $name ($(alive "$name"))"; else echo "DEAD     $name"; fi
	done
	KC get nodes -o wide
	KC get pods -A -o wide
}

cmd_env() {
	echo "export KUBECONFIG=$STATE/pki/admin.kubeconfig"
	echo "export PMC_AUDIT_LOG=$STATE/cp/audit/audit.log"
	echo "export PMC_KUBECTL=$BIN/kubectl"
	echo "export PATH=$BIN:\$PATH"
}

cmd_exec() { need_root; on_node "$@"; }   # exec I COMMAND...: on the node itself

# The whole file is read before anything runs, so it may be edited meanwhile.
main() {
local c=${1:-}; shift || true
case $c in
packages | install | up | down | status | env | exec | __holder | __in_cg) "cmd_$c" "$@" ;;
load-image) cmd_load_image "$@" ;;
load-programs) cmd_load_programs "$@" ;;
*)
	sed 's/^	//' <<-U >&2
	usage: cluster.sh packages | install | up [--nodes N] | down | status | env
	       cluster.sh load-image [--env K=V] [--cmd ARG] NAME ROOTFS_DIR_OR_TAR [ENTRYPOINT...]
	       cluster.sh load-programs NAME PROGRAM...
	       cluster.sh exec I COMMAND...
	U
	exit 2 ;;
esac
}
main "$@"; exit $?
