//! Learning: a part of a name that varies between rows becomes a wildcard.
//!
//! Every decision is a function of the set of rows, and no row more ever undoes one: learning from
//! the union of two sets gives what learning from what was learned of each gives. So the order in
//! which baselines are merged does not matter. For that, each name belongs to fixed classes (its
//! numbers replaced; its extension alone), and a class takes its members in once enough of them are
//! there: three, or two of which one is not in every window, for numbers; four that are not in
//! every window, for any names.

use super::rows::{Row, add_explain, unite, windows};
use super::shape::is_extension;
use crate::knowledge::paths::is_protected;
use crate::model::{
    DnsRow, Explain, ExplainedBy, FileOperation, FileRow, ListenRow, PeerRow, ProcessRow, Seen,
};
use crate::text::Text;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// So many names that differ in numbers only are a class, whichever windows have them.
const NUMBERED: usize = 3;
/// So many names that are not in every window are a class.
const VARYING: usize = 4;
/// Parts of a path that are looked at.
const MAX_DEPTH: usize = 24;
/// The first port that systems give to whoever asks for none (Linux: ip_local_port_range).
const EPHEMERAL: u16 = 32_768;

/// Replaces numbers. None without any.
fn numbers(name: &str) -> Option<Text> {
    let mut pattern = String::with_capacity(name.len());
    let mut in_digits = false;
    let mut any = false;
    for character in name.chars() {
        if character.is_ascii_digit() {
            any = true;
            if !in_digits && !pattern.ends_with('*') {
                pattern.push('*');
            }
            in_digits = true;
        } else {
            in_digits = false;
            pattern.push(character);
        }
    }
    (any && pattern != name).then_some(pattern.into())
}

/// Its extension alone.
fn extension(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((body, extension)) if !body.is_empty() && is_extension(extension) => {
            format!("*.{extension}")
        }
        _ => "*".to_owned(),
    }
}

/// Windows of some rows. None when somebody accepted them: they teach nothing.
fn spread<'a>(seen: impl Iterator<Item = &'a Seen>) -> Option<BTreeSet<usize>> {
    let all: BTreeSet<usize> = seen.flat_map(windows).collect();
    (!all.is_empty()).then_some(all)
}

/// A wildcard of this part was learned: what it stands for varies.
fn is_learned(seen: &Seen, part: usize) -> bool {
    seen.explain
        .iter()
        .any(|explain| explain.by == ExplainedBy::Learned && explain.part as usize == part)
}

/// A file, and its path in parts.
#[derive(Clone)]
struct Item {
    parts: Vec<Text>,
    row: FileRow,
}

/// Generalizes paths, one executable at a time, from the root down.
pub(super) fn files(rows: Vec<FileRow>) -> Vec<FileRow> {
    let mut by_exe: BTreeMap<Text, Vec<Item>> = BTreeMap::new();
    let mut kept = Vec::new();
    for row in rows {
        // Programs are known by their names, and what somebody accepted is what he accepted.
        if windows(&row.seen).is_empty()
            || is_protected(&row.path)
            || row.operations.contains(&FileOperation::Exec)
            || !row.path.starts_with('/')
        {
            kept.push(row);
            continue;
        }
        let parts = row.path.split('/').map(Text::from).collect();
        by_exe
            .entry(row.exe.clone())
            .or_default()
            .push(Item { parts, row });
    }
    for items in by_exe.into_values() {
        let learned = below(items, 1).into_iter();
        kept.extend(learned.map(|item| FileRow {
            path: item.parts.join("/").into(),
            ..item.row
        }));
    }
    unite(kept)
}

/// Files and folders of one name are two things.
type Named = BTreeMap<(bool, Text), Vec<Item>>;

/// Generalizes the parts from `depth` on, where all parts before are equal.
///
/// The names below a name are generalized before and after it joins others: what was seen to vary in
/// one folder must not depend on whether its neighbours were known yet.
fn below(items: Vec<Item>, depth: usize) -> Vec<Item> {
    if items.len() < 2 || depth > MAX_DEPTH {
        return items;
    }
    let mut out = Vec::new();
    let mut named = Named::new();
    for item in items {
        if item.parts.len() <= depth {
            out.push(item);
        } else {
            let is_file = item.parts.len() == depth + 1;
            named
                .entry((is_file, item.parts[depth].clone()))
                .or_default()
                .push(item);
        }
    }
    for items in named.values_mut() {
        *items = below(std::mem::take(items), depth + 1);
    }
    named = classes(named, depth, numbers, |_, distinct, varying| {
        numbered(distinct, varying)
    });
    // Not right below the root: that would be everything.
    if depth > 1 {
        named = classes(
            named,
            depth,
            |name| Some(extension(name).into()),
            |_, distinct, varying| any_names(distinct, varying),
        );
        // A wildcard without an extension took in all names: those with one as well.
        let all = [true, false].map(|is_file| named.contains_key(&(is_file, "*".into())));
        named = classes(
            named,
            depth,
            |_| Some("*".into()),
            |is_file, _, _| {
                if is_file { all[0] } else { all[1] }
            },
        );
    }
    out.extend(named.into_values().flatten());
    out
}

/// Puts the members of each class under its name, where `enough` says so or the name is there already.
fn classes(
    mut named: Named,
    depth: usize,
    class: impl Fn(&str) -> Option<Text>,
    enough: impl Fn(bool, usize, usize) -> bool,
) -> Named {
    let mut members: BTreeMap<(bool, Text), Vec<Text>> = BTreeMap::new();
    for (is_file, name) in named.keys() {
        if let Some(class) = class(name).filter(|class| class != name) {
            members
                .entry((*is_file, class))
                .or_default()
                .push(name.clone());
        }
    }
    let all: BTreeSet<usize> = named
        .values()
        .flatten()
        .flat_map(|item| windows(&item.row.seen))
        .collect();
    for ((is_file, class), names) in members {
        let (mut distinct, mut varying) = (0, 0);
        for name in &names {
            let items = &named[&(is_file, name.clone())];
            if let Some(own) = spread(items.iter().map(|item| &item.row.seen)) {
                let learned = items.iter().any(|item| is_learned(&item.row.seen, depth));
                distinct += 1;
                varying += usize::from(learned || own.len() < all.len());
            }
        }
        let there = named.contains_key(&(is_file, class.clone()));
        if !there && !enough(is_file, distinct, varying) {
            continue;
        }
        let mut taken = named.remove(&(is_file, class.clone())).unwrap_or_default();
        for name in names {
            for mut item in named.remove(&(is_file, name.clone())).unwrap_or_default() {
                item.parts[depth].clone_from(&class);
                // A wildcard's values are there already.
                if !is_learned(&item.row.seen, depth) {
                    add_explain(&mut item.row.seen.explain, learned(depth, &name));
                }
                taken.push(item);
            }
        }
        // Equal paths are one row from here on.
        let rows = taken
            .into_iter()
            .map(|item| FileRow {
                path: item.parts.join("/").into(),
                ..item.row
            })
            .collect();
        let taken = unite(rows)
            .into_iter()
            .map(|row| Item {
                parts: row.path.split('/').map(Text::from).collect(),
                row,
            })
            .collect();
        named.insert((is_file, class), below(taken, depth + 1));
    }
    named
}

fn learned(part: usize, value: &str) -> Explain {
    Explain {
        part: u32::try_from(part).unwrap_or(u32::MAX),
        by: ExplainedBy::Learned,
        rule: None,
        values: BTreeSet::from([value.into()]),
    }
}

/// A row with its key replaced by its class's, and which value of which part is replaced.
type General<R> = (R, Vec<(usize, Text)>);

/// Puts rows under the row of their class, where `enough` of (distinct, varying) says so or that
/// row is there already.
fn generalize<R: Row>(
    rows: Vec<R>,
    class: impl Fn(&R) -> Option<General<R>>,
    enough: impl Fn(usize, usize) -> bool,
) -> Vec<R> {
    let mut members: BTreeMap<R::Key, Vec<usize>> = BTreeMap::new();
    let mut general: Vec<Option<General<R>>> = Vec::with_capacity(rows.len());
    for (number, row) in rows.iter().enumerate() {
        let made = class(row);
        if let Some((made, _)) = &made {
            members.entry(made.key()).or_default().push(number);
        }
        general.push(made);
    }
    let mut chosen = vec![false; rows.len()];
    for (key, members) in members {
        let is_class = |number: &&usize| rows[**number].key() == key;
        let there = members.iter().any(|number| is_class(&number));
        let all = spread(members.iter().map(|number| rows[*number].seen()));
        let all = all.map_or(0, |windows| windows.len());
        let (mut distinct, mut varying) = (0, 0);
        for number in members.iter().filter(|number| !is_class(number)) {
            let seen = rows[*number].seen();
            if let Some(own) = spread(std::iter::once(seen)) {
                let learned = seen
                    .explain
                    .iter()
                    .any(|explain| explain.by == ExplainedBy::Learned);
                distinct += 1;
                varying += usize::from(learned || own.len() < all);
            }
        }
        if there || enough(distinct, varying) {
            for number in members.iter().filter(|number| !is_class(number)) {
                // A row that a user accepted stays as it was accepted.
                chosen[*number] = !windows(rows[*number].seen()).is_empty();
            }
        }
    }
    let out = rows
        .into_iter()
        .zip(general)
        .zip(chosen)
        .map(|((row, general), chosen)| match general {
            Some((mut general, replaced)) if chosen => {
                let made: Vec<_> = replaced
                    .into_iter()
                    .filter(|(part, _)| !is_learned(general.seen(), *part))
                    .collect();
                for (part, value) in made {
                    add_explain(&mut general.seen_mut().explain, learned(part, &value));
                }
                general
            }
            _ => row,
        })
        .collect();
    unite(out)
}

fn numbered(distinct: usize, varying: usize) -> bool {
    distinct >= NUMBERED || (distinct >= 2 && varying >= 1)
}

fn any_names(_: usize, varying: usize) -> bool {
    varying >= VARYING
}

/// Generalizes arguments: their numbers, then all but options.
pub(super) fn processes(rows: Vec<ProcessRow>) -> Vec<ProcessRow> {
    let replace = |row: &ProcessRow, with: &dyn Fn(&str) -> Option<Text>| {
        let mut general = row.clone();
        let mut replaced = Vec::new();
        for (part, argument) in general.argv.iter_mut().enumerate().skip(1) {
            if let Some(pattern) = with(argument)
                && pattern != *argument
            {
                replaced.push((part, std::mem::replace(argument, pattern)));
            }
        }
        // A row that is its own class is a member of it.
        Some((general, replaced))
    };
    let rows = generalize(rows, |row| replace(row, &numbers), numbered);
    let any = |argument: &str| (!argument.starts_with('-')).then(|| "*".into());
    generalize(rows, |row| replace(row, &any), any_names)
}

fn is_ephemeral(port: &str) -> bool {
    port == "*" || port.parse().is_ok_and(|port: u16| port >= EPHEMERAL)
}

/// Generalizes ephemeral ports, then addresses to networks.
pub(super) fn network(rows: Vec<PeerRow>) -> Vec<PeerRow> {
    let port = |row: &PeerRow| {
        is_ephemeral(&row.port).then(|| {
            let general = PeerRow {
                port: "*".into(),
                ..row.clone()
            };
            (general, vec![(1, row.port.clone())])
        })
    };
    let rows = generalize(rows, port, numbered);
    let network = |row: &PeerRow, prefixes: (u8, u8)| {
        let peer = network_of(&row.peer, prefixes)?;
        let replaced = vec![(0, row.peer.clone())];
        Some((
            PeerRow {
                peer: peer.into(),
                ..row.clone()
            },
            replaced,
        ))
    };
    let rows = generalize(rows, |row| network(row, (24, 64)), any_names);
    let rows = generalize(rows, |row| network(row, (16, 48)), any_names);
    let path = |row: &PeerRow| {
        let (folder, name) = row
            .peer
            .rsplit_once('/')
            .filter(|_| row.peer.starts_with('/'))?;
        let pattern = format!("{folder}/{}", numbers(name)?);
        let replaced = vec![(0, row.peer.clone())];
        Some((
            PeerRow {
                peer: pattern.into(),
                ..row.clone()
            },
            replaced,
        ))
    };
    generalize(rows, path, numbered)
}

/// Generalizes ephemeral ports.
pub(super) fn listen(rows: Vec<ListenRow>) -> Vec<ListenRow> {
    let port = |row: &ListenRow| {
        is_ephemeral(&row.port).then(|| {
            let general = ListenRow {
                port: "*".into(),
                ..row.clone()
            };
            (general, vec![(1, row.port.clone())])
        })
    };
    generalize(rows, port, |distinct, varying| {
        distinct >= 2 && varying >= 1
    })
}

/// Generalizes first labels.
pub(super) fn dns(rows: Vec<DnsRow>) -> Vec<DnsRow> {
    let label = |row: &DnsRow| {
        let (first, rest) = row
            .name
            .split_once('.')
            .filter(|(_, rest)| rest.contains('.'))?;
        let general = DnsRow {
            name: format!("*.{rest}").into(),
            ..row.clone()
        };
        Some((general, vec![(0, first.into())]))
    };
    generalize(rows, label, any_names)
}

/// The network of an address, or of a smaller network; none for a name and for loopback.
pub(crate) fn network_of(peer: &str, (v4, v6): (u8, u8)) -> Option<String> {
    let network = parse_network(peer)?;
    let address = network.addr();
    let wanted = if address.is_ipv4() { v4 } else { v6 };
    if address.is_loopback() || network.prefix_len() < wanted {
        return None;
    }
    Some(IpNet::new(address, wanted).ok()?.trunc().to_string())
}

/// A network, or an address as the network of one.
pub(crate) fn parse_network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).ok()
}
