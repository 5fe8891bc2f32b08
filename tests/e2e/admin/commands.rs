//! `airlock policy …` against a running gateway.

use super::*;

#[tokio::test]
async fn operators_type_it() -> Result<()> {
    let fake = FakeCodex::start(critic())?;
    let gateway = keyed().over_fake(&fake).await?;
    put_critique(&gateway)?;
    put_hostile(&gateway)?;
    let typed = async |arguments: &[&str]| {
        let said = gateway.command(arguments).await?;
        ensure!(
            said.code == Some(0) && said.err.is_empty(),
            "{arguments:?}: {said:?}"
        );
        anyhow::Ok(said.out)
    };
    let out = typed(&["policy", "activate", "critique"]).await?;
    assert!(out.starts_with("Active: release 2, critique@"), "{out}");
    let out = typed(&["policy", "rollback", "--by", "someone"]).await?;
    assert!(out.starts_with("Active: release 1, shipped@"), "{out}");
    let out = typed(&["policy", "canary", "critique", "--percent", "0.5"]).await?;
    assert_eq!(
        out,
        "Release 2 (critique) serves 0.5 of 100 new requests.\n"
    );
    let out = typed(&["policy", "shadow", "hostile"]).await?;
    assert!(out.starts_with("Release 3 (hostile) runs beside"), "{out}");

    let out = typed(&["policy", "list"]).await?;
    for words in [
        "active        1  shipped",
        "canary        2  critique",
        "shadow        3  hostile",
        "Canary: release 2 serves 0.5 of 100",
        "Shadow: release 3: 0 requests the same",
        "In the folder: critique.wasm, hostile.wasm",
        "(shipped@",
        "by someone",
        "by tester",
        "by start",
    ] {
        assert!(out.contains(words), "no {words:?} in\n{out}");
    }
    let json: Value = serde_json::from_str(&typed(&["policy", "list", "--json"]).await?)?;
    assert_eq!(json["shadow"]["release"], 3);

    typed(&["policy", "canary", "--end"]).await?;
    typed(&["policy", "shadow", "--end"]).await?;
    let report = report(&gateway).await?;
    assert!(
        report["canary"].is_null() && report["shadow"].is_null(),
        "{report}"
    );

    for (arguments, code, words) in [
        (
            &["policy", "activate", "nobody"] as &[&str],
            1,
            "nobody.wasm",
        ),
        (&["policy", "shadow", "--end"], 1, "no shadow"),
        (&["policy", "activate", "No/Name"], 2, "names no policy"),
        (&["policy", "canary", "critique"], 2, "--percent"),
        (
            &["policy", "canary", "critique", "--percent", "200"],
            2,
            "from 0 to 100",
        ),
    ] {
        let said = gateway.command(arguments).await?;
        assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
        assert!(said.err.contains(words), "{arguments:?}: {said:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_command_that_reaches_no_gateway_says_why() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let mut gateway = Gateway::over_fake(&fake).await?;
    let said = gateway.command(&["policy", "list"]).await?;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("AIRLOCK_ADMIN_KEY"), "{said:?}");
    drop(gateway);

    gateway = keyed().over_fake(&fake).await?;
    gateway.signal(rustix::process::Signal::TERM);
    gateway.ended().await?;
    let said = gateway.command(&["policy", "list"]).await?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("no gateway listens on"), "{said:?}");
    Ok(())
}
