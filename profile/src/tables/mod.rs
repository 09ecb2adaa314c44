//! Names that the kernel gives to numbers, as plain data.

mod capabilities;
mod errnos;
mod signals;
mod system_calls;

pub use capabilities::{CAPABILITIES, capability_names};
pub use errnos::errno_name;
pub use signals::signal_name;
pub use system_calls::{syscall_name, syscall_number};
