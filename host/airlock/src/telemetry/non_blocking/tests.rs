//! What is written, and what happens while the output is not read.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::mpsc::{self, Receiver, SyncSender};

use super::*;

/// An output that blocks each write until it is permitted, and passes the bytes on.
struct GatedOutput {
    permits: Receiver<()>,
    written: SyncSender<Vec<u8>>,
}

impl Write for GatedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.permits.recv();
        let _ = self.written.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log whose output permits one write for each message on the sender, and all of them once the sender is dropped.
fn gated() -> (
    NonBlockingWriter,
    FlushGuard,
    SyncSender<()>,
    Receiver<Vec<u8>>,
) {
    let (permit, permits) = mpsc::sync_channel(0);
    let (sender, written) = mpsc::sync_channel(2000);
    let output = GatedOutput {
        permits,
        written: sender,
    };
    let (writer, guard) = start(output).unwrap();
    (writer, guard, permit, written)
}

#[test]
fn the_guard_flushes_all_lines_in_their_order() {
    let (writer, guard, permit, written) = gated();
    drop(permit);
    let lines: Vec<String> = (0..1000).map(|number| format!("line {number}\n")).collect();
    for line in &lines {
        (&writer).write_all(line.as_bytes()).unwrap();
    }
    drop(guard);
    let written: Vec<u8> = written.try_iter().flatten().collect();
    assert_eq!(String::from_utf8(written).unwrap(), lines.concat());
}

#[test]
fn a_line_is_written_without_another_that_follows() {
    let (writer, _guard, permit, written) = gated();
    drop(permit);
    for line in ["one\n", "two\n"] {
        (&writer).write_all(line.as_bytes()).unwrap();
        let deadline = Duration::from_secs(20);
        assert_eq!(written.recv_timeout(deadline).unwrap(), line.as_bytes());
    }
}

#[test]
fn lines_are_dropped_while_the_output_blocks() {
    let (writer, guard, permit, written) = gated();
    let line = vec![b'x'; 1 << 10];
    let before = lost_lines();
    // The first write takes what is buffered by then; the rest waits for it, as far as there is room.
    for _ in 0..3 * BUFFER_BYTES / line.len() {
        (&writer).write_all(&line).unwrap();
    }
    let dropped = lost_lines() - before;
    assert!(dropped >= (BUFFER_BYTES / line.len()) as u64, "{dropped}");
    drop(permit);
    drop(guard);
    let written: usize = written.try_iter().map(|bytes| bytes.len()).sum();
    assert!(written >= BUFFER_BYTES, "{written}");
    assert!(written <= 2 * BUFFER_BYTES, "{written}");
}
