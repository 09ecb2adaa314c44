//! Names for rows: digests of their parts.

use sha2::{Digest as _, Sha256};

/// The first bytes of a digest of parts, in hexadecimal. Parts stand with their lengths, so that no other
/// parts make the same text.
pub(crate) fn digest(parts: &[&str], bytes: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    crate::wire::hex(&hash.finalize()[..bytes])
}
