//! Who a command runs as: the user that called sudo, one that is named, or root.

use crate::hint::advised;
use anyhow::{Context as _, Result};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use procmon_profile::wire::RunAs;
use std::ffi::CString;

/// A user to run a command as.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// The numbers.
    pub(crate) ids: RunAs,
    /// Variables of the environment that say who and where the user is, as `sudo -u` and systemd set
    /// them; none where the user database does not know the user.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.environment.iter().find(|(name, _)| *name == "USER");
        match name {
            Some((_, name)) => write!(f, "{name} ({}:{})", self.ids.uid, self.ids.gid),
            None => write!(f, "{}:{}", self.ids.uid, self.ids.gid),
        }
    }
}

/// The user that a command runs as: the one who is named, else the caller of sudo; none: nobody else.
pub(crate) fn choose(named: Option<&str>, as_root: bool) -> Result<Option<Account>> {
    if let Some(named) = named {
        return parse(named)
            .map(Some)
            .with_context(|| format!("cannot run the command as `{named}`"));
    }
    if as_root || !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    caller(|name| std::env::var(name).ok())
        .map_err(|error| error.context("cannot run the command as the caller of sudo"))
}

/// The caller of sudo, by the variables that it sets. Whoever controls these can only make the
/// command another user than root.
fn caller(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Account>> {
    let Some(uid) = variable("SUDO_UID") else {
        return Ok(None);
    };
    let gid = variable("SUDO_GID").unwrap_or_default();
    let (Some(uid), Some(gid)) = (id(&uid), id(&gid)) else {
        return Err(advised(
            format!(
                "SUDO_UID is `{uid}` and SUDO_GID is `{gid}`: these are not a user and a group"
            ),
            "name the user with `--user`, or keep root with `--as-root`",
        ));
    };
    if uid == 0 {
        return Ok(None);
    }
    account(uid, Some(gid)).map(Some)
}

/// A number of a user or group. The greatest means "as it is" to the kernel, and is neither.
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

/// `USER`, `USER:GROUP`, each a name or a number.
fn parse(text: &str) -> Result<Account> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let uid = match id(user) {
        Some(uid) => uid,
        None => User::from_name(user)?
            .ok_or_else(|| advised(
                format!("there is no user `{user}`"),
                "name one that `getent passwd` lists, or give numbers, as in `--user 1000:1000`",
            ))?
            .uid
            .as_raw(),
    };
    let gid = match group {
        None => None,
        Some(group) => Some(match id(group) {
            Some(gid) => gid,
            None => Group::from_name(group)?
                .ok_or_else(|| {
                    advised(
                        format!("there is no group `{group}`"),
                        "name one that `getent group` lists, or give its number",
                    )
                })?
                .gid
                .as_raw(),
        }),
    };
    account(uid, gid)
}

/// What the user database says of a user; the group is the user's own where none is given.
fn account(uid: u32, gid: Option<u32>) -> Result<Account> {
    let user = User::from_uid(Uid::from_raw(uid))?;
    let gid = gid
        .or_else(|| user.as_ref().map(|user| user.gid.as_raw()))
        .ok_or_else(|| {
            advised(
                format!("the user database does not know {uid}, and so not the group"),
                format!("give it: `--user {uid}:GROUP`"),
            )
        })?;
    let Some(user) = user else {
        return Ok(Account {
            ids: RunAs {
                uid,
                gid,
                groups: vec![gid],
            },
            environment: Vec::new(),
        });
    };
    let groups = getgrouplist(&CString::new(user.name.clone())?, Gid::from_raw(gid))
        .context("cannot read the user's groups")?;
    Ok(Account {
        ids: RunAs {
            uid,
            gid,
            groups: groups.into_iter().map(Gid::as_raw).collect(),
        },
        environment: vec![
            ("USER", user.name.clone()),
            ("LOGNAME", user.name),
            ("HOME", user.dir.display().to_string()),
            ("SHELL", user.shell.display().to_string()),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(uid: &'static str, gid: &'static str) -> Result<Option<Account>> {
        caller(|name| match name {
            "SUDO_UID" => Some(uid.to_owned()),
            "SUDO_GID" => Some(gid.to_owned()),
            _ => None,
        })
    }

    #[test]
    fn variables_that_are_no_numbers_of_a_user_make_nobody_root() {
        assert!(matches!(called("0", "0"), Ok(None)));
        for (uid, gid) in [
            ("", "1"),
            ("x", "1"),
            ("-1", "1"),
            ("4294967295", "1"),
            ("4294967296", "1"),
            ("1", ""),
            ("1", "4294967295"),
            ("1", "root"),
        ] {
            assert!(called(uid, gid).is_err(), "{uid} {gid}");
        }
        assert!(matches!(caller(|_| None), Ok(None)));
    }

    #[test]
    fn a_user_is_named_by_name_or_number_with_or_without_a_group() {
        let root = RunAs {
            uid: 0,
            gid: 0,
            groups: vec![0],
        };
        for text in ["root", "0", "root:root", "0:0"] {
            let found = parse(text).expect(text);
            assert_eq!(
                (found.ids.uid, found.ids.gid),
                (root.uid, root.gid),
                "{text}"
            );
            assert!(
                found.environment.contains(&("USER", "root".to_owned())),
                "{text}"
            );
        }
        // No machine knows this user.
        let unknown = parse("3999999999:7").expect("numbers");
        assert_eq!(
            unknown.ids,
            RunAs {
                uid: 3_999_999_999,
                gid: 7,
                groups: vec![7]
            }
        );
        assert!(unknown.environment.is_empty());
        for text in [
            "",
            ":0",
            "no-such-user",
            "root:no-such-group",
            "3999999999",
            "4294967295:0",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
