//! Numbers of rows, of files and of peers.

use core::num::NonZeroU32;

/// A row. Rows count from 1; 0 stands for none in records, in maps, and where exported functions take or
/// return one.
#[derive(Clone, Copy)]
pub(crate) struct Row(NonZeroU32);

impl Row {
    /// The row of this number.
    #[inline(always)]
    pub(crate) fn of(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// Its number.
    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }
}

/// A row or none, as a number.
pub(crate) trait Number {
    /// The row's number, or 0.
    fn number(self) -> u32;
}

impl Number for Option<Row> {
    #[inline(always)]
    fn number(self) -> u32 {
        self.map_or(0, Row::number)
    }
}
