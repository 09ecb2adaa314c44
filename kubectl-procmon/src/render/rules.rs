//! Rules, for a person.

use super::{Style, escape, escape_lines, plain};
use anyhow::Result;
use procmon_profile::rules::{About, Kind, Outcome, Rule, classes};
use std::io::Write;

/// All rules.
pub(crate) fn list<'r>(
    rules: impl Iterator<Item = &'r Rule>,
    style: Style,
    out: &mut dyn Write,
) -> Result<()> {
    let rows = rules
        .map(|rule| {
            vec![
                rule.id.clone(),
                rule.severity.to_string(),
                rule.mitre.join(" "),
                escape(&rule.title).into_owned(),
            ]
        })
        .collect();
    let header = ["RULE", "SEVERITY", "TECHNIQUES", "FINDS"];
    Ok(plain::table(&header, rows, style.width, "", out)?)
}

/// Everything about one rule.
pub(crate) fn explain(rule: &Rule, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "{}: {}\n", rule.id, escape(&rule.title))?;
    writeln!(out, "{}\n", escape_lines(rule.description.trim()))?;
    for (name, text) in [
        ("severity", rule.severity.to_string()),
        ("confidence", rule.confidence.to_string()),
        ("techniques", rule.mitre.join(" ")),
        ("condition", rule.when.trim().to_owned()),
        ("benign", rule.benign.trim().to_owned()),
        ("next", rule.next.join("\n")),
        ("like", rule.peers.join("\n")),
    ] {
        for (number, line) in text.lines().enumerate() {
            let name = if number == 0 { name } else { "" };
            writeln!(out, "  {name:<11} {}", escape(line))?;
        }
    }
    for raise in &rule.raise {
        writeln!(
            out,
            "  {:<11} {} where {}",
            "severity",
            raise.severity,
            escape(&raise.when)
        )?;
    }
    Ok(())
}

/// The words that conditions can use.
pub(crate) fn words(style: Style, out: &mut dyn Write) -> Result<()> {
    for about in About::ALL {
        writeln!(
            out,
            "about {}: {}",
            format!("{about:?}").to_lowercase(),
            about.names().join(", ")
        )?;
    }
    for (kind, title) in [
        (Kind::Program, "process.is, program.is: of a program's name"),
        (
            Kind::File,
            "file.is, process.exeIs, program.exeIs: of a path",
        ),
        (Kind::Domain, "question.is, peer.is: of a name"),
        (Kind::Port, "peer.is: of a port"),
    ] {
        writeln!(out, "\n{title}")?;
        let rows = classes(kind)
            .iter()
            .map(|class| {
                vec![
                    class.name.to_owned(),
                    class.meaning.to_owned(),
                    class.source.to_owned(),
                ]
            })
            .collect();
        plain::table(&["WORD", "MEANING", "SOURCE"], rows, style.width, "", out)?;
    }
    writeln!(
        out,
        "\npeer.is: of an address: metadata, loopback, link-local, multicast, private, public; of a Unix socket: unix, runtime-socket, shim-socket"
    )?;
    Ok(())
}

/// A case that went wrong.
pub(crate) fn outcome(rule: &Rule, outcome: &Outcome, out: &mut dyn Write) -> Result<()> {
    let said = match (&outcome.error, outcome.wanted) {
        (Some(error), _) => error.clone(),
        (None, true) => "it finds nothing".to_owned(),
        (None, false) => format!("it finds: {}", outcome.found.join("; ")),
    };
    Ok(writeln!(
        out,
        "{}: {}: {}",
        rule.id,
        escape(&outcome.case),
        escape(&said)
    )?)
}

/// How many cases went wrong.
pub(crate) fn tested(rules: usize, cases: usize, wrong: usize, out: &mut dyn Write) -> Result<()> {
    Ok(writeln!(
        out,
        "{rules} rules, {cases} cases: {wrong} are wrong"
    )?)
}

/// A fault of a rule.
pub(crate) fn fault(rule: &Rule, what: &str, out: &mut dyn Write) -> Result<()> {
    Ok(writeln!(out, "{}: {what}", rule.id)?)
}

/// How many faults there are.
pub(crate) fn linted(rules: usize, found: usize, out: &mut dyn Write) -> Result<()> {
    Ok(writeln!(out, "{rules} rules can be used: {found} faults")?)
}
