//! DNS messages: what was asked, and what came back. Bytes are hostile.

use domain::base::iana::{Class, Opcode, Rtype};
use domain::base::name::ToLabelIter;
use domain::base::{Message as Packet, ParsedName, ParsedRecord};
use domain::rdata::{A, Aaaa, Cname, Mx, Ns, Ptr, Srv};
use procmon_profile::text;
use std::net::IpAddr;

/// Questions looked at in one message: resolvers ask one.
const MAX_QUESTIONS: usize = 4;
/// Answers looked at in one message.
const MAX_RECORDS: usize = 128;

/// A message to or from a resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) is_answer: bool,
    /// Of answers: `NOERROR`, …
    pub(super) rcode: String,
    pub(super) questions: Vec<Question>,
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

/// Reads a message. An error: it is none. `Ok(None)`: it is no question and no answer to one.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Message>, Unreadable> {
    let packet = Packet::from_octets(bytes).map_err(|_| Unreadable)?;
    let header = packet.header();
    if header.opcode() != Opcode::QUERY {
        return Ok(None);
    }
    let mut message = Message {
        id: header.id(),
        is_answer: header.qr(),
        ..Message::default()
    };
    for question in packet.question().take(MAX_QUESTIONS) {
        let question = question.map_err(|_| Unreadable)?;
        message.questions.push(Question {
            name: name_text(question.qname()),
            record_type: question.qtype().to_string(),
        });
    }
    if !message.is_answer {
        return if message.questions.is_empty() {
            Err(Unreadable)
        } else {
            Ok(Some(message))
        };
    }
    message.rcode = header.rcode().to_string();
    if message
        .rcode
        .starts_with(|first: char| first.is_ascii_digit())
    {
        message.rcode.insert_str(0, "RCODE");
    }
    // A truncated answer, or one that was kept in part, holds what it holds.
    for record in packet
        .answer()
        .into_iter()
        .flatten()
        .take(MAX_RECORDS)
        .map_while(Result::ok)
    {
        if record.class() == Class::IN
            && let Some(value) = value(&record)
        {
            message.records.push(Record {
                owner: name_text(&record.owner()),
                value,
            });
        }
    }
    Ok(Some(message))
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

fn value(record: &ParsedRecord<'_, &[u8]>) -> Option<Value> {
    type Name<'a> = ParsedName<&'a [u8]>;
    macro_rules! data {
        ($kind:ty) => {
            record.to_record::<$kind>().ok()??.into_data()
        };
    }
    Some(match record.rtype() {
        Rtype::A => Value::Address(IpAddr::V4(data!(A).addr())),
        Rtype::AAAA => Value::Address(IpAddr::V6(data!(Aaaa).addr()).to_canonical()),
        Rtype::CNAME => Value::Alias(name_text(data!(Cname<Name<'_>>).cname())),
        Rtype::NS => Value::Name(name_text(data!(Ns<Name<'_>>).nsdname())),
        Rtype::PTR => Value::Name(name_text(data!(Ptr<Name<'_>>).ptrdname())),
        Rtype::MX => Value::Name(name_text(data!(Mx<Name<'_>>).exchange())),
        Rtype::SRV => Value::Name(name_text(data!(Srv<Name<'_>>).target())),
        // Other answers are payload.
        _ => return None,
    })
}

/// A name in lower case, without the dot at its end; `.` is the root. A dot within a label is `\x2e`.
fn name_text(name: &impl ToLabelIter) -> String {
    let mut out = String::new();
    for label in name.iter_labels().filter(|label| !label.is_root()) {
        if !out.is_empty() {
            out.push('.');
        }
        let label = label.as_slice().to_ascii_lowercase();
        for (number, part) in label.split(|byte| *byte == b'.').enumerate() {
            if number > 0 {
                out.push_str("\\x2e");
            }
            out.push_str(&text::from_bytes(part));
        }
    }
    if out.is_empty() {
        out.push('.');
    }
    out
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
        assert_eq!(message.questions[0].name, "www.example.com");
        assert_eq!(message.questions[0].record_type, "A");
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
            let found = &message.questions[0];
            assert_eq!((found.name.as_str(), found.record_type.as_str()), expected);
        }
        let mut dotted = header(0x0100, 1, 0);
        dotted.extend(b"\x03a.b\x01c\x00\x00\x01\x00\x01");
        let message = read(&dotted).expect("readable").expect("a question");
        assert_eq!(message.questions[0].name, "a\\x2eb.c");
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
