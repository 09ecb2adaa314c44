//! One row that conditions are about: its classes decide which rules are asked, its fields what they see.

use super::catalogue::Fields;
use super::facts::{Facts, merge, told_truth, truth};
use super::index::Told;
use super::rule::{About, List};
use crate::expression::{ExpressionError, bind};
use crate::knowledge::{base_name, peers};
use crate::model::Time;
use crate::text::Text;
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

/// The subjects of the rows of a list.
fn rows<'a, R, S: 'a>(
    rows: &'a [R],
    subject: impl Fn(usize, &'a R) -> S + 'a,
) -> Box<dyn Iterator<Item = S> + 'a> {
    let rows = rows.iter().enumerate();
    Box::new(rows.map(move |(place, row)| subject(place, row)))
}

/// One row that conditions are about.
#[derive(Clone)]
pub(super) struct Subject<'a> {
    pub(super) about: About,
    pub(super) facts: &'a Facts<'a>,
    /// The place of the row in its list.
    row: usize,
    /// The classes of the row, of its executable, and its name.
    is: Cow<'a, [&'static str]>,
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
                    is: process.is.into(),
                    name: process.name.as_str().into(),
                    process: Some(place),
                    exe: Some(&process.row.exe),
                    time: process.row.first_seen.as_ref(),
                    ..Self::new(about, facts, place)
                },
            )),
            About::File => rows(&container.files, move |place, row| Self {
                is: facts.file_is[place].as_slice().into(),
                name: base_name(&row.path).into(),
                ..Self::of_exe(about, facts, place, &row.exe)
            }),
            About::Network => rows(&container.network, move |place, row| Self {
                is: facts.peer_is[place].as_slice().into(),
                ..Self::of_exe(about, facts, place, &row.exe)
            }),
            About::Dns => rows(&container.dns, move |place, row| Self {
                is: peers::domain_class(&row.name).into_iter().collect(),
                name: row.name.as_str().into(),
                ..Self::of_exe(about, facts, place, &row.exe)
            }),
            About::Syscall => rows(&container.syscalls, move |place, row| Self {
                name: row.name.as_str().into(),
                ..Self::of_exe(about, facts, place, &row.exe)
            }),
            About::Capability => rows(&container.capabilities, move |place, row| Self {
                name: row.name.as_str().into(),
                ..Self::of_exe(about, facts, place, &row.exe)
            }),
            About::Event => rows(&container.events, move |place, row| {
                let process = row.process.as_deref().and_then(|id| facts.by_id(id));
                Self {
                    name: row.event_type.to_string().into(),
                    process,
                    exe: process.map(|process| facts.processes[process].row.exe.as_str()),
                    time: Some(&row.time),
                    ..Self::new(about, facts, place)
                }
            }),
            About::Program => Box::new(facts.programs.iter().map(move |(exe, program)| Self {
                is: program.is.iter().copied().collect(),
                ..Self::of_exe(about, facts, 0, exe)
            })),
            About::Container => Box::new(std::iter::once(Self::new(about, facts, 0))),
        }
    }

    fn new(about: About, facts: &'a Facts<'a>, row: usize) -> Self {
        Self {
            about,
            facts,
            row,
            is: Cow::Borrowed(&[]),
            name: Cow::Borrowed(""),
            process: None,
            exe: None,
            time: None,
        }
    }

    fn of_exe(about: About, facts: &'a Facts<'a>, row: usize, exe: &'a str) -> Self {
        let process = facts.process_of(exe);
        Self {
            process,
            exe: Some(exe),
            time: process.and_then(|process| facts.processes[process].row.first_seen.as_ref()),
            ..Self::new(about, facts, row)
        }
    }

    /// Tells each fact by which rules are found, see [`About::told`]. `known`: the baseline has the row.
    pub(super) fn tell(&self, known: Option<bool>, tell: &mut dyn FnMut(&'static str, Told<'_>)) {
        for class in &*self.is {
            tell("is", Told::Is(class));
        }
        tell("name", Told::Is(&self.name));
        if let Some(known) = known {
            tell("baseline.has", Told::Is(truth(known)));
        }
        let container = self.facts.container;
        match self.about {
            About::Process => self.facts.tell_process(self.row, tell),
            About::File => tell(
                "hostResource",
                told_truth(container.files[self.row].host_resource),
            ),
            About::Network => {
                let row = &container.network[self.row];
                let remote = row.remote.as_ref();
                let port = remote.and_then(|remote| remote.port);
                let service = remote.and_then(|remote| remote.service.as_ref());
                let to_node = remote.is_some_and(|remote| remote.node.is_some());
                tell("protocol", Told::Is(&row.protocol.to_string()));
                tell("direction", Told::Is(&row.direction.to_string()));
                tell("port", Told::Is(&port.unwrap_or(0).to_string()));
                tell(
                    "service",
                    Told::Is(service.map_or("", |service| &service.name)),
                );
                tell("toNode", Told::Is(truth(to_node)));
            }
            About::Event => tell("type", Told::Is(&self.name)),
            About::Dns | About::Syscall | About::Capability | About::Program | About::Container => {
            }
        }
        let program = self.exe.and_then(|exe| self.facts.programs.get(exe));
        for class in program.into_iter().flat_map(|program| &program.is) {
            tell("program.is", Told::Is(class));
        }
    }

    /// The program that a finding is about: many files of one kind are one finding of it.
    pub(super) fn actor(&self) -> String {
        let exe = self.exe.unwrap_or_default();
        match self.about {
            About::Process => format!("{exe} {}", self.name),
            _ => exe.to_owned(),
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
            // A dimension has the name of its list.
            _ => vec![format!(
                "/containers/{index}/{}/{}",
                self.about.dimension(),
                self.row
            )],
        }
    }

    /// Rows of a list that belong to the program, or to the whole container.
    fn rows(&self, list: List) -> Vec<String> {
        let container = self.facts.container;
        let index = self.facts.index;
        let own = |exes: &mut dyn Iterator<Item = &Text>| -> Vec<String> {
            exes.enumerate()
                .filter(|(_, exe)| self.exe.is_none_or(|wanted| wanted == exe.as_str()))
                .map(|(row, _)| format!("/containers/{index}/{}/{row}", list.dimension()))
                .collect()
        };
        match list {
            List::Processes => own(&mut container.processes.iter().map(|row| &row.exe)),
            List::Files => own(&mut container.files.iter().map(|row| &row.exe)),
            List::Network => own(&mut container.network.iter().map(|row| &row.exe)),
            List::Dns => own(&mut container.dns.iter().map(|row| &row.exe)),
            List::Syscalls => own(&mut container.syscalls.iter().map(|row| &row.exe)),
        }
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
            About::File => self.facts.file(place),
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
