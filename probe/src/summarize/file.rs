//! Rows of files.

use super::{Facts, by_name, layer};
use crate::drain::FileSample;
use anyhow::Result;
use procmon_probe_ebpf::abi::{N_FILE_OPS, ROWS_FILES};
use procmon_profile::model::{File, FileOperation, NameSource, Owner};
use std::collections::BTreeMap;

/// Operations in the order of the kernel side.
const OPERATIONS: [FileOperation; N_FILE_OPS] = [
    FileOperation::Open,
    FileOperation::Read,
    FileOperation::Write,
    FileOperation::Create,
    FileOperation::Unlink,
    FileOperation::Rename,
    FileOperation::Link,
    FileOperation::Symlink,
    FileOperation::Mkdir,
    FileOperation::Rmdir,
    FileOperation::Chmod,
    FileOperation::Chown,
    FileOperation::Setxattr,
    FileOperation::Truncate,
    FileOperation::Mknod,
    FileOperation::MmapExec,
    FileOperation::Exec,
];

/// The row of one sample; none when nothing was done with the file within the window.
pub(super) fn row(facts: &Facts<'_>, slot: u32, sample: &FileSample) -> Result<Option<File>> {
    let none = BTreeMap::new();
    let counts = (facts.counts_of_file)(sample)?;
    let errnos = facts
        .counted
        .errnos
        .get(&(ROWS_FILES, sample.row))
        .unwrap_or(&none);
    let operations: BTreeMap<FileOperation, u64> = OPERATIONS
        .iter()
        .zip(counts.operations)
        .filter(|(_, count)| *count > 0)
        .map(|(operation, count)| (*operation, count))
        .collect();
    if operations.is_empty() && errnos.is_empty() && counts.mmap_write == 0 {
        return Ok(None);
    }
    Ok(Some(File {
        path: sample.path.to_string().into(),
        exe: facts.drained.path_of(sample.exe),
        operations,
        bytes_read: counts.bytes_read,
        bytes_written: counts.bytes_written,
        mmap_write: counts.mmap_write,
        errors: by_name(errnos),
        name_source: if sample.settled {
            NameSource::Settled
        } else {
            NameSource::Argument
        },
        mode: layer::has_file(sample).then(|| format!("{:04o}", sample.meta.mode & 0o7777).into()),
        owner: layer::has_file(sample).then_some(Owner {
            uid: sample.meta.uid,
            gid: sample.meta.gid,
        }),
        layer: layer::of_file(facts, slot, sample),
        mount: sample.mount.as_ref().map(|facts| facts.mount.clone()),
        host_resource: None,
        package: None,
    }))
}

/// How often a file was used, for the estimate of what would still have come.
pub(crate) fn observations(row: &File) -> u64 {
    row.operations.values().sum::<u64>() + row.errors.values().sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{APP, CONTAINER, Given};
    use super::*;
    use procmon_probe_ebpf::abi::{FileMeta, FileOp, FileRow};

    fn sample(named: bool, settled: bool) -> FileSample {
        FileSample {
            row: 7,
            exe: APP,
            path: "/etc/passwd".into(),
            meta: FileMeta {
                inode: 1,
                mode: 0o100_640,
                uid: 3,
                gid: 4,
                ..FileMeta::default()
            },
            mount: None,
            named,
            settled,
        }
    }

    fn counts(operations: &[(FileOp, u64)], bytes_written: u64, mmap_write: u64) -> FileRow {
        let mut row = FileRow {
            bytes_written,
            mmap_write,
            ..FileRow::default()
        };
        for (operation, count) in operations {
            row.operations[*operation as usize] = *count;
        }
        row
    }

    #[test]
    fn files_that_were_not_used_have_no_row() {
        for (counts, errno, expected) in [
            (counts(&[], 0, 0), None, None),
            (counts(&[], 5, 0), None, None),
            (
                counts(&[(FileOp::Open, 2), (FileOp::Exec, 1)], 0, 0),
                None,
                Some(3),
            ),
            (counts(&[], 0, 1), None, Some(0)),
            (counts(&[(FileOp::Unlink, 1)], 0, 0), Some((2, 4)), Some(5)),
            (counts(&[], 0, 0), Some((2, 4)), Some(4)),
        ] {
            let mut given = Given::new();
            given.files.insert(7, counts);
            let errnos = errno.into_iter().collect();
            given.counted.errnos.insert((ROWS_FILES, 7), errnos);
            let found = given.facts(|facts| row(facts, CONTAINER, &sample(false, true)));
            let found = found.expect("its counts can be read");
            assert_eq!(found.as_ref().map(observations), expected, "{found:?}");
        }
    }

    #[test]
    fn operations_keep_their_names() {
        for (operation, expected) in [
            (FileOp::Open, FileOperation::Open),
            (FileOp::Mkdir, FileOperation::Mkdir),
            (FileOp::Setxattr, FileOperation::Setxattr),
            (FileOp::Exec, FileOperation::Exec),
        ] {
            assert_eq!(OPERATIONS[operation as usize], expected);
        }
    }

    #[test]
    fn a_name_alone_says_nothing_about_a_file() {
        for (named, settled, mode, name_source) in [
            (false, true, Some("0640"), NameSource::Settled),
            (true, true, None, NameSource::Settled),
            (true, false, None, NameSource::Argument),
        ] {
            let mut given = Given::new();
            given.files.insert(7, counts(&[(FileOp::Write, 1)], 5, 0));
            let found = given.facts(|facts| row(facts, CONTAINER, &sample(named, settled)));
            let row = found.ok().flatten().expect("it was written");
            assert_eq!((row.mode.as_deref(), row.name_source), (mode, name_source));
            let owner = mode.map(|_| Owner { uid: 3, gid: 4 });
            assert_eq!((row.owner, row.bytes_written), (owner, 5));
            assert_eq!((&*row.path, &*row.exe), ("/etc/passwd", "/bin/app"));
        }
    }
}
