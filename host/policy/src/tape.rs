//! Tapes: the calls of one request as lines of JSON, without secrets, to be replayed on any release.

mod json; // strings and numbers within JSON, with their positions
mod recorder; // records requests
mod redact; // overwrites secrets

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::recorder::Recorder;
use super::policy_call::PolicyCall;

/// The format's version.
const VERSION: u32 = 1;

/// The version of the world that the calls are written in.
const WORLD: &str = crate::world::VERSION;

/// The most bytes of a tape, by the size of its calls.
const BYTES: usize = 16 << 20;

/// The most bytes of a file that is read. JSON is longer than the calls.
const FILE_BYTES: u64 = 8 * BYTES as u64;

/// The extension of a tape's file.
const EXTENSION: &str = "jsonl";

/// A tape's first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    airlock_tape: u32,
    /// The version of the world.
    world: String,
    /// `req_…`
    request: String,
    /// When its recording ended, in milliseconds since 1970.
    recorded_at: u64,
}

/// The calls of one request, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tape {
    /// The request's id.
    pub request: String,
    /// When its recording ended, in milliseconds since 1970.
    pub recorded_at: u64,
    /// The calls, without settings and notes, because each release has its own.
    pub calls: Vec<PolicyCall>,
}

/// Why a file is not a tape.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The file or folder cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A folder has no tapes.
    #[error("{} holds no tape (*.{EXTENSION})", .0.display())]
    Empty(PathBuf),
    /// The file has another format.
    #[error("{} is not a tape: {detail}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong with it.
        detail: String,
    },
}

impl Tape {
    /// A tape of these calls. Overwrites secrets, and removes settings and notes.
    pub(crate) fn new(request: String, recorded_at: u64, mut calls: Vec<PolicyCall>) -> Self {
        for call in &mut calls {
            match call {
                PolicyCall::Render(request) => request.settings.clear(),
                PolicyCall::Open(context) | PolicyCall::Convene(context, _) => {
                    context.notes.clear();
                }
                PolicyCall::Decide(_)
                | PolicyCall::Feed(_)
                | PolicyCall::KeepAlive
                | PolicyCall::Finish(_)
                | PolicyCall::Wake(_)
                | PolicyCall::Settle(..)
                | PolicyCall::Judged(..) => {}
            }
        }
        redact::redact(&mut calls);
        Self {
            request,
            recorded_at,
            calls,
        }
    }

    /// The tape as lines.
    fn to_lines(&self) -> serde_json::Result<String> {
        let header = Header {
            airlock_tape: VERSION,
            world: WORLD.to_owned(),
            request: self.request.clone(),
            recorded_at: self.recorded_at,
        };
        let mut lines = serde_json::to_string(&header)?;
        lines.push('\n');
        for call in &self.calls {
            lines.push_str(&serde_json::to_string(call)?);
            lines.push('\n');
        }
        Ok(lines)
    }

    /// Parses the lines of `to_lines`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().enumerate();
        let wrong = |number: usize, why: String| format!("line {}: {why}", number + 1);
        let (_, first) = lines.next().ok_or("it is empty")?;
        let header: Header =
            serde_json::from_str(first).map_err(|error| wrong(0, error.to_string()))?;
        if (header.airlock_tape, header.world.as_str()) != (VERSION, WORLD) {
            return Err(format!(
                "it is of version {} for the world {}; this airlock plays version {VERSION} for {WORLD}",
                header.airlock_tape, header.world
            ));
        }
        let calls = lines.map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| wrong(number, error.to_string()))
        });
        Ok(Self {
            request: header.request,
            recorded_at: header.recorded_at,
            calls: calls.collect::<Result<_, _>>()?,
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a tape.
    pub fn read(path: &Path) -> Result<Self, TapeError> {
        let file = |cause| TapeError::File {
            path: path.to_owned(),
            cause,
        };
        let format = |detail| TapeError::Format {
            path: path.to_owned(),
            detail,
        };
        let mut bytes = Vec::new();
        let mut opened = File::open(path).map_err(file)?.take(FILE_BYTES + 1);
        opened.read_to_end(&mut bytes).map_err(file)?;
        if bytes.len() as u64 > FILE_BYTES {
            return Err(format(format!("it has more than {FILE_BYTES} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|_| format("it is not UTF-8".to_owned()))?;
        Self::parse(&text).map_err(format)
    }
}

/// The tapes of these paths: files as they are, and the tapes of folders, sorted by name.
///
/// # Errors
/// A folder cannot be read, or has no tapes.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, TapeError> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let mut inside = files(path).map_err(|cause| TapeError::File {
            path: path.clone(),
            cause,
        })?;
        if inside.is_empty() {
            return Err(TapeError::Empty(path.clone()));
        }
        found.append(&mut inside);
    }
    Ok(found)
}

/// The tapes of a folder, sorted by name.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == EXTENSION) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
pub mod tests;
