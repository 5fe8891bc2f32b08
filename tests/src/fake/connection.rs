//! One process's line to the test: what it reads becomes events and reaches its engine, what the engine says is written.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Event;
use super::engine::{Engine, Records};
use super::output::{Out, Output};
use super::relay::{Hello, Tag, framed};
use super::script::Script;
use crate::Journal;

/// What the processes of a fake share with the test. Clones share the same.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) script: Arc<Mutex<Script>>,
    pub(super) journal: Journal<Event>,
    pub(super) records: Records,
    /// The process that started last, and the way to it.
    pub(super) latest: Arc<Mutex<Option<(u32, Output)>>>,
}

/// Takes every process that the gateway starts, until the test ends.
pub(super) async fn accept(listener: UnixListener, shared: Shared) {
    let mut processes = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        processes.spawn(attend(stream, shared.clone()));
    }
}

async fn attend(stream: UnixStream, shared: Shared) {
    let Shared {
        script,
        journal,
        records,
        latest,
    } = shared;
    let (from, to) = stream.into_split();
    let mut from = BufReader::with_capacity(1 << 16, from);
    let Ok(hello) = greet(&mut from).await else {
        return;
    };
    let pid = hello.pid;
    let (output, written) = Output::new();
    *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some((pid, output.clone()));
    journal.record(Event::Started(hello));
    let mut writer = JoinSet::new();
    writer.spawn(write(to, written));
    // It ends when the process is gone, and that is what the test wants to know.
    let _ = listen(
        &mut from,
        &mut Engine::new(script, output, records),
        &journal,
    )
    .await;
    journal.record(Event::Ended { pid });
}

async fn greet(from: &mut BufReader<OwnedReadHalf>) -> Result<Hello> {
    let (tag, payload) = receive(from).await?;
    if tag != Tag::Hello {
        bail!("a process that does not say who it is");
    }
    Ok(serde_json::from_slice(&payload)?)
}

async fn listen(
    from: &mut BufReader<OwnedReadHalf>,
    engine: &mut Engine,
    journal: &Journal<Event>,
) -> Result<()> {
    loop {
        match receive(from).await? {
            (Tag::Line, line) => {
                let told = serde_json::from_slice(&line);
                let told = told
                    .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&line).into_owned()));
                journal.record(Event::Told(told));
                engine.receive(&line).await;
            }
            (Tag::Closed, _) => journal.record(Event::Closed),
            _ => bail!("a message that is not for the test"),
        }
    }
}

async fn receive(from: &mut BufReader<OwnedReadHalf>) -> Result<(Tag, Vec<u8>)> {
    let tag = Tag::of(from.read_u8().await?).context("no such message")?;
    let mut payload = vec![0; from.read_u32_le().await? as usize];
    from.read_exact(&mut payload).await?;
    Ok((tag, payload))
}

async fn write(mut to: OwnedWriteHalf, mut written: mpsc::Receiver<Out>) {
    while let Some(out) = written.recv().await {
        let message = match &out {
            Out::Bytes(bytes) => framed(Tag::Write, bytes),
            Out::Exit(code) => framed(Tag::Exit, code.to_string().as_bytes()),
        };
        let Ok(message) = message else { return };
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}
