//! Tests of the bounds of recordings, and of writing tapes.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[tokio::test(start_paused = true)]
async fn it_records_so_many_and_for_so_long() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(folder.path(), &Tasks::default());
    assert!(!recorder.takes(1) && !recorder.stop());
    recorder.begin(2, Duration::from_secs(10)).unwrap();
    assert!(!recorder.takes(BYTES + 1));
    assert!(recorder.takes(1) && recorder.takes(1) && !recorder.takes(1));
    let report = recorder.report().unwrap();
    assert!(report.recording.is_none());
    assert_eq!((report.running, report.skipped), (2, 1));
    recorder.begin(2, Duration::from_secs(10)).unwrap();
    tokio::time::advance(Duration::from_secs(11)).await;
    assert!(!recorder.takes(1) && !recorder.stop());
    recorder.begin(2, Duration::from_secs(10)).unwrap();
    assert!(recorder.stop() && !recorder.takes(1));
}

#[test]
fn tapes_are_for_us_alone() {
    let folder = tempfile::tempdir().unwrap();
    let tapes = folder.path().join("data/tapes");
    private(&tapes).unwrap();
    let path = tapes.join(name("../req_1/x"));
    save(&path, &Tape::new("req_1".to_owned(), 1, Vec::new())).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&tapes), mode(&path)), (0o700, 0o600));
    let listed = list(&tapes).unwrap();
    assert_eq!((listed.len(), listed[0].name.as_str()), (1, "req_1x.jsonl"));
    fs::remove_dir_all(&tapes).unwrap();
    std::os::unix::fs::symlink(folder.path(), &tapes).unwrap();
    assert!(private(&tapes).is_err());
}

#[test]
fn what_was_left_half_written_goes_when_nothing_is_being_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(folder.path(), &Tasks::default());
    let begin = || recorder.begin(1, Duration::from_secs(10)).unwrap();
    begin();
    let tapes = folder.path().join(FOLDER);
    let (left, whole) = (tapes.join("req_1.new"), tapes.join("req_1.jsonl"));
    for path in [&left, &whole] {
        fs::write(path, "").unwrap();
    }
    // It may belong to a tape that is being written.
    begin();
    assert!(recorder.takes(1));
    begin();
    assert!(recorder.stop() && left.exists());
    recorder.lock().running = 0;
    begin();
    assert!(!left.exists() && whole.exists());
}

#[tokio::test]
async fn tapes_are_made_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(folder.path(), &Tasks::default());
    private(&recorder.0.folder).unwrap();
    let alone = Arc::clone(&recorder.0.making).acquire_owned().await;
    let mut write = std::pin::pin!(recorder.write("req_1".to_owned(), Vec::new()));
    assert!(futures_util::poll!(write.as_mut()).is_pending());
    assert!(!recorder.0.folder.join("req_1.jsonl").exists());
    drop(alone);
    assert!(write.await);
}

#[test]
fn a_tape_that_is_counted_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::new(folder.path(), &Tasks::default());
    private(&recorder.0.folder).unwrap();
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            for number in 0..500 {
                let path = recorder.0.folder.join(format!("req_{number}.jsonl"));
                fs::write(path, "").unwrap();
                recorder.lock().recorded += 1;
            }
        });
        while !writer.is_finished() {
            let report = recorder.report().unwrap();
            assert!(report.tapes.len() as u64 >= report.recorded);
        }
    });
}

#[test]
fn a_tape_has_a_bound_and_so_have_all() {
    let recorder = Recorder::new(Path::new("/nowhere"), &Tasks::default());
    recorder.lock().running = 6;
    let held = || TapeBuffer {
        recorder: &recorder,
        bytes: 0,
        written: false,
    };
    let mut one = held();
    assert!(one.take(BYTES) && !one.take(1));
    drop(one);
    let mut all: Vec<TapeBuffer<'_>> = (0..4).map(|_| held()).collect();
    assert!(all.iter_mut().all(|one| one.take(BYTES)));
    assert!(!held().take(1));
    all.clear();
    assert_eq!(recorder.0.held.load(Ordering::Relaxed), 0);
    assert_eq!(recorder.lock().skipped, 6);
}
