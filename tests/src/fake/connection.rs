//! The socket between one process and the test: received lines become events and go to the process's engine, whose
//! output is sent back.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Event;
use super::engine::{Engine, TurnRecords};
use super::output::{Output, OutputAction};
use super::relay::{Hello, Tag, framed};
use super::script::Script;
use crate::Journal;

/// The state that the processes of a scripted Codex share with the test. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct FakeState {
    pub(super) script: Arc<Mutex<Script>>,
    pub(super) journal: Journal<Event>,
    pub(super) records: TurnRecords,
    /// The process ID and output of the process that started last.
    pub(super) latest: Arc<Mutex<Option<(u32, Output)>>>,
}

/// Accepts the connection of every process that the gateway starts, until the test ends.
pub(super) async fn accept(listener: UnixListener, state: FakeState) {
    let mut processes = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        processes.spawn(serve(stream, state.clone()));
    }
}

async fn serve(stream: UnixStream, state: FakeState) {
    let FakeState {
        script,
        journal,
        records,
        latest,
    } = state;
    let (from, to) = stream.into_split();
    let mut from = BufReader::with_capacity(1 << 16, from);
    let Ok(hello) = read_hello(&mut from).await else {
        return;
    };
    let pid = hello.pid;
    let (output, written) = Output::new();
    *latest.lock() = Some((pid, output.clone()));
    journal.record(Event::Started(hello));
    let mut writer = JoinSet::new();
    writer.spawn(write(to, written));
    // It fails when the process exits, which is the event that is recorded.
    let _ = read_messages(
        &mut from,
        &mut Engine::new(script, output, records),
        &journal,
    )
    .await;
    journal.record(Event::Ended { pid });
}

async fn read_hello(from: &mut BufReader<OwnedReadHalf>) -> Result<Hello> {
    let (tag, payload) = receive(from).await?;
    if tag != Tag::Hello {
        bail!("the first message is no hello");
    }
    Ok(serde_json::from_slice(&payload)?)
}

async fn read_messages(
    from: &mut BufReader<OwnedReadHalf>,
    engine: &mut Engine,
    journal: &Journal<Event>,
) -> Result<()> {
    loop {
        match receive(from).await? {
            (Tag::Line, line) => {
                let message = serde_json::from_slice(&line);
                let message = message
                    .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&line).into_owned()));
                journal.record(Event::Received(message));
                engine.receive(&line).await;
            }
            (Tag::Closed, _) => journal.record(Event::Closed),
            _ => bail!("a message that only processes receive"),
        }
    }
}

async fn receive(from: &mut BufReader<OwnedReadHalf>) -> Result<(Tag, Vec<u8>)> {
    let tag = Tag::of(from.read_u8().await?).context("an unknown tag")?;
    let mut payload = vec![0; from.read_u32_le().await? as usize];
    from.read_exact(&mut payload).await?;
    Ok((tag, payload))
}

async fn write(mut to: OwnedWriteHalf, mut written: mpsc::Receiver<OutputAction>) {
    while let Some(out) = written.recv().await {
        let message = match &out {
            OutputAction::Bytes(bytes) => framed(Tag::Write, bytes),
            OutputAction::Exit(code) => framed(Tag::Exit, code.to_string().as_bytes()),
        };
        let Ok(message) = message else { return };
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}
