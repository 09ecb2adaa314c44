//! Calls through the gate of 32-bit programs.

use crate::{Folder, child, memory, own_row, text};
use serde_json::{Value, json};

/// A call by the 32-bit gate.
#[cfg(target_arch = "x86_64")]
fn gate(number: u32, arguments: [u32; 4]) -> i32 {
    let mut result = number;
    // SAFETY: the caller's arguments; the gate clears r8 to r11. The compiler keeps rbx for itself.
    unsafe {
        std::arch::asm!("xchg {first}, rbx", "int 0x80", "xchg {first}, rbx", first = inout(reg) u64::from(arguments[0]) => _,
            inout("eax") result, in("ecx") arguments[1], in("edx") arguments[2], in("esi") arguments[3],
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    result.cast_signed()
}

/// Memory that 32-bit calls can reach.
#[cfg(target_arch = "x86_64")]
fn low_memory() -> u32 {
    let address = memory(65_536, libc::MAP_PRIVATE | libc::MAP_32BIT);
    u32::try_from(address).expect("low memory")
}

/// Files and processes by 32-bit calls.
#[cfg(target_arch = "x86_64")]
pub(crate) fn gate32(folder: &Folder) -> Value {
    if gate(20, [0; 4]) <= 0 {
        return json!({});
    }
    let memory = low_memory();
    let place = |offset: u32, name: &str| {
        let text = text(name);
        let bytes = text.as_bytes_with_nul();
        // SAFETY: below the end of our own memory.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                std::ptr::with_exposed_provenance_mut((memory + offset) as usize),
                bytes.len(),
            );
        }
        memory + offset
    };
    let (file, dir, data) = (
        place(0, &folder.at("f32")),
        place(4096, &folder.at("d32")),
        memory + 8192,
    );
    let none = place(12288, &folder.at("none32"));
    let good = |result: i32| {
        assert!(result >= 0, "{result}");
        result.cast_unsigned()
    };
    // open, write, pwrite64, read, readv, ftruncate, fchmod, close
    let opened = good(gate(
        5,
        [
            file,
            (libc::O_RDWR | libc::O_CREAT).cast_unsigned(),
            0o600,
            0,
        ],
    ));
    for _ in 0..3 {
        assert_eq!(gate(4, [opened, data, 10, 0]), 10);
    }
    good(gate(19, [opened, 0, 0, 0]));
    assert_eq!(gate(3, [opened, data, 100, 0]), 30);
    good(gate(93, [opened, 5, 0, 0]));
    good(gate(94, [opened, 0o640, 0, 0]));
    good(gate(6, [opened, 0, 0, 0]));
    // openat, mkdir, rmdir, rename fails, unlink
    let again = good(gate(295, [libc::AT_FDCWD.cast_unsigned(), file, 0, 0]));
    assert_eq!(gate(4, [again, data, 1, 0]), -libc::EBADF);
    good(gate(39, [dir, 0o700, 0, 0]));
    good(gate(40, [dir, 0, 0, 0]));
    assert_eq!(gate(38, [none, file, 0, 0]), -libc::ENOENT);
    good(gate(10, [file, 0, 0, 0]));
    // A child executes a program by the gate.
    let program = place(16384, "/bin/true");
    let name = place(16400, "by-gate");
    let list: [u32; 4] = [program, name, 0, 0];
    // SAFETY: below the end of our own memory, and aligned.
    unsafe { *std::ptr::with_exposed_provenance_mut::<[u32; 4]>((memory + 20480) as usize) = list };
    child(|| {
        gate(11, [program, memory + 20480, memory + 20488, 0]);
        panic!("execve");
    });
    json!({"syscalls": [
        {"name": "getpid", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "write", "abi": "i386", "calls": 4, "errors": {"EBADF": 1}},
        {"name": "read", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "open", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "openat", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "rename", "abi": "i386", "calls": 1, "errors": {"ENOENT": 1}},
        {"name": "execve", "abi": "i386", "calls": 1, "errors": {}, "unfinished": 0, "noReturn": 0},
    ], "files": [
        crate::row(&folder.at("f32"), &json!({"open": 2, "create": 1, "write": 3, "read": 1, "truncate": 1, "chmod": 1, "unlink": 1}), 30, 30, &json!({"EBADF": 1, "ENOENT": 1})),
        crate::row(&folder.at("d32"), &json!({"mkdir": 1, "rmdir": 1}), 0, 0, &json!({})),
        crate::row(&folder.at("none32"), &json!({}), 0, 0, &json!({"ENOENT": 1})),
    ], "processes": [own_row(), {"argv": ["/bin/true", "by-gate"], "count": 1, "exits": {"0": 1}}],
    "whole": ["files", "processes"], "programs": ["/true"]})
}

/// The rest of the 32-bit calls on files.
#[cfg(target_arch = "x86_64")]
pub(crate) fn gate32_files(folder: &Folder) -> Value {
    if gate(20, [0; 4]) <= 0 {
        return json!({});
    }
    let memory = low_memory();
    let mut next = memory;
    let mut place = |bytes: &[u8]| {
        let here = next;
        // SAFETY: below the end of our own memory.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                std::ptr::with_exposed_provenance_mut(here as usize),
                bytes.len(),
            );
        }
        next += u32::try_from(bytes.len())
            .expect("small")
            .next_multiple_of(16);
        assert!(next < memory + 60_000);
        here
    };
    let mut name = |name: &str| place(folder.c(name).as_bytes_with_nul());
    let [file_a, file_b, link, symlink, fifo] = ["a", "b", "l", "s", "f"].map(&mut name);
    let data = place(&[b'd'; 64]);
    let vectors = {
        let mut bytes = Vec::new();
        for word in [data, 10, data, 20] {
            bytes.extend(word.to_le_bytes());
        }
        place(&bytes)
    };
    let offset = place(&[0; 16]);
    let good = |result: i32| {
        assert!(result >= 0, "{result}");
        result.cast_unsigned()
    };
    let at = libc::AT_FDCWD.cast_unsigned();
    // creat, writev, pwrite64, open, readv, pread64, sendfile64, ftruncate64
    let file = good(gate(8, [file_a, 0o600, 0, 0]));
    assert_eq!(gate(146, [file, vectors, 2, 0]), 30);
    assert_eq!(gate(181, [file, data, 5, 0]), 5);
    // Here the bit of x32 is a part of the number, which no call has.
    assert_eq!(gate(0x4000_0000 | 4, [file, data, 5, 0]), -libc::ENOSYS);
    let reads = good(gate(5, [file_a, 0, 0, 0]));
    assert_eq!(gate(145, [reads, vectors, 1, 0]), 10);
    assert_eq!(gate(180, [reads, data, 7, 0]), 7);
    let other = good(gate(
        295,
        [
            at,
            file_b,
            (libc::O_CREAT | libc::O_WRONLY).cast_unsigned(),
            0o600,
        ],
    ));
    assert_eq!(gate(239, [other, reads, offset, 12]), 12);
    good(gate(194, [file, 20, 0, 0]));
    // chmod, lchown32, fchown32, link, symlink, mknod, rename, renameat2 by exchange, unlinkat
    good(gate(15, [file_a, 0o640, 0, 0]));
    good(gate(198, [file_a, 0, 0, 0]));
    good(gate(207, [file, 0, 0, 0]));
    good(gate(9, [file_a, link, 0, 0]));
    good(gate(83, [file_a, symlink, 0, 0]));
    good(gate(14, [fifo, libc::S_IFIFO | 0o600, 0, 0]));
    good(gate(38, [link, fifo, 0, 0]));
    good(gate(302, [at, fifo, at, file_b]));
    good(gate(301, [at, symlink, 0, 0]));
    json!({"files": [
        crate::row(&folder.at("a"), &json!({"open": 2, "create": 1, "write": 2, "read": 3, "truncate": 1, "chmod": 1, "chown": 2}), 29, 35, &json!({})),
        crate::row(&folder.at("b"), &json!({"open": 1, "create": 1, "write": 1, "rename": 1}), 0, 12, &json!({})),
        crate::row(&folder.at("l"), &json!({"link": 1, "rename": 1}), 0, 0, &json!({})),
        crate::row(&folder.at("s"), &json!({"symlink": 1, "unlink": 1}), 0, 0, &json!({})),
        crate::row(&folder.at("f"), &json!({"mknod": 1, "rename": 2}), 0, 0, &json!({})),
    ], "syscalls": [
        {"name": "creat", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "sendfile64", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "lchown32", "abi": "i386", "calls": 1, "errors": {}},
        {"name": "renameat", "abi": "i386", "calls": 1, "errors": {}},
    ], "whole": ["files"]})
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn gate32_files(_: &Folder) -> Value {
    json!({})
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn gate32(_: &Folder) -> Value {
    let _ = (child as fn(fn()), text);
    json!({})
}
