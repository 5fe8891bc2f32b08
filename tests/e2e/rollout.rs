//! The choice of a request's release: canaries, shadows, automatic rollback, and policies of an older WIT world.

mod attack; // a client that tries to get a policy rolled back
mod back; // rollbacks, and a watched folder
mod dialects; // dialects that a policy lacks

use airlock_tests::policies::{digest, reworded, stamped};
use airlock_tests::{Admin, FakeCodex, Gateway, Reply, Script};
use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

const OLD: &str = "STAMP-0001";
const NEW: &str = "STAMP-0002";

/// A gateway with these builds of one policy, of which the first is active.
async fn staged(
    settings: &str,
    builds: &[Vec<u8>],
) -> Result<(FakeCodex, Gateway, Admin, Vec<String>)> {
    let fake = FakeCodex::start(Script::new())?;
    let mut gateway = Gateway::with().administered().settings(settings);
    for (number, build) in builds.iter().enumerate() {
        gateway = gateway.policy_file(&format!("stamp@{number}.wasm"), build.clone());
    }
    let gateway = gateway.over_fake(&fake).await?;
    let digests: Vec<String> = builds.iter().map(|build| digest(build)).collect();
    let admin = gateway.admin();
    let first = digests.first().context("no build")?;
    admin.activate("stamp", Some(first)).await?;
    Ok((fake, gateway, admin, digests))
}

async fn old_and_new(settings: &str) -> Result<(FakeCodex, Gateway, Admin, Vec<String>)> {
    staged(settings, &[stamped(OLD)?, stamped(NEW)?]).await
}

/// The same, with a text on which the new build fails and the old one does not.
async fn sound_and_new(settings: &str) -> Result<(FakeCodex, Gateway, Admin, Vec<String>)> {
    let old = reworded(&stamped(OLD)?, "stamp:", "other:")?;
    staged(settings, &[old, stamped(NEW)?]).await
}

fn saying(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

fn stamp(reply: &Reply) -> Result<&str> {
    let stamp = reply.body["stamp"].as_str();
    stamp.with_context(|| format!("no stamp: {} {}", reply.status, reply.body))
}

/// The stamps of the replies to requests with these ids, many of them concurrently.
async fn stamps(gateway: &Gateway, ids: &[String]) -> Result<Vec<String>> {
    let replies = stream::iter(ids).map(|id| async move {
        let reply = gateway.client().chat_as(id, json!({})).await?;
        stamp(&reply).map(str::to_owned)
    });
    let replies: Vec<Result<String>> = replies.buffered(32).collect().await;
    replies.into_iter().collect()
}

/// Sends a request on which the active policy fails.
async fn fails(gateway: &Gateway) -> Result<()> {
    let reply = gateway.client().chat(saying("stamp:trap:render")).await?;
    ensure!(reply.status == 500, "{} {}", reply.status, reply.body);
    Ok(())
}

fn ids(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("request-{number}"))
        .collect()
}

/// The share itself is tested with 10,000 ids beside its code. This test checks it end to end.
#[tokio::test]
async fn a_canary_gets_its_share_and_no_more() -> Result<()> {
    let (_fake, gateway, admin, digests) = old_and_new("").await?;
    admin.canary("stamp", &digests[1], 10.0).await?;
    let served = stamps(&gateway, &ids(1000)).await?;
    let count = served.iter().filter(|stamp| *stamp == NEW).count();
    // Four standard deviations to each side.
    assert!((62..=138).contains(&count), "{count} of 1000");
    assert_eq!(
        served.iter().filter(|stamp| *stamp == OLD).count(),
        1000 - count
    );
    admin.end_canary().await?;
    let served = stamps(&gateway, &ids(100)).await?;
    assert!(served.iter().all(|stamp| stamp == OLD), "{served:?}");
    Ok(())
}

#[tokio::test]
async fn a_request_that_comes_again_gets_the_same_release() -> Result<()> {
    let (_fake, gateway, admin, digests) = old_and_new("").await?;
    let ids = ids(60);
    admin.canary("stamp", &digests[1], 40.0).await?;
    let first = stamps(&gateway, &ids).await?;
    assert!(first.iter().any(|stamp| stamp == NEW) && first.iter().any(|stamp| stamp == OLD));
    for _ in 0..3 {
        assert_eq!(stamps(&gateway, &ids).await?, first);
    }
    // Requests on the new release stay on it when its share grows.
    admin.canary("stamp", &digests[1], 70.0).await?;
    let grown = stamps(&gateway, &ids).await?;
    assert!(
        first
            .iter()
            .zip(&grown)
            .all(|(one, other)| one == OLD || other == NEW)
    );
    assert_ne!(first, grown);
    Ok(())
}

#[tokio::test]
async fn a_canary_that_fails_is_withdrawn() -> Result<()> {
    let (_fake, gateway, admin, digests) = sound_and_new("[rollback]\nfaults = 3").await?;
    admin.canary("stamp", &digests[1], 100.0).await?;
    for _ in 0..2 {
        fails(&gateway).await?;
    }
    // Too few requests.
    assert_eq!(stamp(&gateway.client().chat(json!({})).await?)?, NEW);
    fails(&gateway).await?;
    let report = admin
        .reported("the end of the canary", |report| report["canary"].is_null())
        .await?;
    let last = report["history"].as_array().and_then(|all| all.last());
    let last = last.context("no history")?;
    assert_eq!(last["digest"], json!(digests[0]), "the active one stays");
    assert_eq!(stamp(&gateway.client().chat(json!({})).await?)?, OLD);
    gateway.logged("canary ended").await?;
    Ok(())
}

#[tokio::test]
async fn an_active_release_that_fails_is_taken_back_once_it_is_too_often() -> Result<()> {
    let settings = "[rollback]\nfaults = 3\npercent = 50\nwindow = \"10min\"";
    let (_fake, gateway, admin, digests) = sound_and_new(settings).await?;
    admin.activate("stamp", Some(&digests[1])).await?;
    // All of them fail, but they are too few.
    for _ in 0..2 {
        fails(&gateway).await?;
    }
    for _ in 0..7 {
        assert_eq!(stamp(&gateway.client().chat(json!({})).await?)?, NEW);
    }
    // Enough failures, but too small a share until 7 of 14 have failed.
    for _ in 0..5 {
        fails(&gateway).await?;
    }
    let by = |report: &Value| {
        let history = report["history"].as_array();
        history
            .and_then(|all| all.last())
            .cloned()
            .unwrap_or_default()
    };
    let report = admin
        .reported("the rollback", |report| by(report)["by"] == "airlock")
        .await?;
    let last = by(&report);
    assert_eq!(last["digest"], json!(digests[0]), "{last}");
    let reason = last["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("failed 7 times in 14 requests"), "{reason}");
    assert_eq!(stamp(&gateway.client().chat(json!({})).await?)?, OLD);
    Ok(())
}

#[tokio::test]
async fn a_shadow_finds_one_word_and_nothing_else() -> Result<()> {
    let active = stamped(OLD)?;
    let builds = [
        active.clone(),
        // It differs in its description only, and not for clients.
        reworded(&active, "for proofs.", "for prooves")?,
        // Whole responses differ from the active release's in one word.
        reworded(&active, "\"assistant\"", "\"assistent\"")?,
    ];
    let (_fake, gateway, admin, digests) = staged("", &builds).await?;
    let both = async || -> Result<()> {
        let whole = gateway.client().chat(saying("whole")).await?;
        assert_eq!((whole.text()?, stamp(&whole)?), ("You said: whole", OLD));
        let mut stream = gateway.client().stream(saying("streamed")).await?;
        assert_eq!(stream.text().await?, "You said: streamed");
        Ok(())
    };
    admin.shadow("stamp", &digests[1]).await?;
    both().await?;
    let same = |report: &Value| report["shadow"]["same"] == 2;
    let report = admin.reported("both answers the same", same).await?;
    assert_eq!(report["shadow"]["different"], json!({}), "{report}");
    // Clients do not wait for a shadow.
    let name = "airlock_policy_call_seconds_count";
    let rendered =
        ["serving", "shadow"].map(|role| format!("{name}{{export=\"render\",role=\"{role}\"}} 2"));
    admin
        .measured(&rendered.each_ref().map(String::as_str))
        .await?;

    admin.shadow("stamp", &digests[2]).await?;
    both().await?;
    let compared = |report: &Value| {
        report["shadow"]["same"] == 1 && report["shadow"]["different"] == json!({"finish": 1})
    };
    let report = admin.reported("one answer that differs", compared).await?;
    let sample = &report["shadow"]["samples"][0];
    let side = |name: &str| sample[name].as_str().unwrap_or_default().to_owned();
    assert!(side("served").contains("assistant"), "{sample}");
    assert!(side("shadow").contains("assistent"), "{sample}");
    assert_eq!(sample["call"], "finish");

    admin.end_shadow().await?;
    let ended = |report: &Value| {
        let releases = report["releases"].as_array().into_iter().flatten();
        report["shadow"].is_null() && releases.filter(|it| it["resident"] == true).count() == 1
    };
    admin.reported("the end of the shadow", ended).await?;
    Ok(())
}

#[tokio::test]
async fn a_shadow_that_fails_disturbs_nobody_and_ends() -> Result<()> {
    let settings = "[sandbox]\ncall_timeout = \"100ms\"\n[rollback]\nfaults = 4";
    // The marker triggers a fault in the shadow only.
    let active = reworded(&stamped(OLD)?, "stamp:", "other:")?;
    let (_fake, gateway, admin, digests) = staged(settings, &[active, stamped(NEW)?]).await?;
    admin.shadow("stamp", &digests[1]).await?;
    let deeds = ["loop:render", "trap:feed", "loop:feed"];
    for (number, deed) in deeds.iter().enumerate() {
        // The stamps differ, so what comes before the first frame is where a shadow can fail.
        let said = format!("stamp:{deed}");
        let mut stream = gateway.client().stream(saying(&said)).await?;
        assert_eq!(stream.text().await?, format!("You said: {said}"));
        let failed = |report: &Value| report["shadow"]["failed"] == json!(number + 1);
        admin.reported("a shadow that failed", failed).await?;
    }
    let mut stream = gateway.client().stream(saying("stamp:trap:open")).await?;
    assert_eq!(stream.text().await?, "You said: stamp:trap:open");
    let ended = |report: &Value| report["shadow"].is_null();
    let report = admin.reported("the end of the shadow", ended).await?;
    let last = report["history"].as_array().and_then(|all| all.last());
    assert_eq!(last.context("no history")?["digest"], json!(digests[0]));
    gateway.logged("shadow ended").await?;
    Ok(())
}
