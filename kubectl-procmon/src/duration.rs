//! Durations as kubectl takes them, in seconds.

use anyhow::{Context as _, Result};

/// The longest window.
const MAX_SECONDS: f64 = 24.0 * 3600.0;

/// Parses a duration as kubectl takes it: `10s`, `1m30s`, `500ms`, `2h`, or plain seconds.
pub(crate) fn parse(text: &str) -> Result<f64> {
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
            assert_eq!(parse(text).ok(), Some(expected), "{text}");
        }
        for text in [
            "0", "0s", "-5s", "-1", "s", "10x", "", "25h", "inf", "NaN", "1s2",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
