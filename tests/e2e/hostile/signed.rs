//! Signatures of components: valid, invalid, of another key, or missing.

use std::fs;
use std::process::Command;

use airlock_tests::policies::stamped;
use airlock_tests::{FakeCodex, Gateway, Script, programs};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A public key in the form of the configuration, and its signature of a component.
struct Signed {
    key: String,
    signature: String,
}

/// Signs with the key from this seed.
fn sign(seed: &str, component: &[u8]) -> Result<Signed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("policy.wasm");
    fs::write(&file, component)?;
    let output = Command::new("python3")
        .arg(programs::workspace().join("tests/sign/minisign.py"))
        .arg(seed)
        .arg(&file)
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "signing failed: {errors}");
    let text = String::from_utf8(output.stdout)?;
    let (key, signature) = text.split_once('\n').context("no signature")?;
    Ok(Signed {
        key: key.to_owned(),
        signature: signature.to_owned(),
    })
}

async fn gateway(fake: &FakeCodex, key: &str, required: bool) -> Result<Gateway> {
    let component = stamped("STAMP-0001")?;
    let (good, foreign) = (sign("ours", &component)?, sign("theirs", &component)?);
    let other = sign("ours", &stamped("STAMP-0002")?)?;
    let settings = format!("[policies]\nrequire_signature = {required}\npublic_keys = [\"{key}\"]");
    let mut gateway = Gateway::with().administered().settings(&settings);
    for (name, signature) in [
        ("good", Some(good.signature)),
        ("bad", Some(other.signature)),
        ("foreign", Some(foreign.signature)),
        ("nonsense", Some("nonsense".to_owned())),
        ("unsigned", None),
    ] {
        gateway = gateway.policy_file(&format!("{name}.wasm"), component.clone());
        if let Some(signature) = signature {
            gateway = gateway.policy_file(&format!("{name}.wasm.minisig"), signature);
        }
    }
    gateway.over_fake(fake).await
}

#[tokio::test]
async fn only_what_our_key_has_signed_is_loaded() -> Result<()> {
    let key = sign("ours", b"")?.key;
    for required in [true, false] {
        let fake = FakeCodex::start(Script::new())?;
        let gateway = gateway(&fake, &key, required).await?;
        let admin = gateway.admin();
        let mut cases = vec![
            ("bad", "its signature does not match"),
            ("foreign", "which is not one of policies.public_keys"),
            ("nonsense", "its signature cannot be read"),
        ];
        if required {
            cases.push(("unsigned", "it has no signature"));
        } else {
            admin.activate("unsigned", None).await?;
        }
        for (name, says) in cases {
            let reply = admin.try_activate(name, None).await?;
            let message = reply.error("message").as_str().unwrap_or_default();
            assert!(
                reply.status == 400 && message.contains(says),
                "{name}: {} {}",
                reply.status,
                reply.body
            );
        }
        admin.activate("good", None).await?;
        let reply = gateway.client().chat(serde_json::json!({})).await?;
        assert_eq!(reply.body["stamp"], "STAMP-0001", "{}", reply.body);
        let report = admin.report().await?;
        let signed_by = |name: &str| {
            let releases = report["releases"].as_array().into_iter().flatten();
            let mut of_name = releases.filter(|it| it["name"] == name);
            of_name.next().map(|it| it["signed_by"].clone())
        };
        let by = signed_by("good").context("no release")?;
        assert_eq!(by.as_str().map(str::len), Some(16), "{by}");
        let unsigned = if required { None } else { Some(Value::Null) };
        assert_eq!(signed_by("unsigned"), unsigned);
    }
    Ok(())
}
