//! Texts that look random: letters that follow each other as no language lets them.

/// Bits of surprise of the second letter after the first, from `a` to `z`, rounded: counted over the
/// names of files and the words of documentation of a Debian system (18,074 words).
const BITS: [&[u8; 26]; 26] = [
    b"75447757586353858343567768",
    b"46553666366366467445367656",
    b"37573773574467268453577767",
    b"45652666377567467546466767",
    b"46435568687453757334867578",
    b"46654466376466366455466757",
    b"46562654467554456445466666",
    b"36662776376555366554566656",
    b"55455558887452358544758686",
    b"45554555455555455645455555",
    b"46552556365555456545555666",
    b"37752677276377367755567747",
    b"35662677377546437756566777",
    b"47444537486675478733667767",
    b"66457657676442558345455778",
    b"37663765476467447354577767",
    b"55555555556555555555255555",
    b"37552668386655368544567857",
    b"57473774376567447742477757",
    b"47662774287677468345577757",
    b"54554657476443647333777677",
    b"36552666366656466666666666",
    b"36653664366554456446655666",
    b"45454565465555535543556455",
    b"45555656555544435534555655",
    b"45563555455555455555555554",
];
/// Surprise of a letter beside a digit, of a digit beside a digit, and of a capital after a small
/// letter.
const LETTER_DIGIT: u32 = 6;
const DIGIT_DIGIT: u32 = 2;
const SMALL_CAPITAL: u32 = 6;
/// Mean surprise from which a word is random, in tenths of a bit. With it 99.6 % of random words of
/// 20 letters and digits are found, and 0.4 % of 62,000 names of files and packages are taken for some.
const RANDOM: u32 = 47;
/// The least length of a word that is judged.
pub(super) const LEAST: usize = 20;
/// The longest part without separators has at least this length.
const LEAST_PART: usize = 10;

/// A word of at least `least` characters whose characters follow each other at random. Digests,
/// numbers, and names that Kubernetes made are not.
pub(super) fn is_random(word: &str, least: usize) -> bool {
    let word = word.trim_end_matches('=');
    word.len() >= least && is_surprising(word, least) && !is_generated_name(word)
}

fn is_surprising(word: &str, least: usize) -> bool {
    let (mut sum, mut count, mut longest) = (0, 0, 0);
    for part in word.split(|sign: char| !sign.is_ascii_alphanumeric()) {
        if part.len() > 5 && part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            if !is_digest_length(part.len()) {
                // Hexadecimal digits, but the result of no hash that is in use.
                sum += 50 * as_u32(part.len());
                count += as_u32(part.len());
                longest = longest.max(part.len());
            }
            continue;
        }
        longest = longest.max(part.len());
        for pair in part.as_bytes().windows(2) {
            sum += 10 * surprise(pair[0], pair[1]);
            count += 1;
        }
    }
    longest >= LEAST_PART.min(least) && count > as_u32(least / 2) && sum >= RANDOM * count
}

fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Short ones, object ids of MongoDB, MD5, SHA-1, SHA-2.
pub(super) fn is_digest_length(length: usize) -> bool {
    length <= 16 || matches!(length, 24 | 32 | 40 | 56 | 64 | 96 | 128)
}

fn surprise(first: u8, second: u8) -> u32 {
    match (first.is_ascii_digit(), second.is_ascii_digit()) {
        (true, true) => DIGIT_DIGIT,
        (false, false) => {
            if first.is_ascii_lowercase() && second.is_ascii_uppercase() {
                return SMALL_CAPITAL;
            }
            let place =
                |byte: u8| usize::from(byte.to_ascii_lowercase().wrapping_sub(b'a')).min(25);
            u32::from(BITS[place(first)][place(second)] - b'0')
        }
        _ => LETTER_DIGIT,
    }
}

/// `web-5d8f9c7b6d-x2x4z`: the ends that ReplicaSets, Jobs and generated names have, from the
/// alphabet of k8s.io/apimachinery/pkg/util/rand.
fn is_generated_name(word: &str) -> bool {
    let is_part = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len())
            && part
                .bytes()
                .all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
    };
    let Some((name, last)) = word.rsplit_once('-') else {
        return false;
    };
    let name = name
        .rsplit_once('-')
        .filter(|(_, hash)| is_part(hash, 6..=10))
        .map_or(name, |(name, _)| name);
    is_part(last, 5..=5) && !(name.len() >= LEAST && is_surprising(name, LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_words_are_told_from_names() {
        for word in [
            "Xq3mA9xZtLpR2vW7cYbN",
            "kq3mxzztlprvw7cybnqhjdfgsxaue6vb",
            "a0AfH6SMBx7TfN2hRb8YcM5dJ6sG1aKe",
            "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            "Zk3Vw9Qp-Lx7TfN2hRb8Y_cM5dJ6sG1aKe",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "0123456789abcdef0123456789abcdef01234567890abc",
        ] {
            assert!(is_random(word, LEAST), "{word}");
        }
        for word in [
            "web-5d8f9c7b6d-x2x4z",
            "ThisIsAVeryLongCamelCaseIdentifierName",
            "some_really_long_snake_case_identifier_name",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
            "9f1c2d3e-4b5a-6978-8897-a6b5c4d3e2f1",
            "iflow-mcp-ahnlabio-bicscan-mcp",
            "2026-11-29T10:11:12.123456789Z",
            "org.springframework.boot.loader.JarLauncher",
            "KUBERNETES_SERVICE_PORT_HTTPS",
        ] {
            assert!(!is_random(word, LEAST), "{word}");
        }
    }
}
