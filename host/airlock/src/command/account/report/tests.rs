//! The printed state of an account.
#![allow(clippy::unwrap_used, reason = "tests")]

use serde_json::json;

use super::*;

fn report(members: &serde_json::Value) -> String {
    let mut whole = json!({"installed": true, "logged_in": true, "auth_mode": null, "plan": null,
            "version": "0.169.0", "supported": true, "models": [], "rate_limits": null, "rehearsal": false,
            "login_in_progress": false});
    whole
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    let status: CodexStatus = serde_json::from_value(whole).unwrap();
    let mut out = Vec::new();
    write(
        Some("http://127.0.0.1:1"),
        &status,
        "airlock login",
        &mut out,
    )
    .unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_login_is_reported_with_its_limits() {
    let window = json!({"used_percent": 12.4, "window_minutes": 300, "resets_at": 0});
    let text = report(
        &json!({"auth_mode": "chatgpt", "plan": "plus", "models": ["a", "b"],
            "rate_limits": {"primary": window, "secondary": null}}),
    );
    let expected = "gateway  http://127.0.0.1:1\ncodex    0.169.0, tested\nlogin    ChatGPT, plan plus\n\
            limits   12 % of 5 h used until 1970-01-01 00:00:00 UTC\nmodels   a, b\n";
    assert_eq!(text, expected);
}

#[test]
fn a_model_that_cannot_be_reached_is_reported_with_its_time() {
    let text = report(&json!({"model": {"state": "unreachable", "since": 60, "seconds": 75}}));
    let line = "model    unreachable since 1970-01-01 00:01:00 UTC (75 s)";
    assert!(text.lines().any(|it| it == line), "{text}");
}

#[test]
fn each_child_has_a_line() {
    let child = json!({"number": 3, "pid": 7, "state": "leaving", "due": "age", "version": "0.169.0", "age_seconds": 9,
            "threads": 12, "warm_threads": 1, "turns": 2, "resident_bytes": 157_286_400, "signed_out": false});
    let home = json!({"children": [child], "turns": {"running": 2, "capacity": 64, "waiting": 1},
            "replaced": [{"reason": "age", "children": 1}, {"reason": "log", "children": 0}],
            "circuit": {"state": "open", "failures": 4}});
    let mut out = Vec::new();
    fleet(&json!({ "homes": [home] }), &mut out).unwrap();
    fleet(&Value::Null, &mut out).unwrap();
    let expected = "child    3 leaving: 2 turns, 12 threads and 1 ahead, 150 MiB, 9 s old, to be replaced (age)\n\
            turns    2 run of 64, 1 requests wait\nreplaced 1 age\ncircuit  open, 4 failures in a row\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_missing_login_or_codex_has_a_remedy() {
    let text = report(
        &json!({"installed": false, "logged_in": false, "version": null, "supported": false,
            "problem": "there is none", "install": "airlock codex install"}),
    );
    assert!(
        text.contains("`airlock login`") && text.contains("airlock codex install"),
        "{text}"
    );
}
