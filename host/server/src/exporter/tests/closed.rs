//! Tests that names and labels are closed lists, and that the documentation has them.

use super::*;

const DOCUMENTATION: &str = include_str!("../../../../../docs/metrics.md");

#[test]
fn every_name_is_documented_with_its_kind() {
    let text = text(&Metrics::default());
    let rows: Vec<&str> = DOCUMENTATION.lines().collect();
    for line in text.lines() {
        let Some(("#", rest)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, kind)) = rest
            .strip_prefix("TYPE ")
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let suffix = match kind {
            "counter" => "_total",
            _ => "",
        };
        let (name, kind) = (format!("`{name}{suffix}`"), format!("| {kind} |"));
        let is_it = |row: &&str| row.contains(&name) && row.contains(&kind);
        assert!(rows.iter().any(is_it), "{name} {kind}");
    }
}

/// The values of each label, except numbers (bounds and releases, of which a bounded number is exported) and the names,
/// versions and digests of releases.
const LABELS: [(&str, &[&str]); 12] = [
    (
        "route",
        &[
            CHAT,
            "/v1/responses",
            "/v1/messages",
            "/v1/models",
            "/healthz",
            "/metrics",
            "/admin",
            "/api/codex",
            "other",
        ],
    ),
    ("status", &["ok", "refused", "failed", "left"]),
    (
        "kind",
        &[
            "trap",
            "timeout",
            "memory",
            "contract",
            "output",
            "input",
            "cached_input",
            "reasoning_output",
        ],
    ),
    ("role", &["active", "canary", "shadow", "serving"]),
    (
        "export",
        &[
            "instantiate",
            "describe",
            "render",
            "decide",
            "open",
            "feed",
            "offer",
            "relayed",
            "finish",
            "keep_alive",
            "convene",
            "wake",
            "settle",
            "judged",
            "list_models",
            "show_model",
        ],
    ),
    ("state", &["spare", "serving", "leaving"]),
    ("outcome", &["answered", "failed", "stopped"]),
    ("reason", &["upstream_timeout", "upstream_loop"]),
    ("gen_ai_token_type", &["input", "output"]),
    ("version", &[env!("CARGO_PKG_VERSION"), "a-version"]),
    ("name", &["shipped"]),
    ("digest", &["0123abcd"]),
];

fn is_known(name: &str, value: &str) -> bool {
    match name {
        "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
        "release" => value.is_empty() || value.parse::<u64>().is_ok(),
        _ => LABELS
            .iter()
            .any(|(label, values)| *label == name && values.contains(&value)),
    }
}

#[test]
fn no_label_grows_with_client_input() {
    let metrics = Metrics::default();
    let release = metrics.release(1);
    release.loaded();
    release.identify("shipped", "a-version", "0123abcd");
    release.failed(Some("trap"));
    let shadow = release.calls(CallPurpose::Shadow);
    shadow.feed.observe(Duration::ZERO);
    let mut counts = Vec::new();
    for round in 0..2 {
        for number in 0..500_u16 {
            for path in [
                CHAT.to_owned(),
                format!("/v1/models/{round}-{number}"),
                format!("/admin/{round}-{number}"),
                format!("/api/codex/{round}-{number}"),
                format!("/{round}/{number}?key=sk-secret"),
            ] {
                let request_metrics = metrics.request(&path);
                request_metrics.served_by(&release);
                request_metrics.finished(Some(200 + number), number % 2 == 0);
            }
        }
        let text = text(&metrics);
        let series: Vec<&str> = text.lines().filter(|it| !it.starts_with('#')).collect();
        for line in &series {
            let labels = line.split_once('{').and_then(|(_, it)| it.split_once('}'));
            let labels = labels.map_or("", |(labels, _)| labels).split(',');
            for label in labels.filter(|label| !label.is_empty()) {
                let (name, value) = label.split_once('=').unwrap();
                assert!(is_known(name, value.trim_matches('"')), "{line}");
            }
        }
        counts.push(series.len());
    }
    assert_eq!(counts[0], counts[1]);
}
