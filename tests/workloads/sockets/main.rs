//! One sort of traffic at a time: a folder and the name of a case are the arguments. Each case knows
//! all rows that it makes.
#![expect(unsafe_code, reason = "calls on sockets that std does not offer")]

mod datagrams;
mod failures;
#[path = "../raw.rs"]
mod raw;
mod rows;
mod streams;
mod unix;

use crate::datagrams::{
    connected_server, corked, elsewhere, empty_datagrams, ignored_addresses, many_messages,
    multicast, pings, read_datagrams, refused_datagrams, segments, several_places, short_buffers,
};
use crate::failures::{asked_the_socket, full_queue, silence, timed_out, unreachable};
use crate::streams::{
    both_families, fast_open, fast_open_by_option, half_closed, many_connections, shared_port,
    stream_ways, swapped_connect, to_itself,
};
use crate::unix::{
    echo, passed, read_unix_datagrams, sequenced, unix_failures, unix_names, unix_relative,
    unix_stream_ways,
};
use serde_json::{Value, json};

pub(crate) type Rows = Vec<Value>;

/// A case, which works below a folder and returns its rows.
type Case = fn(&str) -> Rows;

/// Cases by name.
const CASES: &[(&str, Case)] = &[
    ("asked-the-socket", asked_the_socket),
    ("both-families", both_families),
    ("connected-server", connected_server),
    ("corked", corked),
    ("elsewhere", elsewhere),
    ("empty-datagrams", empty_datagrams),
    ("fast-open", fast_open),
    ("fast-open-by-option", fast_open_by_option),
    ("full-queue", full_queue),
    ("half-closed", half_closed),
    ("ignored-addresses", ignored_addresses),
    ("many-connections", many_connections),
    ("many-messages", many_messages),
    ("multicast", multicast),
    ("passed", passed),
    ("pings", pings),
    ("read-datagrams", read_datagrams),
    ("read-unix-datagrams", read_unix_datagrams),
    ("refused-datagrams", refused_datagrams),
    ("segments", segments),
    ("sequenced", sequenced),
    ("several-places", several_places),
    ("shared-port", shared_port),
    ("short-buffers", short_buffers),
    ("silence", silence),
    ("stream-ways", stream_ways),
    ("swapped-connect", swapped_connect),
    ("timed-out", timed_out),
    ("to-itself", to_itself),
    ("unix-failures", unix_failures),
    ("unix-names", unix_names),
    ("unix-relative", unix_relative),
    ("unix-stream-ways", unix_stream_ways),
    ("unreachable", unreachable),
];

fn main() {
    let argument = |number| std::env::args().nth(number).expect("a folder and a case");
    let folder = argument(1);
    if folder == "echo" {
        return echo();
    }
    let wanted = argument(2);
    let (_, case) = CASES
        .iter()
        .find(|(name, _)| *name == wanted)
        .unwrap_or_else(|| panic!("no case {wanted}"));
    let rows = case(&folder);
    procmon_tests::tell(&json!({"network": rows, "bound": raw::bound()}));
}
