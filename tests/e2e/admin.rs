//! The admin routes of a running gateway: the active policy, its history, and the metrics of releases.

mod commands; // `airlock policy`
mod rollout; // canaries, shadows, and automatic rollback
mod swap; // swaps of policies

use std::fs;
use std::path::Path;
use std::time::Duration;

use airlock_tests::client::Reply;
use airlock_tests::gateway::GatewayBuilder;
use airlock_tests::{FakeCodex, Gateway, Script, soon, within};
use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

const KEY: &str = "sk-admin";

/// The timeout of an activation, which compiles.
const COMPILING: Duration = Duration::from_secs(90);

/// A gateway with admin routes, whose clients need no key.
fn keyed() -> GatewayBuilder {
    Gateway::with().settings(&format!("admin_key = {KEY:?}"))
}

/// Writes a component to the folder of policies.
#[expect(clippy::disallowed_methods, reason = "files of a test need no sync")]
fn put(gateway: &Gateway, file: &str, bytes: &[u8]) -> Result<()> {
    let folder = gateway.data_dir().join("policies");
    // In one step, as operators should.
    let fresh = folder.join("fresh");
    fs::write(&fresh, bytes)?;
    Ok(fs::rename(fresh, folder.join(file))?)
}

fn put_critique(gateway: &Gateway) -> Result<()> {
    let bytes = fs::read(Path::new(airlock_tests::components::CRITIQUE))?;
    put(gateway, "critique.wasm", &bytes)
}

fn put_hostile(gateway: &Gateway) -> Result<()> {
    let bytes = fs::read(Path::new(airlock_tests::components::HOSTILE))?;
    put(gateway, "hostile.wasm", &bytes)
}

/// Sends a request to an admin route, with the key.
async fn ask(gateway: &Gateway, method: Method, path: &str, body: Value) -> Result<Reply> {
    let mut request = gateway.client().with_key(KEY).request(method, path);
    if !body.is_null() {
        request = request.json(&body);
    }
    let exchange = async {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        anyhow::Ok(Reply {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        })
    };
    within(COMPILING, "the answer of an admin route", exchange).await?
}

async fn activate(gateway: &Gateway, name: &str, digest: Option<&str>) -> Result<Reply> {
    let body = json!({"digest": digest, "by": "me"});
    let path = format!("/admin/policies/{name}/active");
    ask(gateway, Method::PUT, &path, body).await
}

/// Activates a policy that can serve, and returns its digest.
async fn activated(gateway: &Gateway, name: &str, digest: Option<&str>) -> Result<String> {
    let reply = activate(gateway, name, digest).await?;
    ensure!(reply.status == 200, "{}", reply.body);
    Ok(text(&reply.body, "digest"))
}

async fn report(gateway: &Gateway) -> Result<Value> {
    let reply = ask(gateway, Method::GET, "/admin/policies", Value::Null).await?;
    ensure!(reply.status == 200, "{}", reply.body);
    Ok(reply.body)
}

/// Requests reports until one satisfies the condition.
async fn reported(gateway: &Gateway, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
    let asking = async {
        loop {
            let report = report(gateway).await?;
            if is(&report) {
                return anyhow::Ok(report);
            }
        }
    };
    soon(what, asking).await?
}

/// The release of this name in a report. There must be one.
fn release<'a>(report: &'a Value, name: &str) -> Result<&'a Value> {
    let releases = report["releases"].as_array().context("no releases")?;
    let mut found = releases.iter().filter(|release| release["name"] == name);
    found.next().with_context(|| format!("no {name}: {report}"))
}

/// The name of the active policy.
fn active(report: &Value) -> String {
    let releases = report["releases"].as_array().into_iter().flatten();
    let mut active = releases.filter(|release| release["number"] == report["active"]);
    active.next().map(|it| text(it, "name")).unwrap_or_default()
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

/// The text of `GET /metrics`.
async fn metrics(gateway: &Gateway) -> Result<String> {
    let reply = ask(gateway, Method::GET, "/metrics", Value::Null).await?;
    ensure!(reply.status == 200, "{}", reply.body);
    Ok(reply.body.as_str().context("no text")?.to_owned())
}

/// Requests metrics until they have all of these lines: a request is counted a moment after its end.
async fn measured(gateway: &Gateway, lines: &[&str]) -> Result<()> {
    let asking = async {
        loop {
            let exposed = metrics(gateway).await?;
            if lines
                .iter()
                .all(|line| exposed.lines().any(|it| it == *line))
            {
                return anyhow::Ok(());
            }
        }
    };
    soon(&format!("metrics with {lines:?}"), asking).await?
}

/// A Codex with answers for the strategy `critique`.
fn critic() -> Script {
    Script::new()
        .when_instructed("Write a critique", |turn| turn.text("the second forgets"))
        .when_instructed("a critic has examined", |turn| turn.text("the answer"))
}

/// The strategy of a fan-out, by which the policies are distinguished.
async fn strategy(gateway: &Gateway) -> Result<String> {
    let answered = gateway.client().fan_out(2, json!({})).await?;
    Ok(text(&answered.airlock["synthesis"], "strategy"))
}

#[tokio::test]
async fn admin_routes_are_only_for_the_admin_key() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let routes = [
        (Method::GET, "/admin/policies"),
        (Method::PUT, "/admin/policies/shipped/active"),
        (Method::POST, "/admin/policies/rollback"),
        (Method::DELETE, "/admin/rollout/canary"),
    ];
    let without = Gateway::over_fake(&fake).await?;
    for (method, path) in &routes {
        let reply = ask(&without, method.clone(), path, Value::Null).await?;
        assert_eq!(reply.status, 404, "{path}: {}", reply.body);
        assert_eq!(reply.error("code"), "unknown_url");
    }
    // Where nobody needs a key, metrics are open too.
    assert_eq!(without.client().get("/metrics").await?.status, 200);
    drop(without);

    let both = keyed()
        .settings("api_key = \"sk-client\"")
        .over_fake(&fake)
        .await?;
    let client = |key: &str| both.client().with_key(key);
    for (method, path) in &routes {
        for key in ["sk-client", "sk-wrong", ""] {
            let request = client(key).request(method.clone(), path);
            let reply = airlock_tests::client::send(request).await?;
            assert_eq!(reply.status, 401, "{path} {key:?}: {}", reply.body);
            assert!(!reply.body.to_string().contains(KEY), "{}", reply.body);
        }
    }
    for path in ["/admin/policies", "/metrics"] {
        assert_eq!(client(KEY).get(path).await?.status, 200, "{path}");
        assert_eq!(client("sk-client").get(path).await?.status, 401, "{path}");
        assert_eq!(both.client().get(path).await?.status, 401, "{path}");
    }
    assert_eq!(client(KEY).get("/v1/models").await?.status, 401);
    assert_eq!(client("sk-client").ask("hi").await?, "You said: hi");
    Ok(())
}
