//! Builds the policies that the end-to-end tests run besides the embedded one.

#[path = "../host/build/policy.rs"]
mod policy;

/// Each package, and the variable in which the tests find its component.
const POLICIES: [(&str, &str); 2] = [
    ("airlock-critique", "AIRLOCK_CRITIQUE_POLICY"),
    ("airlock-hostile", "AIRLOCK_HOSTILE_POLICY"),
];

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=../host/build/policy.rs");
    for (package, variable) in POLICIES {
        let component = policy::build(package)?;
        println!("cargo::rustc-env={variable}={}", component.display());
    }
    Ok(())
}
