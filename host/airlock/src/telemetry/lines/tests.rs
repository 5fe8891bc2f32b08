//! What comes out, and what happens while nobody reads.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::mpsc::{self, Receiver, SyncSender};

use super::*;

/// Whoever reads the log: takes a write when told to, and hands it on.
struct Reader {
    reads: Receiver<()>,
    read: SyncSender<Vec<u8>>,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.reads.recv();
        let _ = self.read.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines whose reader takes a write for each word on the sender, and all that come once it is dropped.
fn read() -> (Lines, Writing, SyncSender<()>, Receiver<Vec<u8>>) {
    let (read, reads) = mpsc::sync_channel(0);
    let (out, written) = mpsc::sync_channel(2000);
    let reader = Reader { reads, read: out };
    let (lines, writing) = start(reader).unwrap();
    (lines, writing, read, written)
}

#[test]
fn what_was_said_is_written_before_the_end_and_in_its_order() {
    let (lines, writing, read, written) = read();
    drop(read);
    let said: Vec<String> = (0..1000).map(|number| format!("line {number}\n")).collect();
    for line in &said {
        (&lines).write_all(line.as_bytes()).unwrap();
    }
    drop(writing);
    let written: Vec<u8> = written.try_iter().flatten().collect();
    assert_eq!(String::from_utf8(written).unwrap(), said.concat());
}

#[test]
fn a_line_is_written_without_another_that_follows() {
    let (lines, _writing, read, written) = read();
    drop(read);
    for line in ["one\n", "two\n"] {
        (&lines).write_all(line.as_bytes()).unwrap();
        let deadline = Duration::from_secs(20);
        assert_eq!(written.recv_timeout(deadline).unwrap(), line.as_bytes());
    }
}

#[test]
fn a_reader_that_stands_still_makes_nobody_wait() {
    let (lines, writing, read, written) = read();
    let line = vec![b'x'; 1 << 10];
    let before = lost();
    // The first write takes what there is by then; the rest waits for it, as far as there is room.
    for _ in 0..3 * WAITING_BYTES / line.len() {
        (&lines).write_all(&line).unwrap();
    }
    let lost = lost() - before;
    assert!(lost >= (WAITING_BYTES / line.len()) as u64, "{lost}");
    drop(read);
    drop(writing);
    let written: usize = written.try_iter().map(|bytes| bytes.len()).sum();
    assert!(written >= WAITING_BYTES, "{written}");
    assert!(written <= 2 * WAITING_BYTES, "{written}");
}
