//! The versions of the world that policies may be built for. One is chosen when a policy is loaded, and never again.
//!
//! The host speaks the newest version alone. An older one is an implementation of `World` that converts what has changed
//! since; `wit/frozen/` keeps the text that its policies were built for.

mod first; // 0.1

use std::borrow::Borrow as _;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use wasmtime::Store;
use wasmtime::component::types::Component as ComponentType;
use wasmtime::component::{self, InstancePre, ResourceAny};

use super::sandbox::Sandbox;
use crate::wit::exports::{admit, manifest, prompt, synthesize, translate};
use crate::wit::{
    Admission, Closing, Context, Description, Ending, Event, Load, Model, Outcome, Plan, Problem,
    Request, Told, Verdict,
};

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
    ) -> Call<'a, Told>;
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

/// Implements a version over its generated bindings. What is the same in both versions converts into itself.
///
/// An interface's functions are looked up, and their types compared, when the first of them is called: a plain request
/// calls those of three interfaces, and comparing types costs more than most calls.
macro_rules! speaks {
    ($version:literal, { $($interface:ident),* }, $describe:expr, $outcome:expr) => {
        /// One policy's exports of this version.
        pub(super) struct Found {
            ready: InstancePre<Sandbox>,
            places: Arc<Places>,
        }

        /// Where the exports are in any instance.
        struct Places {
            $($interface: $interface::GuestIndices,)*
        }

        /// One instance, and what was looked up in it.
        struct Instance {
            instance: component::Instance,
            places: Arc<Places>,
            $($interface: OnceLock<$interface::Guest>,)*
        }

        impl Found {
            /// # Errors
            /// Which export is missing.
            pub(super) fn new(ready: InstancePre<Sandbox>) -> wasmtime::Result<Self> {
                let places = Arc::new(Places {
                    $($interface: $interface::GuestIndices::new(&ready)?,)*
                });
                Ok(Self { ready, places })
            }
        }

        impl Instance {
            $(fn $interface(&self, store: Held<'_>) -> wasmtime::Result<&$interface::Guest> {
                if let Some(found) = self.$interface.get() {
                    return Ok(found);
                }
                let found = self.places.$interface.load(store, &self.instance)?;
                Ok(self.$interface.get_or_init(|| found))
            })*

            /// Looks all of it up: whatever differs from the version is found here.
            fn all(&self, store: Held<'_>) -> wasmtime::Result<()> {
                $(self.$interface(store)?;)*
                Ok(())
            }
        }

        impl World for Found {
            fn version(&self) -> &'static str {
                $version
            }

            fn instantiate<'a>(&'a self, store: Held<'a>) -> Call<'a, Box<dyn Exports>> {
                Box::pin(async move {
                    let instance = Instance {
                        instance: self.ready.instantiate_async(store).await?,
                        places: self.places.clone(),
                        $($interface: OnceLock::new(),)*
                    };
                    let exports: Box<dyn Exports> = Box::new(instance);
                    Ok(exports)
                })
            }
        }

        impl Exports for Instance {
            fn describe<'a>(&'a self, store: Held<'a>) -> Call<'a, Option<Description>> {
                Box::pin(async move {
                    self.all(store)?;
                    $describe(self, store).await
                })
            }

            fn decide<'a>(&'a self, store: Held<'a>, load: Load) -> Call<'a, Admission> {
                Box::pin(async move {
                    let admit = self.admit(store)?;
                    Ok(admit.call_decide(store, load.into()).await?.into())
                })
            }

            fn render<'a>(
                &'a self,
                store: Held<'a>,
                request: &'a Request,
            ) -> Call<'a, Result<Plan, Problem>> {
                Box::pin(async move {
                    let prompt = self.prompt(store)?;
                    Ok(prompt.call_render(store, request).await?.map(Into::into))
                })
            }

            fn open<'a>(&'a self, store: Held<'a>, context: &'a Context) -> Call<'a, ResourceAny> {
                Box::pin(async move {
                    let translate = self.translate(store)?;
                    translate.reply().call_constructor(store, context).await })
            }

            fn feed<'a>(
                &'a self,
                store: Held<'a>,
                reply: ResourceAny,
                events: &'a [Event],
            ) -> Call<'a, Told> {
                Box::pin(async move {
                    let translate = self.translate(store)?;
                    let told = translate.reply().call_feed(store, reply, events).await?;
                    Ok(told.into())
                })
            }

            fn finish<'a>(
                &'a self,
                store: Held<'a>,
                reply: ResourceAny,
                ending: &'a Ending,
            ) -> Call<'a, Closing> {
                Box::pin(async move {
                    let translate = self.translate(store)?;
                    let closing = translate.reply().call_finish(store, reply, ending).await?;
                    Ok(closing.into())
                })
            }

            fn convene<'a>(
                &'a self,
                store: Held<'a>,
                context: &'a Context,
                candidates: u32,
            ) -> Call<'a, ResourceAny> {
                Box::pin(async move {
                    let synthesize = self.synthesize(store)?;
                    let panel = synthesize.panel();
                    panel.call_constructor(store, context, candidates).await
                })
            }

            fn wake<'a>(
                &'a self,
                store: Held<'a>,
                panel: ResourceAny,
                now: u64,
            ) -> Call<'a, Verdict> {
                Box::pin(async move {
                    let synthesize = self.synthesize(store)?;
                    let verdict = synthesize.panel().call_wake(store, panel, now).await?;
                    Ok(verdict.into())
                })
            }

            fn settle<'a>(
                &'a self,
                store: Held<'a>,
                panel: ResourceAny,
                (candidate, outcome): (u32, &'a Outcome),
                now: u64,
            ) -> Call<'a, Verdict> {
                Box::pin(async move {
                    let synthesize = self.synthesize(store)?;
                    let guest = synthesize.panel();
                    let outcome = $outcome(outcome);
                    let verdict = guest.call_settle(store, panel, candidate, outcome.borrow(), now);
                    Ok(verdict.await?.into())
                })
            }

            fn judged<'a>(
                &'a self,
                store: Held<'a>,
                panel: ResourceAny,
                outcome: &'a Outcome,
                now: u64,
            ) -> Call<'a, Verdict> {
                Box::pin(async move {
                    let synthesize = self.synthesize(store)?;
                    let guest = synthesize.panel();
                    let outcome = $outcome(outcome);
                    let verdict = guest.call_judged(store, panel, outcome.borrow(), now);
                    Ok(verdict.await?.into())
                })
            }

            fn list_models<'a>(
                &'a self,
                store: Held<'a>,
                dialect: &'a str,
                models: &'a [Model],
            ) -> Call<'a, String> {
                Box::pin(async move {
                    let translate = self.translate(store)?;
                    translate.call_list_models(store, dialect, models).await })
            }

            fn show_model<'a>(
                &'a self,
                store: Held<'a>,
                dialect: &'a str,
                model: &'a Model,
            ) -> Call<'a, String> {
                Box::pin(async move {
                    let translate = self.translate(store)?;
                    translate.call_show_model(store, dialect, model).await })
            }
        }
    };
}

use speaks;

speaks!("0.2", { manifest, admit, prompt, translate, synthesize }, describe, same);

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
            "acb6da181d166368f9868176208f8d5d3d4a6c01b8392b637ea5b0c6ba06ce59"
        );
    }
}
