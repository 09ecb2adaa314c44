//! Real servers: nothing new is seen where nothing changed, and every injected change is found.
//! `PROCMON_TEST_DRIFT=here` runs them; `make drift-report` does the same with all servers and more windows.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::has_bpf;
use procmon_tests::servers::{Kind, Plan, judge};

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
