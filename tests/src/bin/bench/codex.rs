//! The real Codex under a gateway: its child processes, their environment, and the size of its home.

use std::fs;
use std::path::{Path, PathBuf};

use airlock_tests::Gateway;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The environment variables that the gateway adds for its Codex: the file of certificates.
pub(super) async fn set_by(gateway: &Gateway) -> Result<Vec<(String, String)>> {
    let fleet = gateway.admin().fleet().await?;
    let child = children(&fleet).next().context("no child")?;
    let environment = fs::read_to_string(format!("/proc/{child}/environ"))?;
    let set = environment.split('\0').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let ours = ["SSL_CERT_FILE", "CODEX_CA_CERTIFICATE"].contains(&name);
        ours.then(|| (name.to_owned(), value.to_owned()))
    });
    Ok(set.collect())
}

/// The model catalogue of the gateway's threads without tools, which has models in code mode.
pub(super) fn catalogue(home: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(home)? {
        let file = entry?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("models-"))
            && fs::read_to_string(&file)?.contains("code_mode")
        {
            return Ok(file);
        }
    }
    bail!("the gateway has made no catalogue")
}

/// The processes of a fleet's children.
pub(super) fn children(fleet: &Value) -> impl Iterator<Item = u32> {
    let children = fleet["children"].as_array().into_iter().flatten();
    children.filter_map(|child| u32::try_from(child["pid"].as_u64()?).ok())
}

/// Bytes of all files below a folder.
pub(super) fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file that was removed meanwhile has no size.
        let Ok(about) = entry.path().symlink_metadata() else {
            continue;
        };
        bytes += if about.is_dir() {
            size(&entry.path()).unwrap_or_default()
        } else {
            about.len()
        };
    }
    Ok(bytes)
}
