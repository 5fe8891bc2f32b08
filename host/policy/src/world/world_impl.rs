//! The macro that implements a version of the world over its generated bindings.

/// Implements a version over its generated bindings. Types that are the same in both versions convert into themselves.
///
/// The functions of an interface are looked up, and their types compared, at the first call of one: a plain request calls
/// those of three interfaces, and comparing types costs more than most calls.
///
/// Parameters: the version's number, the interfaces that a policy must export, and functions that find `relay`, read the
/// manifest, and convert an outcome into the version's own type.
macro_rules! world_impl {
    ($version:expr, { $($interface:ident),* }, $relay:expr, $describe:expr, $outcome:expr) => {
        /// One policy's exports of this version.
        pub(super) struct VersionedWorld {
            ready: InstancePre<Sandbox>,
            indices: Arc<ExportIndices>,
        }

        /// The indices of the exports in any instance.
        struct ExportIndices {
            $($interface: $interface::GuestIndices,)*
            relay: Option<relay::GuestIndices>,
        }

        /// An instance, and the interfaces that were looked up in it.
        struct Instance {
            instance: component::Instance,
            indices: Arc<ExportIndices>,
            $($interface: OnceLock<$interface::Guest>,)*
            relay: OnceLock<relay::Guest>,
        }

        impl VersionedWorld {
            /// # Errors
            /// An export is missing.
            pub(super) fn new(ready: InstancePre<Sandbox>) -> wasmtime::Result<Self> {
                let indices = Arc::new(ExportIndices {
                    $($interface: $interface::GuestIndices::new(&ready)?,)*
                    relay: $relay(&ready)?,
                });
                Ok(Self { ready, indices })
            }
        }

        impl Instance {
            $(fn $interface(&self, store: StoreMut<'_>) -> wasmtime::Result<&$interface::Guest> {
                if let Some(found) = self.$interface.get() {
                    return Ok(found);
                }
                let found = self.indices.$interface.load(store, &self.instance)?;
                Ok(self.$interface.get_or_init(|| found))
            })*

            /// `None` if the policy does not export it.
            fn relay(&self, store: StoreMut<'_>) -> wasmtime::Result<Option<&relay::Guest>> {
                let Some(relay_indices) = &self.indices.relay else {
                    return Ok(None);
                };
                if let Some(found) = self.relay.get() {
                    return Ok(Some(found));
                }
                let found = relay_indices.load(store, &self.instance)?;
                Ok(Some(self.relay.get_or_init(|| found)))
            }

            /// Looks up all interfaces, which compares the types of all exports.
            fn all(&self, store: StoreMut<'_>) -> wasmtime::Result<()> {
                $(self.$interface(&mut *store)?;)*
                self.relay(store).map(|_| ())
            }
        }

        impl World for VersionedWorld {
            fn version(&self) -> &'static str {
                $version
            }

            fn instantiate<'a>(&'a self, store: StoreMut<'a>) -> Call<'a, Box<dyn Exports>> {
                Box::pin(async move {
                    let instance = Instance {
                        instance: self.ready.instantiate_async(store).await?,
                        indices: self.indices.clone(),
                        $($interface: OnceLock::new(),)*
                        relay: OnceLock::new(),
                    };
                    let exports: Box<dyn Exports> = Box::new(instance);
                    Ok(exports)
                })
            }
        }

        impl Exports for Instance {
            fn describe<'a>(&'a self, store: StoreMut<'a>) -> Call<'a, Option<Description>> {
                Box::pin(async move {
                    self.all(store)?;
                    $describe(self, store).await
                })
            }

            fn decide<'a>(&'a self, store: StoreMut<'a>, load: Load) -> Call<'a, Admission> {
                Box::pin(async move {
                    let admit = self.admit(store)?;
                    Ok(admit.call_decide(store, load.into()).await?.into())
                })
            }

            fn render<'a>(
                &'a self,
                store: StoreMut<'a>,
                request: &'a Request,
            ) -> Call<'a, Result<Action, Problem>> {
                Box::pin(async move {
                    let prompt = self.prompt(store)?;
                    Ok(prompt.call_render(store, request).await?.map(Into::into))
                })
            }

            fn open<'a>(&'a self, store: StoreMut<'a>, context: &'a Context) -> Call<'a, ResourceAny> {
                Box::pin(async move {
                    let translate = self.translate(store)?;
                    translate.reply().call_constructor(store, context).await })
            }

            fn feed<'a>(
                &'a self,
                store: StoreMut<'a>,
                reply: ResourceAny,
                events: &'a [Event],
            ) -> Call<'a, Output> {
                Box::pin(async move {
                    let translate = self.translate(store)?;
                    let output = translate.reply().call_feed(store, reply, events).await?;
                    Ok(output.into())
                })
            }

            fn relays(&self) -> bool {
                self.indices.relay.is_some()
            }

            fn offer<'a>(
                &'a self,
                store: StoreMut<'a>,
                reply: ResourceAny,
            ) -> Call<'a, Option<Pattern>> {
                Box::pin(async move {
                    match self.relay(&mut *store)? {
                        Some(relay) => relay.call_offer(store, reply).await,
                        None => Ok(None),
                    }
                })
            }

            fn relayed<'a>(
                &'a self,
                store: StoreMut<'a>,
                reply: ResourceAny,
                events: &'a [Event],
            ) -> Call<'a, ()> {
                Box::pin(async move {
                    match self.relay(&mut *store)? {
                        Some(relay) => relay.call_relayed(store, reply, events).await,
                        None => Ok(()),
                    }
                })
            }

            fn finish<'a>(
                &'a self,
                store: StoreMut<'a>,
                reply: ResourceAny,
                ending: &'a Ending,
            ) -> Call<'a, Closing> {
                Box::pin(async move {
                    let translate = self.translate(store)?;
                    let closing = translate.reply().call_finish(store, reply, ending).await?;
                    Ok(closing.into())
                })
            }

            fn keep_alive<'a>(
                &'a self,
                store: StoreMut<'a>,
                reply: ResourceAny,
            ) -> Call<'a, Vec<Frame>> {
                Box::pin(async move {
                    let translate = self.translate(store)?;
                    let frames = translate.reply().call_keep_alive(store, reply).await?;
                    Ok(frames.into_iter().map(Into::into).collect())
                })
            }

            fn convene<'a>(
                &'a self,
                store: StoreMut<'a>,
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
                store: StoreMut<'a>,
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
                store: StoreMut<'a>,
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
                store: StoreMut<'a>,
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
                store: StoreMut<'a>,
                dialect: &'a str,
                models: &'a [Model],
            ) -> Call<'a, String> {
                Box::pin(async move {
                    let translate = self.translate(store)?;
                    translate.call_list_models(store, dialect, models).await })
            }

            fn show_model<'a>(
                &'a self,
                store: StoreMut<'a>,
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

pub(super) use world_impl;
