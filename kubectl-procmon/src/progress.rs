//! Progress on standard error; where it is no terminal, only that a window opens, and only when that is
//! asked for. The only user of indicatif.

use crate::render::{count, escape};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use procmon_profile::wire::Progress;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// More nodes than this have no lines of their own.
const MAX_LINES: usize = 12;

/// A line that shows how far the window is, and one for each node when there are several.
pub(crate) struct Window {
    all: MultiProgress,
    bar: ProgressBar,
    seconds: Option<f64>,
    /// A script wants to know when it may begin.
    is_for_scripts: bool,
    nodes: Mutex<BTreeMap<String, NodeLine>>,
}

#[derive(Default)]
struct NodeLine {
    line: Option<ProgressBar>,
    is_open: bool,
    totals: Progress,
}

impl Window {
    /// A bar for a window of known length, a spinner for another.
    pub(crate) fn new(seconds: Option<f64>, quiet: bool, verbose: bool) -> Self {
        // indicatif hides itself where standard error is no terminal.
        let all = MultiProgress::with_draw_target(if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        });
        let (bar, template) = match seconds {
            Some(seconds) => (ProgressBar::new(millis(seconds)), "{prefix} {bar:24} {msg}"),
            None => (ProgressBar::new_spinner(), "{spinner} {prefix} {msg}"),
        };
        let bar = all.add(bar);
        set_template(&bar, template);
        bar.set_prefix("preparing");
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            is_for_scripts: all.is_hidden() && verbose,
            all,
            bar,
            seconds,
            nodes: Mutex::default(),
        }
    }

    /// These nodes will be heard of.
    pub(crate) fn expect(&self, names: impl ExactSizeIterator<Item = String>) {
        let has_lines = (2..=MAX_LINES).contains(&names.len());
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let line = has_lines.then(|| {
                let line = self.all.add(ProgressBar::new_spinner());
                set_template(&line, "  {prefix} {msg}");
                line.set_prefix(escape(&name).into_owned());
                line
            });
            nodes.insert(
                name,
                NodeLine {
                    line,
                    ..NodeLine::default()
                },
            );
        }
    }

    /// What a node is doing.
    pub(crate) fn say(&self, node: &str, text: &str) {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = nodes.get(node).and_then(|node| node.line.as_ref()) {
            line.set_message(escape(text).into_owned());
        }
    }

    /// The window of a node is open, with these totals.
    pub(crate) fn show(&self, node: &str, progress: Progress) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let own = nodes.entry(node.to_owned()).or_default();
        own.totals = progress;
        if !std::mem::replace(&mut own.is_open, true) && self.is_for_scripts {
            // Nobody may be there to read it.
            let _ = writeln!(std::io::stderr(), "{}", opened(node, self.seconds));
        }
        if let Some(line) = &own.line {
            line.set_message(totals(&progress));
        }
        let sum = nodes
            .values()
            .map(|node| node.totals)
            .reduce(|a, b| Progress {
                seconds: a.seconds.max(b.seconds),
                calls: a.calls.saturating_add(b.calls),
                processes: a.processes.saturating_add(b.processes),
                files: a.files.saturating_add(b.files),
                peers: a.peers.saturating_add(b.peers),
            })
            .unwrap_or(progress);
        self.bar.set_prefix("capturing");
        if self.seconds.is_some() {
            self.bar.set_position(millis(sum.seconds));
        }
        self.bar.set_message(format!(
            "{:.0}s{}  {}",
            sum.seconds,
            self.seconds
                .map(|seconds| format!("/{seconds:.0}s"))
                .unwrap_or_default(),
            totals(&sum)
        ));
    }

    /// Done: the lines are gone.
    pub(crate) fn finish(&self) {
        for node in self
            .nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
        {
            if let Some(line) = &node.line {
                line.finish_and_clear();
            }
        }
        self.bar.finish_and_clear();
    }
}

/// What a script is told: `capturing on worker-1 for 30s`.
fn opened(node: &str, seconds: Option<f64>) -> String {
    let place = match node {
        "" => String::new(),
        node => format!(" on {}", escape(node)),
    };
    let length = seconds.map_or_else(
        || " until the command ends".to_owned(),
        |seconds| format!(" for {seconds}s"),
    );
    format!("capturing{place}{length}")
}

fn totals(progress: &Progress) -> String {
    let of = |number: u64, one: &str, many: &str| {
        format!("{} {}", count(number), if number == 1 { one } else { many })
    };
    [
        of(progress.calls, "call", "calls"),
        of(progress.processes, "process", "processes"),
        of(progress.files, "file", "files"),
        of(progress.peers, "peer", "peers"),
    ]
    .join(", ")
}

fn set_template(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bar of at most a day"
)]
fn millis(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1000.0) as u64
}
