//! One end of a steady conversation over TCP, for clusters: `serve PORT` answers every request,
//! `call ADDRESS:PORT MILLISECONDS` sends one in that interval, for ever.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

const REQUEST: [u8; 100] = [b'q'; 100];
const ANSWER: [u8; 1000] = [b'r'; 1000];

fn serve(port: u16) {
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("bind");
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let mut request = Vec::new();
        // A caller that goes away is its own concern.
        let _ = stream
            .read_to_end(&mut request)
            .and_then(|_| stream.write_all(&ANSWER));
    }
}

fn call(address: &str, interval: Duration) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address) {
            let mut answer = Vec::new();
            let _ = stream
                .write_all(&REQUEST)
                .and_then(|()| stream.shutdown(Shutdown::Write))
                .and_then(|()| stream.read_to_end(&mut answer));
        }
        std::thread::sleep(interval);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", port] => serve(port.parse().expect("a port")),
        ["call", address, milliseconds] => {
            call(
                address,
                Duration::from_millis(milliseconds.parse().expect("milliseconds")),
            );
        }
        _ => panic!("serve PORT | call ADDRESS:PORT MILLISECONDS"),
    }
}
