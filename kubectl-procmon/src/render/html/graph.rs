//! Who talks to whom, as a drawing: programs on the left, peers on the right, the most important only.

use super::chart::{Chart, Shape};
use super::facts::Containers;
use crate::render::table::files::short_exe;
use crate::render::table::network::ends_of;
use crate::render::table::screen::essential;
use crate::render::text::{bytes, shorten};
use procmon_profile::model::{Direction, Network};
use std::collections::BTreeMap;

/// Links that are drawn.
const LINKS: usize = 30;
const WIDTH: i64 = 1100;
/// Where programs end and peers begin.
const PROGRAMS: i64 = 300;
const PEERS: i64 = 600;
const ROW: i64 = 24;
const TOP: i64 = 30;
/// Bytes of the widest line: a gibibyte, or more.
const WIDEST: f64 = 1_073_741_824.0;

/// All that one program exchanged with one peer.
#[derive(Clone, Copy, Default)]
struct Exchanged {
    sent: u64,
    received: u64,
    times: u64,
    failures: u64,
}

impl Exchanged {
    fn add(&mut self, peer: &Network) {
        let failures = peer.failures.values();
        self.sent = self.sent.saturating_add(peer.bytes_sent);
        self.received = self.received.saturating_add(peer.bytes_received);
        self.times = [
            peer.connections,
            peer.datagrams_sent,
            peer.datagrams_received,
        ]
        .into_iter()
        .fold(self.times, u64::saturating_add);
        self.failures = failures.fold(self.failures, |sum, times| sum.saturating_add(*times));
    }

    fn bytes(self) -> u64 {
        self.sent.saturating_add(self.received)
    }

    fn words(self) -> String {
        let mut text = format!("↑ {}  ↓ {}", bytes(self.sent), bytes(self.received));
        if self.failures > 0 {
            text += &format!("  {} failed", self.failures);
        }
        text
    }
}

/// A link: program, peer, and who began.
type Ends = (String, String, Direction);

/// The drawing; nothing where nobody talks to anybody.
pub(super) fn graph(containers: &Containers<'_>) -> Option<Chart> {
    let mut links: BTreeMap<Ends, Exchanged> = BTreeMap::new();
    for (container, peer) in containers.rows(|container| &container.network) {
        if peer.direction == Direction::Listen {
            continue;
        }
        let program = match container {
            "" => short_exe(&peer.exe),
            several => format!("{}  {}", shorten(several, 24), short_exe(&peer.exe)),
        };
        let ends = (program, essential(&ends_of(peer, None)), peer.direction);
        links.entry(ends).or_default().add(peer);
    }
    if links.is_empty() {
        return None;
    }
    let all = links.len();
    let mut links: Vec<(Ends, Exchanged)> = links.into_iter().collect();
    links.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.bytes(), sum.times, sum.failures)));
    let left = links.split_off(all.min(LINKS));
    let mut chart = draw(&links);
    if !left.is_empty() {
        let sum = left
            .iter()
            .fold(0, |sum: u64, (_, one)| sum.saturating_add(one.bytes()));
        chart.left_out = format!(
            "{} of {all} pairs of program and peer: those that exchanged most. The others exchanged {}; \
             the table below has every row.",
            links.len(),
            bytes(sum)
        );
    }
    Some(chart)
}

/// Names in the order of their first link, each with its place.
fn places<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

fn draw(links: &[(Ends, Exchanged)]) -> Chart {
    let programs = places(links.iter().map(|((program, ..), _)| program.as_str()));
    // Peers of one program stand together: fewer lines cross.
    let mut by_program: Vec<&(Ends, Exchanged)> = links.iter().collect();
    let place = |name: &str| programs.iter().position(|one| *one == name);
    by_program.sort_by_key(|((program, ..), _)| place(program));
    let peers = places(by_program.iter().map(|((_, peer, _), _)| peer.as_str()));
    let rows = programs.len().max(peers.len());
    let y = |place: usize, of: usize| {
        let place = i64::try_from(place * rows).unwrap_or(0) * ROW
            + ROW * i64::try_from(rows).unwrap_or(0) / 2;
        TOP + place / i64::try_from(of.max(1)).unwrap_or(1)
    };
    let mut chart = Chart {
        width: WIDTH,
        height: TOP + i64::try_from(rows).unwrap_or(0) * ROW + 6,
        label: format!("{} programs and {} peers", programs.len(), peers.len()),
        ..Chart::default()
    };
    let mut of_peer: BTreeMap<&str, Exchanged> = BTreeMap::new();
    for ((program, peer, direction), sum) in links {
        let (Some(from), Some(to)) = (place(program), peers.iter().position(|one| one == peer))
        else {
            continue;
        };
        let all = of_peer.entry(peer).or_default();
        *all = Exchanged {
            sent: all.sent.saturating_add(sum.sent),
            received: all.received.saturating_add(sum.received),
            times: all.times.saturating_add(sum.times),
            failures: all.failures.saturating_add(sum.failures),
        };
        let share = ((sum.bytes() as f64).ln_1p() / WIDEST.ln_1p()).min(1.0);
        let class = match direction {
            _ if sum.bytes() == 0 && sum.failures > 0 => "link failed",
            Direction::Inbound => "link inbound",
            _ => "link outbound",
        };
        chart.shapes.push(Shape::link(
            (PROGRAMS, y(from, programs.len())),
            (PEERS, y(to, peers.len())),
            1.0 + share * 6.0,
            class,
            format!(
                "{program}, {direction}: {peer}: {}, {} times",
                sum.words(),
                sum.times
            ),
        ));
    }
    names(&mut chart, &programs, &peers, &of_peer, y);
    chart
}

fn names(
    chart: &mut Chart,
    programs: &[&str],
    peers: &[&str],
    of_peer: &BTreeMap<&str, Exchanged>,
    y: impl Fn(usize, usize) -> i64,
) {
    chart
        .shapes
        .push(Shape::text(PROGRAMS - 10, 14, "label", "program"));
    chart
        .shapes
        .push(Shape::text(PEERS + 10, 14, "peer", "peer"));
    chart
        .shapes
        .push(Shape::text(WIDTH - 10, 14, "label", "sent, received"));
    let mut dot = |x: i64, y: i64| {
        chart.shapes.push(Shape::Rect {
            x: x - 3,
            y: y - 6,
            width: 6,
            height: 12,
            class: "node",
            title: String::new(),
        });
    };
    for place in 0..programs.len() {
        dot(PROGRAMS, y(place, programs.len()));
    }
    for place in 0..peers.len() {
        dot(PEERS, y(place, peers.len()));
    }
    for (place, name) in programs.iter().enumerate() {
        chart.shapes.push(Shape::Text {
            x: PROGRAMS - 10,
            y: y(place, programs.len()) + 4,
            class: "label name",
            text: shorten(name, 40).into_owned(),
            title: (*name).to_owned(),
        });
    }
    for (place, name) in peers.iter().enumerate() {
        let y = y(place, peers.len()) + 4;
        chart.shapes.push(Shape::Text {
            x: PEERS + 10,
            y,
            class: "peer name",
            text: shorten(name, 40).into_owned(),
            title: (*name).to_owned(),
        });
        let words = of_peer
            .get(name)
            .map_or_else(String::new, |sum| sum.words());
        chart
            .shapes
            .push(Shape::text(WIDTH - 10, y, "label", words));
    }
}
