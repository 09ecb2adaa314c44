//! Error numbers, as Linux has them on every architecture that the probe knows.

/// The name of an errno, or `errno(N)`.
///
/// ```
/// assert_eq!(procmon_profile::tables::errno_name(2), "ENOENT");
/// assert_eq!(procmon_profile::tables::errno_name(4000), "errno(4000)");
/// ```
#[must_use]
pub fn errno_name(errno: u16) -> String {
    match syscalls::Errno::new(i32::from(errno)).name() {
        Some(name) => name.to_owned(),
        None => format!("errno({errno})"),
    }
}
