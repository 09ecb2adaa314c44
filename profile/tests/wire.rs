//! Laws of streams, captures and Profiles, on generated ones.
#![cfg(feature = "compare")]
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_profile::mask::mask_argv;
use procmon_profile::merge::{NodeCapture, merge, normalize};
use procmon_profile::model::{
    Abi, Container, Dimension, DimensionCompleteness, DimensionState, Dns, File, FileOperation,
    NameSource, Node, Process, Profile, Session, Syscall,
};
use procmon_profile::text::{self, Text};
use procmon_profile::wire::{
    Chunks, Decoder, Frame, Hello, MAX_ROW_BYTES, MAX_STREAM_BYTES, PROTOCOL, Packer, Part,
    StreamError, StreamWriter, WindowReport,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn word() -> impl Strategy<Value = Text> {
    prop::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| text::from_bytes(&bytes))
}

/// A forest: each row's parent is an earlier one, absent, or unknown.
fn processes() -> impl Strategy<Value = Vec<Process>> {
    let row = (0..3_u8, word(), 0..12_usize, 1..9_u64, 0..3_u32);
    prop::collection::vec(row, 0..10).prop_map(|rows| {
        rows.into_iter()
            .enumerate()
            .map(|(number, (exe, argument, parent, count, uid))| Process {
                id: format!("p{}", number + 1).into(),
                parent: (parent > 0 && (parent <= number || parent > 10))
                    .then(|| format!("p{parent}").into()),
                exe: format!("/bin/{exe}").into(),
                argv: vec!["x".into(), argument],
                uid,
                count,
                ..Process::default()
            })
            .collect()
    })
}

fn files() -> impl Strategy<Value = Vec<File>> {
    let row = (0..4_u8, 0..3_u8, any::<u64>(), any::<bool>());
    prop::collection::vec(row, 0..12).prop_map(|rows| {
        rows.into_iter()
            .map(|(path, exe, bytes, settled)| File {
                path: format!("/{path}").into(),
                exe: format!("/bin/{exe}").into(),
                operations: [(FileOperation::Read, bytes >> 40)].into(),
                bytes_read: bytes >> 16,
                name_source: if settled {
                    NameSource::Settled
                } else {
                    NameSource::Argument
                },
                errors: [("ENOENT".into(), bytes & 7)].into(),
                ..File::default()
            })
            .collect()
    })
}

fn syscalls() -> impl Strategy<Value = Vec<Syscall>> {
    let row = (0..4_u8, 0..3_u8, 0..1_u64 << 46);
    prop::collection::vec(row, 0..12).prop_map(|rows| {
        rows.into_iter()
            .map(|(name, exe, calls)| Syscall {
                name: format!("call{name}").into(),
                abi: Abi::X86_64,
                exe: format!("/bin/{exe}").into(),
                calls,
                errors: BTreeMap::new(),
                restarted: 0,
                unfinished: calls & 1,
                no_return: 0,
                denied_by_seccomp: 0,
                latency_ns: None,
                arguments: Some(BTreeMap::new()),
            })
            .collect()
    })
}

fn dns() -> impl Strategy<Value = Vec<Dns>> {
    let row = (0..2_u8, prop::option::of(0..2_u8), word());
    prop::collection::vec(row, 0..6).prop_map(|rows| {
        rows.into_iter()
            .map(|(name, rcode, answer)| Dns {
                exe: "/bin/0".into(),
                name: format!("n{name}").into(),
                record_type: "A".into(),
                rcode: rcode.map(|rcode| format!("R{rcode}").into()),
                resolvers: vec![format!("r{}", answer.len() % 2).into()],
                answers: vec![answer],
                count: 1,
            })
            .collect()
    })
}

fn container() -> impl Strategy<Value = Container> {
    (word(), processes(), files(), syscalls(), dns()).prop_map(
        |(name, processes, files, syscalls, dns)| Container {
            container: name,
            processes,
            files,
            syscalls,
            dns,
            ..Container::default()
        },
    )
}

fn window() -> impl Strategy<Value = WindowReport> {
    let state = prop_oneof![
        Just(DimensionState::Complete),
        Just(DimensionState::Partial),
        Just(DimensionState::Missing),
    ];
    let dimension =
        (state, prop::collection::btree_set(word(), 0..2)).prop_map(|(state, reasons)| {
            DimensionCompleteness {
                state,
                reasons,
                ..DimensionCompleteness::default()
            }
        });
    (
        prop::collection::vec(dimension, Dimension::ALL.len()),
        0.0..100_f64,
        0.0..1_f64,
        any::<bool>(),
    )
        .prop_map(
            |(dimensions, seconds, coverage, ended_early)| WindowReport {
                started_at: "2026-01-01T00:00:00Z".into(),
                ended_at: "2026-01-01T00:01:00Z".into(),
                seconds,
                ended_early,
                dimensions: Dimension::ALL.into_iter().zip(dimensions).collect(),
                coverage: [(Dimension::Files, coverage)].into(),
                ..WindowReport::default()
            },
        )
}

/// The parts that one node sends: its containers whole, with their rows.
fn capture(node: &'static str) -> impl Strategy<Value = NodeCapture> {
    (
        prop::collection::vec(container(), 0..3),
        window(),
        any::<bool>(),
    )
        .prop_map(move |(mut containers, window, complete)| {
            // A container is named once on a node.
            for (number, container) in containers.iter_mut().enumerate() {
                container.container = format!("{}{number}", container.container).into();
            }
            let node_part = Part::Node(Box::new(Node {
                name: node.into(),
                complete,
                ..Node::default()
            }));
            let mut parts = vec![node_part, Part::Window(window)];
            parts.extend(containers.into_iter().map(|c| Part::Container(Box::new(c))));
            NodeCapture {
                node: node.into(),
                parts,
                ..NodeCapture::default()
            }
        })
}

/// The same capture with its rows in parts of their own, of `size` rows each.
fn in_pieces(capture: &NodeCapture, size: usize) -> NodeCapture {
    let mut parts = Vec::new();
    let mut rows = Vec::new();
    let mut number = 0;
    for part in &capture.parts {
        let Part::Container(container) = part else {
            parts.push(part.clone());
            continue;
        };
        let container_number = number;
        number += 1;
        macro_rules! pieces {
            ($field:ident, $kind:ident) => {
                for piece in container.$field.chunks(size) {
                    rows.push(Part::$kind {
                        container: container_number,
                        rows: piece.to_vec(),
                    });
                }
            };
        }
        pieces!(processes, Processes);
        pieces!(files, Files);
        pieces!(syscalls, Syscalls);
        pieces!(dns, Dns);
        parts.push(Part::Container(Box::new(Container {
            processes: Vec::new(),
            files: Vec::new(),
            syscalls: Vec::new(),
            dns: Vec::new(),
            ..(**container).clone()
        })));
    }
    // Rows may come before what they belong to.
    rows.reverse();
    rows.extend(parts);
    NodeCapture {
        parts: rows,
        ..capture.clone()
    }
}

fn of(captures: &[&NodeCapture]) -> Profile {
    let captures = captures.iter().map(|capture| (*capture).clone()).collect();
    merge(Session::default(), captures)
}

fn stream(capture: &NodeCapture) -> Vec<u8> {
    let mut writer = StreamWriter::default();
    let mut text = writer.line(Frame::Hello(Hello {
        protocol: PROTOCOL.to_owned().into(),
        probe: "0".into(),
        session: "s".into(),
        node: capture.node.clone(),
        kernel: "k".into(),
        arch: "amd64".into(),
        hooks: Vec::new(),
        key: None,
    }));
    for parts in capture.parts.chunks(2) {
        text += &writer.line(Packer::default().pack(parts));
    }
    text += &writer.end();
    text.into_bytes()
}

/// Reads a stream as the plugin does.
fn read(bytes: &[u8]) -> NodeCapture {
    let mut decoder = Decoder::default();
    let mut fault: Option<StreamError> = None;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if let Err(error) = decoder.line(line) {
            fault = Some(error);
            break;
        }
    }
    NodeCapture::read("a".into(), decoder, fault.map(|fault| fault.to_string()))
}

/// Bytes of a text of the document: the way back from `from_bytes`.
fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let (mut length, mut one) = (sign.len_utf8(), rest.as_bytes()[..sign.len_utf8()].to_vec());
        if sign == '\\' {
            match rest.as_bytes()[1] {
                b'x' => (length, one) = (4, vec![u8::from_str_radix(&rest[2..4], 16).unwrap()]),
                b'u' => {
                    let end = rest.find('}').unwrap();
                    let code = u32::from_str_radix(&rest[3..end], 16).unwrap();
                    let character = char::from_u32(code).unwrap();
                    (length, one) = (end + 1, character.to_string().into_bytes());
                }
                other => (length, one) = (2, vec![other]),
            }
        }
        bytes.extend(one);
        rest = &rest[length..];
    }
    bytes
}

/// Bytes that a target chose, up to as many as the kernel takes.
fn hostile() -> impl Strategy<Value = Text> {
    let byte = prop_oneof![Just(1_u8), Just(b'\\'), Just(0xff), Just(b'"'), any::<u8>()];
    (prop::collection::vec(byte, 1..40), 1..100_usize)
        .prop_map(|(bytes, times)| text::from_bytes(&bytes.repeat(times)))
}

/// The rows that the plugin gets of those that a probe packs into so many bytes of the stream.
fn pack(
    processes: Vec<Process>,
    files: Vec<File>,
    written: usize,
) -> (NodeCapture, BTreeMap<Dimension, (u64, u64)>) {
    let mut chunks = Chunks::new(Packer::default(), written);
    let room = chunks.room();
    chunks.rows(0, room / 2, processes);
    chunks.rows(0, room, files);
    let losses = chunks.losses().clone();
    let mut writer = StreamWriter::default();
    let mut stream = String::new();
    for frame in chunks.finish(&[Part::Container(Box::default())]) {
        stream += &writer.line(frame);
    }
    stream += &writer.end();
    assert!(stream.len() + written <= MAX_STREAM_BYTES);
    (read(stream.as_bytes()), losses)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    /// A target can't silence the report: each chunk is one that the reader takes, each row
    /// arrives, is cut, or is counted, and a kind that is large leaves the other its room.
    #[test]
    fn whatever_a_target_chooses_is_taken_by_the_reader(
        argument in hostile(),
        path in hostile(),
        n_processes in 0..3000_usize,
        n_files in 0..3000_usize,
        written in prop_oneof![Just(0), 0..MAX_STREAM_BYTES],
    ) {
        let processes = (0..n_processes).map(|number| Process {
            id: format!("p{number}").into(),
            argv: vec![number.to_string().into(), argument.clone()],
            ..Process::default()
        });
        let files = (0..n_files).map(|number| File {
            path: format!("/{number}{path}").into(),
            ..File::default()
        });
        let (capture, losses) = pack(processes.collect(), files.collect(), written);
        prop_assert_eq!(&capture.fault, &None);
        prop_assert_eq!(capture.refused.frames, 0);
        let count = |wanted: Dimension| capture.parts.iter().map(|part| match part {
            Part::Processes { rows, .. } if wanted == Dimension::Processes => rows.len() as u64,
            Part::Files { rows, .. } if wanted == Dimension::Files => rows.len() as u64,
            _ => 0,
        }).sum::<u64>();
        let lost = |dimension| losses.get(&dimension).map_or(0, |(dropped, _)| *dropped);
        for (dimension, n_rows) in [(Dimension::Processes, n_processes), (Dimension::Files, n_files)] {
            prop_assert_eq!(count(dimension) + lost(dimension), n_rows as u64);
        }
        if written == 0 {
            prop_assert_eq!(lost(Dimension::Processes) + lost(Dimension::Files), 0);
        }
    }

    /// Links lead to paths that are longer than any that a call takes.
    #[test]
    fn a_path_above_the_limit_arrives_cut(part in hostile(), times in 500..4000_usize) {
        let path = Text::from(format!("/{}", part.repeat(times)));
        let row = File { path: path.clone(), exe: path, ..File::default() };
        let (capture, _) = pack(Vec::new(), vec![row], 0);
        prop_assert_eq!(capture.refused.frames, 0);
        let is_file = |part: &Part| matches!(part, Part::Files { rows, .. } if rows.len() == 1);
        prop_assert!(capture.parts.iter().any(is_file));
    }

    /// Also a row that no chunk could hold.
    #[test]
    fn a_row_above_the_limit_is_cut_and_says_so(argument in hostile(), times in 500..2000_usize) {
        let row = Process { argv: vec!["x".into(), argument.repeat(times).into()], ..Process::default() };
        let is_large = row.argv[1].len() > MAX_ROW_BYTES;
        let (capture, losses) = pack(vec![row.clone()], Vec::new(), 0);
        let rows: Vec<&Process> = capture.parts.iter().filter_map(|part| match part {
            Part::Processes { rows, .. } => rows.first(),
            _ => None,
        }).collect();
        prop_assert_eq!(rows.len(), 1);
        if is_large {
            prop_assert!(rows[0].argv_truncated);
            prop_assert_eq!(losses.get(&Dimension::Processes), Some(&(0, 1)));
        }
        prop_assert!(rows[0].argv_truncated || *rows[0] == row);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_nodes_means_nothing(a in capture("a"), b in capture("b"), c in capture("c")) {
        let one = of(&[&a, &b, &c]);
        prop_assert_eq!(&one, &of(&[&c, &a, &b]));
        prop_assert_eq!(&one, &of(&[&b, &a, &c]));
    }

    #[test]
    fn how_rows_were_packed_means_nothing(a in capture("a"), size in 1..5_usize) {
        prop_assert_eq!(of(&[&in_pieces(&a, size)]), of(&[&a]));
    }

    /// summarize(merge) = merge(summaries): rows that were added up before are the same rows.
    #[test]
    fn adding_rows_up_before_changes_nothing(a in capture("a"), split in 0..12_usize) {
        let mut halves = a.clone();
        for part in &mut halves.parts {
            let Part::Container(container) = part else { continue };
            let mut first = (**container).clone();
            let rest = Container {
                files: first.files.split_off(split.min(first.files.len())),
                syscalls: first.syscalls.split_off(split.min(first.syscalls.len())),
                ..Container::default()
            };
            let summary = |container: Container| {
                let mut profile = Profile { containers: vec![container], ..Profile::default() };
                normalize(&mut profile);
                profile.containers.remove(0)
            };
            let (mut first, mut rest) = (summary(first), summary(rest));
            first.files.append(&mut rest.files);
            first.syscalls.append(&mut rest.syscalls);
            **container = first;
        }
        prop_assert_eq!(of(&[&halves]), of(&[&a]));
    }

    #[test]
    fn an_order_is_the_only_one(a in capture("a"), b in capture("b")) {
        let one = of(&[&a, &b]);
        let mut again = one.clone();
        normalize(&mut again);
        prop_assert_eq!(one, again);
    }

    #[test]
    fn a_profile_is_read_as_it_was_written(a in capture("a"), b in capture("b")) {
        let one = of(&[&a, &b]);
        let text = serde_json::to_vec(&one).unwrap();
        let read: Profile = serde_json::from_slice(&text).unwrap();
        prop_assert_eq!(serde_json::to_vec(&read).unwrap(), text);
        prop_assert_eq!(read, one);
    }

    #[test]
    fn a_stream_is_read_as_it_was_written(a in capture("a")) {
        let read = read(&stream(&a));
        prop_assert_eq!(&read.fault, &None);
        prop_assert_eq!(read.parts, a.parts);
    }

    #[test]
    fn no_stream_that_was_cut_is_complete(a in capture("a"), cuts in prop::collection::vec(any::<prop::sample::Index>(), 16)) {
        let whole = stream(&a);
        for cut in cuts {
            // The last byte is a line feed, which the end needs not.
            let read = read(&whole[..cut.index(whole.len() - 1)]);
            prop_assert!(read.fault.is_some());
            let profile = of(&[&read]);
            prop_assert!(!profile.completeness.complete);
            prop_assert!(profile.completeness.dimensions.values().all(|d| d.state != DimensionState::Complete));
        }
    }

    #[test]
    fn a_changed_stream_is_refused_or_the_same(a in capture("a"), flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 32)) {
        let whole = stream(&a);
        for (place, bit) in flips {
            let mut changed = whole.clone();
            changed[place.index(whole.len())] ^= 1 << bit;
            let read = read(&changed);
            prop_assert!(read.fault.is_some() || read.refused.frames > 0 || read.parts == a.parts);
        }
    }

    #[test]
    fn bytes_come_back_from_their_text(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(to_bytes(&text::from_bytes(&bytes)), bytes);
    }

    #[test]
    fn no_secret_gets_through_a_mask(
        secret in "[a-zA-Z0-9]{12,20}",
        form in 0..9_usize,
        before in prop::collection::vec("[a-z ]{0,4}", 0..3),
    ) {
        let forms: [(&[&str], &str); 9] = [
            (&["app"], "--password=SECRET"),
            (&["app", "--token"], "SECRET"),
            (&["app"], "https://u:SECRET@h/"),
            (&["app"], "X-Api-Key: SECRET"),
            (&["app"], r#"{"password": "SECRET"}"#),
            (&["env"], "DB_PASS=SECRET"),
            (&["curl", "-su"], "me:SECRET"),
            (&["sh", "-c"], "mysql -pSECRET db"),
            (&["app"], "a=1&access_token=SECRET&b=2"),
        ];
        let (head, last) = forms[form];
        let last = last.replace("SECRET", &secret);
        let argv: Vec<String> = before.into_iter().chain(["--".to_owned()])
            .chain(head.iter().map(|word| (*word).to_owned())).chain([last]).collect();
        let mut masked = argv.clone();
        mask_argv(&mut masked);
        prop_assert_eq!(masked.len(), argv.len());
        for (masked, argument) in masked.iter().zip(&argv) {
            prop_assert!(!masked.contains(&secret), "{masked}");
            prop_assert!(masked.len() <= argument.len().max(3), "{masked} is longer than {argument}");
        }
        let mut twice = masked.clone();
        mask_argv(&mut twice);
        prop_assert_eq!(twice, masked);
    }
}
