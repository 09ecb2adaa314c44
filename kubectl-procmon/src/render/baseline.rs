//! A Baseline to text for a person.

use super::{Style, escape, percent, plain};
use procmon_profile::baseline::{rows_of, workload_name};
use procmon_profile::model::{Baseline, BaselineContainer, Enough, ExplainedBy, NotSeen, Seen};
use procmon_profile::text::Text;
use std::io::{self, Write};

fn rows(header: &[&str], rows: Vec<Vec<String>>, out: &mut dyn Write) -> io::Result<()> {
    let escaped = rows.into_iter().map(|row| {
        let cells = row.into_iter().map(|cell| escape(&cell).into_owned());
        cells.collect()
    });
    plain::table(header, escaped.collect(), None, "  ", out)
}

/// Baselines, one in a row.
pub(crate) fn list(all: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    if all.is_empty() {
        return writeln!(out, "no baselines");
    }
    rows(
        &["BASELINE", "WORKLOAD", "WINDOWS", "STATE"],
        all.to_vec(),
        out,
    )
}

/// One line for each container: how much is known, and whether it is enough.
pub(crate) fn summary(baseline: &Baseline, place: &str) -> String {
    let mut text = format!(
        "{place}: {}, {} windows",
        workload_name(&baseline.metadata.workload),
        baseline.windows.len()
    );
    for container in &baseline.containers {
        let worst = container
            .coverage
            .iter()
            .min_by(|a, b| a.1.estimate.total_cmp(&b.1.estimate));
        let verdict = match worst {
            Some((_, coverage)) if coverage.enough != Enough::No => coverage.verdict.clone(),
            Some((dimension, coverage)) => format!(
                "{} covered to {}: {}",
                dimension,
                percent(coverage.estimate),
                coverage.verdict
            )
            .into(),
            None => "nothing was seen".into(),
        };
        text += &format!("\n{}: {verdict}", container.name);
        if !container.not_seen.is_empty() {
            text += &format!(
                "\n{}: no window saw {}",
                container.name,
                not_seen(container)
            );
        }
    }
    text
}

/// Names in words the phases that no window saw.
fn not_seen(container: &BaselineContainer) -> String {
    let words = container.not_seen.iter().filter_map(|what| match what {
        NotSeen::Start => Some("a start"),
        NotSeen::End => Some("an end"),
        // The verdict says how long they are.
        NotSeen::Minute => None,
    });
    let words: Vec<&str> = words.chain(["what happens at other hours only"]).collect();
    words.join(", ")
}

/// Everything that is known, with how often it was seen; `explain` says what wildcards stand for.
pub(crate) fn table(
    baseline: &Baseline,
    style: Style,
    explain: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(
        out,
        "\n{}",
        style.bold(&escape(&workload_name(&baseline.metadata.workload)))
    )?;
    let line =
        |out: &mut dyn Write, name: &str, text: &str| writeln!(out, "  {name:<9} {}", escape(text));
    line(out, "name", &baseline.metadata.name)?;
    let seconds: f64 = baseline
        .windows
        .iter()
        .map(|window| window.window_seconds)
        .sum();
    let starts = baseline
        .windows
        .iter()
        .filter(|window| window.from_start)
        .count();
    line(
        out,
        "windows",
        &format!(
            "{}, {seconds:.0} s in all, {starts} with a start",
            baseline.windows.len()
        ),
    )?;
    if baseline.metadata.locked {
        line(out, "locked", "yes: changes by --force only")?;
    }
    for note in &baseline.metadata.notes {
        line(out, "note", note)?;
    }
    for container in &baseline.containers {
        writeln!(out, "\n{}", style.bold(&escape(&container.name)))?;
        let covered = container
            .coverage
            .iter()
            .map(|(dimension, coverage)| {
                let trend: Vec<String> =
                    coverage.trend.iter().map(|value| percent(*value)).collect();
                vec![
                    dimension.to_string(),
                    rows_of(container, *dimension).to_string(),
                    percent(coverage.estimate),
                    format!("{:.0}", coverage.unseen_rows),
                    trend.join(" "),
                    coverage.verdict.clone().into(),
                ]
            })
            .collect();
        rows(
            &[
                "DIMENSION",
                "ROWS",
                "COVERED",
                "UNSEEN ≥",
                "AFTER EACH WINDOW",
                "VERDICT",
            ],
            covered,
            out,
        )?;
        contents(container, explain, out)?;
    }
    Ok(())
}

fn seen(seen: &Seen) -> String {
    if seen.accepted && seen.support.seen == 0 {
        return "accepted".to_owned();
    }
    format!("{}/{}", seen.support.seen, seen.support.of)
}

#[expect(clippy::too_many_lines, reason = "one section for each dimension")]
fn contents(container: &BaselineContainer, explain: bool, out: &mut dyn Write) -> io::Result<()> {
    if !container.resolvers.is_empty() {
        writeln!(out, "\n  Resolvers")?;
        for resolver in &container.resolvers {
            writeln!(out, "    {}", escape(resolver))?;
        }
    }
    let mut section = |title: &str, all: Vec<(&Seen, String)>| -> io::Result<()> {
        if all.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n  {title}")?;
        for (row, text) in all {
            writeln!(out, "    {:<9} {}", seen(row), escape(&text))?;
            if explain {
                for wildcard in &row.explain {
                    let by = match (&wildcard.rule, wildcard.by) {
                        (Some(rule), _) => format!("rule {rule}"),
                        (None, ExplainedBy::Learned) => "learned".to_owned(),
                        (None, ExplainedBy::Rule) => "rule".to_owned(),
                    };
                    let values: Vec<&str> = wildcard.values.iter().map(Text::as_str).collect();
                    writeln!(
                        out,
                        "              part {} ({by}): {}",
                        wildcard.part,
                        escape(&values.join(", "))
                    )?;
                }
            }
        }
        Ok(())
    };
    macro_rules! all {
        ($field:ident, |$row:ident| $text:expr) => {
            container
                .$field
                .iter()
                .map(|$row| (&$row.seen, $text))
                .collect()
        };
    }
    let join = |words: &mut dyn Iterator<Item = String>| words.collect::<Vec<_>>().join(" ");
    section(
        "Processes",
        all!(processes, |row| format!(
            "uid {} {} [{}]",
            row.uid,
            row.argv.join(" "),
            row.exe
        )),
    )?;
    section(
        "Executions",
        all!(edges, |row| format!("{} → {}", row.parent, row.child)),
    )?;
    section(
        "System calls",
        all!(syscalls, |row| format!(
            "{} {} {}",
            row.exe,
            row.name,
            join(&mut row.errors.iter().map(ToString::to_string))
        )),
    )?;
    section(
        "Files",
        all!(files, |row| {
            let done = row.operations.iter().map(ToString::to_string);
            format!(
                "{} by {}: {}",
                row.path,
                row.exe,
                join(&mut done.chain(row.errors.iter().map(ToString::to_string)))
            )
        }),
    )?;
    section(
        "Peers",
        all!(network, |row| {
            let text = format!(
                "{} {} {} {} {}",
                row.exe, row.direction, row.protocol, row.peer, row.port
            );
            let claims = join(&mut row.claimed.iter().map(ToString::to_string));
            if claims.is_empty() {
                text
            } else {
                format!("{text} (claims {claims})")
            }
        }),
    )?;
    section(
        "Listeners",
        all!(listen, |row| format!(
            "{} {} {} {}",
            row.exe, row.protocol, row.address, row.port
        )),
    )?;
    section(
        "Names asked for",
        all!(dns, |row| format!(
            "{} {} {}",
            row.exe, row.name, row.record_type
        )),
    )?;
    section(
        "Capabilities",
        all!(capabilities, |row| format!(
            "{} {}{}",
            row.exe,
            row.name,
            if row.used { "" } else { " (refused)" }
        )),
    )?;
    section(
        "Events",
        all!(events, |row| {
            let details = row
                .details
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            format!(
                "{} {} {}",
                row.exe,
                row.event_type,
                join(&mut details.into_iter())
            )
        }),
    )
}
