//! Drawings: shapes with numbers, which the template writes as SVG. All colours are the style's.

use serde::Serialize;

/// A drawing.
#[derive(Default, Serialize)]
pub(super) struct Chart {
    pub(super) width: i64,
    pub(super) height: i64,
    /// Its content in one sentence, for who can't see it.
    pub(super) label: String,
    pub(super) shapes: Vec<Shape>,
    /// A sentence about what was left out.
    pub(super) left_out: String,
}

/// One shape. `class` is a word of the style, `title` is what a pointer over it shows.
#[derive(Serialize)]
#[serde(tag = "shape", rename_all = "lowercase")]
pub(super) enum Shape {
    Rect {
        x: i64,
        y: i64,
        width: i64,
        height: i64,
        class: &'static str,
        title: String,
    },
    Line {
        x1: i64,
        y1: i64,
        x2: i64,
        y2: i64,
        class: &'static str,
    },
    /// A curve from left to right.
    Link {
        d: String,
        width: String,
        class: &'static str,
        title: String,
    },
    /// A mark around a point.
    Mark {
        d: String,
        class: &'static str,
        title: String,
    },
    Text {
        x: i64,
        y: i64,
        class: &'static str,
        text: String,
        title: String,
    },
}

impl Shape {
    pub(super) fn text(x: i64, y: i64, class: &'static str, text: impl Into<String>) -> Self {
        Self::Text {
            x,
            y,
            class,
            text: text.into(),
            title: String::new(),
        }
    }

    /// A diamond.
    pub(super) fn diamond(x: i64, y: i64, size: i64, class: &'static str, title: String) -> Self {
        let (left, right, top, bottom) = (x - size, x + size, y - size, y + size);
        Self::Mark {
            d: format!("M{x} {top}L{right} {y}L{x} {bottom}L{left} {y}Z"),
            class,
            title,
        }
    }

    /// A curve between two points, level at both ends.
    pub(super) fn link(
        from: (i64, i64),
        to: (i64, i64),
        width: f64,
        class: &'static str,
        title: String,
    ) -> Self {
        let ((x1, y1), (x2, y2)) = (from, to);
        let middle = i64::midpoint(x1, x2);
        Self::Link {
            d: format!("M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"),
            width: format!("{width:.1}"),
            class,
            title,
        }
    }
}
