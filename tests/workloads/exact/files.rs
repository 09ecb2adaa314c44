//! Files: reads, writes and copies of every sort, ways to open, descriptors that went around.

mod contents;
mod descriptors;
mod openings;
mod transfers;

use crate::Case;
use crate::files::contents::{atomic_saves, attributes, deleted, lengths, mappings};
use crate::files::descriptors::{
    duplicates, high_descriptors, inherited, one_file_threads, passed, swapped_descriptors,
};
use crate::files::openings::{
    flags, in_root, many_files, openat2, opened_before, opens, path_only, reused_inodes, special,
    temporary, too_many_names,
};
use crate::files::transfers::{
    copies, full, large, partial, to_sockets, transfer_errors, transfers,
};
use serde_json::{Value, json};

pub(crate) const CASES: &[Case] = &[
    ("transfers", transfers),
    ("transfer-errors", transfer_errors),
    ("copies", copies),
    ("opens", opens),
    ("openat2", openat2),
    ("in-root", in_root),
    ("path-only", path_only),
    ("temporary", temporary),
    ("duplicates", duplicates),
    ("passed", passed),
    ("inherited", inherited),
    ("mappings", mappings),
    ("lengths", lengths),
    ("attributes", attributes),
    ("deleted", deleted),
    ("special", special),
    ("reused-inodes", reused_inodes),
    ("many-files", many_files),
    ("high-descriptors", high_descriptors),
    ("opened-before", opened_before),
    ("too-many-names", too_many_names),
    ("to-sockets", to_sockets),
    ("atomic-saves", atomic_saves),
    ("flags", flags),
    ("full", full),
    ("large", large),
    ("partial", partial),
    ("one-file-threads", one_file_threads),
    ("swapped-descriptors", swapped_descriptors),
];

pub(crate) const CREATE: i32 = libc::O_CREAT | libc::O_RDWR;

pub(crate) fn none() -> Value {
    json!({})
}
