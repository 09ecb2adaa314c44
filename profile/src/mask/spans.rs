//! Parts of a text that have to go. Finders only name them; one place cuts them out.

use super::MASK;

/// A part of a text, of which the first `keep` bytes stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// First byte.
    pub(super) from: usize,
    /// Byte behind the last.
    pub(super) to: usize,
    /// Bytes at its beginning that stay.
    pub(super) keep: usize,
    /// Text behind the mask: quotes that would be missed.
    pub(super) tail: &'static str,
}

/// All parts of one text that have to go, in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    /// Hides a part.
    pub(super) fn hide(&mut self, from: usize, to: usize) {
        self.hide_but(from, to, 0);
    }

    /// Hides a part but for its first bytes.
    pub(super) fn hide_but(&mut self, from: usize, to: usize, keep: usize) {
        self.push(Span {
            from,
            to,
            keep,
            tail: "",
        });
    }

    pub(super) fn push(&mut self, span: Span) {
        if span.from < span.to {
            self.0.push(span);
        }
    }

    /// Adds those of a text within this one.
    pub(super) fn add(&mut self, inner: &Self, offset: usize) {
        self.0.extend(inner.0.iter().map(|span| Span {
            from: span.from + offset,
            to: span.to + offset,
            ..*span
        }));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Span> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text without them; None when nothing of it goes.
    pub(super) fn apply(mut self, text: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.sort_by_key(|span| (span.from, span.to));
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        let mut spans = self.0.into_iter().peekable();
        while let Some(mut span) = spans.next() {
            while let Some(next) = spans.next_if(|next| next.from < span.to) {
                // The least that one of them keeps.
                let kept = (span.from + span.keep).min((next.from + next.keep).max(span.from));
                span.keep = kept - span.from;
                if next.to > span.to {
                    (span.to, span.tail) = (next.to, next.tail);
                }
            }
            let from = text.floor_char_boundary(span.from.max(done));
            let to = text.ceil_char_boundary(span.to.min(text.len()));
            if from >= to {
                continue;
            }
            let kept = text.floor_char_boundary((span.from + span.keep).clamp(from, to));
            out += &text[done..kept];
            out += MASK;
            out += span.tail;
            done = to;
        }
        out += &text[done..];
        (out != text).then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_parts_become_one_that_keeps_the_least() {
        let mut spans = Spans::default();
        spans.hide_but(2, 8, 4);
        spans.hide(2, 6);
        spans.hide(9, 10);
        assert_eq!(spans.apply("abcdefghijk").as_deref(), Some("ab***i***k"));
        assert_eq!(Spans::default().apply("abc"), None);
    }

    #[test]
    fn a_character_is_never_cut() {
        let mut spans = Spans::default();
        spans.hide_but(1, 4, 1);
        assert_eq!(spans.apply("aüüb").as_deref(), Some("a***b"));
    }
}
