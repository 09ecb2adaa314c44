//! The shape of a word.

use super::random;

/// The shape of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Empty,
    /// Digits, also with a unit.
    Number,
    /// Yes, no and their relatives.
    Boolean,
    /// A path, or the name of a file.
    Path,
    Url,
    Uuid,
    /// `sha256:…`, or as many hexadecimal digits as a hash has.
    Digest,
    /// An IP address or `host:port`.
    Address,
    /// A name with dots that a resolver would know.
    Host,
    /// `$X`, `${X}`, `$(…)`, `{{ x }}`, `%(x)s`, `<x>`: what stands for another text.
    Reference,
    /// `-x`, `--word`.
    Option,
    /// Several words.
    Words,
    /// None of these.
    Word,
}

/// The shape of a word.
pub(super) fn shape(text: &str) -> Shape {
    if text.is_empty() {
        Shape::Empty
    } else if is_reference(text) {
        Shape::Reference
    } else if is_url(text) {
        Shape::Url
    } else if is_address(text) {
        Shape::Address
    } else if is_number(text) {
        Shape::Number
    } else if is_boolean(text) {
        Shape::Boolean
    } else if is_uuid(text) {
        Shape::Uuid
    } else if is_digest(text) {
        Shape::Digest
    } else if text.contains(char::is_whitespace) {
        Shape::Words
    } else if is_option(text) {
        Shape::Option
    } else if is_path(text) {
        Shape::Path
    } else if is_host(text) {
        Shape::Host
    } else {
        Shape::Word
    }
}

fn is_number(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(hex) = body.strip_prefix("0x") {
        return (1..=16).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let end = body
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || b".,:-_/+".contains(byte))
        .count();
    let unit = &body[end..];
    body.as_bytes().first().is_some_and(u8::is_ascii_digit) && is_unit(unit)
        || end > 6 && is_time(body)
}

fn is_unit(unit: &str) -> bool {
    matches!(
        unit,
        "" | "%"
            | "s"
            | "m"
            | "h"
            | "d"
            | "w"
            | "y"
            | "ms"
            | "us"
            | "ns"
            | "min"
            | "sec"
            | "k"
            | "K"
            | "M"
            | "G"
            | "T"
            | "Ki"
            | "Mi"
            | "Gi"
            | "Ti"
            | "kb"
            | "mb"
            | "gb"
            | "KB"
            | "MB"
            | "GB"
            | "TB"
            | "kB"
            | "KiB"
            | "MiB"
            | "GiB"
            | "TiB"
            | "b"
            | "B"
            | "bit"
            | "px"
            | "x"
            | "e"
            | "L"
            | "f"
            | "u"
            | "g"
            | "t"
    ) || unit.strip_prefix('e').is_some_and(|exponent| {
        let digits = exponent.trim_start_matches(['-', '+']);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// `2026-11-29T10:11:12.123Z`, `20261129T101112Z`.
fn is_time(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || b"-:.TZ+".contains(&byte))
}

fn is_boolean(text: &str) -> bool {
    const BOOLEANS: [&str; 14] = [
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "null",
        "nil",
        "none",
        "enabled",
        "disabled",
        "y",
        "n",
        "undefined",
    ];
    text.len() < 10 && BOOLEANS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_digest(text: &str) -> bool {
    let (kind, digits) = text.split_once(':').unwrap_or(("", text));
    let is_kind = matches!(
        kind,
        "" | "sha1" | "sha256" | "sha384" | "sha512" | "md5" | "SHA256" | "MD5"
    );
    let is_hex = digits.len() >= if kind.is_empty() { 7 } else { 4 }
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_kind
        && is_hex
        && (kind.is_empty() && random::is_digest_length(digits.len()) || !kind.is_empty())
        && digits.bytes().any(|byte| byte.is_ascii_digit())
}

/// `scheme://…`.
pub(super) fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        (1..=24).contains(&scheme.len())
            && !rest.is_empty()
            && scheme.as_bytes()[0].is_ascii_alphabetic()
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+.-:".contains(&byte))
    })
}

/// The text is a reference that stands for another text.
fn is_reference(text: &str) -> bool {
    if text.contains("$(")
        || text.contains("${")
        || text.contains("{{")
        || text.starts_with('`') && text.len() > 2
    {
        return true;
    }
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if let Some(name) = text.strip_prefix('$') {
        return is_name(name) || matches!(name, "@" | "*" | "?" | "#");
    }
    if let Some(name) = text
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
    {
        return name.bytes().all(|byte| {
            byte.is_ascii_alphabetic() || b"-_ :".contains(&byte) || byte.is_ascii_digit()
        }) && !is_mixed(name);
    }
    if text.starts_with("%(") && text.ends_with(['s', 'd'])
        || text.starts_with("%{") && text.ends_with('}')
    {
        return true;
    }
    // References of OpenSSL, of Prometheus and others: where the value is.
    [
        "env:",
        "file:",
        "fd:",
        "env.",
        "vault:",
        "ref+",
        "arn:",
        "projects/",
        "op://",
    ]
    .iter()
    .any(|prefix| text.starts_with(prefix))
        || matches!(text, "stdin" | "-" | "@-" | "*")
}

/// An IP address, with a port or prefix; a host with dots and a port.
fn is_address(text: &str) -> bool {
    let text = text.strip_prefix('@').unwrap_or(text);
    if text.len() > 260 {
        return false;
    }
    if text.split('/').next().is_some_and(|address| {
        address.parse::<std::net::IpAddr>().is_ok() && address.contains(['.', ':'])
    }) || text.parse::<std::net::SocketAddr>().is_ok()
    {
        return true;
    }
    text.rsplit_once(':').is_some_and(|(host, port)| {
        port.len() < 6
            && port.parse::<u16>().is_ok()
            && (is_host(host) || host == "localhost" || host.parse::<std::net::IpAddr>().is_ok())
    })
}

/// A name of several labels, of which the last is of letters.
fn is_host(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut labels = 0;
    let mut last = "";
    for label in text.split('.') {
        if label.is_empty()
            || label.len() > 63
            || !label.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
            })
        {
            return false;
        }
        labels += 1;
        last = label;
    }
    labels > 1 && last.len() > 1 && last.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// `-x`, `-xzf`, `--long-name`, `--name=value`.
pub(super) fn is_option(text: &str) -> bool {
    let Some(name) = text.strip_prefix('-') else {
        return false;
    };
    if let Some(long) = name.strip_prefix('-') {
        let name = long.split_once('=').map_or(long, |(name, _)| name);
        return !name.is_empty()
            && name.as_bytes()[0].is_ascii_alphabetic()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            || long.is_empty();
    }
    let name = name.split_once('=').map_or(name, |(name, _)| name);
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Ends of the names of files.
const EXTENSIONS: &[&str] = &[
    "pem",
    "crt",
    "cer",
    "key",
    "pub",
    "der",
    "csr",
    "p12",
    "pfx",
    "jks",
    "ks",
    "keystore",
    "json",
    "yaml",
    "yml",
    "toml",
    "conf",
    "cfg",
    "cnf",
    "ini",
    "env",
    "txt",
    "csv",
    "log",
    "sh",
    "bash",
    "py",
    "rb",
    "pl",
    "js",
    "ts",
    "mjs",
    "cjs",
    "so",
    "dll",
    "exe",
    "jar",
    "war",
    "class",
    "php",
    "html",
    "xml",
    "sql",
    "db",
    "sqlite",
    "gz",
    "tgz",
    "zip",
    "tar",
    "xz",
    "bz2",
    "zst",
    "pcap",
    "gpg",
    "asc",
    "lock",
    "pid",
    "sock",
    "service",
    "socket",
    "img",
    "iso",
    "bin",
    "md",
    "o",
    "a",
    "c",
    "h",
    "cc",
    "cpp",
    "hpp",
    "rs",
    "go",
    "java",
    "properties",
    "tmp",
    "bak",
    "ko",
    "deb",
    "rpm",
    "apk",
    "whl",
    "gem",
    "tf",
    "tfvars",
    "hcl",
    "lua",
    "vim",
    "pdf",
    "png",
    "jpg",
    "svg",
    "mp4",
    "ovpn",
    "rules",
    "pkcs8",
    "template",
    "tpl",
    "j2",
    "netrc",
    "kdbx",
    "rlib",
    "rmeta",
    "d",
    "wasm",
    "dump",
    "7z",
];

/// A path, or a name that ends as files do. Base64 with a slash is none.
pub(super) fn is_path(text: &str) -> bool {
    let text = text.strip_prefix('@').unwrap_or(text);
    let is_rooted = text.starts_with('/')
        || ["./", "../", "~/", "file:/"]
            .iter()
            .any(|start| text.starts_with(start))
        || matches!(text, "." | ".." | "~" | "/")
        || text.as_bytes().get(1) == Some(&b':')
            && text
                .as_bytes()
                .get(2)
                .is_some_and(|sign| b"/\\".contains(sign));
    if is_rooted {
        let is_clean = text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric()
                || b"/._-+@:~%=,*?[]{}\\".contains(&byte)
                || !byte.is_ascii()
        });
        // `/wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY`.
        return is_clean && (has_extension(text) || !is_base64_with_slash(text));
    }
    has_extension(text) && !random::is_random(text, random::LEAST)
}

/// A name that ends as files do.
pub(super) fn has_extension(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(stem, end)| {
        !stem.is_empty()
            && EXTENSIONS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(end))
            && stem
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@%=~".contains(&byte))
    })
}

/// Rooted, of the letters of base64 only, without the words that paths have.
fn is_base64_with_slash(text: &str) -> bool {
    text.len() >= 24
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        && random::is_random(text, random::LEAST)
        && text.split('/').filter(|part| !part.is_empty()).all(|part| {
            part.bytes()
                .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        })
}

/// Letters, digits and signs as passwords mix them: `S3cr3t`, `P@ssw0rd`, `hunter2!`.
pub(super) fn is_mixed(value: &str) -> bool {
    let bytes = value.as_bytes();
    if bytes.len() < 6 || bytes.len() > 64 || shape(value) != Shape::Word {
        return false;
    }
    let (mut upper, mut lower, mut digits, mut signs, mut between) = (0, 0, 0, 0, 0);
    for (place, byte) in bytes.iter().enumerate() {
        match byte {
            b'A'..=b'Z' => upper += 1,
            b'a'..=b'z' => lower += 1,
            b'0'..=b'9' => {
                digits += 1;
                let before = place.checked_sub(1).map(|before| bytes[before]);
                let after = bytes.get(place + 1);
                between += usize::from(
                    before.is_some_and(|byte| byte.is_ascii_alphabetic())
                        && after.is_some_and(u8::is_ascii_alphabetic),
                );
            }
            b'!' | b'#' | b'$' | b'^' | b'&' | b'*' | b'?' | b'~' | b'+' | b'%' | b'@' => {
                signs += 1;
            }
            b'-' | b'_' | b'.' => {}
            _ => return false,
        }
    }
    let has_cases = upper > 0 && lower > 0;
    between > 1
        || between > 0 && has_cases
        || signs > 0 && digits > 0 && upper + lower > 2
        || signs > 0 && has_cases && !value.contains(['+', '%', '@', '~', '*', '?'])
        || digits > 1 && has_cases && !value.contains(['-', '_', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_shapes() {
        for (text, expected) in [
            ("", Shape::Empty),
            ("4096", Shape::Number),
            ("128Mi", Shape::Number),
            ("2026-11-29T10:11:12.123Z", Shape::Number),
            ("True", Shape::Boolean),
            ("/etc/passwd", Shape::Path),
            ("tls.key", Shape::Path),
            ("@/etc/shadow", Shape::Path),
            ("/wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Shape::Word),
            ("https://evil.example/", Shape::Url),
            ("9f1c2d3e-4b5a-6978-8897-a6b5c4d3e2f1", Shape::Uuid),
            ("sha256:9f86d081", Shape::Digest),
            ("9f86d081884c", Shape::Digest),
            ("10.0.0.1:80", Shape::Address),
            ("evil.example:443", Shape::Address),
            ("evil.example", Shape::Host),
            ("$TOKEN", Shape::Reference),
            ("$(cat x)", Shape::Reference),
            ("--long-name", Shape::Option),
            ("a b", Shape::Words),
            ("S3cr3tVal", Shape::Word),
            ("$ecret", Shape::Word),
        ] {
            assert_eq!(shape(text), expected, "{text}");
        }
    }
}
