//! Builds the policies that tests load.

#[path = "../../host/policy/build/policy.rs"]
mod policy;

/// Each package, its features, and the environment variable with its component's path.
const POLICIES: [(&str, &[&str], &str); 9] = [
    ("airlock-shipped-policy", &[], "AIRLOCK_SHIPPED_POLICY"),
    ("airlock-critique", &[], "AIRLOCK_CRITIQUE_POLICY"),
    ("airlock-redact", &[], "AIRLOCK_REDACT_POLICY"),
    ("airlock-house-voice", &[], "AIRLOCK_HOUSE_VOICE_POLICY"),
    ("airlock-majority", &[], "AIRLOCK_MAJORITY_PART"),
    ("airlock-hostile", &[], "AIRLOCK_HOSTILE_POLICY"),
    ("airlock-stamp", &[], "AIRLOCK_STAMP_POLICY"),
    (
        "airlock-stamp",
        &["earlier"],
        "AIRLOCK_EARLIER_STAMP_POLICY",
    ),
    ("airlock-stamp", &["wasi"], "AIRLOCK_WASI_STAMP_POLICY"),
];

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=../../host/policy/build/policy.rs");
    for (package, features, variable) in POLICIES {
        let component = policy::build(package, features)?;
        println!("cargo::rustc-env={variable}={}", component.display());
    }
    Ok(())
}
