//! Names that several sections share.

use crate::render::text::shorten;
use procmon_profile::model::{Container, Profile};
use procmon_profile::text::Text;
use std::borrow::Cow;

/// A container as a row names it: pod and container, or the beginning of an id.
pub(super) fn label(container: &Container) -> String {
    match &container.pod {
        Some(pod) => format!("{pod}/{}", short(&container.container)),
        None => short(&container.container).into_owned(),
    }
}

/// The name of a container: of an id the part that tools show, of a long command its ends.
pub(super) fn short(name: &str) -> Cow<'_, str> {
    let is_id = name.len() >= 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name.get(..12).filter(|_| is_id) {
        Some(start) => start.into(),
        None => shorten(name, 48),
    }
}

/// The containers of a profile with their labels; those of one name have a number.
pub(super) struct Containers<'a> {
    all: Vec<(&'a Container, String)>,
}

impl<'a> Containers<'a> {
    pub(super) fn of(profile: &'a Profile) -> Self {
        let mut seen = std::collections::HashMap::<String, usize>::new();
        let all = profile.containers.iter().map(|container| {
            let label = label(container);
            let times = seen.entry(label.clone()).or_insert(0);
            *times += 1;
            match *times {
                1 => (container, label),
                number => (container, format!("{label} ({number})")),
            }
        });
        Self { all: all.collect() }
    }

    /// There are several, so that rows have to say whose they are.
    pub(super) fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a Container, &str)> {
        self.all
            .iter()
            .map(|(container, label)| (*container, label.as_str()))
    }

    /// Rows of one dimension, each with the label of its container: nothing where there is one container.
    pub(super) fn rows<'s, T: 'a>(
        &'s self,
        rows: impl Fn(&'a Container) -> &'a Vec<T> + 's,
    ) -> impl Iterator<Item = (&'s str, &'a T)> + 's {
        self.all.iter().flat_map(move |(container, label)| {
            let label = if self.are_several() {
                label.as_str()
            } else {
                ""
            };
            rows(container).iter().map(move |row| (label, row))
        })
    }
}

/// Texts behind each other.
pub(super) fn words(texts: &[Text]) -> String {
    texts.join(" ")
}
