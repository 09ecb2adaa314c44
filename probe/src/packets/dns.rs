//! DNS messages: what was asked, and what came back (RFC 1035, 4). Bytes are hostile: everything is
//! bounded, and pointers within names lead backwards only.

use procmon_profile::text;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Answers looked at in one message.
const MAX_RECORDS: u16 = 128;
/// Bytes of a name, its end not included.
const MAX_NAME: usize = 254;
const CLASS_IN: u16 = 1;
const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const PTR: u16 = 12;
const MX: u16 = 15;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// Types with a name, from the registry of IANA.
const TYPES: &[(u16, &str)] = &[
    (A, "A"),
    (NS, "NS"),
    (CNAME, "CNAME"),
    (6, "SOA"),
    (PTR, "PTR"),
    (13, "HINFO"),
    (MX, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (25, "KEY"),
    (AAAA, "AAAA"),
    (29, "LOC"),
    (SRV, "SRV"),
    (35, "NAPTR"),
    (37, "CERT"),
    (39, "DNAME"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
];

/// Codes of answers, by number.
const CODES: [&str; 11] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
    "NXRRSET", "NOTAUTH", "NOTZONE",
];

/// A message to or from a resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) is_answer: bool,
    /// Of answers: `NOERROR`, …
    pub(super) rcode: String,
    /// The first of them: nobody asks two things at a time (RFC 9619).
    pub(super) question: Option<Question>,
    pub(super) records: Vec<Record>,
}

/// A name and a type, `A`, `AAAA`, …
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) record_type: String,
}

/// One answer: whose it is, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) owner: String,
    pub(super) value: Value,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// An address.
    Address(IpAddr),
    /// The name that the owner stands for.
    Alias(String),
    /// A name of another kind: of a server, of an address.
    Name(String),
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Reads a message. An error: it is none. `Ok(None)`: it is no question and no answer to one.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Message>, Unreadable> {
    let mut reader = Reader { bytes, at: 0 };
    read_whole(&mut reader).ok_or(Unreadable)
}

#[expect(
    clippy::option_option,
    reason = "bytes that end too early, and nothing of interest, are two things"
)]
fn read_whole(reader: &mut Reader<'_>) -> Option<Option<Message>> {
    let (id, flags) = (reader.word()?, reader.word()?);
    let (questions, records) = (reader.word()?, reader.word()?);
    let _ = (reader.word()?, reader.word()?);
    // Only queries, and their answers.
    if flags >> 11 & 15 != 0 {
        return Some(None);
    }
    let mut message = Message {
        id,
        is_answer: flags >> 15 != 0,
        ..Message::default()
    };
    for _ in 0..questions.min(MAX_RECORDS) {
        let name = reader.name()?;
        let record_type = reader.word()?;
        reader.word()?;
        message.question.get_or_insert_with(|| Question {
            name,
            record_type: type_name(record_type),
        });
    }
    if !message.is_answer {
        message.question.as_ref()?;
        return Some(Some(message));
    }
    let code = flags & 15;
    message.rcode = CODES
        .get(usize::from(code))
        .map_or_else(|| format!("RCODE{code}"), |name| (*name).to_owned());
    // A truncated answer, or one that was kept in part, holds what it holds.
    for _ in 0..records.min(MAX_RECORDS) {
        let Some(record) = reader.record() else { break };
        message.records.extend(record);
    }
    Some(Some(message))
}

fn type_name(number: u16) -> String {
    TYPES
        .iter()
        .find(|(known, _)| *known == number)
        .map_or_else(|| format!("TYPE{number}"), |(_, name)| (*name).to_owned())
}

/// A message, and how far it was read.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn word(&mut self) -> Option<u16> {
        let bytes = self.bytes.get(self.at..)?.first_chunk()?;
        self.at += 2;
        Some(u16::from_be_bytes(*bytes))
    }

    /// A name in lower case, without the dot at its end; `.` is the root. A dot within a label is
    /// `\x2e`.
    fn name(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut length = 0;
        let mut at = self.at;
        let mut end = None;
        loop {
            let first = *self.bytes.get(at)?;
            match first {
                0 => break,
                1..=63 => {
                    let label = self.bytes.get(at + 1..)?.get(..usize::from(first))?;
                    length += label.len() + 1;
                    if length > MAX_NAME {
                        return None;
                    }
                    if !text.is_empty() {
                        text.push('.');
                    }
                    let label = text::from_bytes(&label.to_ascii_lowercase());
                    text.push_str(&label.replace('.', "\\x2e"));
                    at += 1 + usize::from(first);
                }
                0xc0.. => {
                    let second = *self.bytes.get(at + 1)?;
                    let place = usize::from(first & 0x3f) << 8 | usize::from(second);
                    if place >= at {
                        return None;
                    }
                    end.get_or_insert(at + 2);
                    at = place;
                }
                _ => return None,
            }
        }
        self.at = end.unwrap_or(at + 1);
        if text.is_empty() {
            text.push('.');
        }
        Some(text)
    }

    /// One answer; none when it says nothing that is kept: other answers are payload.
    #[expect(
        clippy::option_option,
        reason = "bytes that end too early, and nothing of interest, are two things"
    )]
    fn record(&mut self) -> Option<Option<Record>> {
        let owner = self.name()?;
        let (record_type, class) = (self.word()?, self.word()?);
        // Time to live.
        let _ = (self.word()?, self.word()?);
        let length = usize::from(self.word()?);
        let start = self.at;
        let data = self.bytes.get(start..)?.get(..length)?;
        self.at = start
            + match record_type {
                MX => 2,
                SRV => 6,
                _ => 0,
            };
        let value = match record_type {
            A => Value::Address(Ipv4Addr::from(*data.first_chunk()?).into()),
            AAAA => Value::Address(Ipv6Addr::from(*data.first_chunk()?).to_canonical()),
            CNAME => Value::Alias(self.name()?),
            NS | PTR | MX | SRV => Value::Name(self.name()?),
            _ => Value::Name(String::new()),
        };
        self.at = start + length;
        let is_kept = class == CLASS_IN && value != Value::Name(String::new());
        Some(is_kept.then_some(Record { owner, value }))
    }
}

impl Message {
    /// Addresses that the answers give for a name, through its aliases.
    pub(super) fn addresses_of(&self, name: &str) -> Vec<IpAddr> {
        let mut names = vec![name];
        let mut place = 0;
        while let Some(known) = names.get(place).copied() {
            place += 1;
            for record in self.records.iter().filter(|record| record.owner == known) {
                if let Value::Alias(alias) = &record.value
                    && !names.contains(&alias.as_str())
                {
                    names.push(alias);
                }
            }
        }
        self.records
            .iter()
            .filter(|record| names.contains(&record.owner.as_str()))
            .filter_map(|record| match record.value {
                Value::Address(address) => Some(address),
                _ => None,
            })
            .collect()
    }
}

impl Value {
    /// As the document has it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Address(address) => address.to_string(),
            Self::Alias(name) | Self::Name(name) => name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with these flags and numbers of questions and answers.
    fn header(flags: u16, questions: u16, answers: u16) -> Vec<u8> {
        [0x1234, flags, questions, answers, 0, 0]
            .iter()
            .flat_map(|word: &u16| word.to_be_bytes())
            .collect()
    }

    fn name(name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for label in name.split('.').filter(|label| !label.is_empty()) {
            out.push(u8::try_from(label.len()).expect("a label"));
            out.extend(label.as_bytes());
        }
        out.push(0);
        out
    }

    /// A question at offset 12.
    fn question(asked: &str, record_type: u16) -> Vec<u8> {
        let mut out = name(asked);
        out.extend(record_type.to_be_bytes());
        out.extend(1_u16.to_be_bytes());
        out
    }

    fn record(owner: &[u8], record_type: u16, data: &[u8]) -> Vec<u8> {
        let mut out = owner.to_vec();
        out.extend(record_type.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 60]);
        out.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        out.extend(data);
        out
    }

    fn answer() -> Vec<u8> {
        let mut out = header(0x8180, 1, 3);
        out.extend(question("WWW.Example.com", 1));
        // www.example.com is real.example.com, whose address and a stranger's follow.
        let mut alias = vec![4];
        alias.extend(b"real");
        alias.extend([0xc0, 16]);
        out.extend(record(&[0xc0, 12], 5, &alias));
        let place = u8::try_from(out.len() - alias.len()).expect("short");
        out.extend(record(&[0xc0, place], 1, &[192, 0, 2, 1]));
        out.extend(record(&name("stranger.test"), 1, &[192, 0, 2, 66]));
        out
    }

    #[test]
    fn answers_are_followed_through_aliases_and_compression() {
        let message = read(&answer()).expect("readable").expect("an answer");
        assert_eq!(message.rcode, "NOERROR");
        assert_eq!(
            message.question.as_ref().expect("a question").name,
            "www.example.com"
        );
        assert_eq!(
            message.question.as_ref().expect("a question").record_type,
            "A"
        );
        let values: Vec<String> = message.records.iter().map(|r| r.value.text()).collect();
        assert_eq!(values, ["real.example.com", "192.0.2.1", "192.0.2.66"]);
        let addresses = message.addresses_of("www.example.com");
        assert_eq!(
            addresses,
            ["192.0.2.1".parse::<IpAddr>().expect("an address")]
        );
    }

    #[test]
    fn names_types_and_codes_have_their_texts() {
        for (asked, record_type, expected) in [
            ("", 2, (".", "NS")),
            ("_sip._tcp.Example", 33, ("_sip._tcp.example", "SRV")),
            ("a\\b", 65_280, ("a\\\\b", "TYPE65280")),
        ] {
            let mut bytes = header(0x0100, 1, 0);
            bytes.extend(question(asked, record_type));
            let message = read(&bytes).expect("readable").expect("a question");
            let found = message.question.expect("a question");
            assert_eq!((found.name.as_str(), found.record_type.as_str()), expected);
        }
        let mut dotted = header(0x0100, 1, 0);
        dotted.extend(b"\x03a.b\x01c\x00\x00\x01\x00\x01");
        let message = read(&dotted).expect("readable").expect("a question");
        assert_eq!(
            message.question.as_ref().expect("a question").name,
            "a\\x2eb.c"
        );
        for (code, expected) in [
            (3, "NXDOMAIN"),
            (2, "SERVFAIL"),
            (5, "REFUSED"),
            (13, "RCODE13"),
        ] {
            let mut bytes = header(0x8180 | code, 1, 0);
            bytes.extend(question("x.test", 28));
            let message = read(&bytes).expect("readable").expect("an answer");
            assert_eq!(message.rcode, expected);
        }
    }

    #[test]
    fn an_answer_that_was_cut_says_what_it_has() {
        let whole = answer();
        let mut most = 0;
        for length in 0..=whole.len() {
            if let Ok(Some(message)) = read(&whole[..length]) {
                assert!(message.records.len() >= most, "{length}");
                most = message.records.len();
            }
        }
        assert_eq!(most, 3);
    }

    #[test]
    fn loops_and_rubbish_are_no_messages() {
        let mut circle = header(0x0100, 1, 0);
        circle.extend([0xc0, 12, 0, 1, 0, 1]);
        assert_eq!(read(&circle), Err(Unreadable));
        assert_eq!(read(b"rubbish"), Err(Unreadable));
        // An update is none of ours.
        assert_eq!(read(&header(0x2800, 0, 0)), Ok(None));
        assert_eq!(read(&header(0x0100, 0, 0)), Err(Unreadable));
    }

    #[test]
    fn no_bytes_are_too_hostile() {
        let whole = answer();
        // Every byte, by many values; then a deterministic storm.
        for at in 0..whole.len() {
            for value in (0..=255).step_by(5) {
                let mut bytes = whole.clone();
                bytes[at] = value;
                if let Ok(Some(message)) = read(&bytes) {
                    let _ = message.addresses_of("www.example.com");
                }
            }
        }
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..50_000 {
            let mut bytes = whole.clone();
            for _ in 0..4 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let at = usize::try_from(state >> 16).unwrap_or(0) % bytes.len();
                bytes[at] = state.to_le_bytes()[0];
            }
            bytes.truncate(usize::try_from(state >> 40).unwrap_or(0) % (bytes.len() + 1));
            if let Ok(Some(message)) = read(&bytes) {
                let _ = message.addresses_of("www.example.com");
            }
        }
    }
}
