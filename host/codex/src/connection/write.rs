//! The writer of a child's stdin: small lines are written together, large ones directly.

use std::io;
use std::iter::Peekable;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::LINES;

/// Bytes up to which queued lines are joined.
const JOINED_BYTES: usize = 64 << 10;

/// Writes the queued lines until `close` is cancelled.
pub(super) async fn write(
    mut stdin: impl AsyncWrite + Unpin,
    mut lines: mpsc::Receiver<Bytes>,
    close: &CancellationToken,
) -> io::Result<()> {
    let (mut batch, mut buffer) = (Vec::new(), Vec::new());
    loop {
        let count = tokio::select! {
            () = close.cancelled() => 0,
            count = lines.recv_many(&mut batch, LINES) => count,
        };
        if count == 0 {
            return stdin.shutdown().await;
        }
        let mut waiting = batch.drain(..).peekable();
        while let Some(line) = waiting.next() {
            let text = join(&line, &mut waiting, &mut buffer);
            tokio::select! {
                () = close.cancelled() => return Ok(()),
                written = stdin.write_all(text) => written?,
            }
        }
        drop(waiting);
        stdin.flush().await?;
    }
}

/// Joins a line with the queued ones, as each write is a system call. A large line is returned as it is. The buffer is reused,
/// and is at most twice `JOINED_BYTES`.
fn join<'a>(
    line: &'a [u8],
    waiting: &mut Peekable<impl Iterator<Item = Bytes>>,
    buffer: &'a mut Vec<u8>,
) -> &'a [u8] {
    buffer.clear();
    let fits =
        |written: &[u8], next: &Bytes| written.len().max(line.len()) + next.len() <= JOINED_BYTES;
    while let Some(next) = waiting.next_if(|next| fits(buffer, next)) {
        if buffer.is_empty() {
            buffer.extend_from_slice(line);
        }
        buffer.extend_from_slice(&next);
    }
    if buffer.is_empty() { line } else { buffer }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_lines_are_joined_and_large_ones_are_not() {
        let large = Bytes::from(vec![b'x'; JOINED_BYTES]);
        let lines = [b"a\n".as_slice(), b"b\n", &large, b"c\n", b"d\n"].map(Bytes::copy_from_slice);
        let (mut waiting, mut buffer) = (lines.into_iter().peekable(), Vec::new());
        let mut written = Vec::new();
        while let Some(line) = waiting.next() {
            written.push(join(&line, &mut waiting, &mut buffer).to_vec());
        }
        assert_eq!(written, [b"a\nb\n".as_slice(), &large, b"c\nd\n"]);
    }
}
