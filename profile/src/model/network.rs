//! Network peers and listeners.

use super::Counts;
use crate::text::Text;
use serde::{Deserialize, Serialize};

/// All traffic of one executable with one peer, or one listening socket.
/// Outbound rows have no local port, inbound rows no remote port, listening rows no remote end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Network {
    /// Path of the executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// Protocol of the socket.
    pub protocol: Protocol,
    /// Who began.
    pub direction: Direction,
    /// The container's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Endpoint>,
    /// The other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Remote>,
    /// Connections established within the window.
    pub connections: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Failed connections and transfers by errno name.
    #[serde(deserialize_with = "crate::bounds::entries")]
    pub failures: Counts,
    /// Payload bytes sent.
    pub bytes_sent: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// The devices that carried it, innermost first.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub path: Vec<PathHop>,
}

/// Protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Protocol {
    /// TCP over IPv4 or IPv6.
    Tcp,
    /// UDP over IPv4 or IPv6.
    Udp,
    /// UDP whose checksum covers a part only: RFC 3828.
    UdpLite,
    /// Multipath TCP.
    Mptcp,
    /// SCTP: RFC 9260.
    Sctp,
    /// DCCP: RFC 4340.
    Dccp,
    /// ICMP sockets.
    Icmp,
    /// Raw IP sockets.
    Raw,
    /// Packet sockets.
    Packet,
    /// Unix stream sockets.
    UnixStream,
    /// Unix datagram sockets.
    UnixDgram,
    /// Unix sequenced-packet sockets.
    UnixSeqpacket,
    /// Netlink sockets.
    Netlink,
    /// Sockets between a virtual machine and its host.
    Vsock,
}

/// Who began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Direction {
    /// The container.
    Outbound,
    /// The other end.
    Inbound,
    /// A listening socket, without a peer.
    Listen,
}

/// The container's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Endpoint {
    /// IP address; an IPv4 address mapped into IPv6 stands as IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Text>,
    /// Port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
    /// Path of a Unix socket; an abstract name begins with `@`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::path"
    )]
    pub path: Option<Text>,
}

/// The other end, and what it is to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Remote {
    /// IP address; an IPv4 address mapped into IPv6 stands as IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Text>,
    /// Port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u32>,
    /// Path of a Unix socket; an abstract name begins with `@`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounds::path"
    )]
    pub path: Option<Text>,
    /// Names for which a resolver answered the address. Before schema 1.1 also those of `claimed`.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub names: Vec<Text>,
    /// Names that the container itself wrote into TLS greetings: they prove nothing.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub claimed: Vec<Text>,
    /// The pod that has the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<ObjectName>,
    /// The topmost controller of that pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
    /// The service that has the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ObjectName>,
    /// The service that lists the address among its `externalIPs`: a claim of whoever wrote the
    /// service, and no name of the peer.
    #[serde(
        default,
        rename = "externalIPOf",
        skip_serializing_if = "Option::is_none"
    )]
    pub external_ip_of: Option<ObjectName>,
    /// The node that has the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Text>,
    /// The network that the address belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Text>,
}

/// A namespaced object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ObjectName {
    /// Its namespace.
    pub namespace: Text,
    /// Its name.
    pub name: Text,
}

/// A workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Workload {
    /// Its kind, `Deployment` for instance.
    pub kind: Text,
    /// Its namespace.
    pub namespace: Text,
    /// Its name.
    pub name: Text,
}

/// One device that carried the traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PathHop {
    /// Name of the device.
    pub device: Text,
    /// Its kind: `veth`, `bridge`, `vxlan`, …
    pub kind: Text,
    /// `vxlan`, `geneve`, `ipip`, `wireguard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encapsulation: Option<Text>,
    /// The outer addresses, as `FROM > TO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer: Option<Text>,
}

/// A question to a resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Dns {
    /// Path of the executable.
    #[serde(deserialize_with = "crate::bounds::path")]
    pub exe: Text,
    /// The name asked for.
    pub name: Text,
    /// `A`, `AAAA`, …
    #[serde(rename = "type")]
    pub record_type: Text,
    /// `NOERROR`, `NXDOMAIN`, …; absent without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rcode: Option<Text>,
    /// The answers.
    #[serde(default, deserialize_with = "crate::bounds::entries")]
    pub answers: Vec<Text>,
    /// Addresses of the resolvers that answered; before schema 1.1 absent.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounds::entries"
    )]
    pub resolvers: Vec<Text>,
    /// How often.
    pub count: u64,
}
