//! One program with its arguments: what names, letters and places say of each of them.

mod facts;
mod operand;

pub(super) use facts::{Fed, reads};

use super::habits::{self, Habit, Takes, Traits};
use super::names::{self, Meaning, Secrecy};
use super::spans::Spans;
use super::value::{self, Shape, Verdict};
use super::{How, MASK, text};
use facts::{Facts, base, has_user, is_assignment, is_long_name, is_script_option, program};

/// The meaning of the next argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Plain,
    /// The value of a name.
    Value(Meaning),
    /// Several values in a row.
    Values(Meaning, u8),
    Takes(Takes),
    /// A name whose value is the one behind it.
    Name,
    /// A command line.
    Script,
    /// A command line that prints a credential.
    Printer,
}

/// The parts of each argument that have to go. `given`: what the program behind a pipe reads.
pub(super) fn mask(words: &[&str], how: How, given: Fed) -> Vec<Spans> {
    let mut out = vec![Spans::default(); words.len()];
    let facts = Facts::of(words);
    let mut reader = Reader {
        words,
        how,
        facts,
        next: Next::Plain,
        habit: None,
        program: program(words),
        traits: habits::traits(program(words)),
        begun: false,
        has_user: has_user(words),
        places: Vec::new(),
        verb: None,
    };
    for (place, spans) in out.iter_mut().enumerate() {
        reader.word(place, spans);
    }
    if given != Fed::No
        && matches!(
            reader.program_at_start(),
            "echo" | "printf" | "print" | "yes"
        )
    {
        let is_printf = reader.program_at_start() == "printf";
        for (place, word) in words.iter().enumerate().skip(1) {
            let is_format = is_printf && place == 1 && word.contains('%');
            if !is_format && !matches!(*word, "-n" | "-e" | "-ne" | "-en") {
                input(word, given, &mut out[place]);
            }
        }
    }
    out
}

/// Masks a text as far as the program that reads it requires.
pub(super) fn input(word: &str, reads: Fed, spans: &mut Spans) {
    let from = match reads {
        Fed::No => return,
        Fed::Secret => 0,
        Fed::Pair => word.find(':').map_or(word.len(), |sign| sign + 1),
    };
    if word[from..].trim() != MASK && judge_any(&word[from..]) {
        spans.hide(from, word.len());
    }
}

fn judge_any(value: &str) -> bool {
    let meaning = Meaning {
        digits: true,
        ..Meaning::STRONG
    };
    value::judge(value, meaning) == Verdict::Goes
}

/// A walk over the arguments.
struct Reader<'a> {
    words: &'a [&'a str],
    how: How,
    facts: Facts,
    next: Next,
    habit: Option<&'static Habit>,
    /// The program whose arguments these are.
    program: &'a str,
    traits: Traits,
    /// The program was named.
    begun: bool,
    has_user: Vec<bool>,
    /// Places of credentials among the arguments that are not options, counted down.
    places: Vec<usize>,
    /// The last word that sets something, and its place.
    verb: Option<usize>,
}

impl<'a> Reader<'a> {
    fn program_at_start(&self) -> &'a str {
        program(self.words)
    }

    fn word(&mut self, place: usize, spans: &mut Spans) {
        let word = self.words[place];
        if word.is_empty() {
            self.next = Next::Plain;
            return;
        }
        // A place counts more than what the word before says of it.
        let is_guess = matches!(self.next, Next::Plain) || self.next == Next::Value(Meaning::WEAK);
        let is_operand = !word.starts_with('-') && !word.trim_end_matches('=').contains('=');
        let is_placed = is_operand && self.is_placed();
        if is_placed && (is_guess || matches!(self.next, Next::Value(_))) {
            self.next = Next::Plain;
            return self.value(
                word,
                0,
                Meaning {
                    digits: true,
                    ..Meaning::STRONG
                },
                spans,
            );
        }
        if self.pending(place, word, spans) {
            return;
        }
        let begins = !self.begun && !is_assignment(word);
        self.begun |= begins;
        if begins || self.begun && self.names_program(place) {
            if let Some(habit) = habits::of(word) {
                self.habit = Some(habit);
                self.places = habit
                    .places
                    .iter()
                    .filter(|(verb, _)| verb.is_empty())
                    .map(|(_, at)| *at)
                    .collect();
            } else if !begins && self.is_marked(place) {
                self.habit = None;
                self.places.clear();
            }
            if begins || habits::of(word).is_some() || self.is_marked(place) {
                self.program = base(word);
                self.traits = habits::traits(self.program);
                self.plain(word, place, spans);
                return;
            }
        }
        if self.by_habit(place, word, spans) {
            return;
        }
        if word.starts_with('-')
            || word.starts_with('/') && !word.starts_with("//") && word.contains(':')
        {
            self.option(place, word, spans);
        } else {
            self.operand(place, word, spans);
        }
    }

    /// The value that the word before announced.
    fn pending(&mut self, place: usize, word: &str, spans: &mut Spans) -> bool {
        let next = std::mem::replace(&mut self.next, Next::Plain);
        let is_option = value::is_option(word)
            && word.len() > 1
            && !value::is_mixed(word.trim_start_matches('-'));
        match next {
            Next::Printer => {
                self.printer(word, 0, spans);
                true
            }
            Next::Script => {
                self.ordinary(word, 0, spans);
                true
            }
            Next::Takes(takes)
                if !is_option
                    || takes == Takes::Next && word.len() > 3 && !word.starts_with("--") =>
            {
                self.take(takes, word, 0, spans);
                true
            }
            // `-n node.session.auth.password -v value`.
            Next::Value(_) if matches!(word, "-v" | "--value") => {
                self.next = next;
                true
            }
            Next::Value(_) | Next::Values(..) | Next::Takes(_) if is_option => false,
            Next::Name => {
                let meaning = names::meaning(word);
                if meaning.secrecy >= Secrecy::Weak {
                    self.next = Next::Value(Meaning::STRONG);
                }
                true
            }
            Next::Value(meaning) | Next::Values(meaning, _) => {
                if let Next::Values(meaning, left) = next
                    && left > 1
                {
                    self.next = Next::Values(meaning, left - 1);
                }
                // `config set --secret dbPassword x`: a name instead.
                let follows = self
                    .words
                    .get(place + 1)
                    .is_some_and(|next| !next.starts_with('-'));
                if follows && self.verb.is_some() && names::is_bare_name(word) {
                    self.next = Next::Value(Meaning::STRONG);
                    return true;
                }
                self.value(word, 0, meaning, spans);
                true
            }
            Next::Plain | Next::Takes(_) => false,
        }
    }

    /// Whether a program has to stand here.
    fn is_marked(&self, place: usize) -> bool {
        place.checked_sub(1).is_some_and(|before| {
            matches!(
                self.words[before],
                "--" | "-exec" | "-execdir" | "-ok" | "exec" | ";" | "then" | "do" | "{" | "!"
            )
        })
    }

    /// Whether a program may be named here.
    fn names_program(&self, place: usize) -> bool {
        // `set wpa_passphrase x`.
        if place == 0 || self.verb == Some(place - 1) {
            return false;
        }
        let word = self.words[place];
        if word.starts_with('-') || word.contains('=') {
            return false;
        }
        self.is_marked(place)
            || !self.traits.names
                && (self.program != "docker" || place < 3 || self.words.contains(&"exec"))
    }

    /// An option of a known program.
    fn by_habit(&mut self, place: usize, word: &str, spans: &mut Spans) -> bool {
        if let Some(habit) = self.habit
            && word.starts_with('-')
        {
            let letters = word.strip_prefix('-').unwrap_or_default();
            let before = letters.len()
                - letters
                    .trim_start_matches(|letter| habit.flags.contains(letter))
                    .len();
            let short = format!("-{}", &letters[before..]);
            for (name, takes) in habit.options {
                if word == *name || short == *name && before > 0 {
                    if !matches!(takes, Takes::Rest | Takes::Other) {
                        self.next = Next::Takes(*takes);
                    }
                    return true;
                }
                let rest = if name.starts_with("--") {
                    word.strip_prefix(name)
                        .and_then(|rest| rest.strip_prefix('='))
                } else if name.len() < 4 && !word.starts_with("--") && *takes != Takes::Next {
                    short.strip_prefix(name)
                } else {
                    None
                };
                if let Some(rest) = rest
                    && !is_long_name(word)
                {
                    if *takes != Takes::Other {
                        self.take(*takes, rest, word.len() - rest.len(), spans);
                    }
                    return true;
                }
            }
        }
        // `-u user -p password`: what no table knows.
        if self.has_user[place] && matches!(word, "-p" | "-P" | "--pw" | "-pw" | "-w") {
            self.next = Next::Value(Meaning::STRONG);
            return true;
        }
        if self.has_user[place]
            && let Some(rest) = word.strip_prefix("/p:")
        {
            self.value(rest, 3, Meaning::STRONG, spans);
            return true;
        }
        if matches!(
            word,
            "-u" | "-U" | "--user" | "--username" | "--userpass" | "--proxy-user"
        ) && !self.traits.groups
        {
            self.next = Next::Takes(if word == "-U" {
                Takes::Percent
            } else {
                Takes::Pair
            });
            return true;
        }
        // `-pS3cr3tVal` of a program that no table knows.
        if let Some(rest) = word.strip_prefix("-p").or_else(|| word.strip_prefix("-P"))
            && rest.len() > 5
            && value::is_mixed(rest)
        {
            spans.hide(2, word.len());
            return true;
        }
        false
    }

    /// Masks the value that a letter announced. `from`: where the value begins in its argument.
    fn take(&self, takes: Takes, value: &str, from: usize, spans: &mut Spans) {
        let sign = match takes {
            Takes::Other => return,
            Takes::Value | Takes::Rest | Takes::Next => {
                return self.value(
                    value,
                    from,
                    Meaning {
                        digits: true,
                        ..Meaning::STRONG
                    },
                    spans,
                );
            }
            Takes::Cookies => {
                let meaning = Meaning {
                    cookies: true,
                    ..Meaning::STRONG
                };
                return self.value(value, from, meaning, spans);
            }
            Takes::Pair => ':',
            Takes::Percent => '%',
            Takes::Comma => ',',
        };
        let Some((user, password)) = value.split_once(sign) else {
            return self.value(value, from, Meaning::WEAK, spans);
        };
        let at = from + user.len() + 1;
        if user.starts_with(['/', '{']) && takes == Takes::Pair && !value::is_path(user)
            || value::is_url(value)
        {
            return self.ordinary(value, from, spans);
        }
        if password.is_empty() {
            // A token in the place of the user.
            if takes == Takes::Pair && judge_any(user) {
                spans.hide(from, from + user.len());
            }
            return;
        }
        let is_group = user == password
            || user.bytes().all(|byte| byte.is_ascii_digit())
                && password.bytes().all(|byte| byte.is_ascii_digit());
        // `user:password@host`.
        let end = password
            .rfind('@')
            .filter(|at| *at > 0)
            .unwrap_or(password.len());
        let password = &password[..end];
        if !is_group {
            self.value(
                password,
                at,
                Meaning {
                    digits: true,
                    ..Meaning::STRONG
                },
                spans,
            );
            let mut of_user = Spans::default();
            self.ordinary(user, 0, &mut of_user);
            spans.add(&of_user, from);
        }
    }

    /// `--name`, `--name=value`, `-name:value`, `/name:value`.
    fn option(&mut self, place: usize, word: &str, spans: &mut Spans) {
        let sign = word.find(['=', ':']).filter(|sign| {
            word[..*sign]
                .bytes()
                .all(|byte| text::is_name(byte) || byte == b'/')
        });
        let name = sign.map_or(word, |sign| &word[..sign]);
        if word.starts_with('/') && name[1..].contains('/') {
            return self.plain(word, place, spans);
        }
        let mut meaning = names::meaning(name);
        let is_named = matches!(
            name.trim_start_matches('-'),
            "value"
                | "body"
                | "secret-string"
                | "from-literal"
                | "string-value"
                | "parameter-value"
                | "secret-value"
                | "secret-binary"
        );
        if self.facts.writes && is_named {
            meaning = Meaning::STRONG;
        } else if self.facts.secrets && name == "--secret" {
            // `secrets access --secret NAME`.
            return self.ordinary(
                &word[sign.map_or(0, |sign| sign + 1)..],
                sign.map_or(0, |sign| sign + 1),
                spans,
            );
        }
        match sign {
            Some(sign) if sign + 1 < word.len() => {
                if names::is_of_command(name) {
                    self.printer(&word[sign + 1..], sign + 1, spans);
                } else if is_named && self.facts.writes {
                    self.setting(&word[sign + 1..], sign + 1, spans);
                } else {
                    self.assigned(place, word, sign, meaning, spans);
                }
            }
            Some(sign) if word.len() == sign + 1 && meaning.secrecy == Secrecy::Strong => {
                self.next = Next::Value(meaning);
            }
            Some(_) => {}
            None => {
                self.next = match name {
                    "--arg" | "--argjson" | "--stringparam" | "--param" => Next::Name,
                    _ if names::is_of_command(name) => Next::Printer,
                    _ if self.facts.runs && is_script_option(name) => Next::Script,
                    "-c" | "-e" | "-t" | "-i" | "-k" | "-a" | "-o" | "-x" => Next::Plain,
                    _ if is_named && self.facts.writes => {
                        self.next = Next::Plain;
                        if let Some(next) = self.words.get(place + 1)
                            && next.contains('=')
                        {
                            // `--from-literal name=value`.
                            Next::Plain
                        } else {
                            Next::Value(Meaning::STRONG)
                        }
                    }
                    "--sentinel" => Next::Plain,
                    _ if meaning.secrecy > Secrecy::None => {
                        if name.trim_start_matches('-') == "auth-pass" {
                            Next::Values(meaning, 2)
                        } else {
                            Next::Value(meaning)
                        }
                    }
                    _ => Next::Plain,
                };
                self.strictly(word, Shape::Option, spans);
                let mut found = Spans::default();
                text::scan(word, &mut found);
                spans.add(&found, 0);
            }
        }
    }
}
