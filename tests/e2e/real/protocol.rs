//! The real Codex's schema of its protocol.

use std::fs;

use airlock_tests::{Gateway, ScriptedModel, programs};
use anyhow::Result;

#[tokio::test]
async fn the_real_codex_speaks_the_protocol_that_we_use() -> Result<()> {
    let model = ScriptedModel::start().await?;
    let gateway = Gateway::over_real(&model).await?;
    gateway.client().ask("hi").await?;
    let left = fs::read_dir(gateway.data_dir().join("tmp"))?.flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().starts_with("schema-")),
        "{left:?}"
    );
    let data = tempfile::tempdir()?;
    let data = data.path().display().to_string();
    let codex = programs::real_codex()?.display().to_string();
    let doctor = [
        "doctor",
        "--protocol",
        "--codex-bin",
        &codex,
        "--data-dir",
        &data,
    ];
    let output = gateway.command(&doctor).await?;
    assert_eq!(output.code, Some(0), "{}{}", output.out, output.err);
    assert!(
        output.out.contains("0 missing or another: it fits"),
        "{}",
        output.out
    );
    assert!(
        output.out.contains("ok        account/login/start"),
        "{}",
        output.out
    );
    Ok(())
}
