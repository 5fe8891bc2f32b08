//! The thread that spawns. Linux sends the parent-death signal when the spawning *thread* ends, not the process,
//! and threads of the runtime come and go. This one lives as long as the process.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Spawns that may wait. Each takes a millisecond or so.
const WAITING: usize = 64;

struct Job {
    command: Command,
    /// tokio watches its children from the runtime in which they are spawned.
    runtime: Handle,
    child: oneshot::Sender<io::Result<Child>>,
}

/// Spawns the command from the thread that never ends.
pub async fn spawn(command: Command) -> io::Result<Child> {
    static JOBS: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();
    let refused = || io::Error::other("the spawning thread does not answer");
    let jobs = JOBS.get_or_init(start).as_ref().ok_or_else(refused)?;
    let (child, answer) = oneshot::channel();
    jobs.try_send(Job {
        command,
        runtime: Handle::current(),
        child,
    })
    .map_err(|_| refused())?;
    answer.await.map_err(|_| refused())?
}

fn start() -> Option<SyncSender<Job>> {
    let (jobs, waiting) = sync_channel(WAITING);
    let thread = std::thread::Builder::new().name("spawner".to_owned());
    thread.spawn(move || work(&waiting)).ok()?;
    Some(jobs)
}

fn work(waiting: &Receiver<Job>) {
    while let Ok(mut job) = waiting.recv() {
        let _runtime = job.runtime.enter();
        // Nobody waits any more: the child is dropped, and so killed.
        let _ = job.child.send(job.command.spawn());
    }
}
