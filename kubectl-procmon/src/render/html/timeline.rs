//! The window as a drawing: when processes began, what the most telling of them did, and when.

use super::cells::{Window, offset};
use super::chart::{Chart, Shape};
use super::facts::Containers;
use super::processes::Marks;
use crate::render::table::processes::command;
use crate::render::text::shorten;
use procmon_profile::model::{Event, Process, Severity};
use std::collections::{BTreeMap, HashMap};

/// Rows of processes that are drawn.
const LANES: usize = 30;
/// Parts of the strip that counts beginnings.
const PARTS: i64 = 156;
/// Marks of events in one lane.
const MARKS: usize = 40;
const WIDTH: i64 = 1100;
const LEFT: i64 = 300;
const RIGHT: i64 = 20;
const LANE: i64 = 18;
const STRIP: i64 = 34;

/// A process that can be drawn.
struct Lane<'a> {
    process: &'a Process,
    label: &'a str,
    from: i64,
    to: i64,
    severity: Option<Severity>,
    events: Vec<&'a Event>,
}

/// The drawing; nothing where no row has a time.
pub(super) fn timeline(
    containers: &Containers<'_>,
    window: Option<Window>,
    marks: &Marks<'_>,
) -> Option<Chart> {
    let window = window?;
    let mut lanes = lanes(containers, window, marks);
    if lanes.is_empty() {
        return None;
    }
    let all = lanes.len();
    let mut chart = Chart {
        width: WIDTH,
        ..Chart::default()
    };
    strip(&mut chart, &lanes, window);
    // The most telling: those with findings, with events, those that ran longest.
    lanes.sort_by_key(|lane| {
        std::cmp::Reverse((lane.severity, lane.events.len().min(1), lane.to - lane.from))
    });
    lanes.truncate(LANES);
    lanes.sort_by_key(|lane| lane.from);
    for (place, lane) in (0..).zip(&lanes) {
        draw(&mut chart, lane, STRIP + 14 + place * LANE, window);
    }
    let drawn = lanes.len();
    chart.height = STRIP + 14 + i64::try_from(drawn).unwrap_or(0) * LANE + 22;
    axis(&mut chart, window);
    chart.label = format!(
        "When processes ran within {}: {drawn} of {all} rows are drawn",
        offset(window.length).trim_start_matches('+')
    );
    if all > drawn {
        chart.left_out = format!(
            "{drawn} of {all} process rows: those with findings and events, then the longest. \
             The strip above counts all. The table below has every row."
        );
    }
    Some(chart)
}

fn lanes<'a>(containers: &'a Containers<'_>, window: Window, marks: &Marks<'_>) -> Vec<Lane<'a>> {
    let mut lanes = Vec::new();
    for (place, (container, label)) in containers.iter().enumerate() {
        let label = if containers.are_several() { label } else { "" };
        let mut events: HashMap<&str, Vec<&Event>> = HashMap::new();
        for event in &container.events {
            let of_process = events
                .entry(event.process.as_deref().unwrap_or(""))
                .or_default();
            of_process.push(event);
        }
        for process in &container.processes {
            let moment = |time: &Option<_>| time.as_ref().and_then(|time| window.offset(time));
            let Some(first) = moment(&process.first_seen) else {
                continue;
            };
            let from = if process.started_before { 0 } else { first };
            let ended = process
                .exits
                .values()
                .fold(0, |sum: u64, n| sum.saturating_add(*n));
            let to = match moment(&process.last_seen) {
                Some(last) if ended >= process.count => last,
                _ => window.length,
            };
            let from = from.clamp(0, window.length);
            lanes.push(Lane {
                process,
                label,
                from,
                to: to.clamp(from, window.length),
                severity: marks.get(&(place, process.id.as_str())).copied(),
                events: events.remove(process.id.as_str()).unwrap_or_default(),
            });
        }
    }
    lanes
}

/// The place of a moment.
fn x(at: i64, window: Window) -> i64 {
    LEFT + part(at, window, WIDTH - LEFT - RIGHT)
}

/// The number of the part that a moment is in, of so many parts of the window.
fn part(at: i64, window: Window, parts: i64) -> i64 {
    at.clamp(0, window.length) * parts / window.length
}

/// The strip: how many process rows began in each part of the window.
fn strip(chart: &mut Chart, lanes: &[Lane<'_>], window: Window) {
    let mut parts: BTreeMap<i64, i64> = BTreeMap::new();
    for lane in lanes {
        let part = part(lane.from, window, PARTS).min(PARTS - 1);
        *parts.entry(part).or_default() += 1;
    }
    let most = parts.values().copied().max().unwrap_or(1);
    let title = "process rows that begin";
    chart
        .shapes
        .push(Shape::text(LEFT - 8, STRIP - 4, "label", title));
    let step = (WIDTH - LEFT - RIGHT) / PARTS;
    for (place, count) in parts {
        let height = (count * (STRIP - 6) / most).max(2);
        chart.shapes.push(Shape::Rect {
            x: LEFT + place * step,
            y: STRIP - height,
            width: step - 1,
            height,
            class: "strip",
            title: format!("{count} begin"),
        });
    }
}

fn draw(chart: &mut Chart, lane: &Lane<'_>, y: i64, window: Window) {
    let text = command(lane.process);
    let title = format!(
        "{}{text}: {} to {}, {} processes{}",
        if lane.label.is_empty() {
            String::new()
        } else {
            format!("{}: ", lane.label)
        },
        offset(lane.from),
        offset(lane.to),
        lane.process.count,
        lane.severity
            .map_or_else(String::new, |severity| format!(", a finding: {severity}"))
    );
    chart.shapes.push(Shape::Text {
        x: LEFT - 8,
        y: y + 13,
        class: "label name",
        text: shorten(&text, 40).into_owned(),
        title: text,
    });
    let (left, right) = (x(lane.from, window), x(lane.to, window));
    chart.shapes.push(Shape::Rect {
        x: left,
        y: y + 4,
        width: (right - left).max(2),
        height: LANE - 7,
        class: match lane.severity {
            Some(severity) => class(severity),
            None => "bar",
        },
        title,
    });
    for event in lane.events.iter().take(MARKS) {
        let Some(at) = window.offset(&event.time) else {
            continue;
        };
        let details: Vec<String> = event
            .details
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let title = format!("{} {} {}", offset(at), event.event_type, details.join(" "));
        chart
            .shapes
            .push(Shape::diamond(x(at, window), y + 9, 5, "event", title));
    }
}

/// The style's word for a severity.
fn class(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "high",
        Severity::Medium => "medium",
        Severity::Low => "low",
        Severity::Info => "info",
    }
}

/// A line for every whole step, with its time.
fn axis(chart: &mut Chart, window: Window) {
    let steps = [1, 2, 5].map(|step| (0..14).map(move |power| step * 10_i64.pow(power)));
    let mut steps: Vec<i64> = steps.into_iter().flatten().collect();
    steps.sort_unstable();
    let step = steps.into_iter().find(|step| window.length / step <= 8);
    let step = step.unwrap_or(window.length);
    let bottom = chart.height - 18;
    let mut lines = Vec::new();
    for at in (0..)
        .map(|number| number * step)
        .take_while(|at| *at <= window.length)
    {
        let place = x(at, window);
        lines.push(Shape::Line {
            x1: place,
            y1: 4,
            x2: place,
            y2: bottom,
            class: "grid",
        });
        let time = if step >= 1_000_000 {
            format!("{} s", at / 1_000_000)
        } else if step >= 1_000 {
            format!("{} ms", at / 1_000)
        } else {
            format!("{at} µs")
        };
        lines.push(Shape::text(place, chart.height - 4, "tick", time));
    }
    // Behind everything else.
    chart.shapes.splice(0..0, lines);
}
