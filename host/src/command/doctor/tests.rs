//! What a report looks like and when it fails.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn a_line_a_finding_and_only_faults_count() {
    let mut out = Vec::new();
    let mut report = Report::new(&mut out);
    report.add("port", &Finding::Fine("free".to_owned()));
    report.add("version", &Finding::Doubtful("new".to_owned()));
    assert_eq!(report.broken, 0);
    report.add("binary", &Finding::Broken("none".to_owned()));
    assert_eq!(report.broken, 1);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text,
        "ok    port      free\nwarn  version   new\nfail  binary    none\n"
    );
}

#[test]
fn a_port_in_use_is_told_with_the_way_out() {
    let mut config = Config::defaults(crate::config::Environment::default());
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    config.listen = held.local_addr().unwrap();
    let Finding::Broken(text) = port(&config) else {
        panic!("the port is in use")
    };
    assert!(text.contains("--listen"), "{text}");
    drop(held);
    assert!(matches!(port(&config), Finding::Fine(_)));
}

#[test]
fn a_broken_configuration_is_the_first_line() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut out = Vec::new();
    let error = ConfigError::Conflict("listen is wrong: repair it".to_owned());
    let code = run(&runtime, Err(error), &mut out).unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "fail  config    listen is wrong: repair it\n"
    );
}
