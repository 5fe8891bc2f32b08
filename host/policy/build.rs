//! Builds the shipped policy, which the host embeds.

#[path = "build/policy.rs"]
mod policy;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build/policy.rs");
    match policy::build("airlock-shipped-policy", &[]) {
        Ok(path) => println!("cargo::rustc-env=AIRLOCK_POLICY={}", path.display()),
        // Cargo shows it as one error, without a backtrace.
        Err(error) => println!(
            "cargo::error={}",
            format!("{error:#}").replace('\n', "\ncargo::error=")
        ),
    }
}
