//! Rows of questions to resolvers.

use super::Facts;
use procmon_profile::model::Dns;
use procmon_profile::text::Text;

/// Each with the slot of its container.
pub(super) fn rows<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = (u32, Dns)> + 'a {
    facts.drained.names.rows.iter().filter_map(|row| {
        let slot = facts.drained.container_of(row.exe)?;
        let row = Dns {
            exe: facts.drained.path_of(row.exe),
            name: row.name.clone().into(),
            record_type: row.record_type.clone().into(),
            rcode: row.rcode.clone().map(Text::from),
            answers: row.answers.iter().map(Text::from).collect(),
            resolvers: row.resolvers.iter().map(Text::from).collect(),
            count: row.count,
        };
        Some((slot, row))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{APP, CONTAINER, Given};
    use super::*;
    use crate::packets::Row;

    #[test]
    fn questions_are_of_the_container_that_asked() {
        let row = |exe, name: &str, rcode: Option<&str>| Row {
            exe,
            name: name.to_owned(),
            record_type: "A".to_owned(),
            rcode: rcode.map(str::to_owned),
            answers: vec!["192.0.2.1".to_owned()],
            resolvers: vec!["192.0.2.53".to_owned()],
            count: 3,
        };
        let mut given = Given::new();
        given.drained.names.rows = vec![
            row(APP, "a.example", Some("NOERROR")),
            row(APP, "b.example", None),
            row(99, "stranger.example", None),
        ];
        let found: Vec<_> = given.facts(|facts| rows(facts).collect());
        let expected = |name: &str, rcode: Option<&str>| Dns {
            exe: "/bin/app".into(),
            name: name.into(),
            record_type: "A".into(),
            rcode: rcode.map(Text::from),
            answers: vec!["192.0.2.1".into()],
            resolvers: vec!["192.0.2.53".into()],
            count: 3,
        };
        assert_eq!(
            found,
            [
                (CONTAINER, expected("a.example", Some("NOERROR"))),
                (CONTAINER, expected("b.example", None)),
            ]
        );
    }
}
