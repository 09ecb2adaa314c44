//! How much the masks hide and destroy: the corpora below `tests/mask/`, and how long they take.
#![cfg(feature = "read")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic shows the line; rates are to be read"
)]

use procmon_profile::mask::{MaskLevel, mask_argv_at};
use serde_json::Value;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// A command line, and the parts that have to go or stay.
struct Case {
    argv: Vec<String>,
    marked: Vec<String>,
}

/// The words of a line as a shell would read them, without escapes.
fn words(line: &str) -> Vec<String> {
    if line.starts_with("[\"") {
        return serde_json::from_str(line).unwrap();
    }
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for sign in line.chars() {
        match quote {
            Some(open) if open == sign => quote = None,
            None if sign == '\'' || sign == '"' => {
                word.get_or_insert_default();
                quote = Some(sign);
            }
            None if sign == ' ' => words.extend(word.take()),
            Some(_) | None => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    words
}

fn cases(text: &str) -> Vec<Case> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let words = words(line);
            let marked = words
                .iter()
                .flat_map(|word| word.split('«').skip(1))
                .map(|rest| rest.split('»').next().unwrap().to_owned())
                .filter(|part| !part.is_empty())
                .collect();
            let argv = words
                .iter()
                .map(|word| word.replace(['«', '»'], ""))
                .collect();
            Case { argv, marked }
        })
        .collect()
}

fn masked(argv: &[String]) -> Vec<String> {
    let mut once = argv.to_vec();
    mask_argv_at(&mut once, MaskLevel::Default);
    let mut twice = once.clone();
    mask_argv_at(&mut twice, MaskLevel::Default);
    assert_eq!(twice, once, "masking twice is masking once");
    once
}

/// The cases that leak, or lose what has to stay.
fn failures(text: &str, has_to_stay: bool) -> (usize, Vec<String>) {
    let cases = cases(text);
    let failed = cases.iter().filter_map(|case| {
        assert!(!case.marked.is_empty(), "{:?} marks nothing", case.argv);
        let masked = masked(&case.argv).join("\u{1f}");
        let wrong = case
            .marked
            .iter()
            .any(|part| masked.contains(part.as_str()) != has_to_stay);
        wrong.then(|| {
            format!(
                "{}  ->  {}",
                case.argv.join(" "),
                masked.replace('\u{1f}', " ")
            )
        })
    });
    (cases.len(), failed.collect())
}

/// At most so many of a file's cases may fail; docs/masking.md states the numbers.
fn check(name: &str, text: &str, has_to_stay: bool, allowed: usize) {
    let (count, failed) = failures(text, has_to_stay);
    println!("{name}: {} of {count}", failed.len());
    for line in &failed {
        println!("  {line}");
    }
    assert!(
        failed.len() <= allowed,
        "{name}: {} of {count}, {allowed} are stated",
        failed.len()
    );
}

#[test]
fn credentials_are_hidden() {
    check("leaks", include_str!("mask/leaks.txt"), false, 7);
}

#[test]
fn evidence_stays() {
    check("evidence", include_str!("mask/evidence.txt"), true, 0);
}

#[test]
fn credentials_that_no_rule_was_tuned_on_are_hidden() {
    check(
        "held-out leaks",
        include_str!("mask/held-out-leaks.txt"),
        false,
        0,
    );
}

#[test]
fn evidence_that_no_rule_was_tuned_on_stays() {
    check(
        "held-out evidence",
        include_str!("mask/held-out-evidence.txt"),
        true,
        0,
    );
}

#[test]
fn the_cases_of_the_review_hold() {
    let cases: Value = serde_json::from_str(include_str!("mask/cases.json")).unwrap();
    let argv = |case: &Value| -> Vec<String> { serde_json::from_value(case.clone()).unwrap() };
    let secret = cases["secret"].as_str().unwrap();
    let mut failed = Vec::new();
    for case in cases["leaks"].as_array().unwrap() {
        let masked = masked(&argv(case)).join(" ");
        if masked.contains(secret) {
            failed.push(format!("leaks: {masked}"));
        }
    }
    for case in cases["hidden"].as_array().unwrap() {
        let masked = masked(&argv(&case["argv"])).join(" ");
        if !masked.contains(case["must"].as_str().unwrap()) {
            failed.push(format!("hidden: {masked}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The text that is left, to the letter.
fn exactly(argv: &[&str], expected: &[&str]) {
    let argv: Vec<String> = argv.iter().map(ToString::to_string).collect();
    assert_eq!(masked(&argv), expected);
}

#[test]
fn every_way_of_giving_curl_a_credential_is_masked() {
    exactly(
        &[
            "/usr/bin/curl",
            "-s",
            "-u",
            "me:hunter2",
            "--data",
            "password=hunter2",
            "-H",
            "X-Api-Key: hunter2",
            "http://u:hunter2@127.0.0.1:9/?token=hunter2",
        ],
        &[
            "/usr/bin/curl",
            "-s",
            "-u",
            "me:***",
            "--data",
            "password=***",
            "-H",
            "X-Api-Key: ***",
            "http://u:***@127.0.0.1:9/?token=***",
        ],
    );
    exactly(
        &[
            "curl",
            "-sSu",
            "me:x",
            "-ume:x",
            "--user=me:x",
            "-U",
            "key:",
            "-b",
            "sid=x",
        ],
        &[
            "curl",
            "-sSu",
            "me:***",
            "-ume:***",
            "--user=me:***",
            "-U",
            "***:",
            "-b",
            "sid=***",
        ],
    );
    exactly(
        &[
            "curl",
            "-d",
            "user=me&password=x&a=1",
            "-d",
            r#"{"user":"me", "password": "x y"}"#,
        ],
        &[
            "curl",
            "-d",
            "user=me&password=***&a=1",
            "-d",
            r#"{"user":"me", "password": "***"}"#,
        ],
    );
    exactly(
        &[
            "curl",
            "--header=Authorization: Bearer x",
            "https://ghp_x@host/",
            "ssh://git@host",
        ],
        &[
            "curl",
            "--header=Authorization: Bearer ***",
            "https://***@host/",
            "ssh://git@host",
        ],
    );
}

#[test]
fn short_options_are_known_by_their_program() {
    exactly(
        &["mysql", "-psecret", "-p", "db"],
        &["mysql", "-p***", "-p", "db"],
    );
    exactly(
        &["mysqldump", "-umE", "-ps", "db"],
        &["mysqldump", "-umE", "-p***", "db"],
    );
    exactly(
        &["redis-cli", "-a", "x", "-p", "6379"],
        &["redis-cli", "-a", "***", "-p", "6379"],
    );
    exactly(
        &["mongosh", "-u", "me", "-p", "x"],
        &["mongosh", "-u", "me", "-p", "***"],
    );
    exactly(
        &["sudo", "-n", "mysql", "-px"],
        &["sudo", "-n", "mysql", "-p***"],
    );
    exactly(
        &["kubectl", "exec", "a", "--", "mysql", "-px"],
        &["kubectl", "exec", "a", "--", "mysql", "-p***"],
    );
    exactly(
        &["docker", "login", "-p", "x"],
        &["docker", "login", "-p", "***"],
    );
    exactly(
        &["docker", "run", "-p", "80:80"],
        &["docker", "run", "-p", "80:80"],
    );
    exactly(
        &["find", "mysql", "-path", "x"],
        &["find", "mysql", "-path", "x"],
    );
}

#[test]
fn names_say_what_is_a_credential() {
    exactly(
        &[
            "env",
            "DB_PWD=x",
            "DB_PASS=x",
            "PWD=/x",
            "PASSENGER=1",
            "dbPass=x",
            "PGPASSWORD=x",
        ],
        &[
            "env",
            "DB_PWD=***",
            "DB_PASS=***",
            "PWD=/x",
            "PASSENGER=1",
            "dbPass=***",
            "PGPASSWORD=***",
        ],
    );
    exactly(
        &[
            "psql",
            "host=h password=x dbname=d",
            "Server=s;Pwd=x;Uid=u",
            "postgres://u:p@h/d?sslmode=off",
        ],
        &[
            "psql",
            "host=h password=*** dbname=d",
            "Server=s;Pwd=***;Uid=u",
            "postgres://u:***@h/d?sslmode=off",
        ],
    );
    exactly(
        &[
            "app",
            "--token-file",
            "/run/secrets/x",
            "-v",
            "/secret:/x",
            "--pass",
            "x",
        ],
        &[
            "app",
            "--token-file",
            "/run/secrets/x",
            "-v",
            "/secret:/x",
            "--pass",
            "***",
        ],
    );
}

#[test]
fn scripts_are_masked_word_by_word() {
    exactly(
        &[
            "/bin/sh",
            "-ec",
            "cd /x && curl -H 'Authorization: Bearer x' -su me:x \"http://u:x@h/\"; mysql -px | DB_PASS='a b' app",
        ],
        &[
            "/bin/sh",
            "-ec",
            "cd /x && curl -H 'Authorization: Bearer ***' -su me:*** \"http://u:***@h/\"; mysql -p*** | DB_PASS='***' app",
        ],
    );
    exactly(&["sh", "-c", "echo 'ünï"], &["sh", "-c", "echo 'ünï"]);
    exactly(
        &[
            "sh",
            "-c",
            "x'\"http://u:x@h/\"; mysql -px | DB_PASS='a b' app",
        ],
        &[
            "sh",
            "-c",
            "x'\"http://u:***@h/\"; mysql -p*** | DB_PASS='***' app",
        ],
    );
}

/// Time that this thread ran: others run beside it.
fn time_on_cpu() -> Duration {
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse().ok());
    spent.map_or_else(|| STARTED.elapsed(), Duration::from_nanos)
}

/// 4 KiB of an ordinary command line, and 100 KiB of anything. A debug build is an order slower.
#[test]
fn no_text_takes_long() {
    let factor = if cfg!(debug_assertions) { 20 } else { 1 };
    let time = |argv: &[String]| {
        let mut argv = argv.to_vec();
        let started = time_on_cpu();
        mask_argv_at(&mut argv, MaskLevel::Default);
        time_on_cpu().saturating_sub(started)
    };
    let ordinary: Vec<String> = "java -Xmx512m -Dspring.datasource.url=jdbc:mysql://db/x?user=a -jar /app.jar --server.port=8080 -H Host: x.example /usr/lib/x86_64-linux-gnu/libc.so.6 "
        .repeat(25)
        .split_whitespace()
        .map(ToOwned::to_owned)
        .collect();
    // The kernel counts by ticks.
    let started = time_on_cpu();
    for _ in 0..40 {
        time(&ordinary);
    }
    let took = (time_on_cpu().saturating_sub(started)) / 40;
    println!("4 KiB: {took:?}");
    assert!(took < Duration::from_micros(1500) * factor, "{took:?}");
    let pieces = [
        "a",
        " ",
        "=",
        "a=",
        "token=",
        "token: ",
        "token=\"",
        "x token='",
        "a://",
        "a://b:c@",
        "password ",
        "$(",
        "`",
        "((",
        "eyJ",
        "eyJ-",
        "eyJa.",
        "AKIA ",
        "-----BEGIN PRIVATE KEY-----",
        "\\",
        "\"",
        "'\"",
        "<<a\n",
        "<<<",
        "token[",
        "token={\"a\":",
        "a@b:c@",
        "a:b@",
        "-p",
        "-u a -p b ",
        "<password>",
        "assword send ",
        "identified by ",
        "cookie: a=b; ",
        "ü",
        "\u{202e}",
        "Authorization: Bearer ",
        "a|",
        "a;",
        "sh -c 'a ",
        "a-bbbbb-",
        "0a1b2c3d",
        "s.",
        "$1$",
        "1234567:",
        "/token=",
        "auth(",
        "password(\"a\",",
        "token=a.b(",
        "key=\"password\" value=",
        "x=$(x ",
        "Aa1",
        "{{",
        "token=$(",
    ];
    let mut slow = Vec::new();
    for piece in pieces {
        let text = piece.repeat(100 * 1024 / piece.len());
        for argv in [
            vec![text.clone()],
            vec!["sh".into(), "-c".into(), text.clone()],
            text.split(' ').map(ToOwned::to_owned).collect(),
        ] {
            let took = time(&argv);
            if took > Duration::from_millis(50) * factor {
                slow.push(format!("{piece:?}, {} arguments: {took:?}", argv.len()));
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}
