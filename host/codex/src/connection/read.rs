//! The reader of a child's stdout.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::ConnectionInner;

/// Bytes of one read from the child's stdout.
const READ_BYTES: usize = 256 << 10;

/// Reads and dispatches lines to the end of stdout.
///
/// # Errors
/// Reading fails, or a line exceeds the limit: what follows it cannot be trusted.
pub(super) async fn read(
    mut stdout: impl AsyncRead + Unpin,
    inner: &ConnectionInner,
    line_bytes: usize,
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    // The start of the buffer, which was searched and has no line end.
    let mut searched = 0;
    loop {
        while let Some(end) = memchr::memchr(b'\n', &buffer[searched..]) {
            let end = searched + end;
            let text = buffer[..end].trim_ascii();
            if !text.is_empty() {
                inner.dispatch(text);
            }
            buffer.advance(end + 1);
            searched = 0;
        }
        searched = buffer.len();
        if searched > line_bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line of codex is too long",
            ));
        }
        buffer.reserve(READ_BYTES);
        if stdout.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        inner.record_output();
    }
}
