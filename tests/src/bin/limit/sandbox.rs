//! The least sandbox: wasmtime with a pool, and one instance for each request, without limits.
//!
//! Calls have no preemption, deadline, stack of their own or fuel. Each batch of events is a call, so it does not measure pieces
//! that the host writes by a pattern.

use std::sync::Arc;

use airlock_shipped_policy::bindings::airlock::policy::types as native;
use wasmtime::component::{Component, Instance, InstancePre, Linker, ResourceAny};
use wasmtime::error::Context as _;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Result, Store,
    format_err,
};

use self::bindings::airlock::policy::types::{
    Context, Ending, Event, EventKind, InputItem, Request, Text, Transport, Usage,
};
use self::bindings::exports::airlock::policy::prompt::{Action, GuestIndices as PromptIndices};
use self::bindings::exports::airlock::policy::translate::{
    Frame, Guest as Translate, GuestIndices as TranslateIndices,
};
use super::policy::{RenderedPlan, rendered_plan, request, write};

#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "bindgen-generated code; the documentation is in wit/"
)]
mod bindings {
    wasmtime::component::bindgen!({ world: "policy", path: "../wit" });
}

/// The most concurrent requests.
const INSTANCES: u32 = 1100;

/// The gateway's values, which were found by measurement.
const CORE_INSTANCES: u32 = 32;
const TABLE_ELEMENTS: usize = 20_000;
const KEEP_RESIDENT: usize = 64 << 10;

/// The policy, compiled.
pub(crate) struct CompiledPolicy {
    engine: Engine,
    policy: InstancePre<()>,
    prompt: PromptIndices,
    translate: TranslateIndices,
}

impl CompiledPolicy {
    pub(crate) fn compile(component: &[u8]) -> Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(INSTANCES)
            .total_core_instances(INSTANCES * CORE_INSTANCES)
            .total_memories(INSTANCES)
            .total_tables(INSTANCES * 2)
            .max_core_instances_per_component(CORE_INSTANCES)
            .linear_memory_keep_resident(KEEP_RESIDENT)
            .table_keep_resident(KEEP_RESIDENT)
            .pagemap_scan(Enabled::Auto)
            .table_elements(TABLE_ELEMENTS);
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let component = Component::new(&engine, component)?;
        let policy = Linker::new(&engine).instantiate_pre(&component)?;
        Ok(Self {
            prompt: PromptIndices::new(&policy)?,
            translate: TranslateIndices::new(&policy)?,
            engine,
            policy,
        })
    }

    pub(crate) fn sandbox(self: &Arc<Self>) -> Result<Sandbox> {
        let mut store = Store::new(&self.engine, ());
        let instance = self.policy.instantiate(&mut store)?;
        Ok(Sandbox {
            compiled: self.clone(),
            store,
            instance,
            reply: None,
        })
    }
}

/// The sandbox of one request.
pub(crate) struct Sandbox {
    compiled: Arc<CompiledPolicy>,
    store: Store<()>,
    instance: Instance,
    reply: Option<(Translate, ResourceAny)>,
}

impl Sandbox {
    pub(crate) fn render(&mut self, body: String) -> Result<RenderedPlan> {
        let prompt = self.compiled.prompt.load(&mut self.store, &self.instance)?;
        let rendered = prompt.call_render(&mut self.store, &request!(Request, Transport, body))?;
        let action = rendered.map_err(|problem| format_err!("{}", problem.message))?;
        let Action::Run(mut plan) = action else {
            return Err(format_err!("the request is answered without a turn"));
        };
        let brief = plan.briefs.pop().context("no brief")?;
        Ok(rendered_plan!(InputItem, plan, brief))
    }

    pub(crate) fn open(&mut self, context: native::Context) -> Result<()> {
        let context = Context {
            id: context.id,
            arrived: context.arrived,
            dialect: context.dialect,
            model: context.model,
            notes: context.notes,
            seed: String::new(),
        };
        let translate = self
            .compiled
            .translate
            .load(&mut self.store, &self.instance)?;
        let reply = translate.reply();
        let reply = reply.call_constructor(&mut self.store, &context)?;
        self.reply = Some((translate, reply));
        Ok(())
    }

    pub(crate) fn feed(&mut self, events: Vec<native::Event>, text: &mut String) -> Result<()> {
        let (translate, reply) = self.reply.as_ref().context("no reply")?;
        let events: Vec<Event> = events.into_iter().filter_map(to_guest).collect();
        let received = translate
            .reply()
            .call_feed(&mut self.store, *reply, &events)?;
        write(text, data(received.frames));
        Ok(())
    }

    pub(crate) fn finish(mut self, text: &mut String) -> Result<anyhow::Result<String>> {
        let (translate, reply) = self.reply.take().context("no reply")?;
        let closing = translate
            .reply()
            .call_finish(&mut self.store, reply, &Ending::Completed)?;
        write(text, data(closing.frames));
        let body = closing.body;
        Ok(body.map_err(|problem| anyhow::anyhow!("{}", problem.message)))
    }
}

/// An event as the sandbox's type. Loads have only texts and usage.
fn to_guest(event: native::Event) -> Option<Event> {
    let kind = match event.kind {
        native::EventKind::Text(native::Text { message, text, .. }) => EventKind::Text(Text {
            message,
            phase: None,
            text,
            item: None,
        }),
        native::EventKind::Usage(usage) => EventKind::Usage(Usage {
            input: usage.input,
            cached: usage.cached,
            output: usage.output,
            reasoning: usage.reasoning,
        }),
        _ => return None,
    };
    Some(Event {
        source: event.source,
        at: event.at,
        kind,
    })
}

fn data(frames: Vec<Frame>) -> impl Iterator<Item = String> {
    frames.into_iter().map(|frame| frame.data)
}
