//! Tokens that say by their own shape what they are: a kept list, and how they are found.
//!
//! Sources: the formats that their issuers document, and the rules of gitleaks
//! (<https://github.com/gitleaks/gitleaks/tree/master/config>), trufflehog and GitHub's secret
//! scanning, read in November 2026. Prefixes are facts; no rule was copied. To add one, put its
//! prefix, the least length of its rest and its alphabet here.

use super::random;
use super::spans::Spans;
use std::sync::LazyLock;

/// Signs that the rest of a token is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    /// `A-Z a-z 0-9`.
    Plain,
    /// The same, `-` and `_`.
    Url,
    /// The same, `.`, `+`, `/`, `=` and `~`.
    Wide,
    /// Capitals and digits.
    Capitals,
    /// Hexadecimal digits.
    Hex,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Plain => byte.is_ascii_alphanumeric(),
            Self::Url => byte.is_ascii_alphanumeric() || b"-_".contains(&byte),
            Self::Wide => byte.is_ascii_alphanumeric() || b"-_.+/=~".contains(&byte),
            Self::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
        }
    }
}

/// One kind of token: what it begins with, which stays readable, and what follows.
struct Kind {
    prefix: &'static str,
    least: usize,
    alphabet: Alphabet,
    /// The whole has exactly this length.
    exact: bool,
}

const fn kind(prefix: &'static str, least: usize, alphabet: Alphabet) -> Kind {
    Kind {
        prefix,
        least,
        alphabet,
        exact: false,
    }
}

const fn exactly(prefix: &'static str, least: usize, alphabet: Alphabet) -> Kind {
    Kind {
        prefix,
        least,
        alphabet,
        exact: true,
    }
}

use Alphabet::{Capitals, Hex, Plain, Url, Wide};

/// The kept list, by the issuer's name.
const KINDS: &[Kind] = &[
    // Adobe
    kind("p8e-", 32, Plain),
    // age
    kind("AGE-SECRET-KEY-1", 20, Capitals),
    // Airtable
    kind("patA", 13, Wide),
    // Alibaba Cloud
    exactly("LTAI", 20, Plain),
    // Anthropic, OpenAI, OpenRouter and others
    kind("sk-ant-", 16, Url),
    kind("sk-proj-", 16, Url),
    kind("sk-svcacct-", 16, Url),
    kind("sk-admin-", 16, Url),
    kind("sk-or-", 16, Url),
    kind("sk-", 32, Plain),
    kind("gsk_", 32, Plain),
    kind("xai-", 32, Plain),
    kind("pplx-", 32, Plain),
    kind("r8_", 32, Plain),
    // Artifactory
    kind("AKCp", 40, Plain),
    kind("cmVmd", 50, Plain),
    // Atlassian
    kind("ATATT3", 20, Wide),
    kind("ATCTT3", 20, Wide),
    kind("ATBB", 24, Plain),
    kind("BBDC-", 20, Wide),
    // AWS
    exactly("AKIA", 16, Capitals),
    exactly("ASIA", 16, Capitals),
    exactly("ABIA", 16, Capitals),
    exactly("ACCA", 16, Capitals),
    kind("ABSK", 60, Wide),
    kind("bedrock-api-key-", 20, Wide),
    // Brevo
    kind("xkeysib-", 32, Url),
    kind("xsmtpsib-", 32, Url),
    // Clojars
    kind("CLOJARS_", 32, Plain),
    // crates.io
    exactly("cio", 32, Plain),
    // Databricks
    kind("dapi", 32, Hex),
    // DigitalOcean
    kind("dop_v1_", 32, Hex),
    kind("doo_v1_", 32, Hex),
    kind("dor_v1_", 32, Hex),
    // Docker
    kind("dckr_pat_", 16, Url),
    kind("dckr_oat_", 16, Url),
    // Doppler
    kind("dp.pt.", 20, Plain),
    kind("dp.st.", 20, Wide),
    kind("dp.ct.", 20, Plain),
    kind("dp.sa.", 20, Plain),
    kind("dp.audit.", 20, Plain),
    // Dynatrace
    kind("dt0c01.", 24, Wide),
    kind("dt0s01.", 24, Wide),
    kind("dt0s02.", 24, Wide),
    // EasyPost, Duffel, Flutterwave, Frame.io, Shippo, Square
    kind("EZAK", 40, Plain),
    kind("EZTK", 40, Plain),
    kind("duffel_", 32, Wide),
    kind("FLWSECK", 12, Url),
    kind("fio-u-", 32, Wide),
    kind("shippo_live_", 32, Hex),
    kind("shippo_test_", 32, Hex),
    kind("sq0atp-", 20, Url),
    kind("sq0csp-", 20, Url),
    // Facebook
    kind("EAAC", 60, Plain),
    kind("EAAM", 60, Plain),
    kind("EAAA", 40, Url),
    // Figma
    kind("figd_", 20, Url),
    // Fly.io
    kind("fo1_", 32, Url),
    kind("fm1a_", 40, Wide),
    kind("fm1r_", 40, Wide),
    kind("fm2_", 40, Wide),
    // GitHub
    kind("ghp_", 20, Plain),
    kind("gho_", 20, Plain),
    kind("ghu_", 20, Plain),
    kind("ghs_", 20, Plain),
    kind("ghr_", 20, Plain),
    kind("github_pat_", 20, Url),
    // GitLab
    kind("glpat-", 16, Wide),
    kind("gldt-", 16, Url),
    kind("glrt-", 16, Wide),
    kind("glrtr-", 16, Wide),
    kind("glcbt-", 16, Url),
    kind("glptt-", 16, Url),
    kind("glft-", 16, Url),
    kind("glimt-", 16, Url),
    kind("glagent-", 16, Url),
    kind("gloas-", 16, Url),
    kind("glsoat-", 16, Url),
    kind("glffct-", 16, Url),
    kind("glwt-", 16, Url),
    kind("GR1348941", 16, Url),
    // Google
    kind("AIza", 30, Url),
    kind("ya29.", 20, Wide),
    kind("GOCSPX-", 20, Url),
    kind("1//0", 30, Url),
    kind("4/0A", 30, Url),
    // Grafana
    kind("glc_", 20, Wide),
    kind("glsa_", 20, Url),
    kind("eyJrIjoi", 40, Wide),
    // HashiCorp
    kind("hvs.", 16, Url),
    kind("hvb.", 16, Url),
    kind("hvr.", 16, Url),
    exactly("s.", 24, Plain),
    exactly("b.", 24, Plain),
    // Heroku
    kind("HRKU-", 30, Url),
    // Hugging Face
    kind("hf_", 24, Plain),
    kind("api_org_", 24, Plain),
    // Infracost, Linear, Notion, Postman, Prefect, Pulumi, ReadMe, Typeform
    kind("ico-", 32, Plain),
    kind("lin_api_", 20, Plain),
    kind("lin_oauth_", 20, Plain),
    kind("ntn_", 30, Plain),
    kind("PMAK-", 24, Url),
    kind("PMAT-", 20, Url),
    kind("pnu_", 30, Plain),
    kind("pul-", 32, Hex),
    kind("rdme_", 40, Plain),
    kind("tfp_", 30, Wide),
    // Mailgun, SendGrid
    kind("key-", 32, Hex),
    kind("SG.", 20, Wide),
    // Mapbox
    kind("sk.eyJ", 20, Wide),
    kind("tk.eyJ", 20, Wide),
    // New Relic
    kind("NRAK-", 20, Plain),
    kind("NRII-", 20, Url),
    kind("NRJS-", 16, Plain),
    kind("NRSP-", 16, Plain),
    // npm, PyPI, RubyGems, NuGet, Packagist
    kind("npm_", 30, Plain),
    kind("pypi-AgE", 16, Url),
    kind("pypi-", 40, Url),
    kind("rubygems_", 32, Hex),
    kind("oy2", 43, Plain),
    kind("packagist_", 32, Plain),
    // Octopus Deploy
    exactly("API-", 26, Capitals),
    kind("API-", 28, Capitals),
    // 1Password
    kind("A3-", 30, Url),
    kind("ops_eyJ", 40, Wide),
    // OpenShift
    kind("sha256~", 32, Url),
    // PlanetScale, Supabase, Neon, Turso
    kind("pscale_tkn_", 24, Wide),
    kind("pscale_pw_", 24, Wide),
    kind("pscale_oauth_", 24, Wide),
    kind("sbp_", 32, Plain),
    kind("sb_secret_", 16, Url),
    kind("napi_", 32, Plain),
    // Sentry
    kind("sntrys_", 32, Wide),
    kind("sntryu_", 32, Hex),
    // Shopify
    kind("shpat_", 24, Hex),
    kind("shpca_", 24, Hex),
    kind("shppa_", 24, Hex),
    kind("shpss_", 24, Hex),
    // Slack
    kind("xoxb-", 8, Url),
    kind("xoxp-", 8, Url),
    kind("xoxa-", 8, Url),
    kind("xoxr-", 8, Url),
    kind("xoxo-", 8, Url),
    kind("xoxs-", 8, Url),
    kind("xoxe-", 8, Url),
    kind("xoxe.", 8, Wide),
    kind("xoxc-", 8, Url),
    kind("xoxd-", 8, Wide),
    kind("xapp-", 12, Url),
    kind("xwfp-", 12, Url),
    // SonarQube, Sourcegraph
    kind("squ_", 32, Plain),
    kind("sqp_", 32, Plain),
    kind("sqa_", 32, Plain),
    kind("sqb_", 32, Plain),
    kind("sgp_", 32, Url),
    // Stripe
    kind("sk_live_", 8, Plain),
    kind("sk_test_", 8, Plain),
    kind("rk_live_", 8, Plain),
    kind("rk_test_", 8, Plain),
    kind("sk_prod_", 8, Plain),
    kind("rk_prod_", 8, Plain),
    kind("whsec_", 16, Wide),
    // Tailscale
    kind("tskey-", 16, Url),
    // Terraform Cloud
    kind("atlasv1.", 20, Wide),
    // Twilio
    exactly("SK", 32, Hex),
    exactly("AC", 32, Hex),
    // Yandex
    kind("AQVN", 32, Url),
    kind("t1.", 60, Wide),
    // Vercel, Netlify, Cloudflare, Buildkite, CircleCI
    kind("vcp_", 20, Plain),
    kind("nfp_", 32, Plain),
    kind("v1.0-", 80, Url),
    kind("bkua_", 32, Hex),
    kind("CCIPAT_", 20, Wide),
    kind("CCIPRJ_", 20, Wide),
];

/// Tokens are read up to here; no known one is longer but JWTs, of which the rest is hidden as well.
const MAX_REST: usize = 4096;

/// The kinds by their first byte.
static BY_FIRST: LazyLock<Vec<Vec<&'static Kind>>> = LazyLock::new(|| {
    let mut all = vec![Vec::new(); 128];
    for kind in KINDS {
        if let Some(list) = all.get_mut(usize::from(kind.prefix.as_bytes()[0])) {
            list.push(kind);
        }
    }
    all
});

fn candidates(first: u8) -> impl Iterator<Item = &'static Kind> {
    BY_FIRST
        .get(usize::from(first))
        .into_iter()
        .flatten()
        .copied()
}

/// First bytes of all prefixes, and of `eyJ`, `$` and digits.
const fn firsts() -> [bool; 128] {
    let mut all = [false; 128];
    let mut place = 0;
    while place < KINDS.len() {
        all[KINDS[place].prefix.as_bytes()[0] as usize] = true;
        place += 1;
    }
    all[b'e' as usize] = true;
    all[b'$' as usize] = true;
    let mut digit = b'0';
    while digit <= b'9' {
        all[digit as usize] = true;
        digit += 1;
    }
    all
}

const FIRSTS: [bool; 128] = firsts();

/// Hides all known tokens, but for what names their kind. `folded`: the text has lost its capitals, as
/// DNS names have.
pub(super) fn find(text: &str, folded: bool, spans: &mut Spans) {
    find_keys(text, spans);
    let bytes = text.as_bytes();
    let mut place = 0;
    // Up to here no dot was found behind `eyJ`.
    let mut no_jwt = 0;
    while place < bytes.len() {
        let byte = bytes[place];
        let is_first = FIRSTS.get(usize::from(byte)).copied().unwrap_or(false)
            || folded && byte.is_ascii_lowercase();
        if !is_first || place > 0 && bytes[place - 1].is_ascii_alphanumeric() {
            place += 1;
            continue;
        }
        let rest = &bytes[place..];
        let found = jwt(rest, place, &mut no_jwt)
            .or_else(|| crypt(rest))
            .or_else(|| telegram(rest))
            .or_else(|| listed(rest, folded));
        match found {
            Some((keep, length)) => {
                spans.hide_but(place, place + length, keep);
                place += length;
                place += second_half(&bytes[place..], place, spans);
            }
            None => place += 1,
        }
    }
}

/// Whether the whole of a word is a known token.
pub(super) fn is_token(word: &str) -> bool {
    let mut spans = Spans::default();
    find(word, false, &mut spans);
    spans
        .iter()
        .any(|span| span.from == 0 && span.to == word.len())
}

/// The key to an id of AWS that stands right behind it.
fn second_half(rest: &[u8], place: usize, spans: &mut Spans) -> usize {
    if !matches!(rest.first(), Some(b'/' | b':' | b',')) {
        return 0;
    }
    let length = run(&rest[1..], Wide);
    // A scope of a signature begins with a date.
    let is_scope = rest
        .get(1..9)
        .is_some_and(|date| date.iter().all(u8::is_ascii_digit));
    if length < 6 || is_scope {
        return 0;
    }
    spans.hide(place + 1, place + 1 + length);
    length + 1
}

fn run(bytes: &[u8], alphabet: Alphabet) -> usize {
    bytes
        .iter()
        .take(MAX_REST)
        .take_while(|byte| alphabet.has(**byte))
        .count()
}

/// The number of bytes that stay of a token, and its length.
fn listed(rest: &[u8], folded: bool) -> Option<(usize, usize)> {
    let first = *rest.first()?;
    let other = if folded {
        first.to_ascii_uppercase()
    } else {
        first
    };
    let both = candidates(first).chain(candidates(other).filter(|_| other != first));
    for kind in both {
        let prefix = kind.prefix.as_bytes();
        let Some(begin) = rest.get(..prefix.len()) else {
            continue;
        };
        let fits = if folded {
            // Without capitals only prefixes that end with a sign tell enough.
            prefix.eq_ignore_ascii_case(begin)
                && (kind.alphabet == Capitals
                    || !prefix.last().is_some_and(u8::is_ascii_alphanumeric))
        } else {
            prefix == begin
        };
        if !fits {
            continue;
        }
        let alphabet = match kind.alphabet {
            Capitals if folded => Plain,
            alphabet => alphabet,
        };
        let length = run(&rest[prefix.len()..], alphabet);
        let fits = if kind.exact {
            length == kind.least
        } else {
            length >= kind.least
        };
        if fits && (prefix.len() > 2 || looks_random(&rest[..prefix.len() + length])) {
            return Some((prefix.len(), prefix.len() + length));
        }
    }
    None
}

/// Short prefixes alone prove nothing.
fn looks_random(token: &[u8]) -> bool {
    std::str::from_utf8(token).is_ok_and(|token| random::is_random(&token[2..], random::LEAST))
        || token[2..].iter().all(u8::is_ascii_hexdigit)
}

/// `eyJ….eyJ….…`: a JSON object in base64, a dot, and more.
fn jwt(rest: &[u8], place: usize, no_jwt: &mut usize) -> Option<(usize, usize)> {
    if !rest.starts_with(b"eyJ") {
        return None;
    }
    if place >= *no_jwt {
        let head = run(rest, Url);
        if rest.get(head) == Some(&b'.') && head > 8 {
            let body = run(&rest[head + 1..], Url);
            if body > 8 {
                let mut end = head + 1 + body;
                while rest.get(end) == Some(&b'.') && end < MAX_REST {
                    end += 1 + run(&rest[end + 1..], Url);
                }
                return Some((4, end));
            }
        }
        *no_jwt = place + head;
    }
    // Other JSON objects in base64 are tokens of tunnels and licences.
    let length = run(rest, Wide);
    (length >= 32 && place + length >= *no_jwt).then_some((4, length))
}

/// `$6$salt$hash`: a password as crypt(3) and its relatives keep it.
fn crypt(rest: &[u8]) -> Option<(usize, usize)> {
    let name = rest.strip_prefix(b"$")?;
    let length = name
        .iter()
        .take(10)
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
        .count();
    let is_known = matches!(
        &name[..length],
        b"1" | b"2a"
            | b"2b"
            | b"2x"
            | b"2y"
            | b"5"
            | b"6"
            | b"7"
            | b"y"
            | b"gy"
            | b"apr1"
            | b"argon2i"
            | b"argon2d"
            | b"argon2id"
            | b"scrypt"
            | b"pbkdf2"
            | b"P"
            | b"H"
            | b"sha1"
    );
    if !is_known || name.get(length) != Some(&b'$') {
        return None;
    }
    let kept = length + 2;
    let hash = rest[kept..]
        .iter()
        .take(MAX_REST)
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"./+=$,-_".contains(byte))
        .count();
    (hash >= 16).then_some((kept, kept + hash))
}

/// `123456789:AA…`: a bot of Telegram. In its URLs `bot` stands before.
fn telegram(rest: &[u8]) -> Option<(usize, usize)> {
    let digits = rest
        .iter()
        .take(12)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits < 6 || rest.get(digits) != Some(&b':') {
        return None;
    }
    let length = run(&rest[digits + 1..], Url);
    (30..=64)
        .contains(&length)
        .then_some((0, digits + 1 + length))
}

/// Private keys in PEM: all between their first and last line.
fn find_keys(text: &str, spans: &mut Spans) {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END ";
    let mut done = 0;
    while let Some(found) = text[done..].find(BEGIN) {
        let head = done + found + BEGIN.len();
        let line = text[head..]
            .bytes()
            .take(64)
            .take_while(|byte| byte.is_ascii_uppercase() || *byte == b' ' || byte.is_ascii_digit())
            .count();
        done = head + line;
        if !text[head..done].contains("PRIVATE KEY") {
            continue;
        }
        let body = done
            + text[done..]
                .bytes()
                .take_while(|byte| *byte == b'-')
                .count();
        let end = text[body..].find(END).map_or(text.len(), |end| body + end);
        if text[body..end].trim() != super::MASK {
            spans.hide(body, end);
        }
        done = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str, folded: bool) -> String {
        let mut spans = Spans::default();
        find(text, folded, &mut spans);
        spans.apply(text).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn known_tokens_keep_the_name_of_their_kind() {
        for (text, expected) in [
            (
                "x ghp_4U3LSowpDx8XvYE7A8GH56oxU5aWnY2mzIbV y",
                "x ghp_*** y",
            ),
            ("AKIAIOSFODNN7EXAMPLE", "AKIA***"),
            ("AKIAIOSFODNN7EXAMPLE/S3cr3tVal", "AKIA***/***"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "eyJh***"),
            ("$6$abcdefgh$Xq3mA9xZtLpR2vW7cYbN5hJd", "$6$***"),
            (
                "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
                "-----BEGIN PRIVATE KEY-----***-----END PRIVATE KEY-----",
            ),
            (
                "/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/x",
                "/bot110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/x",
            ),
            ("110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "***"),
            (
                "skill-set sk-lookup-table-of-words-and-more",
                "skill-set sk-lookup-table-of-words-and-more",
            ),
        ] {
            assert_eq!(masked(text, false), expected);
            assert_eq!(masked(expected, false), expected);
        }
        assert_eq!(
            masked(
                "ghp_4u3lsowpdx8xvye7a8gh56oxu5awny2mzibv.evil.example",
                true
            ),
            "ghp_***.evil.example"
        );
    }
}
