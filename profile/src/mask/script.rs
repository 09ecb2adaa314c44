//! Command lines of a shell as words, and words back to their places in the text.

use super::How;
use super::command::{self, Fed};
use super::spans::{Span, Spans};
use super::text;

/// A word without its quotes, and where each of its bytes stands.
#[derive(Debug, Default)]
struct Word {
    plain: String,
    /// Place in the text, by byte of `plain`.
    places: Vec<u32>,
    /// The quote around it, or 0, by byte of `plain`.
    quotes: Vec<u8>,
    /// The text that a command reads, given by `<<<`.
    is_input: bool,
}

impl Word {
    fn push(&mut self, text: &str, place: usize, quote: u8) {
        let length = text[place..].chars().next().map_or(1, char::len_utf8);
        self.plain += &text[place..place + length];
        for place in place..place + length {
            self.places.push(u32::try_from(place).unwrap_or(u32::MAX));
            self.quotes.push(quote);
        }
    }

    /// Brings what has to go to its places in the text.
    fn map(&self, spans: &Spans, out: &mut Spans) {
        let place = |byte: usize| self.places.get(byte).map(|place| *place as usize);
        for span in spans.iter() {
            let (Some(from), Some(last)) = (place(span.from), span.to.checked_sub(1)) else {
                continue;
            };
            let Some(to) = place(last) else {
                continue;
            };
            let kept = place(span.from + span.keep).unwrap_or(to);
            let tail = match (self.quotes[span.from], self.quotes[last]) {
                (b'"', b'\'') => "\"'",
                (b'\'', b'"') => "'\"",
                (0, b'"') | (b'"', 0) => "\"",
                (0, b'\'') | (b'\'', 0) => "'",
                _ => "",
            };
            out.push(Span {
                from,
                to: to + 1,
                keep: kept - from,
                tail,
            });
        }
    }
}

/// One program with its arguments.
#[derive(Debug, Default)]
struct Command {
    words: Vec<Word>,
    /// Its output is the input of the next one.
    is_piped: bool,
    /// Texts that it reads, given by `<<`.
    documents: Vec<(usize, usize)>,
}

/// Whether a text has to be read as a command line: it has several words.
pub(super) fn is_one(text: &str) -> bool {
    text.contains(|sign: char| sign.is_whitespace() || matches!(sign, ';' | '|' | '`'))
        || text.contains("$(")
}

/// Hides what the command lines of a text hold.
pub(super) fn scan(text: &str, how: How, spans: &mut Spans) {
    scan_for(text, how, Fed::No, spans);
}

/// The same, where what the last of them prints is read as `given`.
pub(super) fn scan_for(text: &str, how: How, given: Fed, spans: &mut Spans) {
    let last = given;
    let Some(how) = how.deeper() else {
        return;
    };
    let mut inner = Vec::new();
    let commands = Lexer::read(text, &mut inner);
    for (from, to) in inner {
        let mut found = Spans::default();
        scan(&text[from..to], how, &mut found);
        spans.add(&found, from);
    }
    // The kind of text that the programs behind a pipe read.
    let mut fed = Fed::No;
    let mut all = Vec::with_capacity(commands.len());
    for (place, command) in commands.iter().enumerate().rev() {
        let words: Vec<&str> = command
            .words
            .iter()
            .map(|word| word.plain.as_str())
            .collect();
        let given = match command.is_piped {
            true => fed,
            false if place + 1 == commands.len() => last,
            false => Fed::No,
        };
        let reads = command::reads(&words);
        all.push((words, given, reads));
        fed = if reads == Fed::No && command.is_piped {
            fed
        } else {
            reads
        };
    }
    for (command, (words, given, reads)) in commands.iter().zip(all.into_iter().rev()) {
        let found = command::mask(&words, how, given);
        for (word, mut found) in command.words.iter().zip(found) {
            if word.is_input {
                command::input(&word.plain, reads, &mut found);
            }
            word.map(&found, spans);
        }
        let input = if reads == Fed::No { given } else { reads };
        for (from, to) in &command.documents {
            document(text, *from, *to, how, input, spans);
        }
    }
}

/// A text behind `<<`: what is read, lines of a file, or more commands.
fn document(text: &str, from: usize, to: usize, how: How, reads: Fed, spans: &mut Spans) {
    let body = &text[from..to];
    let mut found = Spans::default();
    if reads != Fed::No {
        let mut place = 0;
        for line in body.split_inclusive('\n') {
            let mut of_line = Spans::default();
            command::input(line.trim_end(), reads, &mut of_line);
            found.add(&of_line, place);
            place += line.len();
        }
    }
    text::scan(body, &mut found);
    scan(body, how, &mut found);
    spans.add(&found, from);
}

/// Reads a text once, from its beginning to its end.
struct Lexer<'a> {
    text: &'a str,
    place: usize,
    commands: Vec<Command>,
    command: Command,
    word: Option<Word>,
    next_is_input: bool,
    /// Ends of documents that begin at the next line.
    awaited: Vec<&'a str>,
}

impl<'a> Lexer<'a> {
    /// The commands of a text, and the places of those within `$(…)` and backticks.
    fn read(text: &'a str, inner: &mut Vec<(usize, usize)>) -> Vec<Command> {
        let mut lexer = Self {
            text,
            place: 0,
            commands: Vec::new(),
            command: Command::default(),
            word: None,
            next_is_input: false,
            awaited: Vec::new(),
        };
        while lexer.place < text.len() {
            lexer.step(inner);
        }
        lexer.end_command(false);
        lexer.commands
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text
            .as_bytes()
            .get(self.place + ahead)
            .copied()
            .unwrap_or(0)
    }

    fn step(&mut self, inner: &mut Vec<(usize, usize)>) {
        match self.byte(0) {
            b'\n' => {
                self.end_command(false);
                self.place += 1;
                self.documents();
            }
            b'|' | b'&' | b';' | b'(' | b')' => {
                let is_pipe = self.byte(0) == b'|' && self.byte(1) != b'|';
                self.end_command(is_pipe);
                self.place += if is_pipe && self.byte(1) == b'&' {
                    2
                } else {
                    1
                };
            }
            b'<' | b'>' => self.redirection(),
            byte if byte.is_ascii_whitespace() => {
                self.end_word();
                self.place += 1;
            }
            quote @ (b'"' | b'\'') => {
                self.word.get_or_insert_default();
                self.place += 1;
                self.quoted(quote, inner);
            }
            _ => self.sign(0, inner),
        }
    }

    fn quoted(&mut self, quote: u8, inner: &mut Vec<(usize, usize)>) {
        while self.place < self.text.len() {
            if self.byte(0) == quote {
                self.place += 1;
                return;
            }
            if quote == b'\'' {
                self.push(quote);
            } else {
                self.sign(quote, inner);
            }
        }
    }

    /// One sign, an escape, or what is run in its place.
    fn sign(&mut self, quote: u8, inner: &mut Vec<(usize, usize)>) {
        match self.byte(0) {
            b'\\' => self.escape(quote),
            b'`' => {
                let from = self.place + 1;
                let to = self.text[from..]
                    .find('`')
                    .map_or(self.text.len(), |end| from + end);
                inner.push((from, to));
                self.push_to((to + 1).min(self.text.len()), quote);
            }
            b'$' if self.byte(1) == b'(' => {
                let from = self.place + 2;
                let to = self.bracket(from);
                inner.push((from, to));
                self.push_to((to + 1).min(self.text.len()), quote);
            }
            _ => self.push(quote),
        }
    }

    /// A backslash. The document doubles them: of two, one is the shell's.
    fn escape(&mut self, quote: u8) {
        let length = self.text[self.place..]
            .bytes()
            .take_while(|byte| *byte == b'\\')
            .count();
        let count = if length % 2 == 0 { length / 2 } else { length };
        let next = self.byte(length);
        let escapes = count % 2 == 1
            && (matches!(next, b'"' | b'$' | b'`')
                || quote == 0 && b" '\t;|&()<>\n".contains(&next));
        if escapes {
            self.place += length;
            if next == b'\n' {
                self.place += 1;
            } else {
                self.push(quote);
            }
        } else {
            self.push_to(self.place + length, quote);
        }
    }

    fn push(&mut self, quote: u8) {
        let text = self.text;
        let place = self.place;
        self.word.get_or_insert_default().push(text, place, quote);
        self.place += text[place..].chars().next().map_or(1, char::len_utf8);
    }

    fn push_to(&mut self, end: usize, quote: u8) {
        while self.place < end {
            self.push(quote);
        }
    }

    /// Place of the bracket that closes one, or the end.
    fn bracket(&self, from: usize) -> usize {
        let (mut depth, mut quote) = (1_usize, 0);
        for (place, byte) in self.text.bytes().enumerate().skip(from) {
            match byte {
                _ if byte == quote => quote = 0,
                _ if quote != 0 => {}
                b'\'' | b'"' => quote = byte,
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        return place;
                    }
                }
                _ => {}
            }
        }
        self.text.len()
    }

    /// `>`, `2>&1`, `<<EOF`, `<<<`.
    fn redirection(&mut self) {
        self.end_word();
        let length = self.text[self.place..]
            .bytes()
            .take_while(|byte| *byte == self.byte(0))
            .count();
        let is_in = self.byte(0) == b'<';
        self.place += length.min(3);
        if is_in && length == 3 {
            self.next_is_input = true;
        } else if is_in && length == 2 {
            let rest = &self.text[self.place..];
            let rest = rest.trim_start_matches(['-', ' ', '\'', '"', '\\']);
            let end = rest
                .find(|sign: char| !sign.is_alphanumeric() && sign != '_')
                .unwrap_or(rest.len());
            if end > 0 && self.awaited.len() < 8 {
                self.awaited.push(&rest[..end]);
            }
        } else if matches!(self.byte(0), b'&' | b'|') {
            self.place += 1;
        }
    }

    /// The documents that begin here.
    fn documents(&mut self) {
        for mark in std::mem::take(&mut self.awaited) {
            let from = self.place;
            let mut place = from;
            let mut to = self.text.len();
            for line in self.text[from..].split_inclusive('\n') {
                if line.trim() == mark {
                    to = place;
                    place += line.len();
                    break;
                }
                place += line.len();
            }
            self.place = place.max(to).min(self.text.len());
            if let Some(command) = self.commands.last_mut() {
                command.documents.push((from, to));
            }
        }
    }

    fn end_word(&mut self) {
        if let Some(mut word) = self.word.take() {
            word.is_input = std::mem::take(&mut self.next_is_input);
            self.command.words.push(word);
        }
    }

    fn end_command(&mut self, is_piped: bool) {
        self.end_word();
        if self.command.words.is_empty() {
            return;
        }
        let mut command = std::mem::take(&mut self.command);
        command.is_piped = is_piped;
        self.commands.push(command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        Lexer::read(text, &mut Vec::new())
            .into_iter()
            .map(|command| command.words.into_iter().map(|word| word.plain).collect())
            .collect()
    }

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, expected) in [
            (
                "a b; c|d && e",
                vec![vec!["a", "b"], vec!["c"], vec!["d"], vec!["e"]],
            ),
            ("a 'b c'\"d e\"f", vec![vec!["a", "b cd ef"]]),
            ("a \\\\\"b c", vec![vec!["a", "\"b", "c"]]),
            ("x=$(a b|c) d", vec![vec!["x=$(a b|c)", "d"]]),
            ("a > b 2>&1", vec![vec!["a", "b", "2", "1"]]),
            ("cat <<E\nx y\nE\nls", vec![vec!["cat", "E"], vec!["ls"]]),
            ("'ünï", vec![vec!["ünï"]]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }
}
