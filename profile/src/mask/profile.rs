//! All rows of a container, masked at one place.

use super::names::{self, Secrecy};
use super::spans::Spans;
use super::value::{self, Shape, Verdict};
use super::{MASK, MaskLevel, mask_line, mask_name, mask_texts, random};
use crate::model::{Container, Endpoint, Remote};
use crate::text::Text;
use std::collections::HashMap;

/// Masks what a target chose in the rows of a container: arguments, paths, sockets, names of hosts,
/// details of events. Equal texts stay equal, so that rows still belong together.
pub fn mask_rows(container: &mut Container, level: MaskLevel) {
    if level == MaskLevel::None {
        return;
    }
    let mut names = Names {
        level,
        known: HashMap::new(),
    };
    // In local mode a container is called as its command line.
    if container.pod.is_none() && container.container.contains(' ') {
        container.container = mask_line(&container.container, level).into();
    }
    for row in &mut container.processes {
        mask_texts(&mut row.argv, level);
        for title in &mut row.titles {
            mask_texts(std::slice::from_mut(title), level);
        }
        names.mask(&mut row.exe);
        row.cwd.iter_mut().for_each(|cwd| names.mask(cwd));
    }
    for row in &mut container.syscalls {
        names.mask(&mut row.exe);
    }
    for row in &mut container.files {
        names.mask(&mut row.path);
        names.mask(&mut row.exe);
        if let Some(mount) = &mut row.mount {
            mount
                .source
                .iter_mut()
                .for_each(|source| names.mask(source));
            mount.host_path.iter_mut().for_each(|path| names.mask(path));
        }
    }
    for row in &mut container.network {
        names.mask(&mut row.exe);
        if let Some(Endpoint {
            path: Some(path), ..
        }) = &mut row.local
        {
            names.mask(path);
        }
        if let Some(Remote {
            path,
            names: given,
            claimed,
            ..
        }) = &mut row.remote
        {
            if let Some(path) = path {
                names.mask(path);
            }
            for name in given.iter_mut().chain(claimed) {
                names.mask_host(name);
            }
        }
    }
    for row in &mut container.dns {
        names.mask(&mut row.exe);
        names.mask_host(&mut row.name);
        row.answers
            .iter_mut()
            .for_each(|name| names.mask_host(name));
    }
    for row in &mut container.capabilities {
        names.mask(&mut row.exe);
    }
    for row in &mut container.events {
        row.details.values_mut().for_each(|text| names.mask(text));
    }
}

/// Names that were masked before: the same paths stand in many rows.
struct Names {
    level: MaskLevel,
    known: HashMap<Text, Option<Text>>,
}

/// Names that are remembered.
const MAX_KNOWN: usize = 4096;

impl Names {
    fn mask(&mut self, name: &mut Text) {
        // Most names hold neither a sign nor a prefix; they cost no memory.
        if name.len() > 64 || self.known.len() >= MAX_KNOWN {
            if let Some(masked) = mask_name(name, false, self.level) {
                *name = masked.into();
            }
            return;
        }
        let masked = if let Some(masked) = self.known.get(name) {
            masked.clone()
        } else {
            let masked = mask_name(name, false, self.level).map(Text::from);
            self.known.insert(name.clone(), masked.clone());
            masked
        };
        if let Some(masked) = masked {
            *name = masked;
        }
    }

    fn mask_host(&self, name: &mut Text) {
        if let Some(masked) = mask_name(name, true, self.level) {
            *name = masked.into();
        }
    }
}

/// Longer values are read up to here.
const MAX_VALUE: usize = 1024;

/// `name=value` within a name of a file.
pub(super) fn settings(text: &str, spans: &mut Spans) {
    for (sign, _) in text.match_indices('=') {
        let begin = text[..sign]
            .bytes()
            .rev()
            .take(64)
            .take_while(|byte| super::text::is_name(*byte))
            .count();
        let meaning = names::meaning(&text[sign - begin..sign]);
        if meaning.secrecy < Secrecy::Strong {
            continue;
        }
        let from = sign + 1;
        let limit = text.floor_char_boundary((from + MAX_VALUE).min(text.len()));
        let end = text[from..limit]
            .find(['/', '&', ';', ',', ' '])
            .map_or(limit, |end| from + end);
        if value::judge(&text[from..end], meaning) == Verdict::Goes {
            spans.hide(from, end);
        }
    }
}

/// Parts that look random and are not digests.
pub(super) fn random_parts(text: &str, spans: &mut Spans) {
    let mut place = 0;
    for part in text.split('/') {
        let is_known = matches!(
            value::shape(part),
            Shape::Digest | Shape::Uuid | Shape::Host
        );
        if !is_known && !part.ends_with(MASK) && random::is_random(part, random::LEAST) {
            spans.hide_but(place, place + part.len(), 4);
        }
        place += part.len() + 1;
    }
}
