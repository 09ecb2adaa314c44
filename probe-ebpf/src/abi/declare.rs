//! How records and kinds are declared.

/// Declares records: plain data with a known size, readable by aya on the host.
macro_rules! records {
    ($($name:ident = $size:expr),* $(,)?) => {$(
        const _: () = assert!(core::mem::size_of::<$name>() == $size);
        #[cfg(target_os = "linux")]
        #[expect(unsafe_code, reason = "marks a record as plain data for aya")]
        // SAFETY: the record is repr(C), made of integers only, and padded by hand.
        unsafe impl aya::Pod for $name {}
    )*};
}
pub(crate) use records;

/// Declares a list of kinds, which records hold as numbers, and how a number is read again.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident: $number:ty { $($(#[$about:meta])* $kind:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[repr($number)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name {
            $($(#[$about])* $kind = $value,)*
        }

        impl $name {
            /// The kind of this number, if there is one.
            #[must_use]
            #[inline(always)]
            pub const fn decode(number: $number) -> Option<Self> {
                match number {
                    $($value => Some(Self::$kind),)*
                    _ => None,
                }
            }

            /// Its number in records.
            #[must_use]
            #[inline(always)]
            pub const fn number(self) -> $number {
                self as $number
            }
        }
    };
}
pub(crate) use kinds;
