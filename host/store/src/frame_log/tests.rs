//! Tests of frame logs: resuming at any number, limits, and the end of a log.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use futures_util::FutureExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;

use super::*;

fn owner() -> Owner {
    Owner::new("default")
}

fn logs(log_bytes: u64, total_bytes: u64) -> FrameLogs {
    FrameLogs::new(FrameLogConfig {
        log_bytes,
        total_bytes,
        ..FrameLogConfig::default()
    })
}

fn frame(number: u64, data: &str) -> LoggedFrame {
    LoggedFrame {
        number: Some(number),
        event: Some("delta".into()),
        data: Bytes::from(data.to_owned()),
    }
}

/// The frame as a server-sent event.
fn sent(frame: &LoggedFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(event) = &frame.event {
        bytes.extend(format!("event: {event}\n").bytes());
    }
    bytes.extend_from_slice(b"data: ");
    bytes.extend_from_slice(&frame.data);
    bytes.extend_from_slice(b"\n\n");
    bytes
}

/// Reads to the end.
async fn read(mut reader: FrameLogReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        match reader.next().await {
            FrameRead::Frame(frame) => bytes.extend(sent(&frame)),
            FrameRead::Ended => return bytes,
            FrameRead::Dropped => panic!("the log was dropped"),
        }
    }
}

/// 10,000 numbered frames and the last, which has no number.
fn stream(random: &mut StdRng) -> Vec<LoggedFrame> {
    let numbered = (0..10_000).map(|number| {
        let text = "é".repeat(random.random_range(0..20));
        frame(
            number,
            &format!("{{\"sequence_number\":{number},\"delta\":\"{text}\"}}"),
        )
    });
    let done = LoggedFrame {
        number: None,
        event: None,
        data: Bytes::from_static(b"[DONE]"),
    };
    numbered.chain([done]).collect()
}

#[tokio::test]
async fn a_stream_that_is_resumed_at_any_number_is_byte_equal_to_the_uncut_one() {
    let mut random = StdRng::seed_from_u64(22);
    let frames = stream(&mut random);
    let uncut: Vec<Vec<u8>> = frames.iter().map(sent).collect();
    let logs = FrameLogs::new(FrameLogConfig::default());
    let writer = logs.create(&owner(), "resp");
    let mut readers = JoinSet::new();
    let mut attach = |after: Option<u64>| {
        let reader = logs.attach(&owner(), "resp", after).unwrap();
        readers.spawn(async move { (after, read(reader).await) });
    };
    attach(None);
    // Readers attach while frames are written, at numbers that are there or still to come.
    for frame in frames {
        if random.random_ratio(1, 50) {
            attach(Some(random.random_range(0..10_000)));
        }
        assert!(writer.append(frame));
        if random.random_ratio(1, 20) {
            tokio::task::yield_now().await;
        }
    }
    writer.end();
    for after in [0, 1, 4999, 9998, 9999, 10_000] {
        attach(Some(after));
    }
    let mut resumed = 0;
    while let Some(read) = readers.join_next().await {
        let (after, bytes) = read.unwrap();
        let first = after.map_or(0, |number| usize::try_from(number).unwrap() + 1);
        // After the last number there is the frame without one; after a number that never came there is nothing.
        let expected = uncut.get(first..).unwrap_or_default().concat();
        assert!(bytes == expected, "after {after:?}");
        resumed += 1;
    }
    assert!(resumed > 150, "{resumed}");
}

#[tokio::test]
async fn frames_without_numbers_follow_the_number_before_them_and_numbers_may_have_gaps() {
    let logs = logs(1 << 20, 1 << 20);
    let unnumbered = |data: &'static str| LoggedFrame {
        number: None,
        event: None,
        data: Bytes::from_static(data.as_bytes()),
    };
    let early = |after| logs.attach(&owner(), "resp", after).unwrap();
    let writer = logs.create(&owner(), "resp");
    let waiting = [None, Some(0), Some(4), Some(7), Some(9)].map(|after| (after, early(after)));
    let frames = [
        unnumbered("a"),
        frame(0, "b"),
        unnumbered("c"),
        frame(7, "d"),
        unnumbered("e"),
    ];
    for frame in frames {
        assert!(writer.append(frame));
    }
    writer.end();
    let late = waiting.each_ref().map(|(after, _)| (*after, early(*after)));
    for (after, mut reader) in waiting.into_iter().chain(late) {
        let mut found = Vec::new();
        while let FrameRead::Frame(frame) = reader.next().await {
            found.extend_from_slice(&frame.data);
        }
        let expected = match after {
            None => "abcde",
            Some(0) => "cde",
            Some(4) => "de",
            Some(7) => "e",
            _ => "",
        };
        assert_eq!(found, expected.as_bytes(), "after {after:?}");
    }
}

#[tokio::test]
async fn a_reader_waits_for_the_next_frame_and_a_dropped_wait_takes_none() {
    let logs = logs(1 << 20, 1 << 20);
    let writer = logs.create(&owner(), "resp");
    let mut reader = logs.attach(&owner(), "resp", None).unwrap();
    assert!(reader.next().now_or_never().is_none());
    assert!(writer.append(frame(0, "a")));
    assert_eq!(reader.next().await, FrameRead::Frame(frame(0, "a")));
    let (read, ()) = tokio::join!(reader.next(), async { writer.end() });
    assert_eq!(read, FrameRead::Ended);
    assert_eq!(reader.next().await, FrameRead::Ended);
}

#[tokio::test]
async fn a_log_that_exceeds_its_limit_is_dropped_whole_for_its_readers_too() {
    let logs = logs(1000, 1 << 20);
    let writer = logs.create(&owner(), "resp");
    let mut reader = logs.attach(&owner(), "resp", None).unwrap();
    // 5 + 128 bytes each, and the data.
    assert!(writer.append(frame(0, "first")));
    assert_eq!(reader.next().await, FrameRead::Frame(frame(0, "first")));
    assert!(writer.append(frame(1, "second")));
    assert!(!writer.append(frame(2, &"x".repeat(800))));
    assert!(!writer.append(frame(3, "last")));
    assert_eq!(reader.next().await, FrameRead::Dropped);
    assert!(!logs.contains(&owner(), "resp"));
    assert!(logs.attach(&owner(), "resp", None).is_none());
    assert_eq!(logs.bytes(), 0);
    writer.end();
    assert_eq!(reader.next().await, FrameRead::Dropped);
}

#[tokio::test(start_paused = true)]
async fn logs_that_ended_first_make_room_for_others_and_running_ones_stay() {
    let logs = logs(1000, 2000);
    let large = || frame(0, &"x".repeat(600));
    let write = |key: &str| {
        let writer = logs.create(&owner(), key);
        (writer.append(large()), writer)
    };
    let (_, running) = write("running");
    for key in ["first", "second"] {
        let (fits, writer) = write(key);
        assert!(fits, "{key}");
        writer.end();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let present = || {
        ["running", "first", "second", "third", "fourth"]
            .into_iter()
            .filter(|key| logs.contains(&owner(), key))
            .collect::<Vec<_>>()
    };
    // 733 bytes each: there is room for two.
    assert_eq!(present(), ["running", "second"]);
    let (fits, third) = write("third");
    assert!(fits);
    assert_eq!(present(), ["running", "third"]);
    // No log has ended, so the one that grows goes.
    let (fits, _) = write("fourth");
    assert!(!fits);
    assert_eq!(present(), ["running", "third"]);
    assert!(running.append(frame(1, "more")));
    assert_eq!(logs.bytes(), 2 * 733 + 5 + 4 + 128);
    drop(third);
}

#[tokio::test(start_paused = true)]
async fn a_log_is_there_for_its_time_after_the_end() {
    let logs = logs(1 << 20, 1 << 20);
    let writer = logs.create(&owner(), "resp");
    assert!(writer.append(frame(0, "a")));
    tokio::time::advance(Duration::from_secs(3600)).await;
    let mut slow = logs.attach(&owner(), "resp", None).unwrap();
    writer.end();
    tokio::time::advance(Duration::from_secs(599)).await;
    assert!(logs.contains(&owner(), "resp"));
    tokio::time::advance(Duration::from_secs(1)).await;
    logs.expire();
    assert_eq!(logs.bytes(), 0);
    assert!(!logs.contains(&owner(), "resp"));
    assert_eq!(slow.next().await, FrameRead::Dropped);
}

#[tokio::test]
async fn a_log_whose_writer_is_dropped_or_that_is_removed_or_replaced_is_absent() {
    let logs = logs(1 << 20, 1 << 20);
    let endings: [&dyn Fn(FrameLogWriter); 3] = [
        &drop,
        &|writer| {
            logs.remove(&owner(), "resp");
            assert!(!writer.append(frame(1, "b")));
        },
        &|writer| {
            writer.end();
            logs.create(&owner(), "resp");
        },
    ];
    for ending in endings {
        let writer = logs.create(&owner(), "resp");
        assert!(writer.append(frame(0, "a")));
        let mut reader = logs.attach(&owner(), "resp", None).unwrap();
        assert_eq!(reader.next().await, FrameRead::Frame(frame(0, "a")));
        ending(writer);
        assert_eq!(reader.next().await, FrameRead::Dropped);
        assert!(!logs.contains(&owner(), "resp"));
        assert_eq!(logs.bytes(), 0);
    }
}

#[tokio::test]
async fn a_log_is_its_owners_alone() {
    let logs = logs(1 << 20, 1 << 20);
    let _writer = logs.create(&owner(), "resp");
    let stranger = Owner::new("stranger");
    assert!(logs.attach(&stranger, "resp", None).is_none());
    assert!(!logs.contains(&stranger, "resp"));
    logs.remove(&stranger, "resp");
    let _other = logs.create(&stranger, "resp");
    assert!(logs.contains(&owner(), "resp") && logs.contains(&stranger, "resp"));
}
