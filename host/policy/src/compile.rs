//! Compiles components in a child process, niced and limited, and keeps what comes of it.

pub mod child; // the child's side

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wasmtime::component::Component;

use self::child::{COMMAND, ChildExit, NICE};
use super::cache::{Cache, CacheError};
use super::engine::Engine;
use super::release::is_component;
use airlock_base::task::spawner;

/// The program that runs. Resolved between fork and exec, it is this very one, even if its file was replaced.
const PROGRAM: &str = "/proc/self/exe";

/// Bytes of what a child says that are read.
const SAID_BYTES: u64 = 16 << 10;

/// How long a child that was killed may take to be gone.
const REAP: Duration = Duration::from_secs(3);

/// Turns components into code. Clones share the cache, and the one place in which a child may compile.
#[derive(Clone)]
pub struct Compiler {
    engine: Engine,
    cache: Arc<Cache>,
    limits: CompileLimits,
    /// The `airlock` to run as a child.
    program: PathBuf,
    /// One compile at a time: each may use as much memory as the limit allows.
    place: Arc<Semaphore>,
    /// How nice the child is.
    nice: u64,
}

/// What one compile may use.
#[derive(Clone, Copy, Debug)]
pub struct CompileLimits {
    /// By the clock on the wall. CPU time is limited to the same, in whole seconds.
    pub timeout: Duration,
    /// Bytes of address space of the child.
    pub memory_bytes: usize,
}

/// There is no code of a component.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The compiler refuses it; its words, on one line.
    #[error("{0}")]
    Invalid(String),
    /// It took longer than `policies.compile_timeout`.
    #[error("compiling took longer than {} ms (policies.compile_timeout)", .0.as_millis())]
    TimedOut(Duration),
    /// It took more than `policies.compile_memory_bytes`, or the machine has no more.
    #[error(
        "compiling needs more memory than {0} bytes (policies.compile_memory_bytes), or than the machine has"
    )]
    OutOfMemory(usize),
    /// The compiler itself failed, or could not be started.
    #[error("the compiler failed: {0}")]
    Crashed(String),
    /// The code cannot be kept, or what is kept cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Compiler {
    /// A compiler whose children are this very program.
    pub fn new(engine: Engine, cache: Cache, limits: CompileLimits) -> Self {
        Self {
            engine,
            cache: Arc::new(cache),
            limits,
            program: PathBuf::from(PROGRAM),
            place: Arc::new(Semaphore::new(1)),
            nice: NICE,
        }
    }

    /// The same, in a hurry: for a start, when there are no requests to disturb.
    pub fn hurried(&self) -> Self {
        Self {
            nice: 0,
            ..self.clone()
        }
    }

    /// The code of a component, kept or new. `digest` is the whole SHA-256 of `bytes` in hexadecimal digits. Kept
    /// code takes about a millisecond. Dropped, it ends the child.
    ///
    /// # Errors
    /// A [`CompileError`] that says whether the component, the limits or the machine is at fault.
    pub async fn compiled(&self, bytes: &[u8], digest: &str) -> Result<Component, CompileError> {
        is_component(bytes).map_err(|fault| CompileError::Invalid(fault.to_owned()))?;
        if let Some(component) = self.cached(digest).await? {
            return Ok(component);
        }
        let closed = |_| CompileError::Crashed("there is no place to compile in".to_owned());
        let _place = self.place.acquire().await.map_err(closed)?;
        // Whoever had the place before may have compiled the same.
        if let Some(component) = self.cached(digest).await? {
            return Ok(component);
        }
        self.compile(bytes, digest).await?;
        let missing = || CompileError::Crashed("its code does not fit this engine".to_owned());
        self.cached(digest).await?.ok_or_else(missing)
    }

    /// The code of the component of this digest, if it is kept.
    ///
    /// # Errors
    /// The cache cannot be used.
    pub async fn cached(&self, digest: &str) -> Result<Option<Component>, CompileError> {
        let (this, digest) = (self.clone(), digest.to_owned());
        blocking(move || this.cache.load(&this.engine, &digest)).await
    }

    /// Has a child compile the component into the cache.
    async fn compile(&self, bytes: &[u8], digest: &str) -> Result<(), CompileError> {
        let draft = self.cache.draft()?;
        let out = draft.file.try_clone().map_err(crashed)?;
        let mut child = spawner::spawn(self.command(out)).await.map_err(crashed)?;
        let ended = timeout(self.limits.timeout, converse(&mut child, bytes)).await;
        let Ok(ended) = ended else {
            end(&mut child).await;
            return Err(CompileError::TimedOut(self.limits.timeout));
        };
        let (status, said) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                end(&mut child).await;
                return Err(crashed(error));
            }
        };
        self.judge(status, &said)?;
        let (this, digest) = (self.clone(), digest.to_owned());
        blocking(move || this.cache.keep(&this.engine, &digest, &draft)).await
    }

    /// The child: its code goes to `out`, and of our environment it gets nothing.
    fn command(&self, out: std::fs::File) -> Command {
        let seconds = self.limits.timeout.as_millis().div_ceil(1000);
        let mut command = Command::new(&self.program);
        command
            .arg(COMMAND)
            .arg(std::process::id().to_string())
            .arg(self.engine.reservation.to_string())
            .arg(self.limits.memory_bytes.to_string())
            .arg(seconds.to_string())
            .arg(self.nice.to_string());
        command
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(Stdio::piped());
        command
    }

    /// What the child's end means. `said` is what it wrote to stderr.
    fn judge(&self, status: ExitStatus, said: &str) -> Result<(), CompileError> {
        // The last line is the error, and what precedes it, if anything, tells where a crash was.
        let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let outcome = status.code().and_then(ChildExit::from_code);
        match (outcome, status.signal()) {
            (Some(ChildExit::Done), _) => Ok(()),
            (Some(ChildExit::Invalid), _) => Err(CompileError::Invalid(words)),
            (Some(ChildExit::OutOfMemory), _) => self.out_of_memory(),
            (Some(ChildExit::Failed) | None, None) => {
                Err(CompileError::Crashed(format!("{status}: {words}")))
            }
            (_, Some(signal)) if signal == Signal::XCPU.as_raw() => {
                Err(CompileError::TimedOut(self.limits.timeout))
            }
            // A stack that overflows ends in the same signal as memory that is refused.
            (_, Some(signal)) if signal == Signal::ABORT.as_raw() => {
                if words.contains("overflowed its stack") {
                    Err(CompileError::Crashed(words))
                } else {
                    self.out_of_memory()
                }
            }
            // Not by us: by the kernel, whose memory is used up.
            (_, Some(signal)) if signal == Signal::KILL.as_raw() => self.out_of_memory(),
            (_, Some(_)) => Err(CompileError::Crashed(format!("{status} {words}"))),
        }
    }

    fn out_of_memory(&self) -> Result<(), CompileError> {
        Err(CompileError::OutOfMemory(self.limits.memory_bytes))
    }
}

/// Gives the child its component, and hears what it says until it ends.
async fn converse(child: &mut Child, bytes: &[u8]) -> io::Result<(ExitStatus, String)> {
    let missing = || io::Error::other("a pipe is missing");
    let mut stdin = child.stdin.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let give = async {
        // A child that ends before it has read all says why by how it ends.
        let _ = stdin.write_all(bytes).await;
        drop(stdin);
    };
    let read = async {
        let mut said = Vec::new();
        stderr.take(SAID_BYTES).read_to_end(&mut said).await?;
        io::Result::Ok(String::from_utf8_lossy(&said).into_owned())
    };
    let ((), said, status) = tokio::join!(give, read, child.wait());
    Ok((status?, said?))
}

/// Kills a child and waits for it, so that nothing of it is left.
async fn end(child: &mut Child) {
    if !matches!(timeout(REAP, child.kill()).await, Ok(Ok(()))) {
        tracing::error!("a compiler cannot be killed");
    }
}

/// Works with files beside the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CacheError> + Send + 'static,
) -> Result<T, CompileError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(CompileError::Crashed(error.to_string())),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn crashed(error: io::Error) -> CompileError {
    CompileError::Crashed(error.to_string())
}

#[cfg(test)]
mod tests;
