//! A node speaks only for itself: what its stream says outside of what it was asked is left out, and
//! said to be. So are numbers and times that nothing real can have.

use crate::bounds::Numbers as _;
use crate::model::{
    CapabilityUse, Container, Cost, Counts, Dns, Event, File, LabelMode, Network, Node, Process,
    Syscall, Time,
};
use crate::wire::WindowReport;
use std::collections::BTreeMap;

/// The request to one node of a cluster: what its answer can be about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// UIDs of the pods, and when each was created in seconds since 1970, where that is known.
    pub pods: BTreeMap<String, Option<i64>>,
    /// Earliest and latest time of the session, in seconds since 1970.
    pub times: Option<(i64, i64)>,
    /// Seconds that no window is longer than.
    pub longest: f64,
}

/// Seconds that the clocks of a cluster's machines may differ: beyond it certificates and leases
/// break as well.
const SKEW: i64 = 600;
/// Seconds that a row may lie outside of its own stream's window, which has one clock.
const MARGIN: i64 = 60;
/// The largest number that all readers of JSON take exactly.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Statements that a stream had no right to make, and how often it made them.
#[derive(Debug, Default)]
pub(crate) struct Unasked(BTreeMap<&'static str, u64>);

impl Unasked {
    fn add(&mut self, what: &'static str, count: usize) {
        if count > 0 {
            *self.0.entry(what).or_insert(0) += count as u64;
        }
    }

    /// As sentences without a subject.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = String> + '_ {
        self.0
            .iter()
            .map(|(what, count)| format!("left out, as it was not its to say: {what}: {count}"))
    }
}

/// Span of time, in seconds since 1970, that rows of a stream may tell of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    from: i64,
    to: i64,
}

/// The window of a stream, when it can have been.
pub(crate) fn window(
    mut report: WindowReport,
    asked: Option<&Asked>,
    unasked: &mut Unasked,
) -> Option<(WindowReport, Span)> {
    let what = "windows with an impossible time or length";
    let (Some(from), Some(to)) = (seconds(&report.started_at), seconds(&report.ended_at)) else {
        unasked.add(what, 1);
        return None;
    };
    let is_length =
        report.seconds.are_sound() && asked.is_none_or(|asked| report.seconds <= asked.longest);
    // A machine that sets its clock within a window may write an end before the begin.
    let is_order = to + SKEW >= from;
    let is_time = asked
        .and_then(|asked| asked.times)
        .is_none_or(|(earliest, latest)| from >= earliest - SKEW && to <= latest + SKEW);
    if !(is_length && is_order && is_time) {
        unasked.add(what, 1);
        return None;
    }
    let before = report.coverage.len();
    report
        .coverage
        .retain(|_, value| (0.0..=1.0).contains(value));
    unasked.add("impossible coverages", before - report.coverage.len());
    if asked.is_some() {
        // A node of a cluster follows pods, and starts no command.
        report.exit = None;
        report.label_mode = LabelMode::Cgroup;
    }
    let span = Span {
        from: from.min(to) - MARGIN,
        to: from.max(to) + MARGIN,
    };
    Some((report, span))
}

/// The container is one that this node was asked about, with what only a node knows of it.
pub(crate) fn is_own(
    container: &mut Container,
    node: &str,
    asked: Option<&Asked>,
    unasked: &mut Unasked,
) -> bool {
    if container.node.as_deref().is_some_and(|named| named != node) {
        unasked.add("containers of other nodes", 1);
        return false;
    }
    let Some(asked) = asked else { return true };
    let uid = container.pod_uid.as_deref().unwrap_or_default();
    if !asked.pods.contains_key(uid) {
        unasked.add("containers of pods that it was not asked about", 1);
        return false;
    }
    // The API server says these.
    *container = Container {
        container: std::mem::take(&mut container.container),
        pod_uid: container.pod_uid.take(),
        container_id: container.container_id.take(),
        started_at: container.started_at.take(),
        from_start: container.from_start,
        processes: std::mem::take(&mut container.processes),
        syscalls: std::mem::take(&mut container.syscalls),
        files: std::mem::take(&mut container.files),
        network: std::mem::take(&mut container.network),
        dns: std::mem::take(&mut container.dns),
        capabilities: std::mem::take(&mut container.capabilities),
        events: std::mem::take(&mut container.events),
        ..Container::default()
    };
    true
}

/// Takes out what no container can have done.
pub(crate) fn retain_possible(
    container: &mut Container,
    asked: Option<&Asked>,
    span: Option<Span>,
    unasked: &mut Unasked,
) {
    let uid = container.pod_uid.as_deref().unwrap_or_default();
    let created = asked.and_then(|asked| asked.pods.get(uid).copied().flatten());
    if let Some(text) = &container.started_at {
        let is_possible = seconds(text).is_some_and(|time| {
            created.is_none_or(|created| time >= created - SKEW)
                && span.is_none_or(|span| time <= span.to)
        });
        if !is_possible {
            container.started_at = None;
            unasked.add("impossible times at which a container started", 1);
        }
    }
    let mut dropped = 0;
    macro_rules! retain {
        ($($field:ident),*) => {
            $(
                let before = container.$field.len();
                container.$field.retain(|row| row.is_possible(span));
                dropped += before - container.$field.len();
            )*
        };
    }
    retain!(
        processes,
        syscalls,
        files,
        network,
        dns,
        capabilities,
        events
    );
    unasked.add("rows with impossible numbers or times", dropped);
}

/// Takes impossible numbers out of a node's own row.
pub(crate) fn retain_possible_cost(node: &mut Node, unasked: &mut Unasked) {
    let Some(cost) = &node.cost else { return };
    let Cost {
        cpu_seconds,
        bpf_seconds,
        bpf_runs,
        rss_bytes,
        map_bytes,
        sent_bytes,
    } = cost;
    let is_seconds = |value: &f64| value.is_finite() && (0.0..1e12).contains(value);
    let are_possible = cpu_seconds.iter().chain(bpf_seconds).all(is_seconds)
        && are_numbers(
            [bpf_runs, rss_bytes, map_bytes, sent_bytes]
                .into_iter()
                .flatten(),
        );
    if !are_possible {
        node.cost = None;
        unasked.add("impossible costs", 1);
    }
}

fn are_numbers<'a>(numbers: impl IntoIterator<Item = &'a u64>) -> bool {
    numbers.into_iter().all(|number| *number <= MAX_NUMBER)
}

fn are_counts(counts: &Counts) -> bool {
    are_numbers(counts.values())
}

/// A row that something real can have caused.
trait Row {
    fn is_possible(&self, span: Option<Span>) -> bool;
}

impl Row for Process {
    fn is_possible(&self, span: Option<Span>) -> bool {
        let is_time =
            |time: &Time| seconds(time).is_some_and(|time| span.is_none_or(|span| time <= span.to));
        self.count <= MAX_NUMBER
            && are_counts(&self.exits)
            && self.first_seen.iter().chain(&self.last_seen).all(is_time)
    }
}

impl Row for Syscall {
    fn is_possible(&self, _: Option<Span>) -> bool {
        let latency = self
            .latency_ns
            .iter()
            .flat_map(|latency| [&latency.p50, &latency.p95, &latency.p99, &latency.max]);
        are_numbers([
            &self.calls,
            &self.restarted,
            &self.unfinished,
            &self.no_return,
            &self.denied_by_seccomp,
        ]) && are_numbers(latency)
            && are_counts(&self.errors)
            && self.arguments.as_ref().is_none_or(are_counts)
    }
}

impl Row for File {
    fn is_possible(&self, _: Option<Span>) -> bool {
        are_numbers([&self.bytes_read, &self.bytes_written, &self.mmap_write])
            && are_numbers(self.operations.values())
            && are_counts(&self.errors)
    }
}

impl Row for Network {
    fn is_possible(&self, _: Option<Span>) -> bool {
        are_numbers([
            &self.connections,
            &self.datagrams_sent,
            &self.datagrams_received,
            &self.bytes_sent,
            &self.bytes_received,
        ]) && are_counts(&self.failures)
    }
}

impl Row for Dns {
    fn is_possible(&self, _: Option<Span>) -> bool {
        self.count <= MAX_NUMBER
    }
}

impl Row for CapabilityUse {
    fn is_possible(&self, _: Option<Span>) -> bool {
        are_numbers([&self.used, &self.denied]) && are_numbers(&self.probed)
    }
}

impl Row for Event {
    fn is_possible(&self, span: Option<Span>) -> bool {
        let is_time = seconds(&self.time)
            .is_some_and(|time| span.is_none_or(|span| (span.from..=span.to).contains(&time)));
        self.count <= MAX_NUMBER && is_time
    }
}

/// Seconds since 1970 of `YYYY-MM-DDTHH:MM:SS[.…]Z`, the one form that probes write: times in it have
/// the order of their texts.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    // A year with a sign is another form.
    if text.find('-') != Some(4) || !text.starts_with(|sign: char| sign.is_ascii_digit()) {
        return None;
    }
    let time = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.fZ", text).ok()?;
    let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
    Some(time.to_datetime().ok()?.duration_since(epoch).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_one_form_that_probes_write() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:01.999999999Z", Some(1)),
            ("2000-02-29T23:59:59Z", Some(951_868_799)),
            ("2026-01-01T00:00:00Z", Some(1_767_225_600)),
            ("2026-11-29T19:00:00.5Z", Some(1_795_978_800)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799)),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01 00:00:00Z", None),
            ("2026-01-01T00:00:00+01:00", None),
            ("2026-01-01T00:00:00.Z", None),
            ("2026-01-01T00:00:00.1234567890Z", None),
            ("+026-01-01T00:00:00Z", None),
            ("2026-01-01T00:00Z", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn a_window_has_a_length_that_documents_take() {
        for (seconds, is_possible) in [
            (0.0, true),
            (30.0, true),
            (-1.0, false),
            (1e300, false),
            (f64::NAN, false),
        ] {
            let report = WindowReport {
                started_at: "2026-01-01T00:00:00Z".into(),
                ended_at: "2026-01-01T00:00:30Z".into(),
                seconds,
                ..WindowReport::default()
            };
            let found = window(report, None, &mut Unasked::default());
            assert_eq!(found.is_some(), is_possible, "{seconds}");
        }
    }
}
