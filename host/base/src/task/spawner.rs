//! The thread that spawns child processes. Linux sends the parent-death signal when the spawning *thread* ends (prctl(2),
//! `PR_SET_PDEATHSIG`), and threads of the runtime may end at any time; this one lives as long as the process.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Spawns that may be queued. Each takes about a millisecond.
const QUEUE: usize = 64;

struct SpawnJob {
    command: Command,
    /// The runtime that the child is spawned in, which waits for its end.
    runtime: Handle,
    child: oneshot::Sender<io::Result<Child>>,
}

/// Spawns a command from that thread.
///
/// # Errors
/// The system refuses, or too many spawns are queued.
pub async fn spawn(command: Command) -> io::Result<Child> {
    static JOBS: OnceLock<Option<SyncSender<SpawnJob>>> = OnceLock::new();
    let refused = || io::Error::other("the spawning thread does not respond");
    let jobs = JOBS.get_or_init(start).as_ref().ok_or_else(refused)?;
    let (child, spawned) = oneshot::channel();
    jobs.try_send(SpawnJob {
        command,
        runtime: Handle::current(),
        child,
    })
    .map_err(|_| refused())?;
    spawned.await.map_err(|_| refused())?
}

fn start() -> Option<SyncSender<SpawnJob>> {
    let (jobs, queue) = sync_channel(QUEUE);
    let thread = std::thread::Builder::new().name("spawner".to_owned());
    thread.spawn(move || run(&queue)).ok()?;
    Some(jobs)
}

fn run(queue: &Receiver<SpawnJob>) {
    while let Ok(mut job) = queue.recv() {
        let _runtime = job.runtime.enter();
        // It fails if the caller is gone; the child is then dropped, which kills it where the command has `kill_on_drop`.
        let _ = job.child.send(job.command.spawn());
    }
}
