//! The server name in a TLS ClientHello: RFC 8446, 4.1.2 and RFC 6066, 3. Bytes are hostile.

use procmon_profile::text;

/// What the beginning of a connection says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// The server's name, lower case.
    Name(String),
    /// A greeting without a name.
    Nameless,
    /// The name, if any, lies behind the bytes that there are.
    Cut,
    /// No greeting.
    Other,
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: usize = 0;
const HOST_NAME: usize = 0;
/// Bytes of a host name.
const MAX_NAME: usize = 255;

/// Bytes read one after the other.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of this many bytes, the highest first.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(
            self.take(bytes)?
                .iter()
                .fold(0, |number, byte| number << 8 | usize::from(*byte)),
        )
    }

    /// Bytes that follow their length.
    fn vector(&mut self, bytes: usize) -> Option<Self> {
        let length = self.number(bytes)?;
        self.take(length).map(Bytes)
    }
}

/// The name that a client asks for in the first bytes that it sends.
pub(super) fn server_name(payload: &[u8]) -> Hello {
    let message = handshake(payload);
    let mut bytes = Bytes(&message);
    if bytes.number(1) != Some(usize::from(CLIENT_HELLO)) {
        return Hello::Other;
    }
    let Some(length) = bytes.number(3) else {
        return Hello::Cut;
    };
    let is_whole = bytes.0.len() >= length;
    match extensions(bytes) {
        Some(Some(name)) => Hello::Name(name),
        Some(None) if is_whole => Hello::Nameless,
        None if is_whole => Hello::Other,
        _ => Hello::Cut,
    }
}

/// The bytes of the handshake that the records hold.
fn handshake(payload: &[u8]) -> Vec<u8> {
    let mut records = Bytes(payload);
    let mut message = Vec::with_capacity(payload.len());
    while let Some(header) = records.take(5) {
        if header[0] != HANDSHAKE {
            break;
        }
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let held = length.min(records.0.len());
        message.extend_from_slice(records.take(held).unwrap_or_default());
    }
    message
}

/// The server name among the extensions, none when there is none; `None` when the bytes end before.
#[expect(
    clippy::option_option,
    reason = "bytes that end too early, and nothing of interest, are two things"
)]
fn extensions(mut bytes: Bytes<'_>) -> Option<Option<String>> {
    // Version and random.
    bytes.take(34)?;
    // Session, cipher suites, compression.
    bytes.vector(1)?;
    bytes.vector(2)?;
    bytes.vector(1)?;
    if bytes.0.is_empty() {
        // Versions before 1.3 need none.
        return Some(None);
    }
    let length = bytes.number(2)?;
    let is_whole = bytes.0.len() >= length;
    let end = bytes.0.len().saturating_sub(length);
    while bytes.0.len() > end {
        let kind = bytes.number(2)?;
        let mut extension = bytes.vector(2)?;
        if kind != SERVER_NAME {
            continue;
        }
        let mut list = extension.vector(2)?;
        while !list.0.is_empty() {
            let kind = list.number(1)?;
            let name = list.vector(2)?.0;
            if kind == HOST_NAME && !name.is_empty() && name.len() <= MAX_NAME {
                let name = name.strip_suffix(b".").unwrap_or(name);
                return Some(Some(text::from_bytes(&name.to_ascii_lowercase()).into()));
            }
        }
    }
    is_whole.then_some(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(bytes: usize, body: &[u8]) -> Vec<u8> {
        let mut out = body.len().to_be_bytes()[8 - bytes..].to_vec();
        out.extend_from_slice(body);
        out
    }

    /// A greeting with these extensions, before records are put around it.
    fn message(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend(vector(1, &[9; 32]));
        body.extend(vector(2, &[0x13, 0x01, 0x13, 0x02]));
        body.extend(vector(1, &[0]));
        let mut list = Vec::new();
        for (kind, data) in extensions {
            list.extend(kind.to_be_bytes());
            list.extend(vector(2, data));
        }
        body.extend(vector(2, &list));
        let mut out = vec![1];
        out.extend(vector(3, &body));
        out
    }

    fn record(body: &[u8]) -> Vec<u8> {
        let mut out = vec![22, 3, 1];
        out.extend(vector(2, body));
        out
    }

    fn name(name: &[u8]) -> (u16, Vec<u8>) {
        let mut entry = vec![0];
        entry.extend(vector(2, name));
        (0, vector(2, &entry))
    }

    #[test]
    fn the_name_is_found_wherever_it_stands() {
        let padding = || (21, vec![0; 100]);
        for extensions in [
            vec![name(b"Example.COM")],
            vec![padding(), name(b"example.com."), padding()],
        ] {
            let message = message(&extensions);
            assert_eq!(
                server_name(&record(&message)),
                Hello::Name("example.com".to_owned())
            );
            // Split over records.
            let (first, second) = message.split_at(50);
            let both = [record(first), record(second)].concat();
            assert_eq!(server_name(&both), Hello::Name("example.com".to_owned()));
        }
    }

    #[test]
    fn what_is_missing_and_what_is_cut_differ() {
        let padding = (21, vec![0; 100]);
        assert_eq!(
            server_name(&record(&message(std::slice::from_ref(&padding)))),
            Hello::Nameless
        );
        let whole = record(&message(&[padding, name(b"example.com")]));
        for length in 6..whole.len() {
            assert_eq!(server_name(&whole[..length]), Hello::Cut, "{length}");
        }
        assert_eq!(server_name(b"GET / HTTP/1.1\r\n"), Hello::Other);
        assert_eq!(server_name(&[]), Hello::Other);
    }

    #[test]
    fn no_bytes_are_too_hostile() {
        let whole = record(&message(&[(21, vec![1; 9]), name(b"example.com")]));
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = server_name(&bytes);
            }
        }
        let long = vec![b'a'; 300];
        assert_eq!(
            server_name(&record(&message(&[name(&long)]))),
            Hello::Nameless
        );
    }
}
