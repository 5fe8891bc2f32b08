//! Tapes: the calls of one request as lines of JSON, to be made again on any release. Secrets are not on them.

mod json; // strings within JSON
mod recorder; // what makes them
mod redact; // what is not on them

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::recorder::Recorder;
use super::policy_call::PolicyCall;

/// The format's version.
const VERSION: u32 = 1;

/// The version of the boundary that the steps are written in.
const WORLD: &str = crate::world::VERSION;

/// Bytes of the longest tape, as the steps count.
const BYTES: usize = 16 << 20;

/// Bytes of the largest file that is read: JSON takes more than what it says.
const FILE_BYTES: u64 = 8 * BYTES as u64;

/// How a tape's file name ends.
const EXTENSION: &str = "jsonl";

/// A tape's first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    airlock_tape: u32,
    /// The version of the boundary.
    world: String,
    /// `req_…`
    request: String,
    /// Unix milliseconds at which its recording ended.
    recorded_at: u64,
}

/// What a policy was told of one request, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tape {
    /// The request's id.
    pub request: String,
    /// Unix milliseconds at which its recording ended.
    pub recorded_at: u64,
    /// Without settings and notes: each release has its own.
    pub steps: Vec<PolicyCall>,
}

/// A file that is no tape of ours.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// It cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A folder without tapes.
    #[error("{} holds no tape (*.{EXTENSION})", .0.display())]
    Empty(PathBuf),
    /// It is something else.
    #[error("{} is no tape: {detail}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// At which line, and what is wrong with it.
        detail: String,
    },
}

impl Tape {
    /// A tape of these steps, without what is a secret or a release's own.
    pub(crate) fn new(request: String, recorded_at: u64, mut steps: Vec<PolicyCall>) -> Self {
        for step in &mut steps {
            match step {
                PolicyCall::Render(request) => request.settings.clear(),
                PolicyCall::Open(context) | PolicyCall::Convene(context, _) => {
                    context.notes.clear();
                }
                PolicyCall::Decide(_)
                | PolicyCall::Feed(_)
                | PolicyCall::Finish(_)
                | PolicyCall::Wake(_)
                | PolicyCall::Settle(..)
                | PolicyCall::Judged(..) => {}
            }
        }
        redact::redact(&mut steps);
        Self {
            request,
            recorded_at,
            steps,
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
        for step in &self.steps {
            lines.push_str(&serde_json::to_string(step)?);
            lines.push('\n');
        }
        Ok(lines)
    }

    /// Reads what `to_lines` has written.
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
        let steps = lines.map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| wrong(number, error.to_string()))
        });
        Ok(Self {
            request: header.request,
            recorded_at: header.recorded_at,
            steps: steps.collect::<Result<_, _>>()?,
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is no tape.
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

/// The tapes that are meant: files as they are, and those of folders by name.
///
/// # Errors
/// A folder cannot be read, or holds none.
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

/// The tapes of a folder, by name.
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
