//! Ways around those who watch, one at a time: a folder and the name of a case are the arguments.
//! Each says what it did.
#![expect(unsafe_code, reason = "calls that std does not offer")]

mod floods;
mod harness;
mod names;
mod processes;
#[path = "../raw.rs"]
mod raw;
#[path = "../ring.rs"]
mod ring;
mod rings;
mod swapped;
mod trapped;

use crate::floods::{flood, flood_of_names, flood_of_peers, flood_of_programs};
use crate::names::{
    bound, bound_and_gone, detached, names, names_of_the_gone, through_another_namespace,
};
#[cfg(target_arch = "x86_64")]
use crate::processes::narrow;
use crate::processes::{
    before, disguised, from_memory, leave, leave_by_birth, loud, root_of_nothing, vfork,
};
use crate::rings::{
    ring_chain, ring_datagrams, ring_direct, ring_files, ring_network, ring_several, ring_unlink,
};
use crate::swapped::{swapped_address, swapped_destination, swapped_name, swapped_path};
use crate::trapped::{trapped_destination, trapped_destinations, trapped_making, trapped_opening};
use serde_json::Value;

/// A case, which works below a folder and returns its truth.
type Case = fn(&str) -> Value;

/// Cases by name.
const CASES: &[(&str, Case)] = &[
    ("before", before),
    ("bound", bound),
    ("bound-and-gone", bound_and_gone),
    ("detached", detached),
    ("disguised", disguised),
    ("flood", flood),
    ("flood-of-names", flood_of_names),
    ("flood-of-peers", flood_of_peers),
    ("flood-of-programs", flood_of_programs),
    ("from-memory", from_memory),
    ("leave", leave),
    ("leave-by-birth", leave_by_birth),
    ("loud", loud),
    ("names", names),
    ("names-of-the-gone", names_of_the_gone),
    #[cfg(target_arch = "x86_64")]
    ("narrow", narrow),
    ("ring-files", |folder| ring_files(folder, 0, 0)),
    ("ring-files-fixed", |folder| {
        ring_files(folder, 0, ring::FIXED_FILE)
    }),
    ("ring-files-by-workers", |folder| {
        ring_files(folder, 0, ring::ASYNC)
    }),
    ("ring-files-polled", |folder| {
        ring_files(folder, ring::SQPOLL, 0)
    }),
    ("ring-chain", ring_chain),
    ("ring-network", |_| ring_network(0, 0)),
    ("ring-network-by-workers", |_| ring_network(0, ring::ASYNC)),
    ("ring-network-polled", |_| ring_network(ring::SQPOLL, 0)),
    ("ring-datagrams", ring_datagrams),
    ("ring-direct", ring_direct),
    ("ring-several", ring_several),
    ("ring-unlink", ring_unlink),
    ("root-of-nothing", root_of_nothing),
    ("swapped-address", swapped_address),
    ("swapped-destination", swapped_destination),
    ("swapped-name", swapped_name),
    ("swapped-path", swapped_path),
    ("through-another-namespace", through_another_namespace),
    ("trapped-destination", trapped_destination),
    ("trapped-destinations", trapped_destinations),
    ("trapped-making", trapped_making),
    ("trapped-opening", trapped_opening),
    ("vfork", vfork),
];

fn main() {
    let argument = |number| std::env::args().nth(number);
    match argument(1).expect("a folder").as_str() {
        "whoami" => return,
        "reads" => {
            let marked = argument(2).expect("a file");
            std::fs::read(&marked).expect("read");
            std::fs::write(format!("{marked}.done"), b"").expect("write");
            return;
        }
        _ => {}
    }
    let wanted = argument(2).expect("a case");
    let (_, case) = CASES
        .iter()
        .find(|(name, _)| *name == wanted)
        .unwrap_or_else(|| panic!("no case {wanted}"));
    let truth = case(&argument(1).expect("a folder"));
    procmon_tests::tell(&truth);
}
