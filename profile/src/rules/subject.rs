//! One row that conditions are about: its classes decide which rules are asked, its fields what they see.

use super::catalogue::Fields;
use super::facts::{Facts, merge};
use super::program::peer_classes;
use super::rule::{About, List};
use crate::expression::{ExpressionError, bind};
use crate::knowledge::{base_name, files, peers};
use crate::model::Time;
use cel::Context;
use serde_json::{Value as Json, json};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Some fields of a value; none: all of them.
fn part(value: &Json, wanted: Option<&BTreeSet<String>>) -> Json {
    match (value, wanted) {
        (Json::Object(fields), Some(wanted)) => wanted
            .iter()
            .filter_map(|name| Some((name.clone(), fields.get(name)?.clone())))
            .collect(),
        _ => value.clone(),
    }
}

/// One row that conditions are about.
#[derive(Clone)]
pub(super) struct Subject<'a> {
    pub(super) about: About,
    pub(super) facts: &'a Facts<'a>,
    /// The list that the row stands in, and its place there.
    list: &'static str,
    row: usize,
    /// Words by which rules are found: the classes of the row, of its executable, and its name.
    pub(super) is: Vec<&'static str>,
    pub(super) exe_is: &'a [&'static str],
    pub(super) name: Cow<'a, str>,
    /// The process that it is about: the first of the executable where the row has no process of its own.
    pub(super) process: Option<usize>,
    pub(super) exe: Option<&'a str>,
    pub(super) time: Option<&'a Time>,
}

impl<'a> Subject<'a> {
    /// All rows of a container that conditions of a kind are about.
    pub(super) fn all(about: About, facts: &'a Facts<'a>) -> Box<dyn Iterator<Item = Self> + 'a> {
        let container = facts.container;
        match about {
            About::Process => Box::new(facts.processes.iter().enumerate().map(
                move |(place, process)| Self {
                    is: process.is.to_vec(),
                    exe_is: &process.exe_is,
                    name: process.name.as_str().into(),
                    process: Some(place),
                    exe: Some(&process.row.exe),
                    time: process.row.first_seen.as_ref(),
                    ..Self::new(about, facts, "processes", place)
                },
            )),
            About::File => {
                Box::new(
                    container
                        .files
                        .iter()
                        .enumerate()
                        .map(move |(place, row)| Self {
                            is: files::classes(&row.path),
                            name: base_name(&row.path).into(),
                            ..Self::of_exe(about, facts, "files", place, &row.exe)
                        }),
                )
            }
            About::Network => Box::new(container.network.iter().enumerate().map(
                move |(place, row)| Self {
                    is: peer_classes(row),
                    ..Self::of_exe(about, facts, "network", place, &row.exe)
                },
            )),
            About::Dns => {
                Box::new(
                    container
                        .dns
                        .iter()
                        .enumerate()
                        .map(move |(place, row)| Self {
                            is: peers::domain_class(&row.name).into_iter().collect(),
                            name: row.name.as_str().into(),
                            ..Self::of_exe(about, facts, "dns", place, &row.exe)
                        }),
                )
            }
            About::Syscall => Box::new(container.syscalls.iter().enumerate().map(
                move |(place, row)| Self {
                    name: row.name.as_str().into(),
                    ..Self::of_exe(about, facts, "syscalls", place, &row.exe)
                },
            )),
            About::Capability => Box::new(container.capabilities.iter().enumerate().map(
                move |(place, row)| Self {
                    name: row.name.as_str().into(),
                    ..Self::of_exe(about, facts, "capabilities", place, &row.exe)
                },
            )),
            About::Event => Box::new(container.events.iter().enumerate().map(
                move |(place, row)| {
                    let process = row.process.as_deref().and_then(|id| {
                        facts
                            .processes
                            .iter()
                            .position(|process| process.row.id == *id)
                    });
                    Self {
                        name: row.event_type.to_string().into(),
                        process,
                        exe: process.map(|process| facts.processes[process].row.exe.as_str()),
                        time: Some(&row.time),
                        ..Self::new(about, facts, "events", place)
                    }
                },
            )),
            About::Program => Box::new(facts.programs.iter().map(move |(exe, program)| Self {
                is: program.is.iter().copied().collect(),
                ..Self::of_exe(
                    about,
                    facts,
                    "processes",
                    program.processes.first().copied().unwrap_or(0),
                    exe,
                )
            })),
            About::Container => Box::new(std::iter::once(Self::new(about, facts, "", 0))),
        }
    }

    fn new(about: About, facts: &'a Facts<'a>, list: &'static str, row: usize) -> Self {
        Self {
            about,
            facts,
            list,
            row,
            is: Vec::new(),
            exe_is: &[],
            name: Cow::Borrowed(""),
            process: None,
            exe: None,
            time: None,
        }
    }

    fn of_exe(
        about: About,
        facts: &'a Facts<'a>,
        list: &'static str,
        row: usize,
        exe: &'a str,
    ) -> Self {
        let process = facts.process_of(exe);
        Self {
            process,
            exe: Some(exe),
            time: process.and_then(|process| facts.processes[process].row.first_seen.as_ref()),
            ..Self::new(about, facts, list, row)
        }
    }

    /// The path that the row is about: of a file, or of a process its executable.
    pub(super) fn path(&self) -> Option<&'a str> {
        match self.about {
            About::File => Some(&self.facts.container.files[self.row].path),
            About::Process => self.exe,
            _ => None,
        }
    }

    /// Where the evidence stands in the profile.
    pub(super) fn evidence(&self, lists: &[List]) -> Vec<String> {
        let index = self.facts.index;
        match self.about {
            About::Container if lists.is_empty() => vec![format!("/containers/{index}")],
            About::Program | About::Container => {
                let lists = if lists.is_empty() {
                    &[List::Processes]
                } else {
                    lists
                };
                lists.iter().flat_map(|list| self.rows(*list)).collect()
            }
            _ => vec![format!("/containers/{index}/{}/{}", self.list, self.row)],
        }
    }

    /// Rows of a list that belong to the program, or to the whole container.
    fn rows(&self, list: List) -> Vec<String> {
        let container = self.facts.container;
        let exes: Vec<&str> = match list {
            List::Processes => container
                .processes
                .iter()
                .map(|row| row.exe.as_str())
                .collect(),
            List::Files => container.files.iter().map(|row| row.exe.as_str()).collect(),
            List::Network => container
                .network
                .iter()
                .map(|row| row.exe.as_str())
                .collect(),
            List::Dns => container.dns.iter().map(|row| row.exe.as_str()).collect(),
            List::Syscalls => container
                .syscalls
                .iter()
                .map(|row| row.exe.as_str())
                .collect(),
        };
        let index = self.facts.index;
        exes.into_iter()
            .enumerate()
            .filter(|(_, exe)| self.exe.is_none_or(|wanted| wanted == *exe))
            .map(|(row, _)| format!("/containers/{index}/{}/{row}", list.dimension()))
            .collect()
    }

    /// Gives names their values within a scope, or of each value some fields only.
    pub(super) fn bind(
        &self,
        fields: &Fields,
        baseline: Option<bool>,
        scope: &mut Context<'_, '_>,
    ) -> Result<(), ExpressionError> {
        for (name, wanted) in fields {
            let wanted = wanted.as_ref();
            let value = match *name {
                "container" => part(self.facts.container(), wanted),
                "baseline" => {
                    json!({"given": baseline.is_some(), "has": baseline.unwrap_or(false)})
                }
                // A record without a process has no field of one.
                "process" => self
                    .process
                    .map_or_else(|| json!({}), |place| self.facts.process(place, wanted)),
                "program" => {
                    let exe = self.exe.unwrap_or_default();
                    let program = self.facts.programs.get(exe);
                    program.map_or_else(
                        || json!({}),
                        |program| part(program.value(exe, self.facts), wanted),
                    )
                }
                _ => part(&self.row(), wanted),
            };
            bind(scope, name, &value)?;
        }
        Ok(())
    }

    /// The row itself.
    fn row(&self) -> Json {
        let container = self.facts.container;
        let place = self.row;
        let with = |value: Result<Json, serde_json::Error>, extra: Json| {
            let mut value = value.unwrap_or_default();
            merge(&mut value, extra);
            value
        };
        match self.about {
            About::File => self.facts.file(&container.files[place], &self.is),
            About::Network => {
                let row = &container.network[place];
                let remote = row.remote.clone().unwrap_or_default();
                let local = row.local.clone().unwrap_or_default();
                let names: Vec<&str> = remote
                    .names
                    .iter()
                    .chain(&remote.claimed)
                    .map(AsRef::as_ref)
                    .collect();
                with(
                    serde_json::to_value(row),
                    json!({
                        "is": self.is,
                        "address": remote.address.as_deref().unwrap_or_default(),
                        "port": remote.port.unwrap_or(0),
                        "path": remote.path.as_deref().or(local.path.as_deref()).unwrap_or_default(),
                        "localPort": local.port.unwrap_or(0),
                        "localAddress": local.address.as_deref().unwrap_or_default(),
                        "names": names,
                        "answered": row.connections > 0 || row.bytes_received > 0 || row.datagrams_received > 0,
                        "service": remote.service.as_ref().map_or("", |service| service.name.as_str()),
                        "workload": remote.workload.as_ref().map_or("", |workload| workload.name.as_str()),
                        "namespace": remote.pod.as_ref().map_or("", |pod| pod.namespace.as_str()),
                        "toNode": remote.node.is_some(),
                    }),
                )
            }
            About::Dns => with(
                serde_json::to_value(&container.dns[place]),
                json!({"is": self.is}),
            ),
            About::Syscall => {
                let row = &container.syscalls[place];
                let errors: u64 = row.errors.values().sum();
                let rest = errors + row.restarted + row.unfinished + row.no_return;
                with(
                    serde_json::to_value(row),
                    json!({"succeeded": row.calls.saturating_sub(rest)}),
                )
            }
            About::Capability => {
                serde_json::to_value(&container.capabilities[place]).unwrap_or_default()
            }
            About::Event => serde_json::to_value(&container.events[place]).unwrap_or_default(),
            About::Process | About::Program | About::Container => Json::Null,
        }
    }
}
