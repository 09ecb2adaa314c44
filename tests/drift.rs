//! Real servers: nothing new is seen where nothing changed, and every injected change is found.
//! `PROCMON_TEST_DRIFT=here` runs them, one at a time (`-- --test-threads=1`); `make drift-report`
//! does the same with all servers and more windows.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::servers::{Kind, Load, Plan, Server, drift, judge};
use procmon_tests::{has_bpf, plugin};
use std::process::{Command, Stdio};

/// Rows of low severity in all windows of a server where nothing changed.
const HANDFUL: u32 = 8;

fn check(kind: Kind) {
    // `make test` runs them beside the other tests.
    if std::env::var("PROCMON_TEST_DRIFT").as_deref() != Ok("here") || !has_bpf() || !kind.is_here()
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan {
        repeats: 3,
        restarts: 1,
        ..Plan::default()
    };
    let verdict = judge(kind, folder.path(), &plan);
    assert!(verdict.alarms.is_empty(), "{}", verdict.alarms.join("\n"));
    let low: u32 = verdict.rows.values().sum();
    assert!(low <= HANDFUL, "{:#?}", verdict.low);
    for (dimension, share) in &verdict.held_out {
        let estimate = verdict.coverage.get(dimension).copied().unwrap_or(0.0);
        assert!(
            *share > estimate - 0.03,
            "{dimension}: {share} of what was held out, {estimate} estimated"
        );
    }
    assert!(verdict.changes >= 25, "{}", verdict.changes);
    if verdict.missed.is_empty() {
        return;
    }
    // On a busy machine a change may come to pass outside its window: once more, for those only.
    let names = verdict.missed.iter().filter_map(|missed| {
        let (path, _) = missed.split_once(".json: ")?;
        Some(path.rsplit_once("change-")?.1.to_owned())
    });
    let plan = Plan {
        repeats: 0,
        restarts: 0,
        only: names.collect(),
        ..Plan::default()
    };
    let again = judge(kind, &folder.path().join("again"), &plan);
    assert!(again.missed.is_empty(), "{}", again.missed.join("\n"));
}

#[test]
fn redis_and_a_cron_job_drift_only_where_they_were_changed() {
    // One after the other: their windows must not see each other's load.
    check(Kind::Redis);
    check(Kind::Cron);
}

/// Windows that saw the server start, and windows that came later, say the same of it.
fn check_both_ways(kind: Kind) -> Vec<String> {
    if !kind.is_here() {
        return Vec::new();
    }
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    let mut server = Server::start(kind, &base);
    let at = |name: &str, number: usize| base.join(format!("{name}-{number}.json"));
    let windows: Vec<usize> = (1..=3).collect();
    for number in &windows {
        server.profile_from_start(&at("start", *number), 6, Load::Same);
    }
    for number in &windows {
        server.profile(&at("later", *number), 4, Load::Same, |_| ());
    }
    let mut told = Vec::new();
    for (known, seen) in [("start", "later"), ("later", "start")] {
        let baseline = base.join(format!("{known}.yaml"));
        let mut command = Command::new(plugin());
        command.args(["baseline", "save"]).arg(&baseline);
        for number in &windows {
            command.arg("--from").arg(at(known, *number));
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let told_by = drift(&baseline, &at(seen, 1));
        let rows = told_by["rows"].as_array().unwrap().iter();
        told.extend(rows.filter(|row| row["severity"] != "info").map(|row| {
            format!(
                "{kind:?}: {seen} against {known}: {} {}: {}",
                row["severity"], row["key"], row["reason"]
            )
        }));
    }
    told
}

#[test]
fn a_server_is_the_same_to_a_window_from_its_start_and_to_a_later_one() {
    if std::env::var("PROCMON_TEST_DRIFT").as_deref() != Ok("here") || !has_bpf() {
        return;
    }
    let told: Vec<String> = [
        Kind::Nginx,
        Kind::Redis,
        Kind::Postgres,
        Kind::Java,
        Kind::Python,
        Kind::Node,
    ]
    .into_iter()
    .flat_map(check_both_ways)
    .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}
