//! The child's side of compiling: it limits itself, takes a component and gives code.

use std::io::{Read, Write};
use std::process::ExitCode;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, nice, setrlimit};

use crate::engine;
use crate::release::line;

/// The command of ours that compiles.
pub const COMMAND: &str = "compile-policy";

/// How nice a compiler is beside requests that run: others come first.
pub(super) const NICE: u64 = 19;

/// How a child ends, as its exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildExit {
    /// The code is written.
    Done = 0,
    /// Something else went wrong.
    Failed = 1,
    /// The component is at fault.
    Invalid = 65,
    /// There was no memory.
    OutOfMemory = 71,
}

impl ChildExit {
    /// What an exit code tells, if it is one of ours.
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

/// What a child may use. The parent decides.
#[derive(Clone, Copy, Debug)]
pub struct ProcessLimits {
    /// Bytes of address space.
    pub memory: u64,
    /// Seconds of CPU time.
    pub seconds: u64,
    /// 0 where nobody is there yet to be disturbed: then it may use every core too.
    pub nice: u64,
}

/// Limits this process for the rest of its life.
///
/// # Errors
/// The system refuses.
pub fn confine(bounds: ProcessLimits) -> Result<(), Errno> {
    nice(i32::try_from(bounds.nice).unwrap_or(i32::MAX))?;
    limit(Resource::Core, 0, 0)?;
    limit(Resource::As, bounds.memory, bounds.memory)?;
    // The first is a signal that the parent understands, and the second the end of one that does not heed it.
    let last = bounds.seconds.saturating_add(1);
    limit(Resource::Cpu, bounds.seconds, last)
}

fn limit(resource: Resource, soft: u64, hard: u64) -> Result<(), Errno> {
    // What limits us already is never raised.
    let now = rustix::process::getrlimit(resource);
    let lower = |wanted: u64, now: Option<u64>| Some(now.map_or(wanted, |now| now.min(wanted)));
    let new = Rlimit {
        current: lower(soft, now.maximum),
        maximum: lower(hard, now.maximum),
    };
    setrlimit(resource, new)
}

/// Reads a component to its end and writes its code, for an engine with this reservation. What is wrong is one line.
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
            // Nobody is left to tell when this fails.
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

/// What an error of the engine means, where it is not for want of memory.
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
