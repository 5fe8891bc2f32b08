//! Components that are refused: the message gives the reason, and the active release continues to serve.

use airlock_tests::policies::{digest, earlier, reworded, stamped, worldly};
use airlock_tests::{FakeCodex, Gateway, Script};
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// A component, the file beside it, and the text of the refusal.
struct Case {
    name: &'static str,
    component: Vec<u8>,
    beside: Option<&'static str>,
    says: &'static str,
}

fn case(name: &'static str, component: Vec<u8>, says: &'static str) -> Case {
    Case {
        name,
        component,
        beside: None,
        says,
    }
}

fn beside(name: &'static str, text: &'static str, says: &'static str) -> Result<Case> {
    Ok(Case {
        name,
        component: stamped("STAMP-0002")?,
        beside: Some(text),
        says,
    })
}

fn cases() -> Result<Vec<Case>> {
    let good = stamped("STAMP-0002")?;
    let half = good[..good.len() / 2].to_vec();
    let misfit = reworded(&earlier("STAMP-0002")?, "@0.1.0-draft", "@0.3.0-draft")?;
    let future = reworded(&good, "@0.3.0-draft", "@0.9.0-draft")?;
    let greedy = reworded(&worldly()?, "wasi:sockets/", "mine:sockets/")?;
    Ok(vec![
        case(
            "text",
            b"not a component".to_vec(),
            "is not a WebAssembly component",
        ),
        case("empty", Vec::new(), "is not a WebAssembly component"),
        case("module", b"\0asm\x01\0\0\0".to_vec(), "is a core module"),
        case("hollow", b"\0asm\x0d\0\x01\0".to_vec(), "airlock:policy"),
        case("truncated", half, "does not compile"),
        case("misfit", misfit, "airlock:policy/"),
        case(
            "earlier",
            earlier("STAMP-0002")?,
            "it was built for airlock:policy@0.1.0-draft, and this gateway loads airlock:policy@0.3.0-draft",
        ),
        case(
            "future",
            future,
            "it was built for airlock:policy@0.9.0-draft",
        ),
        case("greedy", greedy, "imports mine:sockets/"),
        beside(
            "pinned",
            "digest = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"",
            "its pin says sha256:00000000",
        )?,
        beside(
            "unpinned",
            "digest = \"latest\"",
            "its pin \"latest\" is not a digest",
        )?,
        beside(
            "mistyped",
            "[settings]\ngreeting = 1",
            "`greeting` must be a text",
        )?,
        beside(
            "misnamed",
            "[settings]\ngreetings = \"a\"",
            "`greetings`: there is no such setting; there are greeting",
        )?,
        beside(
            "unbounded",
            "[limits]\nmemory_bytes = \"8GiB\"",
            "limits.memory_bytes",
        )?,
        beside("misspelled", "pin = \"a\"", "unknown field `pin`")?,
    ])
}

#[tokio::test]
async fn what_cannot_serve_is_refused_with_the_reason() -> Result<()> {
    let cases = cases()?;
    let fake = FakeCodex::start(Script::new())?;
    let mut gateway = Gateway::with().administered();
    for case in &cases {
        gateway = gateway.policy_file(&format!("{}.wasm", case.name), case.component.clone());
        if let Some(text) = case.beside {
            gateway = gateway.policy_file(&format!("{}.toml", case.name), text);
        }
    }
    let gateway = gateway.over_fake(&fake).await?;
    let admin = gateway.admin();
    for case in &cases {
        let reply = admin.try_activate(case.name, None).await?;
        let message = reply.error("message").as_str().unwrap_or_default();
        assert!(
            reply.status == 400 && message.contains(case.says) && message.contains(case.name),
            "{}: {} {}",
            case.name,
            reply.status,
            reply.body
        );
        assert!(!message.contains('\n'), "{message}");
        assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    }
    // None of them became a release.
    let report = admin.report().await?;
    let releases = report["releases"].as_array().context("no releases")?;
    assert_eq!(releases.len(), 1, "{releases:?}");
    assert_eq!(report["history"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn settings_beside_a_good_policy_are_honoured() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let component = stamped("STAMP-0003")?;
    let beside = format!(
        "digest = \"sha256:{}\"\n[settings]\ngreeting = \"Hello. \"\n[limits]\nmemory_bytes = \"8MiB\"",
        digest(&component)
    );
    let gateway = Gateway::with()
        .administered()
        .policy_file("polite.wasm", component)
        .policy_file("polite.toml", beside)
        .over_fake(&fake)
        .await?;
    gateway.admin().activate("polite", None).await?;
    assert_eq!(gateway.client().ask("hi").await?, "Hello. You said: hi");
    Ok(())
}

/// The policy has the size of the embedded one, which could not be compiled either.
#[tokio::test]
async fn a_compile_that_takes_too_long_is_ended() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let refused = Gateway::with()
        .cold()
        .settings("[policies]\ncompile_timeout = \"100ms\"")
        .policy(airlock_tests::components::CRITIQUE)
        .refused(fake.binary())
        .await?;
    assert!(refused.code.is_some_and(|code| code != 0), "{refused:?}");
    let says = "compiling took longer than 100 ms (policies.compile_timeout)";
    assert!(refused.log.contains(says), "{}", refused.log);
    Ok(())
}

#[tokio::test]
async fn a_compile_that_takes_too_much_memory_is_ended() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .administered()
        .settings("[policies]\ncompile_memory_bytes = \"256MiB\"")
        .policy_file("bulky.wasm", bulky())
        .over_fake(&fake)
        .await?;
    let reply = gateway.admin().try_activate("bulky", None).await?;
    let message = reply.error("message").as_str().unwrap_or_default();
    let says = "compiling needs more memory than 268435456 bytes";
    assert!(message.contains(says), "{}", reply.body);
    assert_eq!(gateway.client().ask("fine").await?, "You said: fine");
    Ok(())
}

/// A component with one function of a million additions, which the compiler processes as a whole.
fn bulky() -> Vec<u8> {
    // local.get 0, i32.const 3, i32.add, local.set 0
    let additions = [0x20, 0, 0x41, 3, 0x6a, 0x21, 0].repeat(1_000_000);
    // No further locals; and its end.
    let body = [vec![0], additions, vec![0x0b]].concat();
    // One function of the type i32 to nothing.
    let module = [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 1, 0x7f, 0]),
        section(3, &[1, 0]),
        section(10, &[vec![1], sized(&body)].concat()),
    ];
    [b"\0asm\x0d\0\x01\0".to_vec(), section(1, &module.concat())].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], sized(content)].concat()
}

/// The bytes, preceded by their number in LEB128.
fn sized(content: &[u8]) -> Vec<u8> {
    let (mut left, mut bytes) = (content.len(), Vec::new());
    while left >= 0x80 {
        bytes.push((left % 0x80) as u8 | 0x80);
        left /= 0x80;
    }
    bytes.push(left as u8);
    bytes.extend(content);
    bytes
}

#[tokio::test]
async fn a_folder_that_changes_under_a_running_gateway_changes_nothing_by_itself() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .administered()
        .policy_file("stamp.wasm", stamped("STAMP-0001")?)
        .over_fake(&fake)
        .await?;
    let admin = gateway.admin();
    admin.activate("stamp", None).await?;
    // Half of a file that is being written.
    let half = &stamped("STAMP-0002")?[..1000];
    std::fs::write(gateway.policies_folder().join("stamp.wasm"), half)?;
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(reply.body["stamp"], "STAMP-0001");
    assert_eq!(admin.try_activate("stamp", None).await?.status, 400);
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(reply.body["stamp"], Value::from("STAMP-0001"));
    Ok(())
}
