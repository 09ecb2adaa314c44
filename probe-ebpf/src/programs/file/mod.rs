//! Files: which row a file or a name has, and what calls did to them.

pub(crate) mod calls;
pub(crate) mod executed;
pub(crate) mod names;
pub(crate) mod resolved;
pub(crate) mod rows;
