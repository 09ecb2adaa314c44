//! Progress on standard error: nothing when it is no terminal. The only user of indicatif.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use procmon_profile::wire::Progress;
use std::time::Duration;

/// A line that shows how far the window is.
pub(crate) struct Window {
    bar: ProgressBar,
    seconds: Option<f64>,
}

impl Window {
    /// A bar for a window of known length, a spinner for another.
    pub(crate) fn new(seconds: Option<f64>, quiet: bool) -> Self {
        let bar = match seconds {
            Some(seconds) => ProgressBar::new(millis(seconds)),
            None => ProgressBar::new_spinner(),
        };
        // indicatif hides itself where standard error is no terminal.
        bar.set_draw_target(if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        });
        let template = if seconds.is_some() {
            "{prefix} {bar:24} {msg}"
        } else {
            "{spinner} {prefix} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix("preparing");
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, seconds }
    }

    /// The window is open, with these totals.
    pub(crate) fn show(&self, progress: Progress) {
        self.bar.set_prefix("capturing");
        if self.seconds.is_some() {
            self.bar.set_position(millis(progress.seconds));
        }
        self.bar.set_message(format!(
            "{:.0}s{}  {} calls, {} processes, {} files, {} peers",
            progress.seconds,
            self.seconds
                .map(|seconds| format!("/{seconds:.0}s"))
                .unwrap_or_default(),
            crate::render::count(progress.calls),
            progress.processes,
            progress.files,
            progress.peers,
        ));
    }

    /// Done: the line is gone.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
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
