//! Uses every interface of WASI, and reports the results.

use std::fs;
use std::io::{self, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _, UdpSocket};
use std::time::{Instant, SystemTime};

/// The marker in a request that triggers it.
const SIGN: &str = "stamp:outside";

/// The results, for a request with the marker: JSON, and a space.
pub(crate) fn greeting(prompt: &str) -> Option<String> {
    prompt.contains(SIGN).then(|| format!("{} ", reached()))
}

/// Uses each interface. Returns the result or the error of each.
fn reached() -> String {
    // Both go to the gateway's log, whose lines are counted in bytes.
    println!("stamp speaks to stdout");
    eprintln!("stamp speaks to stderr");
    let spoken = io::stdout().flush().is_ok() && io::stderr().flush().is_ok();
    let began = Instant::now();
    let clock = SystemTime::now() > SystemTime::UNIX_EPOCH || !began.elapsed().is_zero();
    let found = [
        ("variables", variables().to_string()),
        ("arguments", std::env::args().count().to_string()),
        ("read", outcome(fs::read("/etc/hostname"))),
        ("list", outcome(fs::read_dir("/"))),
        ("write", outcome(fs::write("stamp.txt", "stamp"))),
        ("tcp", outcome(TcpStream::connect("127.0.0.1:80"))),
        ("udp", outcome(UdpSocket::bind("127.0.0.1:0"))),
        ("name", outcome(("localhost", 80).to_socket_addrs())),
        ("input", input().to_string()),
        ("random", random().to_string()),
        ("clock", clock.to_string()),
        ("spoken", spoken.to_string()),
    ];
    let members: Vec<String> = found
        .iter()
        .map(|(name, value)| format!("{name:?}:{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

#[expect(clippy::disallowed_methods, reason = "to see that there are none")]
fn variables() -> usize {
    std::env::vars_os().count()
}

/// Bytes that came from the input.
fn input() -> usize {
    io::stdin().read_line(&mut String::new()).unwrap_or(0)
}

/// `"got"`, or the kind of the error.
fn outcome<T>(reached: io::Result<T>) -> String {
    match reached {
        Ok(_) => String::from("\"got\""),
        Err(error) => format!("\"{:?}\"", error.kind()),
    }
}

/// Whether hash maps have a seed, for which WASI is asked: without one this would trap.
fn random() -> bool {
    use std::collections::hash_map::RandomState;
    use std::hash::BuildHasher as _;
    RandomState::new().hash_one(1) != 0
}
