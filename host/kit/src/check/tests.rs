//! Tests of policies that pass, and of the check that each broken one fails.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use airlock_policy::EMBEDDED;
use airlock_policy::testing::hostile;
use airlock_policy::testing::{config, patched};

async fn checked(bytes: &[u8]) -> CheckReport {
    let (mut shown, mut steps) = (0, Vec::new());
    let mut show = |progress| match progress {
        CheckProgress::Begun(step) => steps.push(step),
        CheckProgress::Done(_) => shown += 1,
    };
    let report = check(&config(), "it", bytes, &mut show).await;
    assert_eq!(shown, report.checks.len());
    let compiling = format!("compiling {} KiB of WebAssembly", bytes.len() >> 10);
    assert_eq!(steps.first(), Some(&compiling));
    let fails = report
        .checks
        .iter()
        .filter(|it| it.status == CheckStatus::Fail);
    assert_eq!(fails.count() == 0, report.passed);
    report
}

/// The first check that fails.
fn fault(report: &CheckReport) -> (&str, &str) {
    let mut checks = report.checks.iter();
    let failed = checks.find(|it| it.status == CheckStatus::Fail).unwrap();
    (&failed.subject, &failed.detail)
}

#[tokio::test]
async fn the_shipped_policy_passes() {
    let report = checked(EMBEDDED).await;
    assert!(report.passed, "{:#?}", report.checks);
    let mut checks = report.checks.iter();
    let parameters = checks.find(|it| it.subject == "parameters").unwrap();
    assert_eq!(parameters.status, CheckStatus::Ok, "{}", parameters.detail);
    let calls: Vec<&str> = report.calls.each().map(|(export, _)| export).collect();
    for export in [
        "render", "decide", "open", "feed", "finish", "convene", "settle",
    ] {
        assert!(calls.contains(&export), "{calls:?}");
    }
    for (export, stats) in report.calls.each() {
        assert!(stats.calls > 0 && stats.memory_bytes > 0, "{export}");
        assert!(stats.total_us >= stats.max_us, "{export}");
    }
    let feeds = report.calls.each().find(|it| it.0 == "feed").unwrap().1;
    assert!(feeds.calls > 12_500, "{feeds:?}");
}

#[tokio::test]
async fn a_broken_policy_fails_the_check_that_names_its_fault() {
    let cut = &EMBEDDED[..EMBEDDED.len() / 2];
    let empty = b"\0asm\x0d\0\x01\0";
    let trapping = hostile::with(EMBEDDED, hostile::TRAPS);
    for (bytes, subject, word) in [
        (&b"text"[..], "component", "not a WebAssembly component"),
        (hostile::LOOPS, "component", "core module"),
        (cut, "component", "does not compile"),
        (empty, "world", "airlock:policy/"),
        (&trapping, "manifest", "the policy trapped"),
    ] {
        let report = checked(bytes).await;
        let (at, detail) = fault(&report);
        assert_eq!(at, subject, "{detail}");
        assert!(detail.contains(word), "{detail}");
    }
}

#[tokio::test]
async fn a_policy_that_breaks_its_contract_fails_the_conformance_set() {
    let broken = patched("[DONE]", "[DO\nE]");
    let report = checked(&broken).await;
    let (at, detail) = fault(&report);
    assert_eq!(at, "conformance", "{detail}");
    assert!(detail.contains("broke its contract"), "{detail}");
}
