//! One table: each hook, what it needs, what is missing without it, and what proves it.

use Act::{
    Call, CapabilityCheck, Connection, Datagram4, Datagram6, Execution, Exit, FailedOpening,
    Failure, Fork, Free, Name, Question, RequestByName, RequestThatWrites, Signal, SocketEnd,
};
use Proof::{NotTried, Seen};
use procmon_probe_ebpf::abi::FileOp;
use procmon_profile::model::{Dimension, Hook, HookState, Tier};

/// A hook that the capture wants: the first alternative that loads and attaches is taken.
pub(crate) struct Wanted {
    /// The name of the hook in this table; the tracepoint's name where there is one.
    pub(crate) id: &'static str,
    /// Needed only where labels follow cgroups.
    pub(crate) cgroup_only: bool,
    /// The dimensions that are incomplete without it, and whether all of each is missing. Empty: it only
    /// adds facts.
    pub(crate) without: &'static [(Dimension, bool)],
    /// Best first.
    pub(crate) alternatives: &'static [Alternative],
    /// The act of the sentinel that proves it.
    pub(crate) proof: Proof,
}

/// One way to a hook.
pub(crate) struct Alternative {
    /// Name of the tracepoint or of the kernel's function.
    pub(crate) name: &'static str,
    /// Number of the function's arguments, return value not counted: with another one it is not the
    /// function that the programs know.
    pub(crate) arguments: u32,
    /// Names of the programs in the object; all are needed.
    pub(crate) programs: &'static [(&'static str, Attach)],
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// Arguments are numbers.
    RawTracepoint,
    /// Arguments have types.
    Tracepoint,
    /// Beside another program at its tracepoint: sees the events for which the kernel skips that one.
    StandIn,
    Entry,
    Exit,
    Kprobe,
    Kretprobe,
    /// At the root of cgroup v2.
    Cgroup,
}

/// The sentinel's proof of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The hook sees an act of the sentinel.
    Seen(Act),
    /// The sentinel does not try, and why.
    NotTried(&'static str),
}

/// An act of the sentinel, or an event in its life, that a hook sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Call,
    /// A call that fails.
    Failure,
    Fork,
    Execution,
    Exit,
    /// The kernel frees its task.
    Free,
    /// A connection that is refused.
    Connection,
    /// The end of that connection's socket.
    SocketEnd,
    CapabilityCheck,
    Signal,
    /// A question to a resolver.
    Question,
    /// Datagrams by IPv4 and by IPv6.
    Datagram4,
    Datagram6,
    FailedOpening,
    /// A request of io_uring that makes a directory.
    RequestByName,
    /// A request of io_uring that writes.
    RequestThatWrites,
    /// An operation on a name.
    Name(FileOp),
}

const NO_CGROUP: Proof = NotTried("not tried: it would leave a cgroup on the node for a moment");
const NO_MODULE: Proof = NotTried("not tried: it would load a module");

impl Attach {
    /// The tier that this belongs to.
    pub(crate) fn tier(self) -> Tier {
        match self {
            Self::RawTracepoint | Self::Tracepoint | Self::StandIn | Self::Cgroup => Tier::Base,
            Self::Entry | Self::Exit => Tier::Trampoline,
            Self::Kprobe | Self::Kretprobe => Tier::Kprobe,
        }
    }
}

const ALL_CALLS: &[(Dimension, bool)] = &[
    (Dimension::Syscalls, true),
    (Dimension::Files, true),
    (Dimension::Network, true),
    (Dimension::Dns, true),
    (Dimension::Events, true),
];
const LABELS: &[(Dimension, bool)] = &[
    (Dimension::Processes, false),
    (Dimension::Syscalls, false),
    (Dimension::Files, false),
    (Dimension::Network, false),
    (Dimension::Dns, false),
];
const NETWORK: &[(Dimension, bool)] = &[(Dimension::Network, false)];
const EVENTS: &[(Dimension, bool)] = &[(Dimension::Events, false)];

/// One program at one place.
macro_rules! alternative {
    ($name:expr, $attach:ident, $program:literal) => {
        Alternative {
            name: $name,
            arguments: 0,
            programs: &[($program, Attach::$attach)],
        }
    };
}

/// A hook that there is only one way to.
macro_rules! only {
    ($name:expr, $attach:ident, $program:literal, $without:expr, $proof:expr) => {
        only!($name, $attach, $program, $without, $proof, false)
    };
    ($name:expr, $attach:ident, $program:literal, $without:expr, $proof:expr, $cgroup_only:literal) => {
        Wanted {
            id: $name,
            cgroup_only: $cgroup_only,
            without: $without,
            alternatives: &[alternative!($name, $attach, $program)],
            proof: $proof,
        }
    };
}

/// A hook of the base tier that has types, which needs BTF and nothing else.
macro_rules! base {
    ($name:expr, $program:literal, $($without:tt)+) => {
        only!($name, Tracepoint, $program, $($without)+)
    };
}

/// A function's entry, which adds facts.
macro_rules! entry {
    ($name:literal, $arguments:literal, $fentry:literal, $kprobe:literal, $proof:expr) => {
        Wanted {
            id: $name,
            cgroup_only: false,
            without: &[],
            alternatives: &[
                Alternative {
                    name: $name,
                    arguments: $arguments,
                    programs: &[($fentry, Attach::Entry)],
                },
                Alternative {
                    name: $name,
                    arguments: $arguments,
                    programs: &[($kprobe, Attach::Kprobe)],
                },
            ],
            proof: $proof,
        }
    };
}

/// The outcome of an opening, by the function that this kernel has.
macro_rules! opening {
    ($name:literal, trampoline) => {
        Alternative {
            name: $name,
            arguments: 3,
            programs: &[("f_open", Attach::Exit)],
        }
    };
    ($name:literal, kprobe) => {
        Alternative {
            name: $name,
            arguments: 3,
            programs: &[
                ("k_open", Attach::Kprobe),
                ("k_open_return", Attach::Kretprobe),
            ],
        }
    };
}

/// The hooks that count system calls: without them there is no capture.
pub(crate) const SYS_ENTER: &str = "sys_enter";
pub(crate) const SYS_EXIT: &str = "sys_exit";
/// The hook that tells capabilities.
pub(crate) const CAPABLE: &str = "cap_capable";
/// The hook that tells what requests of io_uring came to.
pub(crate) const RING_COMPLETE: &str = "io_uring_complete";
/// The hook that sees packets.
pub(crate) const SOCKET_FILTER: &str = "socket_filter";
/// The hook that tells names of loaded modules.
pub(crate) const MODULE_LOAD: &str = "module_load";

/// Every hook.
pub(crate) const WANTED: &[Wanted] = &[
    only!(
        SYS_ENTER,
        RawTracepoint,
        "on_sys_enter",
        ALL_CALLS,
        Seen(Call)
    ),
    only!(
        SYS_EXIT,
        RawTracepoint,
        "on_sys_exit",
        ALL_CALLS,
        Seen(Failure)
    ),
    base!("task_newtask", "on_task_newtask", LABELS, Seen(Fork)),
    base!(
        "sched_process_exec",
        "on_sched_process_exec",
        LABELS,
        Seen(Execution)
    ),
    base!(
        "sched_process_exit",
        "on_sched_process_exit",
        LABELS,
        Seen(Exit)
    ),
    base!(
        "sched_process_free",
        "on_sched_process_free",
        &[],
        Seen(Free)
    ),
    base!(
        "cgroup_attach_task",
        "on_cgroup_attach_task",
        LABELS,
        NO_CGROUP,
        true
    ),
    base!("cgroup_mkdir", "on_cgroup_mkdir", LABELS, NO_CGROUP, true),
    Wanted {
        id: "inet_sock_set_state",
        cgroup_only: false,
        without: NETWORK,
        alternatives: &[Alternative {
            name: "inet_sock_set_state",
            arguments: 0,
            programs: &[
                ("on_inet_sock_set_state", Attach::Tracepoint),
                ("on_inet_sock_set_state_too", Attach::StandIn),
            ],
        }],
        proof: Seen(Connection),
    },
    base!(
        "tcp_destroy_sock",
        "on_tcp_destroy_sock",
        NETWORK,
        Seen(SocketEnd)
    ),
    Wanted {
        id: "io_uring_submit_req",
        cgroup_only: false,
        without: &[],
        alternatives: &[
            alternative!("io_uring_submit_req", Tracepoint, "on_io_uring_submit"),
            alternative!("io_uring_submit_sqe", Tracepoint, "on_io_uring_submit"),
        ],
        proof: Seen(RequestByName),
    },
    only!(
        RING_COMPLETE,
        Tracepoint,
        "on_io_uring_complete",
        &[],
        Seen(RequestThatWrites)
    ),
    only!("sendmsg4", Cgroup, "on_sendmsg4", &[], Seen(Datagram4)),
    only!("sendmsg6", Cgroup, "on_sendmsg6", &[], Seen(Datagram6)),
    base!(
        "signal_generate",
        "on_signal_generate",
        EVENTS,
        Seen(Signal)
    ),
    base!(MODULE_LOAD, "on_module_load", &[], NO_MODULE),
    Wanted {
        id: CAPABLE,
        cgroup_only: false,
        without: &[(Dimension::Capabilities, true)],
        alternatives: &[
            Alternative {
                name: "security_capable",
                arguments: 4,
                programs: &[("f_capable", Attach::Exit)],
            },
            Alternative {
                name: "security_capable",
                arguments: 4,
                programs: &[
                    ("k_capable", Attach::Kprobe),
                    ("k_capable_return", Attach::Kretprobe),
                ],
            },
            alternative!("cap_capable", Tracepoint, "on_cap_capable"),
        ],
        proof: Seen(CapabilityCheck),
    },
    Wanted {
        id: "do_filp_open",
        cgroup_only: false,
        without: &[],
        alternatives: &[
            opening!("do_filp_open", trampoline),
            opening!("do_file_open", trampoline),
            opening!("do_filp_open", kprobe),
            opening!("do_file_open", kprobe),
        ],
        proof: Seen(FailedOpening),
    },
    entry!(
        "security_path_unlink",
        2,
        "f_unlink",
        "k_unlink",
        Seen(Name(FileOp::Unlink))
    ),
    entry!(
        "security_path_rmdir",
        2,
        "f_rmdir",
        "k_rmdir",
        Seen(Name(FileOp::Rmdir))
    ),
    entry!(
        "security_path_mkdir",
        3,
        "f_mkdir",
        "k_mkdir",
        Seen(Name(FileOp::Mkdir))
    ),
    entry!(
        "security_path_mknod",
        4,
        "f_mknod",
        "k_mknod",
        Seen(Name(FileOp::Mknod))
    ),
    entry!(
        "security_path_symlink",
        3,
        "f_symlink",
        "k_symlink",
        Seen(Name(FileOp::Symlink))
    ),
    entry!(
        "security_path_link",
        3,
        "f_link",
        "k_link",
        Seen(Name(FileOp::Link))
    ),
    entry!(
        "security_path_rename",
        5,
        "f_rename",
        "k_rename",
        Seen(Name(FileOp::Rename))
    ),
    entry!(
        "security_path_truncate",
        1,
        "f_truncate",
        "k_truncate",
        Seen(Name(FileOp::Truncate))
    ),
    entry!(
        "security_path_chmod",
        2,
        "f_chmod",
        "k_chmod",
        Seen(Name(FileOp::Chmod))
    ),
    entry!(
        "security_path_chown",
        3,
        "f_chown",
        "k_chown",
        Seen(Name(FileOp::Chown))
    ),
    entry!(
        "security_kernel_module_request",
        1,
        "f_module_request",
        "k_module_request",
        NO_MODULE
    ),
];
/// The socket filter, which stands in network namespaces, not at a hook of the kernel.
pub(crate) static PACKETS: Wanted = Wanted {
    id: SOCKET_FILTER,
    cgroup_only: false,
    without: &[(Dimension::Dns, true)],
    alternatives: &[],
    proof: Seen(Question),
};

/// A wanted hook and what came of it.
pub(crate) struct Placed {
    pub(crate) wanted: &'static Wanted,
    /// Where it is attached, with its state.
    pub(crate) hook: Hook,
    /// The alternative in use.
    pub(crate) used: Option<&'static Alternative>,
}

impl Placed {
    /// A hook as if it had been tried.
    #[cfg(test)]
    pub(crate) fn of(id: &str, tier: Tier, state: HookState, missed: Option<u64>) -> Self {
        let wanted = WANTED.iter().find(|wanted| wanted.id == id);
        let wanted = wanted.expect("a hook of this id is wanted");
        Self {
            wanted,
            hook: Hook {
                name: id.into(),
                tier,
                state,
                missed,
                reason: None,
            },
            used: wanted.alternatives.first(),
        }
    }

    /// It is attached.
    pub(crate) fn is_there(&self) -> bool {
        self.hook.state != HookState::Missing
    }

    /// Runs that nobody made up for, from those that the kernel skipped of each program (none: it does not
    /// say). `preemptible`: other tasks of a CPU may come in the middle of a program.
    pub(crate) fn missed(&self, skipped: &[Option<u64>], preemptible: bool) -> Option<u64> {
        let mut skipped = skipped.iter().copied().flatten().peekable();
        skipped.peek()?;
        let has_stand_in = self
            .used?
            .programs
            .iter()
            .any(|(_, kind)| *kind == Attach::StandIn);
        if !has_stand_in {
            Some(skipped.sum())
        } else if preemptible {
            skipped.min()
        } else {
            // In the middle of a program come packets, in the middle of a packet comes no other one: of two
            // programs one sees each event.
            Some(0)
        }
    }
}

/// One of the hooks.
pub(crate) fn find<'a>(hooks: &'a [Placed], id: &str) -> Option<&'a Placed> {
    hooks.iter().find(|placed| placed.wanted.id == id)
}

/// Best first.
pub(crate) fn rank(tier: Tier) -> u8 {
    match tier {
        Tier::Trampoline => 0,
        Tier::Kprobe => 1,
        Tier::Base => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::Placed;
    use procmon_profile::model::{HookState, Tier};

    #[test]
    fn a_stand_in_sees_what_the_other_was_skipped_for() {
        let missed = |id: &str, skipped: &[Option<u64>], preemptible| {
            let placed = Placed::of(id, Tier::Base, HookState::Attached, None);
            placed.missed(skipped, preemptible)
        };
        let alone = "tcp_destroy_sock";
        assert_eq!(missed(alone, &[Some(3)], false), Some(3));
        assert_eq!(missed(alone, &[None], false), None);
        let with_stand_in = "inet_sock_set_state";
        assert_eq!(missed(with_stand_in, &[Some(3), Some(1)], false), Some(0));
        assert_eq!(missed(with_stand_in, &[Some(3), Some(1)], true), Some(1));
        assert_eq!(missed(with_stand_in, &[None, None], true), None);
    }
}
