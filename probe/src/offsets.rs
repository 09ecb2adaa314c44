//! Which kernel members the programs read, and where they lie in the running kernel.

use crate::btf::Btf;
use procmon_probe_ebpf::abi::{NO_OFFSET, Offsets};

macro_rules! offsets {
    ($btf:ident, $out:ident: $($field:ident = $structure:literal . $path:literal),* $(,)?) => {
        $($out.$field = $btf
            .member($structure, $path)
            .map_or(NO_OFFSET, |member| member.bits / 8);)*
    };
}

#[expect(clippy::too_many_lines, reason = "one line per member")]
/// Offsets that this kernel has, and the names of those that no program can do without and that it lacks.
pub(crate) fn find(btf: &Btf, arch: &str) -> (Offsets, Vec<&'static str>) {
    let mut out = Offsets::default();
    offsets! { btf, out:
        task_thread_info_status = "task_struct"."thread_info.status",
        task_flags = "task_struct"."flags",
        task_comm = "task_struct"."comm",
        task_tgid = "task_struct"."tgid",
        task_real_parent = "task_struct"."real_parent",
        task_group_leader = "task_struct"."group_leader",
        task_start_time = "task_struct"."start_time",
        task_exit_code = "task_struct"."exit_code",
        task_signal = "task_struct"."signal",
        task_cred = "task_struct"."cred",
        task_files = "task_struct"."files",
        task_fs = "task_struct"."fs",
        task_mm = "task_struct"."mm",
        task_nsproxy = "task_struct"."nsproxy",
        task_cgroups = "task_struct"."cgroups",
        task_atomic_flags = "task_struct"."atomic_flags",
        task_seccomp_mode = "task_struct"."seccomp.mode",
        task_thread_pid = "task_struct"."thread_pid",
        task_pending_signal = "task_struct"."pending.signal",
        task_blocked = "task_struct"."blocked",
        signal_live = "signal_struct"."live",
        signal_group_exit_code = "signal_struct"."group_exit_code",
        pid_level = "pid"."level",
        pid_numbers = "pid"."numbers",
        upid_nr = "upid"."nr",
        upid_ns = "upid"."ns",
        cred_uid = "cred"."uid",
        cred_gid = "cred"."gid",
        cred_euid = "cred"."euid",
        cred_egid = "cred"."egid",
        cred_cap_effective = "cred"."cap_effective",
        cred_cap_permitted = "cred"."cap_permitted",
        cred_cap_bset = "cred"."cap_bset",
        cred_user_ns = "cred"."user_ns",
        files_count = "files_struct"."count",
        files_fdt = "files_struct"."fdt",
        fdt_max_fds = "fdtable"."max_fds",
        fdt_fd = "fdtable"."fd",
        fs_pwd = "fs_struct"."pwd",
        fs_root = "fs_struct"."root",
        mm_exe_file = "mm_struct"."exe_file",
        mm_arg_start = "mm_struct"."arg_start",
        mm_arg_end = "mm_struct"."arg_end",
        nsproxy_uts = "nsproxy"."uts_ns",
        nsproxy_ipc = "nsproxy"."ipc_ns",
        nsproxy_mnt = "nsproxy"."mnt_ns",
        nsproxy_pid = "nsproxy"."pid_ns_for_children",
        nsproxy_net = "nsproxy"."net_ns",
        nsproxy_cgroup = "nsproxy"."cgroup_ns",
        uts_ns_inum = "uts_namespace"."ns.inum",
        ipc_ns_inum = "ipc_namespace"."ns.inum",
        mnt_ns_inum = "mnt_namespace"."ns.inum",
        ipc_ns_mq_queues_count = "ipc_namespace"."mq_queues_count",
        pid_ns_inum = "pid_namespace"."ns.inum",
        net_ns_inum = "net"."ns.inum",
        cgroup_ns_inum = "cgroup_namespace"."ns.inum",
        user_ns_inum = "user_namespace"."ns.inum",
        css_set_dfl_cgrp = "css_set"."dfl_cgrp",
        css_set_subsys = "css_set"."subsys",
        css_cgroup = "cgroup_subsys_state"."cgroup",
        css_parent = "cgroup_subsys_state"."parent",
        cgroup_self = "cgroup"."self",
        cgroup_kn = "cgroup"."kn",
        cgroup_root = "cgroup"."root",
        cgroup_root_hierarchy_id = "cgroup_root"."hierarchy_id",
        kernfs_node_id = "kernfs_node"."id",
        kernfs_node_name = "kernfs_node"."name",
        file_inode = "file"."f_inode",
        file_mode = "file"."f_mode",
        file_path = "file"."f_path",
        file_private_data = "file"."private_data",
        path_mnt = "path"."mnt",
        path_dentry = "path"."dentry",
        dentry_parent = "dentry"."d_parent",
        dentry_inode = "dentry"."d_inode",
        dentry_name = "dentry"."d_name",
        dentry_hash_pprev = "dentry"."d_hash.pprev",
        qstr_hash_len = "qstr"."hash_len",
        qstr_name = "qstr"."name",
        inode_mode = "inode"."i_mode",
        inode_uid = "inode"."i_uid",
        inode_gid = "inode"."i_gid",
        inode_ino = "inode"."i_ino",
        inode_sb = "inode"."i_sb",
        inode_i_size = "inode"."i_size",
        inode_rdev = "inode"."i_rdev",
        sb_dev = "super_block"."s_dev",
        sb_magic = "super_block"."s_magic",
        vfsmount_root = "vfsmount"."mnt_root",
        mount_mnt = "mount"."mnt",
        mount_parent = "mount"."mnt_parent",
        mount_mountpoint = "mount"."mnt_mountpoint",
        mount_id = "mount"."mnt_id",
        mount_namespace = "mount"."mnt_ns",
        mnt_ns_sequence = "mnt_namespace"."seq",
        filename_name = "filename"."name",
        module_name = "module"."name",
        bprm_file = "linux_binprm"."file",
        bprm_filename = "linux_binprm"."filename",
        bprm_interp = "linux_binprm"."interp",
        socket_sk = "socket"."sk",
        socket_type = "socket"."type",
        sk_family = "sock_common"."skc_family",
        sk_state = "sock_common"."skc_state",
        sk_num = "sock_common"."skc_num",
        sk_dport = "sock_common"."skc_dport",
        sk_daddr = "sock_common"."skc_daddr",
        sk_rcv_saddr = "sock_common"."skc_rcv_saddr",
        sk_v6_daddr = "sock_common"."skc_v6_daddr",
        sk_v6_rcv_saddr = "sock_common"."skc_v6_rcv_saddr",
        sk_net = "sock_common"."skc_net",
        sk_protocol = "sock"."sk_protocol",
        sk_type = "sock"."sk_type",
        sk_err = "sock"."sk_err",
        sk_userlocks = "sock"."sk_userlocks",
        sk_bound_dev_if = "sock_common"."skc_bound_dev_if",
        inet_sport = "inet_sock"."inet_sport",
        tcp_is_mptcp = "tcp_sock"."is_mptcp",
        csk_ulp_data = "inet_connection_sock"."icsk_ulp_data",
        subflow_conn = "mptcp_subflow_context"."conn",
        vsock_local = "vsock_sock"."local_addr",
        vsock_remote = "vsock_sock"."remote_addr",
        unix_addr = "unix_sock"."addr",
        unix_peer = "unix_sock"."peer",
        unix_address_len = "unix_address"."len",
        unix_address_name = "unix_address"."name",
        unix_address_refcnt = "unix_address"."refcnt",
        req_file = "io_kiocb"."file",
        req_opcode = "io_kiocb"."opcode",
        req_flags = "io_kiocb"."flags",
        req_cqe = "io_kiocb"."cqe",
        req_task = "io_kiocb"."task",
        req_tctx = "io_kiocb"."tctx",
        tctx_task = "io_uring_task"."task",
        cqe_res = "io_cqe"."res",
        io_open_dfd = "io_open"."dfd",
        io_open_filename = "io_open"."filename",
        io_open_file_slot = "io_open"."file_slot",
        io_accept_file_slot = "io_accept"."file_slot",
        io_unlink_dfd = "io_unlink"."dfd",
        io_unlink_flags = "io_unlink"."flags",
        io_unlink_filename = "io_unlink"."filename",
        io_mkdir_dfd = "io_mkdir"."dfd",
        io_mkdir_filename = "io_mkdir"."filename",
        io_rename_old_dfd = "io_rename"."old_dfd",
        io_rename_new_dfd = "io_rename"."new_dfd",
        io_rename_oldpath = "io_rename"."oldpath",
        io_rename_newpath = "io_rename"."newpath",
        io_link_new_dfd = "io_link"."new_dfd",
        io_link_newpath = "io_link"."newpath",
        io_sync_mode = "io_sync"."mode",
    }
    out.upid_size = btf.size("upid").unwrap_or(16);
    out.inode_size = btf.size("inode").unwrap_or(NO_OFFSET);
    out.sk_userlocks_shift = btf
        .member("sock", "sk_userlocks")
        .map_or(0, |member| member.bits % 8);
    out.tcp_is_mptcp_shift = btf
        .member("tcp_sock", "is_mptcp")
        .map_or(0, |member| member.bits % 8);
    if out.mnt_ns_sequence == NO_OFFSET {
        // Since 6.18.
        out.mnt_ns_sequence = btf
            .member("mnt_namespace", "ns.ns_id")
            .map_or(NO_OFFSET, |member| member.bits / 8);
    }
    registers(btf, arch, &mut out);
    let needed = [
        ("task_struct.tgid", out.task_tgid),
        ("task_struct.files", out.task_files),
        ("task_struct.cgroups", out.task_cgroups),
        ("fdtable.fd", out.fdt_fd),
        ("file.f_inode", out.file_inode),
        ("dentry.d_parent", out.dentry_parent),
        ("inode.i_ino", out.inode_ino),
        ("mount.mnt_parent", out.mount_parent),
        ("linux_binprm.file", out.bprm_file),
        ("sock_common.skc_family", out.sk_family),
        ("pt_regs", out.regs_nr),
    ];
    let lacking = needed
        .iter()
        .filter(|(_, offset)| *offset == NO_OFFSET)
        .map(|(name, _)| *name)
        .collect();
    (out, lacking)
}

/// Where the kernel saves number and arguments of a system call.
fn registers(btf: &Btf, arch: &str, out: &mut Offsets) {
    let at = |name: &str| {
        btf.member("pt_regs", name)
            .map_or(NO_OFFSET, |member| member.bits / 8)
    };
    out.regs_args = [NO_OFFSET; 8];
    out.regs_compat_args = [NO_OFFSET; 8];
    if arch == "amd64" {
        out.regs_nr = at("orig_ax");
        for (place, name) in ["di", "si", "dx", "r10", "r8", "r9"].iter().enumerate() {
            out.regs_args[place] = at(name);
        }
        for (place, name) in ["bx", "cx", "dx", "si", "di", "bp"].iter().enumerate() {
            out.regs_compat_args[place] = at(name);
        }
        out.regs_pstate = NO_OFFSET;
    } else {
        out.regs_nr = at("syscallno");
        out.regs_pstate = at("pstate");
        let registers = at("regs");
        // The result has overwritten x0: the kernel keeps its first value.
        out.regs_args[0] = at("orig_x0");
        for place in 1..6_u32 {
            out.regs_args[place as usize] = registers.saturating_add(8 * place);
        }
        out.regs_compat_args = out.regs_args;
    }
}
