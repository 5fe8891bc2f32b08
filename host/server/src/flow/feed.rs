//! What a response's body reads: a stream, piece by piece.

use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::pump::{Piece, Pump};
use airlock_base::task::Tasks;

/// Pieces that a fan-out has ready for its client.
const PIECES: usize = 2;

/// A stream of pieces. Dropping it stops whatever runs for it.
pub struct Feed(Source);

enum Source {
    /// The body drives the pump: there is nothing between Codex's reader and the socket. A client that reads slowly
    /// slows only its own turn.
    Pump(Box<Pump>),
    /// A task drives it: a panel's verdicts, and the turns that they stop, must not wait for a client to read.
    Driven(mpsc::Receiver<Piece>),
}

impl Feed {
    /// Whoever reads drives.
    pub(super) fn direct(pump: Pump) -> Self {
        Self(Source::Pump(Box::new(pump)))
    }

    /// A task drives until the stream has ended, or nobody reads it any more.
    pub(super) fn driven(pump: Pump, tasks: &Tasks) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES);
        let task = async move {
            let left = sender.clone();
            tokio::select! {
                () = left.closed() => {}
                () = drive(pump, sender) => {}
            }
        };
        tasks.spawn("fan-out", task.instrument(tracing::Span::current()));
        Self(Source::Driven(pieces))
    }

    /// The next piece, or None at the end. Not cancel safe: the body keeps the future until it is done.
    pub async fn next(&mut self) -> Option<Piece> {
        match &mut self.0 {
            Source::Pump(pump) => pump.next().await,
            Source::Driven(pieces) => pieces.recv().await,
        }
    }
}

/// Brings a fan-out on, and hands out pieces as somebody takes them.
async fn drive(mut pump: Pump, pieces: mpsc::Sender<Piece>) {
    loop {
        pump.decide().await;
        tokio::select! {
            biased;
            place = pieces.reserve(), if pump.has_news() => {
                let Ok(place) = place else { return };
                match pump.next().await {
                    Some(piece) => place.send(piece),
                    None => return,
                }
                if pump.is_done() {
                    return;
                }
            }
            beat = pump.wait(), if !pump.is_over() => {
                if beat {
                    // One that finds no room would not be read either.
                    let _ = pieces.try_send(Piece::Beat);
                }
            }
        }
    }
}
