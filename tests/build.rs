//! Builds the hostile policy for the end-to-end tests.

#[path = "../host/build/policy.rs"]
mod policy;

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=../host/build/policy.rs");
    let component = policy::build("airlock-hostile")?;
    println!(
        "cargo::rustc-env=AIRLOCK_HOSTILE_POLICY={}",
        component.display()
    );
    Ok(())
}
