//! The names and the random bytes of the machine.

use std::io;

/// Random bytes of the system.
pub(crate) fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    // SAFETY: the pointer and the length are those of a local.
    let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    // So few bytes come whole.
    if count < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(bytes)
}

/// Kernel release and machine, as `uname -r` and `uname -m`.
pub(crate) fn uname() -> (String, String, String) {
    // SAFETY: all-zero is a valid utsname, and the pointer is to a local.
    let names = unsafe {
        let mut names: libc::utsname = std::mem::zeroed();
        libc::uname(&raw mut names);
        names
    };
    let text = |field: &[libc::c_char]| {
        let bytes: Vec<u8> = field
            .iter()
            .take_while(|byte| **byte != 0)
            .map(|byte| byte.to_ne_bytes()[0])
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    (
        text(&names.release),
        text(&names.machine),
        text(&names.nodename),
    )
}
