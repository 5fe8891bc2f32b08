//! The relay: the process that the gateway starts, connected by a socket to the test that plays Codex.
//!
//! The process forwards its standard input to the test, and writes what the test sends. The script stays in the test,
//! because the gateway reduces a child's environment.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use serde::{Deserialize, Serialize};

/// The first message of a process, which describes it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Hello {
    /// The process ID.
    pub pid: u32,
    /// The program's arguments, without the relay's own.
    pub arguments: Vec<String>,
    /// The program's environment.
    pub environment: BTreeMap<String, String>,
    /// The program's working directory.
    pub folder: String,
}

/// The type of a message on the socket. A message is this byte, a little-endian `u32` length, and the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// To the test: a `Hello` as JSON.
    Hello = b'h',
    /// To the test: a line from the gateway, without its end.
    Line = b'l',
    /// To the test: the gateway closed the input.
    Closed = b'c',
    /// To the process: bytes for the gateway.
    Write = b'w',
    /// To the process: exit with this code, a decimal number.
    Exit = b'x',
}

impl Tag {
    /// The tag of this byte.
    pub fn of(byte: u8) -> Option<Self> {
        [
            Self::Hello,
            Self::Line,
            Self::Closed,
            Self::Write,
            Self::Exit,
        ]
        .into_iter()
        .find(|tag| *tag as u8 == byte)
    }
}

/// Encodes a message.
///
/// # Errors
/// The payload exceeds 4 GiB.
pub fn framed(tag: Tag, payload: &[u8]) -> io::Result<Vec<u8>> {
    let length: u32 = payload
        .len()
        .try_into()
        .map_err(|_| io::Error::other("a message beyond 4 GiB"))?;
    let mut message = Vec::with_capacity(payload.len() + 5);
    message.push(tag as u8);
    message.extend_from_slice(&length.to_le_bytes());
    message.extend_from_slice(payload);
    Ok(message)
}

/// Runs the relay until the gateway closes the input, or the test sends `Exit` or closes the socket. Returns the exit
/// code.
///
/// A `stubborn` relay keeps running when its input ends, as a Codex that hangs does.
pub fn run(socket: &Path, arguments: Vec<String>, stubborn: bool) -> io::Result<i32> {
    let stream = UnixStream::connect(socket)?;
    let mut to_test = stream.try_clone()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "tests check the environment of Codex"
    )]
    let environment = std::env::vars_os();
    let hello = Hello {
        pid: std::process::id(),
        arguments,
        environment: environment
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect(),
        folder: std::env::current_dir()?.to_string_lossy().into_owned(),
    };
    to_test.write_all(&framed(Tag::Hello, &serde_json::to_vec(&hello)?)?)?;
    thread::Builder::new()
        .name("listen".to_owned())
        .spawn(move || {
            // The socket fails when the test has ended. Then `execute` returns and ends the process.
            if forward_input(&mut to_test).is_ok() && !stubborn {
                exit(0);
            }
        })?;
    execute(&mut BufReader::new(stream))
}

/// Exits, as Codex does at the end of its input, even if turns run.
#[expect(
    clippy::disallowed_methods,
    reason = "the reading thread cannot make the writing one return"
)]
pub(super) fn exit(code: i32) -> ! {
    std::process::exit(code)
}

fn forward_input(to_test: &mut UnixStream) -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 16, io::stdin().lock());
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return to_test.write_all(&framed(Tag::Closed, b"")?);
        }
        let end = line.len() - usize::from(line.ends_with(b"\n"));
        to_test.write_all(&framed(Tag::Line, line.get(..end).unwrap_or_default())?)?;
    }
}

fn execute(from_test: &mut impl Read) -> io::Result<i32> {
    let mut output = io::stdout().lock();
    loop {
        let mut head = [0; 5];
        if from_test.read_exact(&mut head).is_err() {
            return Ok(0);
        }
        let [tag, length @ ..] = head;
        let mut payload = vec![0; u32::from_le_bytes(length) as usize];
        from_test.read_exact(&mut payload)?;
        match Tag::of(tag) {
            Some(Tag::Write) => {
                output.write_all(&payload)?;
                output.flush()?;
            }
            Some(Tag::Exit) => return Ok(String::from_utf8_lossy(&payload).parse().unwrap_or(1)),
            _ => return Err(io::Error::other("a message that only the test receives")),
        }
    }
}
