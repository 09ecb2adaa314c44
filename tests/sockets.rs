//! Exact counts of every sort of traffic, one small case each.
#![expect(clippy::unwrap_used, reason = "a panic shows the line")]

use procmon_tests::document::{check_truth, covers, rows, state};
use procmon_tests::has_bpf;
use procmon_tests::profiled::{Run, check_unless_known, folder, local};
use procmon_tests::workload::{self, Linked};

/// Cases in which the profile is known to be wrong, and why.
const KNOWN: &[(&str, &str)] = &[
    ("corked", "calls are counted, not what they make together"),
    ("segments", "one call counts one datagram"),
    (
        "unix-relative",
        "a name is shown as it was bound, whatever it is relative to",
    ),
];

/// Profiles one case.
fn profile(case: &str) -> Run {
    let (_folder, base) = folder();
    let (document, truth, files) = (base.join("p.json"), base.join("truth"), base.join("f"));
    std::fs::create_dir(&files).unwrap();
    let exe = workload::path("sockets", Linked::Dynamic);
    let status = local(&document, &["-q", "--duration", "60s", "--"])
        .arg(&exe)
        .arg(&files)
        .arg(case)
        .env("PROCMON_TRUTH", &truth)
        .status()
        .unwrap();
    assert!(status.success(), "{case}: {status}");
    Run::read(&document, &truth, &exe)
}

/// The document says what the truth says, number by number, and has no row beside it.
fn compare(run: &Run) {
    let (document, truth) = (&run.document, &run.truth);
    check_truth(document, truth, &run.exe);
    for row in rows(document, "network") {
        let is_named = truth["network"]
            .as_array()
            .unwrap()
            .iter()
            .any(|wanted| covers(row, wanted));
        // A socket for datagrams that was bound waits, unless it began itself: tests/shapes.rs
        // tells the two apart.
        let is_bound = row["direction"] == "listen"
            && truth["bound"].as_array().unwrap().contains(&row["local"]);
        let is_named = is_named || is_bound;
        assert!(is_named, "nobody did this: {row}");
    }
    assert_eq!(
        state(document, "network"),
        "complete",
        "{:#}",
        document["completeness"]
    );
}

fn check(case: &str) {
    if !has_bpf() {
        return;
    }
    let run = profile(case);
    check_unless_known(KNOWN, case, || compare(&run));
}

/// One test for each case.
macro_rules! cases {
    ($($test:ident: $case:literal,)*) => {
        $(#[test]
        fn $test() {
            check($case);
        })*
    };
}

cases! {
    outcomes_that_the_program_asks_the_socket_for: "asked-the-socket",
    servers_of_both_families: "both-families",
    datagram_servers_that_connect_to_their_clients: "connected-server",
    datagrams_of_several_calls: "corked",
    datagrams_to_others_than_the_connected_peer: "elsewhere",
    datagrams_without_contents: "empty-datagrams",
    connections_that_begin_with_data: "fast-open",
    connections_that_begin_with_data_by_option: "fast-open-by-option",
    connections_to_a_full_queue: "full-queue",
    half_closed_connections: "half-closed",
    addresses_that_the_kernel_does_not_take: "ignored-addresses",
    many_connections_at_once: "many-connections",
    many_messages_in_one_call: "many-messages",
    multicast: "multicast",
    sockets_passed_between_processes: "passed",
    pings_and_raw_sockets: "pings",
    datagrams_taken_by_read: "read-datagrams",
    unix_datagrams_taken_by_read: "read-unix-datagrams",
    refused_datagrams: "refused-datagrams",
    datagrams_that_the_kernel_cuts: "segments",
    unix_messages_over_connections: "sequenced",
    messages_to_several_places: "several-places",
    listeners_that_share_a_port: "shared-port",
    datagrams_longer_than_the_buffer: "short-buffers",
    connections_that_die_of_silence: "silence",
    every_way_to_send_and_receive: "stream-ways",
    descriptors_swapped_during_connect: "swapped-connect",
    connections_that_time_out: "timed-out",
    connections_to_oneself: "to-itself",
    unix_failures: "unix-failures",
    unix_names_of_every_kind: "unix-names",
    unix_names_relative_to_a_folder: "unix-relative",
    every_way_to_send_and_receive_over_unix_sockets: "unix-stream-ways",
    unreachable_places: "unreachable",
}
