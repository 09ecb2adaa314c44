//! The surroundings of a server, outside of its process tree: its backend, and peers that it must not have.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

/// Peers of a server, kept for as long as this lives.
#[derive(Debug)]
pub struct Outside {
    /// Port of the backend on 127.0.0.1.
    pub backend: u16,
    /// Port on 127.0.0.77, a host that the server never speaks to.
    pub stranger: u16,
    /// Port of another service on 127.0.0.1.
    pub other: u16,
    /// A port that nobody uses.
    pub unused: u16,
    /// Another one.
    pub unused_too: u16,
    // A resolver that it never asks: who is bound receives, datagrams are not read.
    _resolver: Option<UdpSocket>,
}

/// A port that nobody listens on now.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Answers one connection for as long as it asks.
fn answer(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut length = 0;
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let keeps = !line.contains("HTTP/1.0");
        loop {
            line.clear();
            if reader.read_line(&mut line)? <= 2 {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
        let body = "the backend's answer\n";
        write!(
            writer,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        if !keeps {
            return Ok(());
        }
    }
}

/// Serves whoever comes, until this program ends.
fn serve(address: Ipv4Addr) -> u16 {
    let listener = TcpListener::bind((address, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A peer that goes away is its own concern.
            std::thread::spawn(move || answer(&stream));
        }
    });
    port
}

impl Outside {
    /// Starts them; the Unix socket is `other.sock` in the folder.
    ///
    /// # Panics
    /// When a port or the socket can't be had.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let socket = UnixListener::bind(folder.join("other.sock")).expect("a socket");
        std::thread::spawn(move || {
            for mut stream in socket.incoming().flatten() {
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        Self {
            backend: serve(Ipv4Addr::LOCALHOST),
            stranger: serve(Ipv4Addr::new(127, 0, 0, 77)),
            other: serve(Ipv4Addr::LOCALHOST),
            unused: free_port(),
            unused_too: free_port(),
            // One that is there already hears the questions as well.
            _resolver: UdpSocket::bind("127.0.0.53:5353").ok(),
        }
    }
}
