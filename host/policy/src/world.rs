//! The versions of the world that policies may be built for. A policy's version is chosen when it is loaded.
//!
//! The host speaks the newest version. An older one is an implementation of `World` that converts the differences, over a
//! frozen copy of its WIT. No older version was released, so the tests have one as a fixture.

#[cfg(test)]
mod fixture; // an older version
mod world_impl; // implements a version over its bindings

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
    Action, Admission, Closing, Context, Description, Ending, Event, Frame, Load, Model, Outcome,
    Output, Pattern, Problem, Request, Verdict,
};

/// The newest version: that of the package in `wit/`.
pub(crate) const VERSION: &str = "0.3.0-draft";

/// The package whose interfaces policies export.
const PACKAGE: &str = "airlock:policy/";

/// The interface that is optional.
const RELAY: &str = "airlock:policy/relay@0.3.0-draft";

/// A call into a policy.
pub(super) type Call<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

type StoreMut<'a> = &'a mut Store<Sandbox>;

/// A policy's exports in its version of the world.
pub(super) trait World: Send + Sync {
    /// The version: `0.3.0-draft`.
    fn version(&self) -> &'static str;

    /// Instantiates the policy.
    fn instantiate<'a>(&'a self, store: StoreMut<'a>) -> Call<'a, Box<dyn Exports>>;
}

/// The exports of one instance, with the newest version's types.
pub(super) trait Exports: Send + Sync {
    /// `None` if the version has no `describe`.
    fn describe<'a>(&'a self, store: StoreMut<'a>) -> Call<'a, Option<Description>>;
    fn decide<'a>(&'a self, store: StoreMut<'a>, load: Load) -> Call<'a, Admission>;
    fn render<'a>(
        &'a self,
        store: StoreMut<'a>,
        request: &'a Request,
    ) -> Call<'a, Result<Action, Problem>>;
    fn open<'a>(&'a self, store: StoreMut<'a>, context: &'a Context) -> Call<'a, ResourceAny>;
    fn feed<'a>(
        &'a self,
        store: StoreMut<'a>,
        reply: ResourceAny,
        events: &'a [Event],
    ) -> Call<'a, Output>;
    /// Whether the policy exports `relay`.
    fn relays(&self) -> bool;
    fn offer<'a>(&'a self, store: StoreMut<'a>, reply: ResourceAny) -> Call<'a, Option<Pattern>>;
    fn relayed<'a>(
        &'a self,
        store: StoreMut<'a>,
        reply: ResourceAny,
        events: &'a [Event],
    ) -> Call<'a, ()>;
    fn finish<'a>(
        &'a self,
        store: StoreMut<'a>,
        reply: ResourceAny,
        ending: &'a Ending,
    ) -> Call<'a, Closing>;
    fn keep_alive<'a>(&'a self, store: StoreMut<'a>, reply: ResourceAny) -> Call<'a, Vec<Frame>>;
    fn convene<'a>(
        &'a self,
        store: StoreMut<'a>,
        context: &'a Context,
        candidates: u32,
    ) -> Call<'a, ResourceAny>;
    fn wake<'a>(&'a self, store: StoreMut<'a>, panel: ResourceAny, now: u64) -> Call<'a, Verdict>;
    fn settle<'a>(
        &'a self,
        store: StoreMut<'a>,
        panel: ResourceAny,
        settled: (u32, &'a Outcome),
        now: u64,
    ) -> Call<'a, Verdict>;
    fn judged<'a>(
        &'a self,
        store: StoreMut<'a>,
        panel: ResourceAny,
        outcome: &'a Outcome,
        now: u64,
    ) -> Call<'a, Verdict>;
    fn list_models<'a>(
        &'a self,
        store: StoreMut<'a>,
        dialect: &'a str,
        models: &'a [Model],
    ) -> Call<'a, String>;
    fn show_model<'a>(
        &'a self,
        store: StoreMut<'a>,
        dialect: &'a str,
        model: &'a Model,
    ) -> Call<'a, String>;
}

/// Chooses the implementation of the version that a component was built for, and finds its exports.
///
/// # Errors
/// The component was built for an unknown version, or an export is missing. The types of exports are compared by `describe`.
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

/// Finds `relay`. An error if it is incomplete.
fn relayed(ready: &InstancePre<Sandbox>) -> wasmtime::Result<Option<relay::GuestIndices>> {
    let export = ready.component().get_export_index(None, RELAY);
    export.map(|_| relay::GuestIndices::new(ready)).transpose()
}

/// The conversion of an outcome in the newest version: none.
fn same(outcome: &Outcome) -> &Outcome {
    outcome
}

async fn describe(policy: &Instance, store: StoreMut<'_>) -> wasmtime::Result<Option<Description>> {
    let manifest = policy.manifest(store)?;
    manifest.call_describe(store).await.map(Some)
}

#[cfg(test)]
mod tests;
