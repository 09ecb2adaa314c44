//! The session: its id, and what the document says of who asked.

use anyhow::{Context as _, Result};
use procmon_profile::mask::{MaskLevel, mask_argv_at};
use procmon_profile::model::{LabelMode, Session, Target, Tool};
use procmon_profile::text::Text;
use procmon_profile::wire::{Ended, Part};
use std::hash::{BuildHasher as _, Hasher as _};

/// A new session for a target.
pub(crate) fn new(
    target: Target,
    label_mode: LabelMode,
    requested: Option<f64>,
    mask: MaskLevel,
) -> Session {
    let mut command: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    if let Some(program) = command.first_mut() {
        "kubectl-procmon".clone_into(program);
    }
    mask_argv_at(&mut command, mask);
    Session {
        id: id().into(),
        tool: Tool {
            name: "kubectl-procmon".into(),
            version: env!("CARGO_PKG_VERSION").to_owned().into(),
        },
        target,
        command: command.into_iter().map(Text::from).collect(),
        requested_seconds: requested,
        label_mode,
        ..Session::default()
    }
}

/// Whoever started this program wants it to outlive its terminal, as nohup does.
#[cfg(unix)]
pub(crate) fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is signal 1, the lowest bit.
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

/// Why a window is partial that ended before its time although the user did not ask for it: somebody
/// deleted or evicted the probe. None where the probe itself gives another reason.
pub(crate) fn cut_from_outside(parts: &[Part], requested: Option<f64>) -> Option<String> {
    let window = parts.iter().find_map(|part| match part {
        Part::Window(window) => Some(window),
        _ => None,
    })?;
    if window.ended != Some(Ended::Stopped) {
        return None;
    }
    let of = requested.map_or_else(String::new, |seconds| format!(" of {seconds:.1} s"));
    Some(format!(
        "stopped after {:.1} s{of} by somebody else",
        window.seconds
    ))
}

/// Ten random hexadecimal digits, from the keys that std takes from the system.
fn id() -> String {
    let random = std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish();
    format!("{random:016x}")[..10].to_owned()
}

/// The longest window.
pub(crate) const MAX_SECONDS: f64 = 24.0 * 3600.0;

/// Parses a duration as kubectl takes it: `10s`, `1m30s`, `500ms`, `2h`, or plain seconds.
pub(crate) fn parse_duration(text: &str) -> Result<f64> {
    let seconds = seconds(text)
        .with_context(|| format!("`{text}` is no duration: write it as 30s, 1m30s or 500ms"))?;
    anyhow::ensure!(seconds > 0.0, "the duration must be above 0");
    anyhow::ensure!(
        seconds <= MAX_SECONDS,
        "the duration is above the limit of 24h"
    );
    Ok(seconds)
}

fn seconds(text: &str) -> Option<f64> {
    if let Ok(plain) = text.parse::<f64>() {
        return plain.is_finite().then_some(plain);
    }
    if let Some(positive) = text.strip_prefix('-') {
        return seconds(positive).map(|seconds| -seconds);
    }
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits =
            rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_end = rest
            .find(|character: char| character.is_ascii_digit())
            .unwrap_or(rest.len());
        total += number
            * match &rest[..unit_end] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use procmon_profile::wire::WindowReport;

    #[test]
    fn a_window_that_somebody_else_ended_says_so() {
        let cut = |ended| {
            let window = WindowReport {
                seconds: 2.04,
                ended: Some(ended),
                ..WindowReport::default()
            };
            cut_from_outside(&[Part::Window(window)], Some(8.0))
        };
        assert_eq!(
            cut(Ended::Stopped).as_deref(),
            Some("stopped after 2.0 s of 8.0 s by somebody else")
        );
        for other in [
            Ended::Over,
            Ended::TargetGone,
            Ended::Memory,
            Ended::ReaderGone,
        ] {
            assert_eq!(cut(other), None, "{other:?}");
        }
    }

    #[test]
    fn durations_are_read_as_kubectl_does() {
        for (text, expected) in [
            ("10s", 10.0),
            ("1m30s", 90.0),
            ("500ms", 0.5),
            ("2h", 7200.0),
            ("7", 7.0),
            ("1.5s", 1.5),
        ] {
            assert_eq!(parse_duration(text).ok(), Some(expected), "{text}");
        }
        for text in [
            "0", "0s", "-5s", "-1", "s", "10x", "", "25h", "inf", "NaN", "1s2",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
