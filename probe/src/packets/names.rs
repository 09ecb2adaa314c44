//! Packets, and claims to them, to questions with their answers.
//!
//! A question is one message that a socket of the target sent; its answer is found by addresses,
//! ports, id, name and type. Of datagrams one record tells whose each was, when the call has
//! returned: that is after the packet, but for devices that let it wait. Packets that nobody claims
//! are a stranger's.

use super::dns::{self, Message, Question};
use super::tls::{self, Hello};
use procmon_probe_ebpf::abi::{PORT_DNS, WireOwner, WirePacket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Rows kept, and questions under way.
const MAX_ROWS: usize = 20_000;
const MAX_ASKED: usize = 10_000;
/// Addresses whose names are kept.
const MAX_ADDRESSES: usize = 20_000;
/// Connections to resolvers under way, each direction by itself.
const MAX_FLOWS: usize = 256;
/// Answers of one question, and names of one address.
const MAX_ANSWERS: usize = 16;
/// A packet that nobody has claimed by then is a stranger's.
const STRANGER_AFTER: Duration = Duration::from_secs(2);
/// A datagram that was sent passes its device before that.
const SENT_BEFORE: Duration = Duration::from_secs(1);
/// A question that nobody answered by then stays without an answer.
const UNANSWERED_AFTER: Duration = Duration::from_secs(30);
/// A connection to a resolver without a packet is forgotten.
const IDLE_AFTER: Duration = Duration::from_mins(1);
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// The two ends of a conversation with a resolver, as the tap of one network namespace saw them.
/// What differs most comes first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ends {
    port: u16,
    protocol: u8,
    netns: u32,
    own: IpAddr,
    resolver: IpAddr,
}

/// What a message asks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Question(Question),
    /// An update or the like.
    Other,
    /// Nothing that can be read.
    Unreadable,
}

/// Equal messages that wait for an answer, or to be claimed.
#[derive(Debug)]
struct Asked {
    id: u16,
    ends: Ends,
    what: What,
    /// Packets.
    sent: u64,
    /// Those of them that are the target's.
    owned: u64,
    /// A packet may pass several devices of its namespace: it counts at the first.
    device: u32,
    exe: Option<u32>,
    answer: Option<Answer>,
    since_ns: u64,
}

/// A datagram of the target's whose packet is still to come.
#[derive(Debug)]
struct Claim {
    port: u16,
    netns: u32,
    exe: u32,
    since_ns: u64,
}

#[derive(Debug)]
struct Answer {
    rcode: String,
    values: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// Equal questions with one outcome.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Executable slot.
    pub(crate) exe: u32,
    pub(crate) name: String,
    pub(crate) record_type: String,
    pub(crate) rcode: Option<String>,
    /// Sorted.
    pub(crate) answers: Vec<String>,
    /// Who answered; sorted.
    pub(crate) resolvers: Vec<String>,
    pub(crate) count: u64,
}

/// Names that an executable used for an address.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    /// Executable slot.
    pub(crate) exe: u32,
    pub(crate) address: IpAddr,
    /// Those that a resolver answered; sorted.
    pub(crate) names: Vec<String>,
    /// Those that the executable wrote into greetings; sorted.
    pub(crate) claimed: Vec<String>,
}

/// What is missing, by count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gaps {
    /// Questions beyond what is kept.
    pub(crate) questions: u64,
    /// Messages that could not be read.
    pub(crate) unreadable: u64,
    /// Greetings of TLS whose name was not among the bytes kept.
    pub(crate) cut: u64,
    /// Calls and peers in network namespaces that had no tap yet.
    pub(crate) early: u64,
    /// Datagrams that were sent and not seen.
    pub(crate) unseen: u64,
}

/// One direction of a connection to a resolver.
#[derive(Debug, Default)]
struct Flow {
    next: u32,
    /// Of a message that is not whole yet.
    buffer: Vec<u8>,
    /// Bytes to come that belong to a message which was cut.
    skip: usize,
    since_ns: u64,
}

/// Everything that was named so far.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Network namespaces with a tap.
    pub(crate) tapped: Vec<u32>,
    /// Network namespaces without one, and a process that may live there.
    pub(crate) untapped: Vec<(u32, Option<u32>)>,
    /// By executable slot, name, type and code.
    pub(crate) rows: Vec<Row>,
    /// By executable slot and address.
    pub(crate) used: Vec<Used>,
    pub(crate) gaps: Gaps,
    asked: Vec<Asked>,
    claims: Vec<Claim>,
    /// By direction and ends.
    flows: Vec<(bool, Ends, Flow)>,
    tidied_ns: u64,
}

fn address(version: u16, bytes: &[u8; 16]) -> IpAddr {
    if version == 4 {
        Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()
    } else {
        Ipv6Addr::from(*bytes).to_canonical()
    }
}

impl Names {
    /// A network namespace was seen, and maybe a process that lives there.
    pub(crate) fn namespace(&mut self, netns: u32, process: Option<u32>) {
        if netns != 0 && !self.tapped.contains(&netns) {
            match self.untapped.iter_mut().find(|(known, _)| *known == netns) {
                Some((_, known)) => *known = process.or(*known),
                None => self.untapped.push((netns, process)),
            }
        }
    }

    /// A connection was made, or a resolver asked, in a network namespace.
    pub(crate) fn used_namespace(&mut self, netns: u32, process: Option<u32>) {
        if netns != 0 && !self.tapped.contains(&netns) {
            self.gaps.early += 1;
            self.namespace(netns, process);
        }
    }

    /// A task of the target has sent a datagram to a resolver.
    pub(crate) fn claimed(&mut self, claim: &WireOwner, now_ns: u64) {
        if !self.tapped.contains(&claim.netns) {
            self.used_namespace(claim.netns, Some(claim.tgid));
            return;
        }
        let own = address(claim.version, &claim.local);
        // The last one: an older one may be of a stranger who had the port before.
        let found = self.asked.iter().rposition(|asked| {
            asked.ends.port == claim.port
                && asked.owned < asked.sent
                && i32::from(asked.ends.protocol) == libc::IPPROTO_UDP
                && asked.ends.netns == claim.netns
                && (own.is_unspecified() || asked.ends.own == own)
        });
        match found {
            Some(place) => self.own(place, claim.exe),
            None => self.claims.push(Claim {
                port: claim.port,
                netns: claim.netns,
                exe: claim.exe,
                since_ns: now_ns,
            }),
        }
    }

    /// A packet is the target's.
    fn own(&mut self, place: usize, exe: u32) {
        let asked = &mut self.asked[place];
        asked.owned += 1;
        asked.exe.get_or_insert(exe);
        self.fold_if_done(place);
    }

    /// A packet was taken.
    pub(crate) fn packet(&mut self, packet: &WirePacket, now_ns: u64) {
        let kept = (packet.kept as usize).min(packet.payload.len());
        let payload = &packet.payload[..kept];
        let version = u16::from(packet.version);
        let source = address(version, &packet.source);
        let destination = address(version, &packet.destination);
        let outgoing = packet.outgoing != 0;
        if outgoing && packet.destination_port != PORT_DNS {
            self.greeting(packet.exe, destination, payload);
            return;
        }
        let (port, own, resolver) = if outgoing {
            (packet.source_port, source, destination)
        } else {
            (packet.destination_port, destination, source)
        };
        let ends = Ends {
            netns: packet.netns,
            protocol: packet.protocol,
            port,
            own,
            resolver,
        };
        if i32::from(packet.protocol) == libc::IPPROTO_UDP {
            self.message(packet, &ends, payload, now_ns);
            return;
        }
        for message in self.segment(packet, &ends, payload, now_ns) {
            self.message(packet, &ends, &message, now_ns);
        }
    }

    /// The first bytes of a TLS connection.
    fn greeting(&mut self, exe: u32, remote: IpAddr, payload: &[u8]) {
        match tls::server_name(payload) {
            Hello::Name(name) => self.name(exe, remote, &name, true),
            Hello::Cut => self.gaps.cut += 1,
            Hello::Nameless | Hello::Other => {}
        }
    }

    fn name(&mut self, exe: u32, address: IpAddr, name: &str, is_claim: bool) {
        let found = self
            .used
            .binary_search_by(|used| (used.exe, used.address).cmp(&(exe, address)));
        let place = match found {
            Ok(place) => place,
            Err(place) if self.used.len() < MAX_ADDRESSES => {
                let used = Used {
                    exe,
                    address,
                    names: Vec::new(),
                    claimed: Vec::new(),
                };
                self.used.insert(place, used);
                place
            }
            Err(_) => {
                self.gaps.questions += 1;
                return;
            }
        };
        let used = &mut self.used[place];
        let names = if is_claim {
            &mut used.claimed
        } else {
            &mut used.names
        };
        keep(names, name.to_owned());
    }

    /// Whole messages that a segment of TCP completes.
    fn segment(
        &mut self,
        packet: &WirePacket,
        ends: &Ends,
        payload: &[u8],
        now_ns: u64,
    ) -> Vec<Vec<u8>> {
        let outgoing = packet.outgoing != 0;
        let known = self
            .flows
            .iter()
            .position(|(direction, known, _)| *direction == outgoing && known == ends);
        let place = known.unwrap_or(self.flows.len());
        if known.is_none() {
            if place >= MAX_FLOWS {
                self.gaps.questions += 1;
                return Vec::new();
            }
            let flow = Flow {
                next: packet.sequence,
                ..Flow::default()
            };
            self.flows.push((outgoing, ends.clone(), flow));
        }
        let flow = &mut self.flows[place].2;
        flow.since_ns = now_ns;
        flow.take(packet.sequence, payload, packet.length as usize)
    }

    /// One message to or from a resolver.
    fn message(&mut self, packet: &WirePacket, ends: &Ends, bytes: &[u8], now_ns: u64) {
        let found = dns::read(bytes);
        if packet.outgoing == 0 {
            match found {
                Ok(Some(message)) if message.is_answer => self.answer(ends, &message),
                Ok(_) => {}
                Err(_) => {
                    let is_ours = |asked: &Asked| asked.ends == *ends && asked.exe.is_some();
                    self.gaps.unreadable += u64::from(self.asked.iter().any(is_ours));
                }
            }
            return;
        }
        let (id, what) = match found {
            Ok(Some(message)) if !message.is_answer => (
                message.id,
                message.question.map_or(What::Other, What::Question),
            ),
            Ok(_) => (0, What::Other),
            Err(_) => (0, What::Unreadable),
        };
        let known = self
            .asked
            .iter()
            .position(|asked| asked.id == id && asked.ends == *ends && asked.what == what);
        let place = match known {
            Some(place) => {
                if self.asked[place].device != packet.device {
                    return;
                }
                self.asked[place].sent += 1;
                place
            }
            None if self.asked.len() >= MAX_ASKED => {
                self.gaps.questions += 1;
                return;
            }
            None => {
                self.asked.push(Asked {
                    id,
                    ends: ends.clone(),
                    what,
                    sent: 1,
                    owned: 0,
                    device: packet.device,
                    exe: None,
                    answer: None,
                    since_ns: now_ns,
                });
                self.asked.len() - 1
            }
        };
        if i32::from(packet.protocol) != libc::IPPROTO_UDP {
            self.own(place, packet.exe);
            return;
        }
        let claim = self
            .claims
            .iter()
            .position(|claim| claim.port == ends.port && claim.netns == ends.netns);
        if let Some(claim) = claim {
            let exe = self.claims.remove(claim).exe;
            self.own(place, exe);
        }
    }

    fn answer(&mut self, ends: &Ends, message: &Message) {
        let place = self.asked.iter().position(|asked| {
            asked.id == message.id
                && asked.ends == *ends
                && match (&asked.what, &message.question) {
                    (What::Question(asked), Some(answered)) => asked == answered,
                    // Some servers that understand nothing do not repeat the question.
                    (What::Question(_), None) => true,
                    _ => false,
                }
        });
        let Some(place) = place else { return };
        let asked = &mut self.asked[place];
        let What::Question(question) = &asked.what else {
            return;
        };
        asked.answer = Some(Answer {
            rcode: message.rcode.clone(),
            addresses: message.addresses_of(&question.name),
            values: message
                .records
                .iter()
                .map(|record| record.value.text())
                .collect(),
        });
        self.fold_if_done(place);
    }

    /// Takes out what nothing more is to be known of.
    fn fold_if_done(&mut self, place: usize) {
        let asked = &self.asked[place];
        let waits = matches!(asked.what, What::Question(_)) && asked.answer.is_none();
        if asked.owned >= asked.sent && !waits {
            let asked = self.asked.remove(place);
            self.fold(asked);
        }
    }

    /// Makes a question part of its row.
    fn fold(&mut self, asked: Asked) {
        let Some(exe) = asked.exe else { return };
        let question = match asked.what {
            What::Question(question) => question,
            What::Unreadable => {
                self.gaps.unreadable += asked.owned;
                return;
            }
            What::Other => return,
        };
        for address in asked.answer.iter().flat_map(|answer| &answer.addresses) {
            self.name(exe, *address, &question.name, false);
        }
        let (rcode, values) = match asked.answer {
            Some(answer) => (Some(answer.rcode), answer.values),
            None => (None, Vec::new()),
        };
        let found = self.rows.binary_search_by(|row| {
            row.exe
                .cmp(&exe)
                .then_with(|| row.name.cmp(&question.name))
                .then_with(|| row.record_type.cmp(&question.record_type))
                .then_with(|| row.rcode.cmp(&rcode))
        });
        let place = match found {
            Ok(place) => place,
            Err(_) if self.rows.len() >= MAX_ROWS => {
                self.gaps.questions += asked.owned;
                return;
            }
            Err(place) => {
                let row = Row {
                    exe,
                    name: question.name,
                    record_type: question.record_type,
                    rcode,
                    answers: Vec::new(),
                    resolvers: Vec::new(),
                    count: 0,
                };
                self.rows.insert(place, row);
                place
            }
        };
        let row = &mut self.rows[place];
        row.count += asked.owned;
        for value in values {
            keep(&mut row.answers, value);
        }
        if row.rcode.is_some() {
            keep(&mut row.resolvers, asked.ends.resolver.to_string());
        }
    }

    /// Gives up what waits for too long.
    pub(crate) fn tidy(&mut self, now_ns: u64) {
        let age = |since_ns: u64| Duration::from_nanos(now_ns.saturating_sub(since_ns));
        if age(self.tidied_ns) < TIDY_EVERY {
            return;
        }
        self.tidied_ns = now_ns;
        let is_late = |asked: &Asked| {
            let at_most = if asked.exe.is_some() && asked.answer.is_none() {
                UNANSWERED_AFTER
            } else {
                STRANGER_AFTER
            };
            age(asked.since_ns) > at_most
        };
        let mut place = 0;
        while let Some(asked) = self.asked.get(place) {
            if is_late(asked) {
                let asked = self.asked.remove(place);
                self.fold(asked);
            } else {
                place += 1;
            }
        }
        let before = self.claims.len();
        self.claims
            .retain(|claim| age(claim.since_ns) < SENT_BEFORE);
        self.gaps.unseen += (before - self.claims.len()) as u64;
        self.flows
            .retain(|(_, _, flow)| age(flow.since_ns) < IDLE_AFTER);
    }

    /// The window has closed: what was asked stays without an answer. Packets of datagrams that were sent
    /// just before may come later: they are not of the window.
    pub(crate) fn close(&mut self, now_ns: u64) {
        let is_late = |claim: &&Claim| {
            Duration::from_nanos(now_ns.saturating_sub(claim.since_ns)) >= SENT_BEFORE
        };
        self.gaps.unseen += self.claims.iter().filter(is_late).count() as u64;
        for asked in std::mem::take(&mut self.asked) {
            self.fold(asked);
        }
    }

    /// A question was seen, and whose it is.
    pub(crate) fn has_asked(&self) -> bool {
        self.asked.iter().any(|asked| asked.exe.is_some())
    }
}

/// Keeps the first of many, in their order.
fn keep(set: &mut Vec<String>, value: String) {
    if let Err(place) = set.binary_search(&value)
        && place < MAX_ANSWERS
    {
        set.insert(place, value);
        set.truncate(MAX_ANSWERS);
    }
}

impl Flow {
    /// Messages that are whole now. Each follows its length in two bytes. `length` bytes were sent,
    /// of which the beginning was kept.
    fn take(&mut self, sequence: u32, kept: &[u8], length: usize) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        let ahead = sequence.wrapping_sub(self.next).cast_signed();
        if ahead < 0 {
            // Sent again, or seen on another device.
            return messages;
        }
        if ahead > 0 {
            self.buffer.clear();
            self.skip = 0;
        }
        self.next = sequence.wrapping_add(u32::try_from(length).unwrap_or(0));
        let skipped = self.skip.min(length);
        self.skip -= skipped;
        let data = kept.get(skipped..).unwrap_or_default();
        let missing = length - skipped.max(kept.len());
        self.buffer.extend_from_slice(data);
        while let [high, low, rest @ ..] = self.buffer.as_slice() {
            let wanted = usize::from(u16::from_be_bytes([*high, *low]));
            if rest.len() >= wanted {
                messages.push(rest[..wanted].to_vec());
                self.buffer.drain(..2 + wanted);
                continue;
            }
            if missing > 0 {
                // What was kept of it says who asked for what, at least.
                self.skip = (wanted - rest.len()).saturating_sub(missing);
                messages.push(rest.to_vec());
                self.buffer.clear();
            }
            break;
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use procmon_probe_ebpf::abi::{EVENT_WIRE, EVENT_WIRE_OWNER, WIRE_PAYLOAD};

    const NETNS: u32 = 7;
    const OWN: [u8; 4] = [10, 0, 0, 2];
    const RESOLVER: [u8; 4] = [10, 0, 0, 53];

    fn message(id: u16, flags: u16, name: &str, answer: Option<[u8; 4]>) -> Vec<u8> {
        let mut out: Vec<u8> = [id, flags, 1, u16::from(answer.is_some()), 0, 0]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect();
        for label in name.split('.') {
            out.push(u8::try_from(label.len()).expect("a label"));
            out.extend(label.as_bytes());
        }
        out.extend([0, 0, 1, 0, 1]);
        if let Some(address) = answer {
            out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
            out.extend(address);
        }
        out
    }

    fn packet(outgoing: bool, port: u16, protocol: i32, bytes: &[u8]) -> WirePacket {
        let wide = |address: [u8; 4]| {
            let mut wide = [0; 16];
            wide[..4].copy_from_slice(&address);
            wide
        };
        let mut payload = [0; WIRE_PAYLOAD];
        payload[..bytes.len()].copy_from_slice(bytes);
        let (from, to) = if outgoing {
            (OWN, RESOLVER)
        } else {
            (RESOLVER, OWN)
        };
        let (source_port, destination_port) = if outgoing { (port, 53) } else { (53, port) };
        let length = u32::try_from(bytes.len()).expect("short");
        WirePacket {
            kind: EVENT_WIRE,
            netns: NETNS,
            exe: 3,
            device: 2,
            protocol: u8::try_from(protocol).expect("small"),
            outgoing: u8::from(outgoing),
            version: 4,
            pad: 0,
            source_port,
            destination_port,
            sequence: 1,
            length,
            kept: length,
            source: wide(from),
            destination: wide(to),
            payload,
        }
    }

    fn claim(port: u16, netns: u32) -> WireOwner {
        WireOwner {
            kind: EVENT_WIRE_OWNER,
            exe: 3,
            netns,
            port,
            ..WireOwner::default()
        }
    }

    fn names() -> Names {
        let mut names = Names::default();
        names.tapped.push(NETNS);
        names
    }

    fn rows(names: &Names) -> Vec<(String, Option<String>, u64)> {
        names
            .rows
            .iter()
            .map(|row| (row.name.clone(), row.rcode.clone(), row.count))
            .collect()
    }

    #[test]
    fn a_question_belongs_to_whoever_claims_its_packet() {
        let question = message(1, 0x0100, "a.test", None);
        let answer = message(1, 0x8180, "a.test", Some([192, 0, 2, 1]));
        let udp = libc::IPPROTO_UDP;
        let expected = vec![("a.test".to_owned(), Some("NOERROR".to_owned()), 1)];
        // The claim comes last, between, and first.
        for order in 0..3 {
            let mut names = names();
            if order == 2 {
                names.claimed(&claim(4000, NETNS), 0);
            }
            names.packet(&packet(true, 4000, udp, &question), 0);
            if order == 1 {
                names.claimed(&claim(4000, NETNS), 0);
            }
            names.packet(&packet(false, 4000, udp, &answer), 0);
            if order == 0 {
                assert!(names.rows.is_empty());
                names.claimed(&claim(4000, NETNS), 0);
            }
            assert_eq!(rows(&names), expected, "{order}");
            let address = IpAddr::from([192, 0, 2, 1]);
            assert_eq!((names.used[0].exe, names.used[0].address), (3, address));
            assert_eq!(names.used[0].names, ["a.test"]);
            assert_eq!(names.rows[0].resolvers, ["10.0.0.53"]);
            // What the client says of an address is kept apart from what a resolver answered.
            names.name(3, address, "b.test", true);
            assert_eq!(names.used[0].names, ["a.test"]);
            assert_eq!(names.used[0].claimed, ["b.test"]);
            // A port that somebody else has taken since.
            names.packet(&packet(true, 4000, udp, &question), 0);
            names.close(u64::MAX);
            assert_eq!(rows(&names), expected, "{order}");
            assert_eq!(names.gaps, Gaps::default());
        }
    }

    #[test]
    fn of_packets_from_one_port_the_last_is_claimed() {
        let udp = libc::IPPROTO_UDP;
        let mut names = names();
        let theirs = message(1, 0x0100, "theirs.test", None);
        let ours = message(2, 0x0100, "ours.test", None);
        names.packet(&packet(true, 4000, udp, &theirs), 0);
        names.packet(&packet(true, 4000, udp, &ours), 0);
        names.claimed(&claim(4000, NETNS), 0);
        // Of another address than its packets have.
        let mut elsewhere = claim(4000, NETNS);
        elsewhere.version = 4;
        elsewhere.local[..4].copy_from_slice(&[10, 9, 9, 9]);
        names.claimed(&elsewhere, 0);
        names.close(u64::MAX);
        assert_eq!(rows(&names), [("ours.test".to_owned(), None, 1)]);
        assert_eq!(names.gaps.unseen, 1);
    }

    #[test]
    fn copies_on_other_devices_and_in_other_namespaces_do_not_count() {
        let question = message(1, 0x0100, "a.test", None);
        let mut names = names();
        names.tapped.push(8);
        let first = packet(true, 4000, libc::IPPROTO_UDP, &question);
        let mut outer = first;
        outer.device = 3;
        let mut outside = first;
        outside.netns = 8;
        for packet in [first, outer, outside, first] {
            names.packet(&packet, 0);
        }
        names.claimed(&claim(4000, NETNS), 0);
        names.claimed(&claim(4000, NETNS), 0);
        names.packet(&outside, 0);
        names.close(u64::MAX);
        // Sent twice, with one id.
        assert_eq!(rows(&names), [("a.test".to_owned(), None, 2)]);
    }

    #[test]
    fn messages_over_tcp_are_put_together() {
        let question = message(9, 0x0100, "tcp.test", None);
        let mut stream = Vec::new();
        for _ in 0..2 {
            stream.extend(u16::try_from(question.len()).expect("short").to_be_bytes());
            stream.extend(&question);
        }
        for step in 1..stream.len() {
            let mut names = names();
            let mut at = 1;
            for part in stream.chunks(step) {
                let mut packet = packet(true, 4000, libc::IPPROTO_TCP, part);
                packet.sequence = at;
                at += packet.length;
                names.packet(&packet, 0);
                // Sent again.
                names.packet(&packet, 0);
            }
            names.close(u64::MAX);
            assert_eq!(rows(&names), [("tcp.test".to_owned(), None, 2)], "{step}");
        }
    }

    #[test]
    fn a_long_message_over_tcp_leaves_its_beginning() {
        let mut flow = Flow {
            next: 1,
            ..Flow::default()
        };
        let mut stream = vec![0x0b, 0xb8];
        stream.extend(vec![7; 3000]);
        stream.extend([0, 3, 1, 2, 3]);
        // 1000 of each 2000 bytes are kept.
        assert_eq!(flow.take(1, &stream[..1000], 2000), [vec![7; 998]]);
        assert_eq!(flow.take(2001, &stream[2000..], 1007), [vec![1, 2, 3]]);
    }

    #[test]
    fn what_waits_too_long_is_given_up() {
        let udp = libc::IPPROTO_UDP;
        let mut names = names();
        let ours = message(1, 0x0100, "ours.test", None);
        let theirs = message(1, 0x0100, "theirs.test", None);
        names.packet(&packet(true, 4000, udp, &ours), 0);
        names.packet(&packet(true, 4001, udp, &theirs), 0);
        names.claimed(&claim(4000, NETNS), 0);
        names.claimed(&claim(4002, NETNS), 0);
        names.tidy(6_000_000_000);
        assert_eq!((names.asked.len(), names.claims.len()), (1, 0));
        assert_eq!(names.gaps.unseen, 1);
        names.tidy(31_000_000_000);
        assert_eq!(rows(&names), [("ours.test".to_owned(), None, 1)]);
    }

    #[test]
    fn what_cannot_be_read_counts_for_ours_only() {
        let mut names = names();
        names.packet(&packet(true, 4000, libc::IPPROTO_UDP, b"rubbish"), 0);
        names.packet(&packet(true, 4001, libc::IPPROTO_UDP, b"rubbish"), 0);
        assert_eq!(names.gaps.unreadable, 0);
        names.claimed(&claim(4000, NETNS), 0);
        assert_eq!(names.gaps.unreadable, 1);
        names.used_namespace(9, None);
        assert_eq!(names.gaps.early, 1);
        assert!(names.untapped.contains(&(9, None)));
    }
}
