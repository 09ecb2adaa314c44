//! Counters of what was lost.

macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of what was lost, by position in the map `LOST`. The probe's losses.rs says what each
        /// means.
        #[repr(u32)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Loss {
            $($(#[$doc])* $name,)*
        }

        impl Loss {
            /// Each of them, by position.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

losses! {
    /// Records of processes that found the ring buffer full.
    RingProcess,
    /// Records of files that found the ring buffer full.
    RingFile,
    /// Records of peers that found the ring buffer full.
    RingNetwork,
    /// Records of rare operations that found the ring buffer full.
    RingEvent,
    /// Tasks that found no record.
    Tasks,
    /// Containers that found no slot.
    Containers,
    /// Executables that share the slot of all that found none.
    Exes,
    /// System calls that found no row.
    SyscallRows,
    /// Errors that found no entry.
    Errnos,
    /// Arguments of system calls that found no entry.
    Arguments,
    /// Files that found no row, not even that of a folder.
    FileRows,
    /// Peers that found no row, not even that of a prefix.
    NetworkRows,
    /// Sockets whose state found no entry.
    Sockets,
    /// Capabilities that found no row.
    Capabilities,
    /// Rare operations that found no entry.
    Events,
    /// Messages that are not looked at.
    Messages,
    /// Requests of io_uring whose file or peer can't be told.
    Requests,
    /// Files that share the row of their folder, by operation.
    FilesByFolder,
    /// Peers that share the row of their prefix, by operation.
    PeersByPrefix,
    /// Packets with names that found the ring buffer full.
    RingWire,
    /// Connections whose owner found no entry.
    Flows,
    /// Sockets for datagrams that `LAST_SENT` does not know: from before the window, or forgotten.
    Hints,
    /// Descriptors that another thread replaced while a call used them.
    Descriptors,
    /// Calls on many datagrams that went elsewhere than the caller's memory says.
    Destinations,
}

/// Number of [`Loss`] counters.
#[expect(clippy::cast_possible_truncation, reason = "some twenty")]
pub const N_LOSSES: u32 = Loss::ALL.len() as u32;
