//! The running kernel's structure layouts, from `/sys/kernel/btf/vmlinux` in one pass over its bytes.
//!
//! The format is Documentation/bpf/btf.rst. Bytes are trusted to come from the kernel, but every
//! access is checked: a malformed file gives no member, not a panic.

use anyhow::{Context as _, Result, bail};
use std::collections::HashMap;

const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC: u32 = 12;

/// Types of a kernel.
pub(crate) struct Btf {
    bytes: Vec<u8>,
    strings: usize,
    /// Where each type begins, by id.
    types: Vec<u32>,
    /// Structures by name: the first of each name.
    structs: HashMap<Vec<u8>, u32>,
}

/// Where a member lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// From the start of the structure.
    pub(crate) bits: u32,
    type_id: u32,
}

impl Btf {
    /// Parses a BTF file.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self> {
        let mut btf = Self {
            bytes,
            strings: 0,
            types: vec![0],
            structs: HashMap::new(),
        };
        if btf.u16(0) != Some(0xeb9f) {
            bail!("it does not begin as BTF does");
        }
        let header = btf.u32(4).context("it has no header")?;
        let at = |place: usize| btf.u32(place).map(|offset| (header + offset) as usize);
        let start = at(8).context("it has no types")?;
        let end = start + btf.u32(12).context("it has no types")? as usize;
        btf.strings = at(16).context("it has no strings")?;
        let mut place = start;
        while place < end {
            let id = u32::try_from(btf.types.len())?;
            let info = btf.u32(place + 4).context("it ends within a type")?;
            let (kind, members) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
            btf.types.push(u32::try_from(place)?);
            if kind == KIND_STRUCT && members > 0 {
                let name = btf.name(place).to_vec();
                btf.structs.entry(name).or_insert(id);
            }
            place += 12
                + match kind {
                    1 | 14 | 17 => 4,
                    3 => 12,
                    KIND_STRUCT | KIND_UNION | 15 | 19 => 12 * members,
                    KIND_ENUM | 13 => 8 * members,
                    2 | 7..=12 | 16 | 18 => 0,
                    other => bail!("it has a type of unknown kind {other}"),
                };
        }
        Ok(btf)
    }

    fn u16(&self, place: usize) -> Option<u16> {
        Some(u16::from_le_bytes(
            self.bytes.get(place..place + 2)?.try_into().ok()?,
        ))
    }

    fn u32(&self, place: usize) -> Option<u32> {
        Some(u32::from_le_bytes(
            self.bytes.get(place..place + 4)?.try_into().ok()?,
        ))
    }

    /// The string at the start of a type, member or value.
    fn name(&self, place: usize) -> &[u8] {
        let offset = self.u32(place).unwrap_or(0) as usize;
        let rest = self.bytes.get(self.strings + offset..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Place, kind and number of members of a type, modifiers and typedefs taken off.
    fn resolve(&self, mut id: u32) -> Option<(usize, u32, usize)> {
        for _ in 0..32 {
            let place = *self.types.get(id as usize)? as usize;
            let info = self.u32(place + 4)?;
            match info >> 24 & 0x1f {
                8..=11 | 18 => id = self.u32(place + 8)?,
                kind => return Some((place, kind, (info & 0xffff) as usize)),
            }
        }
        None
    }

    /// Where `path`, members joined by dots, lies within a structure.
    pub(crate) fn member(&self, structure: &str, path: &str) -> Option<Member> {
        let mut found = Member {
            bits: 0,
            type_id: *self.structs.get(structure.as_bytes())?,
        };
        for name in path.split('.') {
            let inner = self.find(found.type_id, name.as_bytes(), 0)?;
            found = Member {
                bits: found.bits + inner.bits,
                type_id: inner.type_id,
            };
        }
        Some(found)
    }

    fn find(&self, id: u32, wanted: &[u8], depth: u32) -> Option<Member> {
        let (place, kind, members) = self.resolve(id)?;
        if (kind != KIND_STRUCT && kind != KIND_UNION) || depth > 8 {
            return None;
        }
        let bitfields = self.u32(place + 4)? >> 31 != 0;
        for number in 0..members {
            let member = place + 12 + 12 * number;
            let type_id = self.u32(member + 4)?;
            let raw = self.u32(member + 8)?;
            let bits = if bitfields { raw & 0x00ff_ffff } else { raw };
            let name = self.name(member);
            if name == wanted {
                return Some(Member { bits, type_id });
            }
            if name.is_empty()
                && let Some(inner) = self.find(type_id, wanted, depth + 1)
            {
                return Some(Member {
                    bits: bits + inner.bits,
                    type_id: inner.type_id,
                });
            }
        }
        None
    }

    /// Bytes of a structure.
    pub(crate) fn size(&self, structure: &str) -> Option<u32> {
        let (place, _, _) = self.resolve(*self.structs.get(structure.as_bytes())?)?;
        self.u32(place + 8)
    }

    /// The number of a kernel function.
    pub(crate) fn function(&self, wanted: &str) -> Option<u32> {
        let number = self.types.iter().skip(1).position(|place| {
            let place = *place as usize;
            let kind = self.u32(place + 4).unwrap_or(0) >> 24 & 0x1f;
            kind == KIND_FUNC && self.name(place) == wanted.as_bytes()
        })?;
        u32::try_from(number + 1).ok()
    }

    /// The value of a constant in any enum.
    pub(crate) fn constant(&self, wanted: &str) -> Option<u32> {
        self.types.iter().skip(1).find_map(|place| {
            let place = *place as usize;
            let info = self.u32(place + 4)?;
            if info >> 24 & 0x1f != KIND_ENUM {
                return None;
            }
            (0..(info & 0xffff) as usize)
                .map(|number| place + 12 + 8 * number)
                .find(|value| self.name(*value) == wanted.as_bytes())
                .and_then(|value| self.u32(value + 4))
        })
    }
}
