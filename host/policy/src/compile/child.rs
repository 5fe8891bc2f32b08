//! The child that compiles: it limits itself, reads a component and writes its code.

use std::io::{Read, Write};
use std::process::ExitCode;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, nice, setrlimit};

use crate::engine;
use crate::release::line;

/// The hidden command of `airlock` that compiles.
pub const COMMAND: &str = "compile-policy";

/// The nice value of a child beside running requests: the lowest priority.
pub(super) const NICE: u64 = 19;

/// The exit codes of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildExit {
    /// The code is written.
    Done = 0,
    /// The engine or a pipe failed.
    Failed = 1,
    /// The component is invalid.
    Invalid = 65,
    /// An allocation failed.
    OutOfMemory = 71,
}

impl ChildExit {
    /// The value of an exit code. `None` for other codes.
    pub(super) fn from_code(code: i32) -> Option<Self> {
        let all = [Self::Done, Self::Failed, Self::Invalid, Self::OutOfMemory];
        all.into_iter().find(|outcome| *outcome as i32 == code)
    }
}

impl From<ChildExit> for ExitCode {
    fn from(outcome: ChildExit) -> Self {
        Self::from(outcome as u8)
    }
}

/// The limits of a child.
#[derive(Clone, Copy, Debug)]
pub struct ProcessLimits {
    /// Bytes of address space.
    pub memory: u64,
    /// Seconds of CPU time.
    pub seconds: u64,
    /// The nice value. With 0, it also uses every core.
    pub nice: u64,
}

/// Applies the limits to this process.
///
/// # Errors
/// The system refuses a limit.
pub fn confine(bounds: ProcessLimits) -> Result<(), Errno> {
    nice(i32::try_from(bounds.nice).unwrap_or(i32::MAX))?;
    limit(Resource::Core, 0, 0)?;
    limit(Resource::As, bounds.memory, bounds.memory)?;
    // The soft limit sends SIGXCPU, which the parent reports as a timeout. The hard limit kills.
    let last = bounds.seconds.saturating_add(1);
    limit(Resource::Cpu, bounds.seconds, last)
}

fn limit(resource: Resource, soft: u64, hard: u64) -> Result<(), Errno> {
    // Never raises an existing limit.
    let now = rustix::process::getrlimit(resource);
    let lower = |wanted: u64, now: Option<u64>| Some(now.map_or(wanted, |now| now.min(wanted)));
    let new = Rlimit {
        current: lower(soft, now.maximum),
        maximum: lower(hard, now.maximum),
    };
    setrlimit(resource, new)
}

/// Reads a component to its end and writes its code, for an engine with this reservation. An error is one line of `words`.
pub fn compile(
    reservation: u64,
    bounds: ProcessLimits,
    component: &mut dyn Read,
    code: &mut dyn Write,
    words: &mut dyn Write,
) -> ChildExit {
    match work(reservation, bounds, component, code) {
        Ok(()) => ChildExit::Done,
        Err((outcome, fault)) => {
            // The exit code still reports the failure if this fails.
            let _ = writeln!(words, "{fault}");
            outcome
        }
    }
}

fn work(
    reservation: u64,
    bounds: ProcessLimits,
    component: &mut dyn Read,
    code: &mut dyn Write,
) -> Result<(), (ChildExit, String)> {
    let failed = |error: std::io::Error| (kind(&error), error.to_string());
    let mut bytes = Vec::new();
    component.read_to_end(&mut bytes).map_err(failed)?;
    let engine = engine::compiler(reservation, bounds.nice == 0)
        .map_err(|error| (fault(&error, ChildExit::Failed), line(&error)))?;
    let compiled = engine
        .precompile_component(&bytes)
        .map_err(|error| (fault(&error, ChildExit::Invalid), line(&error)))?;
    code.write_all(&compiled)
        .and_then(|()| code.flush())
        .map_err(failed)
}

/// The exit code of an error of the engine: out of memory, or `otherwise`.
fn fault(error: &wasmtime::Error, otherwise: ChildExit) -> ChildExit {
    let starved = error.is::<wasmtime::error::OutOfMemory>()
        || error.chain().any(|cause| {
            let io = cause.downcast_ref::<std::io::Error>();
            // The engine maps its code with rustix, whose errors are not the standard library's.
            cause.downcast_ref::<Errno>() == Some(&Errno::NOMEM)
                || io.is_some_and(|io| kind(io) == ChildExit::OutOfMemory)
        });
    if starved {
        ChildExit::OutOfMemory
    } else {
        otherwise
    }
}

fn kind(error: &std::io::Error) -> ChildExit {
    if error.kind() == std::io::ErrorKind::OutOfMemory {
        ChildExit::OutOfMemory
    } else {
        ChildExit::Failed
    }
}

#[cfg(test)]
mod tests;
