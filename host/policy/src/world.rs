//! The versions of the world that policies may be built for. One is chosen when a policy is loaded, and never again.
//!
//! The host speaks the newest version alone. An older one is an implementation of `World` that converts what has changed
//! since; `wit/frozen/` keeps the text that its policies were built for.

mod first; // 0.1
mod speaks; // what every version has in common

use std::borrow::Borrow as _;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use wasmtime::Store;
use wasmtime::component::types::Component as ComponentType;
use wasmtime::component::{self, InstancePre, ResourceAny};

use self::speaks::speaks;
use super::sandbox::Sandbox;
use airlock_types::wit::exports::{admit, manifest, prompt, relay, synthesize, translate};
use airlock_types::wit::{
    Admission, Closing, Context, Description, Ending, Event, Load, Model, Outcome, Output, Pattern,
    Plan, Problem, Request, Verdict,
};

/// What a policy may leave out.
const RELAY: &str = "airlock:policy/relay@0.2.0";

/// What a call into a policy will give.
pub(super) type Call<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

type Held<'a> = &'a mut Store<Sandbox>;

/// One version of the world, with the exports of one policy found in it.
pub(super) trait World: Send + Sync {
    /// `0.2`
    fn version(&self) -> &'static str;

    /// One sandbox's instance.
    fn instantiate<'a>(&'a self, store: Held<'a>) -> Call<'a, Box<dyn Exports>>;
}

/// The exports of one instance, in the newest version's words.
pub(super) trait Exports: Send + Sync {
    /// None where the version has no `describe`.
    fn describe<'a>(&'a self, store: Held<'a>) -> Call<'a, Option<Description>>;
    fn decide<'a>(&'a self, store: Held<'a>, load: Load) -> Call<'a, Admission>;
    fn render<'a>(
        &'a self,
        store: Held<'a>,
        request: &'a Request,
    ) -> Call<'a, Result<Plan, Problem>>;
    fn open<'a>(&'a self, store: Held<'a>, context: &'a Context) -> Call<'a, ResourceAny>;
    fn feed<'a>(
        &'a self,
        store: Held<'a>,
        reply: ResourceAny,
        events: &'a [Event],
    ) -> Call<'a, Output>;
    /// Whether it has `relay`, which policies may leave out.
    fn relays(&self) -> bool;
    fn offer<'a>(&'a self, store: Held<'a>, reply: ResourceAny) -> Call<'a, Option<Pattern>>;
    fn relayed<'a>(
        &'a self,
        store: Held<'a>,
        reply: ResourceAny,
        events: &'a [Event],
    ) -> Call<'a, ()>;
    fn finish<'a>(
        &'a self,
        store: Held<'a>,
        reply: ResourceAny,
        ending: &'a Ending,
    ) -> Call<'a, Closing>;
    fn convene<'a>(
        &'a self,
        store: Held<'a>,
        context: &'a Context,
        candidates: u32,
    ) -> Call<'a, ResourceAny>;
    fn wake<'a>(&'a self, store: Held<'a>, panel: ResourceAny, now: u64) -> Call<'a, Verdict>;
    fn settle<'a>(
        &'a self,
        store: Held<'a>,
        panel: ResourceAny,
        settled: (u32, &'a Outcome),
        now: u64,
    ) -> Call<'a, Verdict>;
    fn judged<'a>(
        &'a self,
        store: Held<'a>,
        panel: ResourceAny,
        outcome: &'a Outcome,
        now: u64,
    ) -> Call<'a, Verdict>;
    fn list_models<'a>(
        &'a self,
        store: Held<'a>,
        dialect: &'a str,
        models: &'a [Model],
    ) -> Call<'a, String>;
    fn show_model<'a>(
        &'a self,
        store: Held<'a>,
        dialect: &'a str,
        model: &'a Model,
    ) -> Call<'a, String>;
}

/// Finds the version that a component was built for, and its exports in it.
///
/// # Errors
/// Which export is missing. One that differs is found as the policy is asked to describe itself.
pub(super) fn of(
    ready: InstancePre<Sandbox>,
    exports: &ComponentType,
) -> wasmtime::Result<Box<dyn World>> {
    let engine = ready.engine().clone();
    let is_first = |name: &str| name.starts_with("airlock:policy/") && name.ends_with("@0.1.0");
    if exports.exports(&engine).any(|(name, _)| is_first(name)) {
        return Ok(Box::new(first::Found::new(ready)?));
    }
    Ok(Box::new(Found::new(ready)?))
}

speaks!(
    "0.2",
    { manifest, admit, prompt, translate, synthesize },
    relayed,
    describe,
    same
);

/// What a policy may leave out, but not half of it.
fn relayed(ready: &InstancePre<Sandbox>) -> wasmtime::Result<Option<relay::GuestIndices>> {
    let export = ready.component().get_export_index(None, RELAY);
    export.map(|_| relay::GuestIndices::new(ready)).transpose()
}

/// An outcome is passed by reference: only a version with another one makes a copy.
fn same(outcome: &Outcome) -> &Outcome {
    outcome
}

async fn describe(policy: &Instance, store: Held<'_>) -> wasmtime::Result<Option<Description>> {
    let manifest = policy.manifest(store)?;
    manifest.call_describe(store).await.map(Some)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    /// The text of a version that policies were published for, file by file.
    const FIRST: [&str; 6] = [
        include_str!("../../../wit/frozen/0.1/admit.wit"),
        include_str!("../../../wit/frozen/0.1/policy.wit"),
        include_str!("../../../wit/frozen/0.1/prompt.wit"),
        include_str!("../../../wit/frozen/0.1/synthesize.wit"),
        include_str!("../../../wit/frozen/0.1/translate.wit"),
        include_str!("../../../wit/frozen/0.1/types.wit"),
    ];

    #[test]
    fn what_is_frozen_stays() {
        let digest = Sha256::digest(FIRST.concat());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            digest,
            "12f9cbefb5bec46aafd9ef90485050828a917f0409d64606521fad0948c2f859"
        );
    }
}
