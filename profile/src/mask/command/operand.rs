//! Arguments that are not options, and values.

use super::facts::{is_verb, is_verb_of_secrets};
use super::{Fed, Next, Reader, input};
use crate::mask::names::{self, Meaning, Secrecy};
use crate::mask::spans::Spans;
use crate::mask::value::{self, Shape, Verdict};
use crate::mask::{MASK, script, text};

impl Reader<'_> {
    /// A word that is not an option: an assignment, a name, a verb, or anything else.
    pub(super) fn operand(&mut self, place: usize, word: &str, spans: &mut Spans) {
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
    pub(super) fn is_placed(&mut self) -> bool {
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
    pub(super) fn by_place(&mut self, word: &str, place: usize, spans: &mut Spans) -> bool {
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
        if matches!(self.program, "htpasswd" | "mosquitto_passwd")
            && is_last
            && place > 1
            && !self.words[place - 1].ends_with(['c', 'D'])
        {
            self.value(word, 0, Meaning::STRONG, spans);
            return true;
        }
        // `user add name:password`.
        let adds_user = self
            .verb
            .is_some_and(|verb| verb > 0 && matches!(self.words[verb - 1], "user" | "users"));
        if (self.program == "chpasswd" || adds_user) && word.contains(':') && !value::is_url(word) {
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
    pub(super) fn bare(&mut self, place: usize, word: &str) {
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
        let word = word.strip_prefix('/').unwrap_or(word);
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
        let is_name = names::is_bare_name(word) && !next.starts_with('/');
        let is_sure = is_name && (is_set || is_single) && (is_telling || !is_single)
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
    pub(super) fn printer(&self, word: &str, from: usize, spans: &mut Spans) {
        let mut found = Spans::default();
        text::scan(word, &mut found);
        script::scan_for(word, self.how, Fed::Secret, &mut found);
        spans.add(&found, from);
    }

    /// `name=value` where all values are credentials.
    pub(super) fn setting(&self, word: &str, from: usize, spans: &mut Spans) {
        let value = word.find('=').map_or(0, |sign| sign + 1);
        self.value(&word[value..], from + value, Meaning::STRONG, spans);
    }

    /// `name=value`, of which the value is the rest of the argument.
    pub(super) fn assigned(
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
    pub(super) fn value(&self, word: &str, from: usize, meaning: Meaning, spans: &mut Spans) {
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
    pub(super) fn plain(&self, word: &str, place: usize, spans: &mut Spans) {
        self.ordinary(word, 0, spans);
        let is_program = self.begun && word == self.program || place == 0;
        if !is_program {
            self.strictly(word, value::shape(word), spans);
        }
    }

    pub(super) fn ordinary(&self, word: &str, from: usize, spans: &mut Spans) {
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
    pub(super) fn strictly(&self, word: &str, shape: Shape, spans: &mut Spans) {
        if self.how.strict && shape == Shape::Word && word != MASK && !word.ends_with(MASK) {
            spans.hide(0, word.len());
        }
    }

    pub(super) fn strictly_from(&self, word: &str, from: usize, spans: &mut Spans) {
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
