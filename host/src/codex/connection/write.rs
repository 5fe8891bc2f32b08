//! Lines to a child's stdin: small ones together, large ones as they are.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::LINES;

/// Bytes up to which lines that wait are written together.
const TOGETHER: usize = 64 << 10;

/// Writes lines, as many at once as are waiting, until it is told to hang up.
pub(super) async fn write(
    mut stdin: impl AsyncWrite + Unpin,
    mut lines: mpsc::Receiver<Bytes>,
    hang_up: &CancellationToken,
) -> io::Result<()> {
    let mut batch = Vec::new();
    loop {
        let count = tokio::select! {
            () = hang_up.cancelled() => 0,
            count = lines.recv_many(&mut batch, LINES) => count,
        };
        if count == 0 {
            return stdin.shutdown().await;
        }
        for text in together(batch.drain(..)) {
            tokio::select! {
                () = hang_up.cancelled() => return Ok(()),
                written = stdin.write_all(&text) => written?,
            }
        }
        stdin.flush().await?;
    }
}

/// Lines to write at once: small ones as one, for a write each is what costs; large ones as they are.
fn together(lines: impl Iterator<Item = Bytes>) -> impl Iterator<Item = Bytes> {
    let mut lines = lines.peekable();
    std::iter::from_fn(move || {
        let first = lines.next()?;
        let mut text = BytesMut::new();
        while let Some(next) =
            lines.next_if(|next| text.len().max(first.len()) + next.len() <= TOGETHER)
        {
            if text.is_empty() {
                text.reserve(TOGETHER);
                text.extend_from_slice(&first);
            }
            text.extend_from_slice(&next);
        }
        Some(if text.is_empty() {
            first
        } else {
            text.freeze()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_lines_are_joined_and_large_ones_stay_as_they_are() {
        let large = Bytes::from(vec![b'x'; TOGETHER]);
        let lines = [b"a\n".as_slice(), b"b\n", &large, b"c\n", b"d\n"].map(Bytes::copy_from_slice);
        let written: Vec<Bytes> = together(lines.into_iter()).collect();
        assert_eq!(written, [b"a\nb\n".as_slice(), &large, b"c\nd\n"]);
        assert_eq!(together(std::iter::empty()).count(), 0);
    }
}
