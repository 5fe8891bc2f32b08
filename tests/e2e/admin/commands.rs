//! `airlock policy …` against a running gateway.

use super::*;

#[tokio::test]
async fn operators_type_it() -> Result<()> {
    let fake = FakeCodex::start(critic())?;
    let gateway = keyed().over_fake(&fake).await?;
    put_critique(&gateway)?;
    put_hostile(&gateway)?;
    let typed = async |arguments: &[&str]| {
        let output = gateway.command(arguments).await?;
        ensure!(
            output.code == Some(0) && output.err.is_empty(),
            "{arguments:?}: {output:?}"
        );
        anyhow::Ok(output.out)
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
        let output = gateway.command(arguments).await?;
        assert_eq!(output.code, Some(code), "{arguments:?}: {output:?}");
        assert!(output.err.contains(words), "{arguments:?}: {output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_command_that_reaches_no_gateway_prints_the_reason() -> Result<()> {
    let fake = FakeCodex::start(Script::new())?;
    let mut gateway = Gateway::over_fake(&fake).await?;
    let output = gateway.command(&["policy", "list"]).await?;
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.err.contains("AIRLOCK_ADMIN_KEY"), "{output:?}");
    drop(gateway);

    gateway = keyed().over_fake(&fake).await?;
    gateway.signal(rustix::process::Signal::TERM);
    gateway.ended().await?;
    let output = gateway.command(&["policy", "list"]).await?;
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.err.contains("no gateway listens on"), "{output:?}");
    Ok(())
}
