//! Sequences of changes: rollbacks through several builds, and builds that appear in a watched folder.

use airlock_tests::soon;

use super::*;

const NEWER: &str = "STAMP-0003";

async fn serves(gateway: &Gateway) -> Result<String> {
    let reply = gateway.client().chat(json!({})).await?;
    stamp(&reply).map(str::to_owned)
}

#[tokio::test]
async fn rollbacks_go_back_one_by_one_and_never_to_what_was_left() -> Result<()> {
    let builds = [stamped(OLD)?, stamped(NEW)?, stamped(NEWER)?];
    let (_fake, gateway, admin, digests) = staged("", &builds).await?;
    for digest in &digests {
        soon("the swap", admin.activate("stamp", Some(digest))).await??;
    }
    assert_eq!(serves(&gateway).await?, NEWER);
    for expected in [NEW, OLD] {
        soon("the rollback", admin.rollback()).await??;
        assert_eq!(serves(&gateway).await?, expected);
    }
    // The first release is the policy of the start.
    let last = soon("the rollback", admin.rollback()).await??;
    assert_eq!(last["name"], "shipped");
    assert!(
        admin.rollback().await.is_err(),
        "there is nothing before it"
    );
    // A release that was rolled back is activated again only by an operator.
    soon("the swap", admin.activate("stamp", Some(&digests[2]))).await??;
    assert_eq!(serves(&gateway).await?, NEWER);
    Ok(())
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "files of a test need no sync")]
async fn a_build_that_comes_into_a_watched_folder_is_loaded_and_a_broken_one_is_not() -> Result<()>
{
    let fake = FakeCodex::start(Script::new())?;
    let gateway = Gateway::with()
        .administered()
        .settings("[policies]\nwatch = true")
        .policy_file("stamp.wasm", stamped(OLD)?)
        .over_fake(&fake)
        .await?;
    let admin = gateway.admin();
    admin.activate("stamp", None).await?;
    assert_eq!(serves(&gateway).await?, OLD);
    let file = gateway.policies_folder().join("stamp.wasm");
    let replace = |bytes: &[u8]| {
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, bytes)?;
        std::fs::rename(&fresh, &file)
    };

    let new = stamped(NEW)?;
    replace(&new)?;
    let is_new = |report: &Value| {
        let history = report["history"].as_array();
        let last = history.and_then(|history| history.last());
        last.is_some_and(|last| last["digest"] == digest(&new) && last["by"] == "watch")
    };
    admin.reported("the new build", is_new).await?;
    assert_eq!(serves(&gateway).await?, NEW);

    replace(&new[..new.len() / 2])?;
    gateway.logged("a new build cannot serve").await?;
    assert_eq!(serves(&gateway).await?, NEW);
    // The previous release's file no longer exists.
    admin.rollback().await?;
    assert_eq!(serves(&gateway).await?, OLD);
    Ok(())
}
