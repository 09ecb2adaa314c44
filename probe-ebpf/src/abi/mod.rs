//! The border between kernel and user space, one file per family.

mod config;
mod declare;
mod event;
mod file;
mod loss;
mod network;
mod offsets;
mod packets;
mod process;
mod state;
mod syscall;
mod task;

pub use config::*;
pub use event::*;
pub use file::*;
pub use loss::*;
pub use network::*;
pub use offsets::*;
pub use packets::*;
pub use process::*;
pub use state::*;
pub use syscall::*;
pub use task::*;
