//! What a report looks like and when it fails.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn a_line_a_finding_and_a_summary_and_only_faults_count() {
    let mut out = Vec::new();
    let mut report = DoctorReport::new(&mut out, false);
    report.add("port", Finding::Pass("free".to_owned()));
    report.add("version", Finding::Warn("new\nfail  forged".to_owned()));
    assert!(!report.has_failed("version"));
    report.add("binary", Finding::Fail("none".to_owned()));
    assert!(report.has_failed("binary") && !report.has_failed("port"));
    let code = report.end().unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(1)));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "ok    port         free\nwarn  version      new\\nfail  forged\nfail  binary       none\n\n\
         1 ok, 1 warn, 1 fail: `airlock serve` cannot answer requests until what fails is mended\n"
    );
}

#[test]
fn programs_read_the_same_as_json() {
    let mut out = Vec::new();
    let mut report = DoctorReport::new(&mut out, true);
    report.add("port", Finding::Pass("free".to_owned()));
    report.add("version", Finding::Warn("new".to_owned()));
    let code = report.end().unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let expected = json!({"ready": true, "ok": 1, "warn": 1, "fail": 0, "checks": [
        {"check": "port", "status": "ok", "message": "free"},
        {"check": "version", "status": "warn", "message": "new"},
    ]});
    assert_eq!(read, expected);
}

#[test]
fn a_broken_configuration_is_the_first_line() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut out = Vec::new();
    let error = ConfigError::Conflict("listen is wrong: repair it".to_owned());
    let code = run(&runtime, Err(error), false, &mut out).unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "fail  config       listen is wrong: repair it\n\n\
         0 ok, 0 warn, 1 fail: `airlock serve` cannot answer requests until what fails is mended\n"
    );
}
