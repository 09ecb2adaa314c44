//! Chunks sealed to the key of a session: who reads a pod's log, or the store that collects it, reads no
//! profile. The plugin keeps the secret key in its memory, the request brings the public one. Each probe
//! makes a key pair of its own, so that no number is used twice with one key.
//!
//! The box is that of libsodium with XChaCha20-Poly1305, from the crate `crypto_box`.

use crate::text::Text;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_box::aead::AeadInPlace as _;
use crypto_box::{ChaChaBox, Nonce, PublicKey, SecretKey, Tag};

/// Bytes of the number in front of what was sealed.
const NUMBER: usize = 8;
/// Bytes of the tag behind it.
const TAG: usize = 16;

/// The secret key of a session.
#[derive(Clone)]
pub struct SessionKey(SecretKey);

impl SessionKey {
    /// A key from random bytes of the system.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(SecretKey::from(random))
    }

    /// The public key, base64, for [`Request::seal_to`](super::Request::seal_to).
    #[must_use]
    pub fn public(&self) -> String {
        STANDARD.encode(self.0.public_key().as_bytes())
    }

    /// Opens what the probe with this public key, base64, has sealed. None: it is not a key.
    pub(super) fn opener(&self, probe: &str) -> Option<Opener> {
        Some(Opener(ChaChaBox::new(&public(probe)?, &self.0)))
    }
}

fn public(text: &str) -> Option<PublicKey> {
    let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(PublicKey::from(bytes))
}

/// Seals chunks to the key of a session.
pub struct Sealer {
    sealed: ChaChaBox,
    public: Text,
    number: u64,
}

impl Sealer {
    /// Seals to a session's public key, base64, with a key from random bytes of the system. None: it is not a
    /// key.
    #[must_use]
    pub fn new(session: &str, random: [u8; 32]) -> Option<Self> {
        let secret = SecretKey::from(random);
        Some(Self {
            sealed: ChaChaBox::new(&public(session)?, &secret),
            public: STANDARD.encode(secret.public_key().as_bytes()).into(),
            number: 0,
        })
    }

    /// The probe's public key, base64, for [`Hello::key`](super::Hello::key).
    #[must_use]
    pub fn public(&self) -> Text {
        self.public.clone()
    }

    /// A number, the sealed bytes, and their tag.
    ///
    /// # Panics
    /// Never: a chunk is far below the cipher's limit.
    pub(super) fn seal(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let number = self.number.to_le_bytes();
        self.number += 1;
        let tag = self
            .sealed
            .encrypt_in_place_detached(&nonce(number), b"", &mut bytes)
            .expect("a chunk is far below the cipher's limit");
        let mut sealed = Vec::with_capacity(NUMBER + bytes.len() + TAG);
        sealed.extend_from_slice(&number);
        sealed.append(&mut bytes);
        sealed.extend_from_slice(&tag);
        sealed
    }
}

/// Opens the chunks of one probe.
pub struct Opener(ChaChaBox);

impl Opener {
    /// The deflated bytes of a chunk's text.
    pub(super) fn open(&self, text: &str) -> Result<Vec<u8>, String> {
        let sealed = STANDARD.decode(text).map_err(|error| error.to_string())?;
        let parts = sealed.split_first_chunk::<NUMBER>();
        let parts =
            parts.and_then(|(number, rest)| Some((number, rest.split_last_chunk::<TAG>()?)));
        let (number, (bytes, tag)) = parts.ok_or("a sealed chunk is too short")?;
        let mut bytes = bytes.to_vec();
        self.0
            .decrypt_in_place_detached(&nonce(*number), b"", &mut bytes, Tag::from_slice(tag))
            .map_err(|_| "a sealed chunk was altered, or is sealed to another key")?;
        Ok(bytes)
    }
}

fn nonce(number: [u8; NUMBER]) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[..NUMBER].copy_from_slice(&number);
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_session_opens_what_was_sealed_to_it() {
        let session = SessionKey::new([1; 32]);
        let mut sealer = Sealer::new(&session.public(), [2; 32]).expect("it is a key");
        let texts =
            [b"one".to_vec(), b"two".to_vec()].map(|bytes| STANDARD.encode(sealer.seal(bytes)));
        let opener = session.opener(&sealer.public()).expect("it is a key");
        assert_eq!(opener.open(&texts[0]), Ok(b"one".to_vec()));
        assert_eq!(opener.open(&texts[1]), Ok(b"two".to_vec()));

        let other = SessionKey::new([3; 32])
            .opener(&sealer.public())
            .expect("it is a key");
        assert!(other.open(&texts[0]).is_err());
        for place in 0..texts[0].len() {
            let mut altered = texts[0].clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("it is ASCII");
            assert_ne!(opener.open(&altered), Ok(b"one".to_vec()), "{place}");
        }
        assert!(opener.open("").is_err());
        assert!(Sealer::new("x", [0; 32]).is_none());
    }
}
