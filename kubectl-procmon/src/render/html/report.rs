//! The report of each document: which sections it has, in which order.

use super::cells::Window;
use super::drift;
use super::facts::Containers;
use super::files::files;
use super::findings as judged;
use super::graph::graph;
use super::head;
use super::network::{network, questions};
use super::page::{Page, Section};
use super::processes::{Marks, processes};
use super::programs::{calls, capabilities, events};
use super::table::Table;
use super::timeline::timeline;
use anyhow::Result;
use procmon_profile::model::{Drift, Findings, Profile, Severity};
use std::io::Write;

/// The report of a Profile, with the findings that it holds.
pub(crate) fn profile(profile: &Profile, out: &mut dyn Write) -> Result<()> {
    let page = Page::new("Profile", &head::title(&profile.session.target));
    let found = stored(profile);
    let found = Some(&found).filter(|found| !found.findings.is_empty());
    write(page, found, Some(profile), out)
}

/// The findings that a Profile holds, as a document of their own.
fn stored(profile: &Profile) -> Findings {
    let findings = profile.findings.clone();
    Findings {
        summary: Severity::count(findings.iter().map(|finding| finding.severity)),
        findings,
        ..Findings::default()
    }
}

/// The report of Findings, followed by that of the profile where it is at hand.
pub(crate) fn findings(
    found: &Findings,
    profile: Option<&Profile>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut page = Page::new("Findings", &head::title(&found.profile.target));
    page.baseline = found.profile.baseline.as_ref().map(ToString::to_string);
    write(page, Some(found), profile, out)
}

/// Writes findings and the profile that they are about, whichever there is.
fn write(
    mut page: Page,
    found: Option<&Findings>,
    profile: Option<&Profile>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut all = Vec::new();
    if let Some(found) = found {
        page.findings = Some(judged::view(found, profile));
        all.extend(judged::others(found).map(|table| Section::new("More findings", table)));
    }
    let containers;
    if let Some(profile) = profile {
        page.head = Some(head::head(profile));
        containers = Containers::of(profile);
        let marks = found.map_or_else(Marks::new, |found| judged::marks(found, profile));
        all.extend(sections(profile, &containers, &marks));
    }
    page.write(all, out)
}

/// The report of one comparison, or of several.
pub(crate) fn drifts(drifts: &[Drift], out: &mut dyn Write) -> Result<()> {
    let title = match drifts {
        [one] => procmon_profile::baseline::workload_name(&one.profile.workload),
        several => format!("{} comparisons", several.len()),
    };
    let mut page = Page::new("Drift", &title);
    let mut all = Vec::new();
    for (place, drift) in drifts.iter().enumerate() {
        page.drifts.push(drift::view(drift));
        let table = drift::rows(&format!("drift-{}", place + 1), drift);
        let title = if drifts.len() > 1 {
            format!("Differences of {}", drift.profile.name)
        } else {
            "Differences".to_owned()
        };
        all.push(Section::new(&title, table));
    }
    page.write(all, out)
}

/// The sections of a Profile; those without rows are left out.
fn sections<'a>(
    profile: &'a Profile,
    containers: &'a Containers<'a>,
    marks: &Marks<'_>,
) -> Vec<Section<'a>> {
    let window = Window::of(profile);
    let list = |title: &str, table: Table<'a>| Section::new(title, table);
    let mut all: Vec<Section<'a>> = Vec::new();
    all.extend(head::containers(containers).map(|table| list("Containers", table)));
    all.extend(
        timeline(containers, window, marks)
            .map(|chart| Section::drawing("timeline", "Timeline", chart)),
    );
    all.push(list("Processes", processes(containers, window, marks)));
    all.push(list("Network", network(containers)).with(graph(containers)));
    all.push(list("Names asked for", questions(containers)));
    all.push(list("Files by folder", files(containers)));
    all.push(list("System calls by program", calls(containers)));
    all.push(list("Capabilities", capabilities(containers)));
    all.push(list("Events", events(containers, window)));
    all.extend(head::cost(profile).map(|table| list("Cost of the capture", table)));
    all.extend(head::hooks(profile).map(|table| list("Hooks", table)));
    all
}
