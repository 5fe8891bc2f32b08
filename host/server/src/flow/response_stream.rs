//! The stream of a response's body, whose pieces come from the pump directly or through a task.

use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::pump::{Pump, StreamPiece};
use airlock_base::task::Tasks;

/// The most pieces of a fan-out that wait for its client.
const PIECES: usize = 2;

/// A stream of pieces. Dropping it stops the turns of its request.
pub struct ResponseStream(StreamDriver);

enum StreamDriver {
    /// The reader drives the pump: no task or queue lies between Codex's reader and the socket. A client that reads slowly
    /// slows only its own turn.
    Reader(Box<Pump>),
    /// A task drives the pump: a panel's verdicts, and the turns that they stop, must not wait for the client to read.
    Task(mpsc::Receiver<StreamPiece>),
}

impl ResponseStream {
    /// A stream that is driven by its reader.
    pub(super) fn direct(pump: Pump) -> Self {
        Self(StreamDriver::Reader(Box::new(pump)))
    }

    /// A stream that is driven by a task, until it has ended or is dropped.
    pub(super) fn driven(pump: Pump, tasks: &Tasks) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES);
        let task = async move {
            let dropped = sender.clone();
            tokio::select! {
                () = dropped.closed() => {}
                () = drive(pump, sender) => {}
            }
        };
        tasks.spawn("fan-out", task.instrument(tracing::Span::current()));
        Self(StreamDriver::Task(pieces))
    }

    /// The next piece, or None at the end. Not cancel safe: the body polls one future to completion.
    pub async fn next(&mut self) -> Option<StreamPiece> {
        match &mut self.0 {
            StreamDriver::Reader(pump) => pump.next().await,
            StreamDriver::Task(pieces) => pieces.recv().await,
        }
    }
}

/// Drives a fan-out, and sends pieces as the client takes them.
async fn drive(mut pump: Pump, pieces: mpsc::Sender<StreamPiece>) {
    loop {
        pump.decide().await;
        tokio::select! {
            biased;
            permit = pieces.reserve(), if pump.has_pieces() => {
                let Ok(permit) = permit else { return };
                match pump.next().await {
                    Some(piece) => permit.send(piece),
                    None => return,
                }
                if pump.is_done() {
                    return;
                }
            }
            heartbeat = pump.wait(), if !pump.is_over() => {
                // A full queue means that the client does not read: then it needs no heartbeat.
                if heartbeat && let Ok(permit) = pieces.try_reserve() {
                    match pump.keep_alive().await {
                        Ok(frames) if frames.is_empty() => permit.send(StreamPiece::Heartbeat),
                        Ok(frames) => permit.send(StreamPiece::Frames(frames)),
                        Err(fault) => pump.fail(fault),
                    }
                }
            }
        }
    }
}
