//! The versions of the world that policies may be built for. One is chosen when a policy is loaded, and stays.
//!
//! The host calls the newest version alone. An older one is an implementation of `World` that converts what has changed
//! since, over a frozen copy of its WIT. None was ever released, so the only older one is a fixture of the tests.

#[cfg(test)]
mod fixture; // an earlier version
mod world_impl; // the implementation of a version over its bindings

use std::borrow::Borrow as _;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use wasmtime::Store;
use wasmtime::component::types::Component as ComponentType;
use wasmtime::component::{self, InstancePre, ResourceAny};

use self::world_impl::world_impl;
use super::sandbox::Sandbox;
use airlock_types::wit::exports::{admit, manifest, prompt, relay, synthesize, translate};
use airlock_types::wit::{
    Admission, Closing, Context, Description, Ending, Event, Load, Model, Outcome, Output, Pattern,
    Plan, Problem, Request, Verdict,
};

/// The newest version, as the package in `wit/` has it.
pub(crate) const VERSION: &str = "0.3.0-draft";

/// The package whose interfaces policies export.
const PACKAGE: &str = "airlock:policy/";

/// The interface that a policy may leave out.
const RELAY: &str = "airlock:policy/relay@0.3.0-draft";

/// What a call into a policy will give.
pub(super) type Call<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

type Held<'a> = &'a mut Store<Sandbox>;

/// One version of the world, with the exports of one policy found in it.
pub(super) trait World: Send + Sync {
    /// `0.3.0-draft`
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

/// Chooses the implementation of the version that a component was built for, and finds its exports.
///
/// # Errors
/// The component was built for another version, or an export is missing. An export of another type is found when the policy is
/// called to describe itself.
pub(super) fn of(
    ready: InstancePre<Sandbox>,
    exports: &ComponentType,
) -> wasmtime::Result<Box<dyn World>> {
    let engine = ready.engine().clone();
    let version = exports.exports(&engine).find_map(|(name, _)| {
        let (_, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
        Some(version.to_owned())
    });
    match version.as_deref() {
        // Without any export the error names the first that is missing.
        None | Some(VERSION) => Ok(Box::new(VersionedWorld::new(ready)?)),
        #[cfg(test)]
        Some(fixture::VERSION) => Ok(Box::new(fixture::VersionedWorld::new(ready)?)),
        Some(other) => Err(wasmtime::Error::msg(format!(
            "it was built for airlock:policy@{other}, and this gateway loads airlock:policy@{VERSION}: build it for that"
        ))),
    }
}

world_impl!(
    VERSION,
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
mod tests;
