//! One program with its arguments: what names, letters and places say of each of them.

use super::habits::{self, Habit, Takes, Traits};
use super::names::{self, Meaning, Secrecy};
use super::spans::Spans;
use super::value::{self, Shape, Verdict};
use super::{How, MASK, commands, script, text};

/// What a program reads from its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// Nothing that is known to be a credential.
    No,
    /// A credential.
    Secret,
    /// `user:password`.
    Pair,
}

/// What the next argument is.
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

/// What all arguments together say.
#[expect(clippy::struct_excessive_bools, reason = "one answer per question")]
struct Facts {
    /// A credential is written: each `name=value` holds one.
    writes: bool,
    /// It is about objects that are called secrets.
    secrets: bool,
    /// Words are patterns or messages.
    patterns: bool,
    /// A shell, or what runs the command lines of others.
    runs: bool,
}

/// Objects that hold credentials.
const NOUNS: [&str; 6] = [
    "secret",
    "secrets",
    "credential",
    "credentials",
    "secret-value",
    "securestring",
];
/// What writes one.
const VERBS: [&str; 8] = [
    "create", "put", "set", "add", "write", "update", "patch", "new",
];

impl Facts {
    fn of(words: &[&str]) -> Self {
        let program = program(words);
        let traits = habits::traits(program);
        let ends_with = |word: &str, end: &str| {
            word.len() >= end.len() && word.is_char_boundary(word.len() - end.len()) && {
                let (begin, last) = word.split_at(word.len() - end.len());
                last.eq_ignore_ascii_case(end) && (begin.is_empty() || begin.ends_with('-'))
            }
        };
        let is_noun = |word: &str| {
            word.len() < 40
                && !word.starts_with('-')
                && !word.contains(['=', '/', '.', ':'])
                && NOUNS.iter().any(|noun| ends_with(word, noun))
        };
        let is_verb = |word: &&str| {
            word.len() < 40
                && VERBS.iter().any(|verb| {
                    word.get(..verb.len())
                        .is_some_and(|begin| begin.eq_ignore_ascii_case(verb))
                        && matches!(word.as_bytes().get(verb.len()), None | Some(b'-' | b':'))
                })
        };
        let head = &words[..words.len().min(64)];
        let writes = head.iter().any(is_verb)
            && (head.iter().any(|word| is_noun(word))
                || matches!(program, "vault" | "bao")
                    && head.iter().any(|word| matches!(*word, "kv" | "put")));
        Self {
            writes,
            secrets: head.iter().skip(1).any(|word| is_noun(word)),
            patterns: traits.patterns,
            runs: traits.texts,
        }
    }
}

/// The name of the program, behind what is set for it.
fn program<'a>(words: &[&'a str]) -> &'a str {
    words
        .iter()
        .find(|word| !is_assignment(word))
        .map_or("", |word| base(word))
}

/// `NAME=value` before a program.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.as_bytes()[0].is_ascii_digit()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// The last part of a program's path.
fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

/// What has to go of each argument. `given`: what the program behind a pipe reads.
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

/// What a program reads hides as much of a text.
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

/// What a program with these arguments reads from its input.
pub(super) fn reads(words: &[&str]) -> Fed {
    let Some(first) = words.first() else {
        return Fed::No;
    };
    let names_program = |name: &str| words.iter().take(8).any(|word| base(word) == name);
    if names_program("chpasswd") {
        return Fed::Pair;
    }
    let asks = words.iter().any(|word| {
        let option = word.trim_start_matches('-');
        word.starts_with('-')
            && (matches!(
                option,
                "stdin"
                    | "with-token"
                    | "passphrase-fd"
                    | "password-fd"
                    | "passwd-fd"
                    | "pass-stdin"
            ) || option.ends_with("stdin")
                && names::meaning(option.trim_end_matches("-stdin").trim_end_matches("_stdin"))
                    .secrecy
                    >= Secrecy::Likely)
    });
    let sudo = base(first) == "sudo"
        && words
            .iter()
            .skip(1)
            .take_while(|word| word.starts_with('-'))
            .any(|word| *word == "--stdin" || !word.starts_with("--") && word.contains('S'));
    let programs = [
        "passwd",
        "smbpasswd",
        "kinit",
        "cryptsetup",
        "saslpasswd2",
        "sshpass",
        "ssh-add",
    ];
    let openssl = base(first) == "openssl" && words.contains(&"stdin");
    // `docker secret create name -`, `kubectl create secret … --from-file=x=/dev/stdin`.
    let writes = words.contains(&"secret")
        && words
            .iter()
            .any(|word| matches!(*word, "create" | "set" | "put"))
        && words
            .iter()
            .any(|word| *word == "-" || word.ends_with("=-") || word.ends_with("/dev/stdin"));
    let vault = matches!(base(first), "vault" | "bao")
        && words.iter().any(|word| matches!(*word, "login" | "unseal"));
    if asks
        || sudo
        || openssl
        || vault
        || writes
        || programs.iter().any(|name| base(first) == *name)
    {
        Fed::Secret
    } else {
        Fed::No
    }
}

/// By argument: a user is named beside it, by the same program.
fn has_user(words: &[&str]) -> Vec<bool> {
    let mut has = vec![false; words.len()];
    let mut start = 0;
    for end in 1..=words.len() {
        let begins = end == words.len()
            || !words[end].starts_with('-')
                && (commands::is_known(words[end]) || habits::of(words[end]).is_some())
                && !words[end - 1].starts_with('-');
        if begins {
            let named = words[start..end].iter().any(|word| {
                matches!(
                    *word,
                    "-u" | "-U"
                        | "--user"
                        | "--username"
                        | "-username"
                        | "-user"
                        | "--login"
                        | "-l"
                        | "login"
                ) || ["--user=", "--username=", "/u:", "/user:"]
                    .iter()
                    .any(|name| word.starts_with(name))
                    || word
                        .strip_prefix("-u")
                        .is_some_and(|rest| rest.len() > 2 && !rest.starts_with('n'))
            });
            has[start..end].fill(named);
            start = end;
        }
    }
    has
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
    /// Places of credentials among those that are no options, counted down.
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

    /// What a letter announced. `from`: where the value begins in its argument.
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

    /// A word that is no option: an assignment, a name, a verb, or anything else.
    fn operand(&mut self, place: usize, word: &str, spans: &mut Spans) {
        // QEMU: `-object secret,id=s0,data=…`.
        if let Some(data) = word
            .strip_prefix("secret,")
            .and_then(|_| word.find(",data="))
        {
            return self.value(&word[data + 6..], data + 6, Meaning::STRONG, spans);
        }
        if self.traits.code && word.contains([';', '(', '"', '\'', ' ']) {
            return self.plain(word, place, spans);
        }
        let sign = word.find('=').filter(|sign| {
            *sign > 0
                && word[..*sign]
                    .bytes()
                    .all(|byte| text::is_name(byte) || b"/:@[]".contains(&byte))
        });
        if let Some(sign) = sign {
            if self.facts.writes {
                self.setting(word, 0, spans);
                return;
            }
            let meaning = names::meaning(&word[..sign]);
            if word.len() == sign + 1 {
                if meaning.secrecy == Secrecy::Strong && !self.how.certain {
                    self.next = Next::Value(meaning);
                }
                return;
            }
            return self.assigned(place, word, sign, meaning, spans);
        }
        if self.by_place(word, place, spans) {
            return;
        }
        const SETTERS: [&str; 11] = [
            "update",
            "set",
            "put",
            "add",
            "config",
            "configure",
            "write",
            "modify",
            "setex",
            "create",
            "setuser",
        ];
        if SETTERS.iter().any(|verb| verb.eq_ignore_ascii_case(word)) {
            self.verb = Some(place);
        }
        self.bare(place, word);
        self.plain(word, place, spans);
    }

    /// Counts an argument; whether a credential was expected here.
    fn is_placed(&mut self) -> bool {
        let mut found = false;
        self.places.retain_mut(|left| {
            found |= *left == 0;
            let stays = *left > 0;
            *left = left.saturating_sub(1);
            stays
        });
        found
    }

    /// A credential by its place among the arguments.
    fn by_place(&mut self, word: &str, place: usize, spans: &mut Spans) -> bool {
        if let Some(habit) = self.habit {
            self.places.extend(
                habit
                    .places
                    .iter()
                    .filter(|(verb, _)| *verb == word)
                    .map(|(_, at)| *at),
            );
        }
        // `htpasswd -nb user password`: the last of several.
        let is_last = self.words[place + 1..]
            .iter()
            .all(|word| word.starts_with('-'));
        if self.program == "htpasswd"
            && is_last
            && place > 1
            && !self.words[place - 1].ends_with(['c', 'D'])
        {
            self.value(word, 0, Meaning::STRONG, spans);
            return true;
        }
        if self.program == "chpasswd" && word.contains(':') {
            input(word, Fed::Pair, spans);
            return true;
        }
        // `system/password@host`, `domain/user:password@host`.
        if self.traits.logins
            && let Some((login, _)) = word.rsplit_once('@')
            && let Some(slash) = login.find('/')
        {
            let from = login[slash..]
                .find(':')
                .map_or(slash, |colon| slash + colon)
                + 1;
            let password = login[from..].trim_matches('"');
            let from = from + usize::from(login[from..].starts_with('"'));
            self.value(
                password,
                from,
                Meaning {
                    digits: true,
                    ..Meaning::STRONG
                },
                spans,
            );
            return true;
        }
        // Redis: `ACL SETUSER name >password`.
        if let Some(rest) = word.strip_prefix(['>', '#']).filter(|rest| rest.len() > 2)
            && self.program.contains("redis")
        {
            self.value(rest, 1, Meaning::STRONG, spans);
            return true;
        }
        false
    }

    /// A word without a dash that names a credential, which is the next word then.
    fn bare(&mut self, place: usize, word: &str) {
        if self.facts.patterns && self.verb.is_none() || place == 0 {
            return;
        }
        let Some(next) = self.words.get(place + 1) else {
            return;
        };
        let is_last = place + 2 >= self.words.len();
        // `redis-cli AUTH [user] password`.
        let is_redis = ["redis", "valkey", "keydb"]
            .iter()
            .any(|name| self.program.starts_with(name));
        if word == "AUTH" || is_redis && word.eq_ignore_ascii_case("auth") {
            self.next = if is_last {
                Next::Value(Meaning::STRONG)
            } else {
                Next::Values(Meaning::STRONG, 2)
            };
            return;
        }
        if word == "auth-pass" {
            self.next = Next::Values(Meaning::STRONG, 2);
            return;
        }
        // `connect to x user me using password`, `token set password`.
        let before = place.checked_sub(1).map_or("", |before| self.words[before]);
        let is_using = word == "using" && self.words[..place].contains(&"user");
        let is_set_of = matches!(word, "set" | "add")
            && matches!(
                before,
                "token" | "password" | "passwd" | "passphrase" | "apikey" | "api-key"
            );
        if is_using || is_set_of {
            self.next = Next::Value(Meaning::STRONG);
            return;
        }
        let is_set = self.verb.is_some();
        let follows_verb = place.checked_sub(1) == self.verb && is_set;
        let meaning = names::meaning(word.rsplit('/').next().unwrap_or_default());
        let is_noun = matches!(*next, "set" | "add" | "create" | "list" | "get" | "delete");
        if meaning.secrecy == Secrecy::None && !is_verb(word) || is_noun {
            return;
        }
        // `put /app/password value`.
        if follows_verb
            && word.contains(['/', ':'])
            && meaning.secrecy == Secrecy::Strong
            && !next.starts_with('-')
        {
            self.next = Next::Value(Meaning::STRONG);
            return;
        }
        let word = word.trim_start_matches(':');
        let resets = ["reset", "set", "change"].iter().any(|verb| {
            word.strip_prefix(verb)
                .is_some_and(|rest| rest.starts_with(['-', '_']))
        });
        let is_set = is_set || resets;
        let last = word
            .rsplit(['_', '-', '.'])
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let is_single = last.len() == word.len() || word.contains('_') && last == "pw";
        let is_telling = matches!(
            last.as_str(),
            "password"
                | "passphrase"
                | "passcode"
                | "psk"
                | "pw"
                | "pwd"
                | "requirepass"
                | "masterauth"
                | "passwort"
        );
        let is_name = names::is_bare_name(word);
        let tells = if is_single { is_telling } else { is_set };
        let is_sure = is_name && tells
            || is_set
                && matches!(last.as_str(), "pass" | "_auth" | "auth")
                && meaning.secrecy >= Secrecy::Likely
                && !is_verb_of_secrets(self.words)
            || is_set && last.contains("authtoken");
        let sure = self.how.certain && is_sure;
        if sure {
            self.next = Next::Value(Meaning {
                digits: true,
                ..Meaning::STRONG
            });
        } else if is_name || meaning.secrecy >= Secrecy::Likely || is_verb(word) {
            self.next = Next::Value(Meaning::WEAK);
        }
    }

    /// A command line that prints a credential.
    fn printer(&self, word: &str, from: usize, spans: &mut Spans) {
        let mut found = Spans::default();
        text::scan(word, &mut found);
        script::scan_for(word, self.how, Fed::Secret, &mut found);
        spans.add(&found, from);
    }

    /// `name=value` where all values are credentials.
    fn setting(&self, word: &str, from: usize, spans: &mut Spans) {
        let value = word.find('=').map_or(0, |sign| sign + 1);
        self.value(&word[value..], from + value, Meaning::STRONG, spans);
    }

    /// `name=value`, of which the value is the rest of the argument.
    fn assigned(
        &mut self,
        place: usize,
        word: &str,
        sign: usize,
        meaning: Meaning,
        spans: &mut Spans,
    ) {
        let value = &word[sign + 1..];
        let end = if value::is_command(value) {
            value.len()
        } else {
            setting_end(value)
        };
        if meaning.secrecy > Secrecy::None {
            let colon = word.as_bytes()[sign] == b':';
            if colon && !word.starts_with(['-', '/']) {
                return self.plain(word, place, spans);
            }
            self.value(&value[..end], sign + 1, meaning, spans);
            if end < value.len() {
                self.ordinary(&value[end..], sign + 1 + end, spans);
            }
            return;
        }
        text::scan(word, spans);
        if script::is_one(value) {
            let mut found = Spans::default();
            script::scan(value, self.how.unsure(), &mut found);
            spans.add(&found, sign + 1);
        }
        self.strictly_from(word, sign + 1, spans);
    }

    /// The value of a name.
    fn value(&self, word: &str, from: usize, meaning: Meaning, spans: &mut Spans) {
        let bytes = word.as_bytes();
        let quoted = bytes.len() > 1
            && matches!(bytes[0], b'"' | b'\'')
            && bytes[bytes.len() - 1] == bytes[0];
        let (value, at) = if quoted {
            (&word[1..word.len() - 1], from + 1)
        } else {
            (word, from)
        };
        // `id=x,src=/x`: what and where, no credential.
        let is_about = [
            "id=", "src=", "source=", "type=", "env=", "name=", "file=", "target=",
        ]
        .iter()
        .any(|start| value.starts_with(start));
        if is_about || value::is_url(value) || value::shape(value) == Shape::Reference {
            return self.ordinary(word, from, spans);
        }
        let mut found = Spans::default();
        if meaning.cookies && value.contains('=') {
            text::cookies(value, 0, value.len(), &mut found);
        } else if meaning.secrecy >= Secrecy::Likely && value.starts_with(['{', '[']) {
            text::leaves(value, meaning, &mut found);
        } else if meaning.pair
            && let Some((user, password)) = value.split_once(':')
            && value::is_plain(user)
            && !password.is_empty()
        {
            self.value(
                password,
                user.len() + 1,
                Meaning {
                    pair: false,
                    secrecy: Secrecy::Strong,
                    digits: true,
                    ..meaning
                },
                &mut found,
            );
        } else if let Some(scheme) =
            text::scheme(value).filter(|_| !value::is_command(value) && meaning.pair)
        {
            self.value(
                &value[scheme..],
                scheme,
                Meaning {
                    pair: false,
                    ..meaning
                },
                &mut found,
            );
        } else {
            let kept = ["pass:", "plain:", "hexkey:", "key:", "base64:"]
                .iter()
                .find(|start| value.starts_with(**start))
                .map_or(0, |start| start.len());
            if value::judge(&value[kept..], meaning) == Verdict::Goes {
                found.hide(kept, value.len());
            } else {
                return self.ordinary(word, from, spans);
            }
        }
        spans.add(&found, at);
    }

    /// A word of which nothing is known.
    fn plain(&self, word: &str, place: usize, spans: &mut Spans) {
        self.ordinary(word, 0, spans);
        let is_program = self.begun && word == self.program || place == 0;
        if !is_program {
            self.strictly(word, value::shape(word), spans);
        }
    }

    fn ordinary(&self, word: &str, from: usize, spans: &mut Spans) {
        let mut found = Spans::default();
        text::scan(word, &mut found);
        if self.traits.code && self.how.depth > 0 && script::is_one(word) {
            text::code(word, self.how, &mut found);
        } else if self.how.depth > 0 && script::is_one(word) {
            let how = if self.facts.runs {
                self.how
            } else {
                self.how.unsure()
            };
            script::scan(word, how, &mut found);
        }
        spans.add(&found, from);
    }

    /// At the strict level words of which nothing is known go.
    fn strictly(&self, word: &str, shape: Shape, spans: &mut Spans) {
        if self.how.strict && shape == Shape::Word && word != MASK && !word.ends_with(MASK) {
            spans.hide(0, word.len());
        }
    }

    fn strictly_from(&self, word: &str, from: usize, spans: &mut Spans) {
        let value = &word[from..];
        if self.how.strict
            && value::shape(value) == Shape::Word
            && value != MASK
            && !value.ends_with(MASK)
        {
            spans.hide(from, word.len());
        }
    }
}

/// `-path`, `-print0`: long names that begin as a letter does.
fn is_long_name(word: &str) -> bool {
    const NAMES: [&str; 34] = [
        "-path",
        "-print",
        "-print0",
        "-printf",
        "-perm",
        "-prune",
        "-port",
        "-passin",
        "-passout",
        "-pass",
        "-prefix",
        "-progress",
        "-profile",
        "-parallel",
        "-pedantic",
        "-pipe",
        "-pthread",
        "-plugin",
        "-project",
        "-pid",
        "-proto",
        "-params",
        "-public",
        "-private",
        "-pkg",
        "-user",
        "-username",
        "-uid",
        "-apr1",
        "-auth",
        "-all",
        "-add",
        "-path=",
        "-password",
    ];
    NAMES.contains(&word)
}

/// `-c`, `-lc`, `--command`.
fn is_script_option(word: &str) -> bool {
    word == "--command"
        || word.strip_prefix('-').is_some_and(|letters| {
            letters.len() < 5 && !letters.starts_with('-') && letters.contains('c')
        })
}

/// Subcommands behind which a credential may stand.
fn is_verb(word: &str) -> bool {
    matches!(
        word,
        "login" | "auth" | "unseal" | "authenticate" | "add_user" | "change_password" | "passwd"
    )
}

/// `create secret`, `set secret`: their names are no credentials.
fn is_verb_of_secrets(words: &[&str]) -> bool {
    words
        .iter()
        .take(8)
        .any(|word| matches!(*word, "secret" | "secrets"))
}

/// Where a value ends: before the next `name=` of the same list.
fn setting_end(value: &str) -> usize {
    let bytes = value.as_bytes();
    let mut place = 0;
    while place < bytes.len() {
        if matches!(bytes[place], b';' | b'&' | b',' | b' ') {
            let from = place + 1 + usize::from(bytes.get(place + 1) == Some(&b' '));
            let name = bytes[from.min(bytes.len())..]
                .iter()
                .take(64)
                .take_while(|byte| {
                    text::is_name(**byte)
                        || **byte == b' ' && bytes[place] == b';'
                        || matches!(**byte, b'[' | b']')
                })
                .count();
            // Base64 ends so, too.
            let has_value = bytes
                .get(from + name + 1)
                .is_some_and(|byte| *byte != b'=' && !byte.is_ascii_whitespace());
            if name > 0 && bytes.get(from + name) == Some(&b'=') && has_value {
                return place;
            }
        }
        place += 1;
    }
    bytes.len()
}
