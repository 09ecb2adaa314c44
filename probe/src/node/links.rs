//! Names of network links, of which link-local addresses have only the numbers: from /proc/PID/net/if_inet6.

use crate::drain::Processes;
use procmon_probe_ebpf::abi::NetworkEvent;
use procmon_profile::text::{self, Text};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::net::Ipv6Addr;

/// Most bytes read of one table of addresses.
const MAX_BYTES: u64 = 1 << 20;
/// Times that the links of network namespaces are read.
const MAX_READS: u32 = 64;

/// Links by network namespace and number.
#[derive(Default)]
pub(crate) struct Links {
    known: HashMap<(u32, u32), Text>,
    reads: u32,
}

impl Links {
    /// Finds out what the link is called that an event tells of, if its addresses need it.
    pub(crate) fn look(&mut self, event: &NetworkEvent, processes: &Processes) {
        let is_local = i32::from(event.key.family) == libc::AF_INET6
            && [&event.key.remote, &event.key.local]
                .map(|address| split(address).1)
                .iter()
                .any(|link| *link != 0);
        if !is_local
            || self.known.contains_key(&(event.netns, event.link))
            || self.reads == MAX_READS
        {
            return;
        }
        self.reads += 1;
        let own = super::namespace("self", "net") == Some(event.netns);
        let target = processes
            .in_network(event.netns)
            .map(|tgid| tgid.to_string());
        // Who was seen there may be gone by now.
        let processes = own.then(|| "self".to_owned()).into_iter().chain(target);
        for process in processes {
            for (link, name) in parse(&table(&process)) {
                self.known.insert((event.netns, link), name);
            }
        }
    }

    /// An IPv6 address of a key as text: with the name of its link, or its number, if it has one.
    pub(crate) fn text(&self, netns: u32, address: &[u8; 16]) -> String {
        let (address, link) = split(address);
        match self.known.get(&(netns, link)) {
            _ if link == 0 => address.to_string(),
            Some(name) => format!("{address}%{name}"),
            None => format!("{address}%{link}"),
        }
    }
}

/// The table of a process; empty when it is gone.
fn table(process: &str) -> Vec<u8> {
    let mut table = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{process}/net/if_inet6")) {
        // What was read before an error is a table too.
        let _ = file.take(MAX_BYTES).read_to_end(&mut table);
    }
    table
}

/// An address of a key, and the number of its link; 0: it has none.
pub(crate) fn split(bytes: &[u8; 16]) -> (Ipv6Addr, u32) {
    let address = Ipv6Addr::from(*bytes);
    let is_of_link = address.is_unicast_link_local() || address.segments()[0] == 0xff02;
    if !is_of_link {
        return (address, 0);
    }
    let mut bytes = *bytes;
    let link = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    bytes[4..8].fill(0);
    (Ipv6Addr::from(bytes), link)
}

/// Number and name of each link: `ADDRESS NUMBER PREFIX SCOPE FLAGS NAME`, numbers in hexadecimal.
pub(crate) fn parse(table: &[u8]) -> impl Iterator<Item = (u32, Text)> + '_ {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line
            .split(|byte| *byte == b' ')
            .filter(|field| !field.is_empty());
        let link = u32::from_str_radix(std::str::from_utf8(fields.nth(1)?).ok()?, 16).ok()?;
        Some((link, text::from_bytes(fields.nth(3)?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_told_from_an_address_that_needs_it() {
        let local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let mut bytes = local.octets();
        bytes[4..8].copy_from_slice(&3_u32.to_ne_bytes());
        assert_eq!(split(&bytes), (local, 3));
        let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1);
        assert_eq!(split(&global.octets()), (global, 0));
    }

    #[test]
    fn names_of_links_are_read() {
        let table = b"fe800000000000000000000000000001 0a 40 20 80       a0\n\
            00000000000000000000000000000001 01 80 10 80       lo\nbroken\n";
        let found: Vec<_> = parse(table).collect();
        assert_eq!(found, [(10, "a0".into()), (1, "lo".into())]);
    }
}
