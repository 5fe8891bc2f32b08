//! The fuel that calls into the shipped policy burn: about one unit for each instruction of WebAssembly, the same on every
//! machine.
//!
//! `AIRLOCK_BLESS=1 cargo nextest run -p airlock-policy -E 'test(fuel)'` rewrites `fuel.toml`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;

use airlock_counts::{Counts, hold};
use wasmtime::component::{Component, Linker, ResourceAny};
use wasmtime::{Config, Engine, Store};

use super::EMBEDDED;
use super::sandbox::{Sandbox, SandboxLimits};
use super::world::{self, Exports, World};
use crate::config::SandboxConfig;
use airlock_types::wit::{
    Action, Admission, Context, Ending, Event, EventKind, Load, Request, Text, Transport,
};

/// The fuel of each call, more than any burns.
const PLENTY: u64 = 1 << 40;

const DIALECT: &str = "chat-completions";

/// The shipped policy, compiled with fuel.
struct FueledPolicy {
    engine: Engine,
    world: Box<dyn World>,
}

/// One sandbox of it.
struct FueledInstance {
    store: Store<Sandbox>,
    exports: Box<dyn Exports>,
}

impl FueledPolicy {
    fn compile() -> Self {
        let mut config = Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config).unwrap();
        let component = Component::new(&engine, EMBEDDED).unwrap();
        let ready = Linker::new(&engine).instantiate_pre(&component).unwrap();
        let world = world::of(ready, &component.component_type()).unwrap();
        Self { engine, world }
    }

    /// A sandbox like a session's, without its clock, and the fuel of its instantiation.
    async fn start(&self) -> (FueledInstance, u64) {
        let allowance = SandboxLimits::of(&SandboxConfig::default());
        let mut store = Store::new(&self.engine, Sandbox::new(&allowance));
        store.limiter(|sandbox| sandbox);
        store.set_hostcall_fuel(allowance.memory_bytes);
        store.set_fuel(PLENTY).unwrap();
        let exports = self.world.instantiate(&mut store).await.unwrap();
        let mut running = FueledInstance { store, exports };
        let burnt = running.burnt();
        (running, burnt)
    }

    /// The fuel of each call.
    async fn counted(&self) -> Counts {
        let mut counts = Counts::new();
        let mut count = |name: &str, burnt: u64| counts.insert(name.to_owned(), burnt);
        for (name, bytes) in [("render four kib", 4 << 10), ("render one mib", 1 << 20)] {
            let (mut running, burnt) = self.start().await;
            count("instantiate", burnt);
            let (_, burnt) = running.render(bytes).await;
            count(name, burnt);
        }
        for (name, events) in [
            ("feed one event", 1),
            ("feed sixteen events", 16),
            ("feed sixty four events", 64),
        ] {
            let (mut running, _) = self.start().await;
            let (reply, burnt) = running.open().await;
            count("open", burnt);
            // The first event also has the frame that begins the answer.
            running.feed(reply, 1).await;
            let burnt = running.feed(reply, events).await;
            count(name, burnt);
            let burnt = running.finish(reply).await;
            if events == 1 {
                count("finish", burnt);
            }
        }
        // In a sandbox of their own, because earlier calls change later ones.
        let (mut running, _) = self.start().await;
        count("decide", running.decide().await);
        let (reply, _) = running.open().await;
        running.feed(reply, 1).await;
        count("offer", running.offer(reply).await);
        counts
    }
}

impl FueledInstance {
    /// The fuel burnt since the last call of this.
    fn burnt(&mut self) -> u64 {
        let left = self.store.get_fuel().unwrap();
        self.store.set_fuel(PLENTY).unwrap();
        PLENTY - left
    }

    /// Renders a request of about `bytes` bytes. Returns the plan's notes, and the fuel.
    async fn render(&mut self, bytes: usize) -> (String, u64) {
        let request = request(bytes);
        let rendered = self.exports.render(&mut self.store, &request).await;
        let Ok(Action::Run(plan)) = rendered.unwrap() else {
            panic!("the request is not run")
        };
        (plan.notes, self.burnt())
    }

    async fn open(&mut self) -> (ResourceAny, u64) {
        let (notes, _) = self.render(1 << 10).await;
        let context = Context {
            id: "req_fuel".to_owned(),
            arrived: 0,
            dialect: DIALECT.to_owned(),
            model: "gpt-test".to_owned(),
            notes,
            seed: String::new(),
        };
        let reply = self.exports.open(&mut self.store, &context).await;
        (reply.unwrap(), self.burnt())
    }

    async fn decide(&mut self) -> u64 {
        let load = Load {
            wanted: 1,
            running: 10,
            waiting: 0,
            capacity: 100,
            room: 100,
            longest_wait: 0,
        };
        let admission = self.exports.decide(&mut self.store, load).await;
        assert!(matches!(admission.unwrap(), Admission::Run));
        self.burnt()
    }

    /// Requests the pattern of a text.
    async fn offer(&mut self, reply: ResourceAny) -> u64 {
        let pattern = self.exports.offer(&mut self.store, reply).await;
        assert!(pattern.unwrap().is_some());
        self.burnt()
    }

    async fn feed(&mut self, reply: ResourceAny, events: usize) -> u64 {
        let batch = vec![event(); events];
        let output = self.exports.feed(&mut self.store, reply, &batch).await;
        assert!(!output.unwrap().frames.is_empty());
        self.burnt()
    }

    async fn finish(&mut self, reply: ResourceAny) -> u64 {
        let ending = Ending::Completed;
        let closing = self.exports.finish(&mut self.store, reply, &ending).await;
        assert!(!closing.unwrap().frames.is_empty());
        self.burnt()
    }
}

/// A request of about `bytes` bytes.
fn request(bytes: usize) -> Request {
    let filler = "All work and no play. ".repeat(bytes / 22);
    Request {
        id: "req_fuel".to_owned(),
        arrived: 0,
        dialect: DIALECT.to_owned(),
        body: format!(
            r#"{{"model":"default","stream":true,"messages":[{{"role":"user","content":"{filler}"}}]}}"#
        ),
        attachments: Vec::new(),
        settings: r#"{"strict":false}"#.to_owned(),
        nested: false,
        route: "POST /v1/chat/completions".to_owned(),
        path_parameters: Vec::new(),
        query: Vec::new(),
        seed: String::new(),
        transport: Transport::Http,
        has_store: true,
        loaded: None,
    }
}

fn event() -> Event {
    Event {
        source: 0,
        at: 0,
        kind: EventKind::Text(Text {
            message: 0,
            phase: None,
            text: " word".to_owned(),
            item: None,
        }),
    }
}

#[tokio::test]
async fn no_call_burns_more_than_its_baseline() {
    let shipped = FueledPolicy::compile();
    let counted = shipped.counted().await;
    assert_eq!(counted, shipped.counted().await, "fuel differs by chance");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fuel.toml");
    match hold(&file, &counted) {
        // The table also shows lower counts.
        Ok(table) => println!("{table}"),
        Err(error) => panic!("{error:#}"),
    }
}
