//! The gate with the schemas of the real, pinned Codexes, unchanged and changed.
//!
//! `AIRLOCK_BLESS=1 cargo nextest run --workspace -E 'test(/^upgrade_gate::/)'` writes `tested.json` anew.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::process::Command;

use serde_json::{Value, json};

use super::*;
use crate::protocol::UNREAD;

/// The schema of a Codex of the workspace. `folder` is its folder below `.codex`.
fn schema_of(folder: &str) -> Value {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let package = "node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex";
    let binary = workspace.join(".codex").join(folder).join(package);
    assert!(
        binary.is_file(),
        "no {}: run `make codex`",
        binary.display()
    );
    let home = tempfile::tempdir().unwrap();
    let schema = home.path().join("schema");
    let status = Command::new(binary)
        .args([
            "app-server",
            "generate-json-schema",
            "--experimental",
            "--out",
        ])
        .arg(&schema)
        .env("CODEX_HOME", home.path())
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
    serde_json::from_slice(&std::fs::read(schema.join(BUNDLE)).unwrap()).unwrap()
}

fn compared(root: Value) -> Comparison {
    let document = Document::new(root).unwrap();
    compare::compare(&document, &Used::load().unwrap(), &Tested::load().unwrap())
}

#[test]
fn the_table_is_what_the_pinned_codex_describes() {
    let document = Document::new(schema_of("")).unwrap();
    let used = Used::load().unwrap();
    let pinned = crate::binary::PINNED;
    let mut text =
        serde_json::to_string_pretty(&compare::describe(&document, &used, pinned)).unwrap();
    text.push('\n');
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/upgrade_gate/tested.json");
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
    let bless = std::env::var_os("AIRLOCK_BLESS").is_some();
    if bless {
        std::fs::write(&file, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&file).unwrap();
    assert!(
        stored == text,
        "tested.json does not describe Codex {pinned}; write it again with AIRLOCK_BLESS=1, then review the changes"
    );
    let compared = compare::compare(&document, &used, &serde_json::from_str(&text).unwrap());
    assert_eq!(compared.faults(), [""; 0]);
    assert_eq!(compared.additions(), 0);
}

#[test]
fn the_oldest_codex_that_is_tested_fits() {
    let compared = compared(schema_of("0.163"));
    assert_eq!(compared.faults(), [""; 0]);
}

/// Changes, and the faults that they cause.
#[test]
fn missing_and_changed_parts_are_reported_and_additions_pass() {
    type Edit = fn(&mut Value);
    let rows: [(Edit, &[&str]); 17] = [
        (|_| {}, &[]),
        (
            |all| remove_method(all, "ClientRequest", "thread/unsubscribe"),
            &["thread/unsubscribe missing"],
        ),
        (
            |all| remove_method(all, "ServerNotification", "turn/completed"),
            &["turn/completed missing"],
        ),
        (
            |all| remove_method(all, "ServerRequest", "item/tool/call"),
            &["item/tool/call missing"],
        ),
        (
            |all| rename(&mut all["SandboxMode"]["enum"], "read-only", "reading"),
            &["thread/start params sandbox \"read-only\" missing"],
        ),
        (
            |all| drop(members(&mut all["ThreadStartParams"]).remove("environments")),
            &["thread/start params environments missing"],
        ),
        (
            |all| all["ThreadStartParams"]["properties"]["ephemeral"] = json!({"type": "string"}),
            &["thread/start params ephemeral retyped (is string, where airlock sends boolean)"],
        ),
        (
            |all| all["TurnStartParams"]["required"] = json!(["threadId", "input", "consent"]),
            &["turn/start params consent required"],
        ),
        (
            |all| all["TurnInterruptParams"]["properties"]["turnId"] = json!({"enum": ["last"]}),
            &["turn/interrupt params turnId retyped (is only last, where airlock sends any text)"],
        ),
        (
            |all| drop(members(&mut all["InitializeResponse"]).remove("userAgent")),
            &["initialize result userAgent missing"],
        ),
        (
            |all| {
                all["AgentMessageDeltaNotification"]["properties"]["delta"] =
                    json!({"type": ["string", "null"]});
            },
            &[
                "item/agentMessage/delta params delta retyped (is string|null, where airlock reads string)",
            ],
        ),
        (
            |all| {
                all["AgentMessageDeltaNotification"]["required"] =
                    json!(["delta", "threadId", "turnId"]);
            },
            &["item/agentMessage/delta params itemId retyped (may be absent)"],
        ),
        (
            |all| rename(&mut all["TurnStatus"]["enum"], "failed", "broken"),
            &["turn/completed params turn.status \"failed\" missing"],
        ),
        (
            |all| drop(all.as_object_mut().unwrap().remove("TurnStartResponse")),
            &["turn/start result missing (no type TurnStartResponse)"],
        ),
        (
            |all| {
                all["DynamicToolCallResponse"]["required"] =
                    json!(["contentItems", "success", "seal"]);
            },
            &["item/tool/call result seal required"],
        ),
        (
            |all| {
                all["RawResponseCompletedNotification"]["properties"]["usage"] =
                    json!({"type": "integer"});
            },
            &[
                "rawResponse/completed params usage retyped (is integer, where airlock reads object)",
            ],
        ),
        (
            // Additions: an optional parameter, a member, a value, a kind of item, a notification.
            |all| {
                members(&mut all["ThreadStartParams"])
                    .insert("mood".to_owned(), json!({"type": "string"}));
                members(&mut all["ThreadStartResponse"])
                    .insert("mood".to_owned(), json!({"type": "string"}));
                rename(&mut all["TurnStatus"]["enum"], "", "paused");
                let item = json!({"type": "object", "required": ["type"], "properties": {"type": {"enum": ["dream"]}}});
                all["ThreadItem"]["oneOf"]
                    .as_array_mut()
                    .unwrap()
                    .push(item);
                let notification = json!({"properties": {"method": {"enum": ["thread/dreamt"]}}});
                all["ServerNotification"]["oneOf"]
                    .as_array_mut()
                    .unwrap()
                    .push(notification);
            },
            &[],
        ),
    ];
    let whole = schema_of("");
    for (number, (edit, faults)) in rows.into_iter().enumerate() {
        let mut root = flat(&whole);
        edit(&mut root["definitions"]);
        let compared = compared(root);
        let found = compared.faults();
        for fault in faults {
            assert!(
                found.iter().any(|found| found == fault),
                "{number}: no {fault:?} in {found:#?}"
            );
        }
        assert_eq!(found.is_empty(), faults.is_empty(), "{number}: {found:#?}");
        let all = compared.methods.iter().flat_map(|method| {
            let differences = method.differences.iter();
            differences.map(|difference| format!("{} {difference}", method.name))
        });
        let added: Vec<String> = all.filter(|text| text.contains("added")).collect();
        let expected: &[&str] = match number {
            16 => &[
                "item/completed params item.type \"dream\" added",
                "item/started params item.type \"dream\" added",
                "thread/start params mood added",
                "thread/start result mood added",
                "turn/completed params turn.status \"paused\" added",
            ],
            _ => &[],
        };
        if number == 16 || number == 0 {
            let mut added = added;
            added.sort();
            assert_eq!(added, expected);
        }
    }
}

/// The schema with all types on one level, without `v2`.
fn flat(root: &Value) -> Value {
    let mut text = root.clone();
    let mut all = text["definitions"].take();
    let second = all.as_object_mut().unwrap().remove("v2").unwrap();
    for (name, kind) in second.as_object().unwrap() {
        all.as_object_mut()
            .unwrap()
            .entry(name)
            .or_insert(kind.clone());
    }
    let all = all
        .to_string()
        .replace("#/definitions/v2/", "#/definitions/");
    json!({"definitions": serde_json::from_str::<Value>(&all).unwrap()})
}

fn members(kind: &mut Value) -> &mut serde_json::Map<String, Value> {
    kind["properties"].as_object_mut().unwrap()
}

fn remove_method(all: &mut Value, union: &str, method: &str) {
    let methods = all[union]["oneOf"].as_array_mut().unwrap();
    let before = methods.len();
    methods.retain(|found| found["properties"]["method"]["enum"][0] != method);
    assert_eq!(methods.len() + 1, before);
}

/// Renames a value. With an empty name, adds a value.
fn rename(values: &mut Value, from: &str, to: &str) {
    let values = values.as_array_mut().unwrap();
    values.retain(|value| from.is_empty() || value != from);
    values.push(json!(to));
}

/// A method that is new in the sources must be added to the table, with what the gateway uses of it.
#[test]
fn everything_that_the_sources_name_is_in_the_table() {
    let used = Used::load().unwrap();
    let mut known: Vec<&str> = used.uses().iter().map(|used| used.name).collect();
    known.extend(used.unread.iter().map(String::as_str));
    let names = [
        // A name with a slash is a method, anywhere.
        r#""([a-z][A-Za-z]*(?:/[A-Za-z_]+)+)""#,
        // The methods of calls and notifications.
        r#"\b(?:call|call_with|probe|notify|retry_overloaded)(?:::<[^>]*>)?\(\s*(?:connection,\s*)?"([A-Za-z]+)""#,
        // The methods that a match distinguishes.
        r#"(?m)^ {8,12}"([a-z][A-Za-z]+(?:Approval)?)" (?:=>|\|)"#,
    ];
    let names: Vec<_> = names
        .iter()
        .map(|name| regex::Regex::new(name).unwrap())
        .collect();
    let mut found = 0;
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "../wire/src"].map(|folder| sources(&host.join(folder)));
    for file in folders.into_iter().flatten() {
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\n#[allow").next().unwrap();
        let matches =
            ["decode/notification.rs", "server_requests.rs"].map(|name| file.ends_with(name));
        for (number, name) in names.iter().enumerate() {
            if number == 2 && !matches.contains(&true) {
                continue;
            }
            for name in name.captures_iter(text) {
                let name = name.get(1).unwrap().as_str();
                // This is the media type of a body.
                assert!(
                    name == "application/json" || known.contains(&name),
                    "{name} of {} is not in used.json",
                    file.display()
                );
                found += 1;
            }
        }
    }
    assert!(
        found >= 35,
        "only {found} names were found: has the way they are written changed?"
    );
    assert_eq!(used.unread, UNREAD);
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "tests" {
            continue;
        } else if path.is_dir() {
            files.extend(sources(&path));
        } else if name.ends_with(".rs") && name != "tests.rs" {
            files.push(path);
        }
    }
    files
}

#[test]
fn without_a_schema_the_verdict_depends_on_the_version() {
    let binary = |supported| Binary {
        path: PathBuf::from("codex"),
        version: "0.1.2".to_owned(),
        supported,
    };
    let silent = || Err(io::ErrorKind::TimedOut.into());
    assert_eq!(judge(&binary(true), silent()), Ok(()));
    let refused = judge(&binary(false), silent()).unwrap_err();
    let problem = refused.problem();
    assert_eq!(problem.code.as_deref(), Some("codex_unsupported_version"));
    assert!(
        problem.message.contains("0.163.0 to 0.169.x"),
        "{}",
        problem.message
    );
    assert!(
        problem.message.contains("`airlock codex install`"),
        "{}",
        problem.message
    );
}

#[test]
fn folders_of_killed_gateways_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (old, young) = (
        folder.path().join("schema-1"),
        folder.path().join("schema-2"),
    );
    for path in [&old, &young] {
        std::fs::create_dir(path).unwrap();
    }
    let long_ago = SystemTime::now() - 2 * STALE;
    std::fs::File::open(&old)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    let ours = SchemaFolder::new(folder.path()).unwrap();
    assert!(!old.exists() && young.exists() && ours.0.exists());
    let path = ours.0.clone();
    drop(ours);
    assert!(!path.exists());
}
