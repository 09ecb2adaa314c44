//! Names: links, renames, mounts, roots, and texts of every sort.

mod links;
mod mounts;
mod roots;
mod texts;

use crate::names::links::{hard_links, link_itself, linked_folders, renamed_folders, renames};
use crate::names::mounts::{bind_mounts, detached_mounts, overlay};
use crate::names::roots::{
    chroot, chroot_short, no_directory, own_proc, pivot_root, relative, removed_folder,
    working_folders,
};
use crate::names::texts::{
    deep_names, dots, empty_names, long_names, longest, name_errors, odd_names,
};
use crate::{Case, good, sys};
use serde_json::{Value, json};
use std::ffi::CString;

pub(crate) const CASES: &[Case] = &[
    ("renames", renames),
    ("renamed-folders", renamed_folders),
    ("hard-links", hard_links),
    ("linked-folders", linked_folders),
    ("bind-mounts", bind_mounts),
    ("chroot", chroot),
    ("chroot-short", chroot_short),
    ("pivot-root", pivot_root),
    ("detached-mounts", detached_mounts),
    ("overlay", overlay),
    ("no-directory", no_directory),
    ("link-itself", link_itself),
    ("odd-names", odd_names),
    ("long-names", long_names),
    ("deep-names", deep_names),
    ("longest", longest),
    ("empty-names", empty_names),
    ("dots", dots),
    ("relative", relative),
    ("working-folders", working_folders),
    ("removed-folder", removed_folder),
    ("name-errors", name_errors),
    ("own-proc", own_proc),
];

pub(crate) const AT: i32 = libc::AT_FDCWD;

pub(crate) fn none() -> Value {
    json!({})
}

/// Makes a file of some bytes by one open, one write.
pub(crate) fn make(name: &CString, bytes: &[u8]) -> i32 {
    let file = good(sys!(
        SYS_openat,
        AT,
        name.as_ptr(),
        libc::O_CREAT | libc::O_RDWR,
        0o600
    ));
    assert_eq!(
        sys!(SYS_write, file, bytes.as_ptr(), bytes.len()),
        i64::try_from(bytes.len()).expect("small")
    );
    file
}
