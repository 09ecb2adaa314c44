//! Credentials on command lines, made unreadable.

/// What stands in for a credential.
pub const MASK: &str = "***";

/// Words that make an option or variable a credential.
const SECRET_WORDS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "accesskey",
    "access-key",
    "credential",
];

/// Masks the values of options and variables whose name says that they are credentials, and the
/// password in URLs. Options that take a file are left alone.
///
/// ```
/// let mut argv = ["app", "--password=x", "--token", "y", "https://u:p@host/"].map(String::from).to_vec();
/// procmon_profile::mask::mask_argv(&mut argv);
/// assert_eq!(argv, ["app", "--password=***", "--token", "***", "https://u:***@host/"]);
/// ```
pub fn mask_argv(argv: &mut [String]) {
    let mut mask_next = false;
    for argument in argv.iter_mut().skip(1) {
        if std::mem::take(&mut mask_next) && !argument.starts_with('-') {
            MASK.clone_into(argument);
            continue;
        }
        if let Some((name, value)) = argument.split_once('=') {
            if is_secret(name) && !value.is_empty() {
                *argument = format!("{name}={MASK}");
                continue;
            }
        } else if argument.starts_with('-') && is_secret(argument) {
            mask_next = true;
            continue;
        } else if let Some(masked) = mask_header(argument) {
            *argument = masked;
            continue;
        }
        if let Some(masked) = mask_url(argument) {
            *argument = masked;
        }
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let names_a_file = ["file", "path", "dir"]
        .iter()
        .any(|end| name.ends_with(end));
    !names_a_file && SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// `Authorization: …` as curl's -H takes it.
fn mask_header(argument: &str) -> Option<String> {
    let (name, _) = argument.split_once(':')?;
    let name_is_secret = ["authorization", "x-api-key", "x-auth-token", "cookie"]
        .iter()
        .any(|header| name.eq_ignore_ascii_case(header));
    name_is_secret.then(|| format!("{name}: {MASK}"))
}

/// `scheme://user:password@host`.
fn mask_url(argument: &str) -> Option<String> {
    let (scheme, rest) = argument.split_once("://")?;
    let (authority, _) = rest.split_once(['/', '?']).unwrap_or((rest, ""));
    let (userinfo, _) = authority.rsplit_once('@')?;
    let (user, password) = userinfo.split_once(':')?;
    if password.is_empty() {
        return None;
    }
    let tail = &rest[userinfo.len()..];
    Some(format!("{scheme}://{user}:{MASK}{tail}"))
}
