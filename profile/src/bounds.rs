//! Limits of the fields of a document, checked while it is read: documents and frames come from
//! others. Refused fields are an error of one line with their place.

use crate::text::Text;
use serde::{Deserialize, Deserializer, de};
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of a path, escapes counted as what they stand for: a working directory and a name
/// below it, each as long as the kernel takes (`PATH_MAX` in `include/uapi/linux/limits.h`).
pub const MAX_PATH_BYTES: usize = 8 << 10;
/// Most bytes of an argument, as it is written: a row of a stream has no more.
pub const MAX_ARGUMENT_BYTES: usize = 128 << 10;
/// Most rows of one list of a container, and most containers, nodes and windows.
pub const MAX_ROWS: usize = 1 << 20;
/// Most entries of any other list: arguments, reasons, names.
pub const MAX_ENTRIES: usize = 16 << 10;
/// Most wildcards of one row whose values are told.
pub const MAX_WILDCARDS: usize = 1024;
/// Most windows of one container times its rows: each row may have a count for each window.
pub const MAX_COUNTS: usize = 16 << 20;
/// Most numbers of a row's counts.
pub const MAX_WINDOWS: usize = 64 << 10;
/// Most `**` of one path.
pub const MAX_DEEP_WILDCARDS: usize = 16;

/// A path, or none.
pub(crate) trait Path {
    fn path(&self) -> Option<&Text>;
}

impl Path for Text {
    fn path(&self) -> Option<&Text> {
        Some(self)
    }
}

impl Path for Option<Text> {
    fn path(&self) -> Option<&Text> {
        self.as_ref()
    }
}

/// Reads a path of at most [`MAX_PATH_BYTES`].
pub(crate) fn path<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Path,
{
    let value = T::deserialize(deserializer)?;
    if let Some(text) = value.path()
        && text.len() > MAX_PATH_BYTES
        && text.plain_len() > MAX_PATH_BYTES
    {
        return Err(de::Error::custom(format_args!(
            "a path of {} bytes, of which {MAX_PATH_BYTES} are taken",
            text.plain_len()
        )));
    }
    Ok(value)
}

/// Reads arguments: a list of at most [`MAX_ENTRIES`], each of at most [`MAX_ARGUMENT_BYTES`].
/// Command lines are compared with each other, each with each.
pub(crate) fn arguments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Text>, D::Error> {
    let argv: Vec<Text> = entries(deserializer)?;
    if let Some(text) = argv.iter().find(|text| text.len() > MAX_ARGUMENT_BYTES) {
        return Err(de::Error::custom(format_args!(
            "an argument of {} bytes, of which {MAX_ARGUMENT_BYTES} are taken",
            text.len()
        )));
    }
    Ok(argv)
}

/// Reads what wildcards of one row stand for: at most [`MAX_WILDCARDS`].
pub(crate) fn wildcards<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Entries,
{
    let value = T::deserialize(deserializer)?;
    at_most(value.number(), MAX_WILDCARDS)?;
    Ok(value)
}

/// A list, a set or a map.
pub(crate) trait Entries {
    fn number(&self) -> usize;
}

impl<T> Entries for Vec<T> {
    fn number(&self) -> usize {
        self.len()
    }
}

impl<T: Entries> Entries for Option<T> {
    fn number(&self) -> usize {
        self.as_ref().map_or(0, Entries::number)
    }
}

impl<T> Entries for BTreeSet<T> {
    fn number(&self) -> usize {
        self.len()
    }
}

impl<K, V> Entries for BTreeMap<K, V> {
    fn number(&self) -> usize {
        self.len()
    }
}

fn at_most<E: de::Error>(number: usize, limit: usize) -> Result<(), E> {
    if number > limit {
        return Err(de::Error::custom(format_args!(
            "a list of {number} entries, of which {limit} are taken"
        )));
    }
    Ok(())
}

/// Reads a list of at most [`MAX_ROWS`].
pub(crate) fn rows<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Entries,
{
    let value = T::deserialize(deserializer)?;
    at_most(value.number(), MAX_ROWS)?;
    Ok(value)
}

/// Reads a list of at most [`MAX_ENTRIES`].
pub(crate) fn entries<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Entries,
{
    let value = T::deserialize(deserializer)?;
    at_most(value.number(), MAX_ENTRIES)?;
    Ok(value)
}

/// Numbers of a field: lengths in seconds, shares, estimates.
pub(crate) trait Numbers {
    fn are_sound(&self) -> bool;
}

impl Numbers for f64 {
    fn are_sound(&self) -> bool {
        // 2^53: above it not every integer is a number.
        (0.0..=9_007_199_254_740_992.0).contains(self)
    }
}

impl Numbers for Option<f64> {
    fn are_sound(&self) -> bool {
        self.is_none_or(|number| number.are_sound())
    }
}

impl Numbers for Vec<f64> {
    fn are_sound(&self) -> bool {
        self.len() <= MAX_ENTRIES && self.iter().all(Numbers::are_sound)
    }
}

impl<K> Numbers for BTreeMap<K, f64> {
    fn are_sound(&self) -> bool {
        self.values().all(Numbers::are_sound)
    }
}

/// Reads numbers of 0 or more.
pub(crate) fn numbers<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Numbers,
{
    let value = T::deserialize(deserializer)?;
    if !value.are_sound() {
        return Err(de::Error::custom("a number that is not 0 or more"));
    }
    Ok(value)
}
