//! The built-in rules as a whole: what docs/rules.md says of them, what a large profile costs, and what
//! hostile rules and profiles can't do.

use procmon_profile::model::{
    Container, Direction, File, FileOperation, Network, Process, Profile, Protocol, Remote,
};
use procmon_profile::rules::{Catalogue, Rule, RuleError, check, parse};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Rows of other catalogues that are not rules: id and reason.
const NOT_RULES: &str = include_str!("../rules/not-rules.tsv");

/// Other tools, in the order of the columns.
const TOOLS: [&str; 3] = ["falco", "tracee", "kubescape"];

/// docs/rules.md, made from the rules.
fn document(catalogue: &Catalogue) -> String {
    let mut groups: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
    for rule in catalogue.rules() {
        let group = rule.id.split('-').next().unwrap_or_default();
        groups.entry(group).or_default().push(rule);
    }
    let mut text = "# Rules\n\n\
        Made from `profile/rules/` by a test; `kubectl procmon rules explain ID` tells more. The columns falco, tracee and \
        kubescape name the rule of that tool that looks for the same.\n"
        .to_owned();
    for (group, rules) in groups {
        write!(text, "\n## {group}\n| rule | finds | severity | technique | looks at | falco | tracee | kubescape |\n|---|---|---|---|---|---|---|---|\n")
            .expect("a text takes every text");
        for rule in rules {
            let of = |tool: &str| {
                let mut peers = rule.peers.iter();
                peers
                    .find_map(|peer| peer.strip_prefix(tool)?.strip_prefix(':'))
                    .unwrap_or("–")
                    .replace('|', "/")
            };
            let [falco, tracee, kubescape] = TOOLS.map(of);
            writeln!(
                text,
                "| `{}` | {} | {} | {} | {} | {falco} | {tracee} | {kubescape} |",
                rule.id,
                rule.title.replace('|', "/"),
                rule.severity,
                rule.mitre.join(" "),
                rule.about.dimension(),
            )
            .expect("a text takes every text");
        }
    }
    text += "\n## Benign work that looks the same\n| rule | benign |\n|---|---|\n";
    for rule in catalogue.rules() {
        let benign = rule.benign.trim().replace('\n', " ").replace('|', "/");
        writeln!(text, "| `{}` | {benign} |", rule.id).expect("a text takes every text");
    }
    text += "\n## Not rules, and why\n| id | reason |\n|---|---|\n";
    for line in NOT_RULES.lines() {
        if let Some((id, reason)) = line.split_once('\t') {
            writeln!(text, "| `{id}` | {reason} |").expect("a text takes every text");
        }
    }
    text
}

#[test]
fn the_documentation_is_that_of_the_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rules.md");
    let catalogue = Catalogue::with(Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    let wanted = document(&catalogue);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &wanted).expect("docs/rules.md can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/rules.md is not that of the rules: UPDATE_GOLDEN=1 cargo test --test rules writes it"
    );
}

/// A rule with these fields in the place of ordinary ones.
fn rule(field: &str, value: &str) -> String {
    let fields = [
        ("id", "own-rule"),
        ("title", "A title"),
        ("about", "file"),
        ("severity", "low"),
        ("when", "file.writes"),
        ("message", "writes {file.path}"),
        ("description", "What it means."),
        ("benign", "Nothing."),
    ];
    let lines = fields.map(|(name, ordinary)| {
        let value = if name == field { value } else { ordinary };
        format!("{name}: {}", serde_json::Value::from(value))
    });
    lines.join("\n") + "\n"
}

#[test]
fn bad_rules_are_refused_with_the_place_of_the_fault() {
    let deep = format!("{}true{}", "(".repeat(500), ")".repeat(500));
    let loops = "file.is.all(a, file.is.all(b, a == b))";
    for (field, value, said) in [
        ("id", "Own Rule", "`id` is not lower-case words"),
        ("severity", "bad", "unknown variant `bad`"),
        ("about", "thing", "unknown variant `thing`"),
        ("when", "file.path ==", "`when`"),
        ("when", "fil.path == 'x'", "rows have no `fil`"),
        ("when", "nosuch(file.path)", ""),
        ("when", &deep, "nested"),
        ("when", loops, "loop"),
        ("when", "file.path.matches('(')", "regular expression"),
        ("when", "cidr(file.path, '1.2.3')", "network"),
        ("when", "glob(file.path, file.exe)", "written out"),
        ("message", "writes {file.path", "no `}`"),
        ("title", " ", "`title` is empty"),
    ] {
        let text = rule(field, value);
        let error = parse(&text)
            .and_then(Catalogue::of)
            .err()
            .map(|error| error.to_string());
        // A function that does not exist shows when it is called.
        let is_late = value.starts_with("nosuch");
        match error {
            Some(error) => assert!(error.contains(said), "{field} {value}: {error}"),
            None => assert!(is_late, "{field} {value} is taken"),
        }
    }
    assert!(matches!(
        parse(&"#".repeat(100 << 20)),
        Err(RuleError::TooLong(_))
    ));
    assert!(parse("a: [1, 2").is_err());
    assert!(parse("a: &x [1]\nb: *x").is_err());
    let twice = format!("{}---\n{}", rule("", ""), rule("", ""));
    let twice = parse(&twice).and_then(Catalogue::of);
    assert!(matches!(twice, Err(RuleError::Twice(_))));
}

/// A profile of one container with so many rows, in equal parts processes, files and peers.
fn large(rows: usize) -> Profile {
    let rows = rows / 3;
    let exe = |number: usize| format!("/usr/bin/program-{}", number % 200);
    let processes = (0..rows).map(|number| Process {
        id: format!("p{}", number + 1).into(),
        parent: (number > 0).then(|| format!("p{}", number / 2 + 1).into()),
        exe: exe(number).into(),
        argv: vec!["program".into(), format!("--number={number}").into()],
        count: 1,
        ..Process::default()
    });
    let files = (0..rows).map(|number| File {
        path: format!("/srv/data/folder-{}/file-{number}.dat", number % 100).into(),
        exe: exe(number).into(),
        operations: [(FileOperation::Open, 1), (FileOperation::Read, 3)].into(),
        bytes_read: 4_000,
        ..File::default()
    });
    let network = (0..rows).map(|number| Network {
        exe: exe(number).into(),
        protocol: Protocol::Tcp,
        direction: Direction::Outbound,
        local: None,
        remote: Some(Remote {
            address: Some(format!("10.{}.{}.7", number / 250 % 250, number % 250).into()),
            port: Some(443),
            ..Remote::default()
        }),
        connections: 1,
        datagrams_sent: 0,
        datagrams_received: 0,
        failures: BTreeMap::new(),
        bytes_sent: 100,
        bytes_received: 1_000,
        path: Vec::new(),
    });
    Profile {
        containers: vec![Container {
            container: "app".into(),
            processes: processes.collect(),
            files: files.collect(),
            network: network.collect(),
            ..Container::default()
        }],
        ..Profile::default()
    }
}

#[test]
fn equal_profiles_have_equal_findings() {
    let catalogue = Catalogue::with(Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    let profile = large(3_000);
    let (one, other) = (
        check(&profile, &catalogue, None),
        check(&profile, &catalogue, None),
    );
    assert_eq!(one, other);
}

#[test]
fn a_circle_of_processes_ends() {
    let catalogue = Catalogue::with(Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    let process = |id: &str, parent: &str| Process {
        id: id.into(),
        parent: Some(parent.into()),
        exe: "/tmp/x".into(),
        argv: vec!["x".into()],
        count: 1,
        ..Process::default()
    };
    let profile = Profile {
        containers: vec![Container {
            processes: vec![
                process("p1", "p2"),
                process("p2", "p1"),
                process("p3", "p3"),
            ],
            ..Container::default()
        }],
        ..Profile::default()
    };
    let found = check(&profile, &catalogue, None);
    assert!(!found.findings.is_empty());
}
