//! The table of settings, from which the file, the environment, the flags and `airlock config` follow.

use super::{Config, SettingField};
use airlock_base::quantity::Bounds;
use airlock_policy::config;
use airlock_store::config as store;

/// A setting of the operator.
pub(crate) struct Setting {
    /// The name in the file, tables joined by dots: `limits.turns`.
    pub(crate) key: &'static str,
    /// The flag without its dashes.
    pub(crate) flag: Option<&'static str>,
    /// Another variable that sets it; the one that begins with `AIRLOCK_` takes precedence.
    pub(super) alias_variable: Option<&'static str>,
    /// The key that it was renamed from, which still works and warns.
    pub(super) former_key: Option<&'static str>,
    /// What it is for, in one or more sentences.
    pub(crate) help: &'static str,
    /// The bounds of a number: milliseconds for a duration, bytes for a size.
    pub(super) bounds: Bounds,
    /// The field that it sets.
    pub(crate) field: for<'a> fn(&'a mut Config) -> SettingField<'a>,
}

impl Setting {
    /// The variable that sets it: `AIRLOCK_LIMITS_TURNS`.
    pub(crate) fn variable(&self) -> String {
        variable(self.key)
    }

    /// The variable of the former key.
    pub(super) fn former_variable(&self) -> Option<String> {
        self.former_key.map(variable)
    }

    const fn new(
        key: &'static str,
        field: for<'a> fn(&'a mut Config) -> SettingField<'a>,
        help: &'static str,
    ) -> Self {
        Self {
            key,
            flag: None,
            alias_variable: None,
            former_key: None,
            help,
            bounds: (0, u64::MAX),
            field,
        }
    }

    const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    const fn alias_variable(mut self, variable: &'static str) -> Self {
        self.alias_variable = Some(variable);
        self
    }

    const fn former_key(mut self, key: &'static str) -> Self {
        self.former_key = Some(key);
        self
    }

    const fn range(self, smallest: u64, largest: u64) -> Self {
        self.bounds((smallest, largest))
    }

    const fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }
}

/// The variable that sets a key.
fn variable(key: &str) -> String {
    format!("AIRLOCK_{}", key.replace('.', "_").to_uppercase())
}

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Every setting, in the order in which it is shown.
pub(crate) static SETTINGS: &[Setting] = &[
    Setting::new("listen", |c| SettingField::Address(&mut c.server.listen), "Address and port to listen on; port 0 takes a free one. Anything but loopback needs api_key.").flag("listen"),
    Setting::new("api_key", |c| SettingField::Secret(&mut c.server.api_key), "The key that clients must present as `Authorization: Bearer …`. Without one, none is required."),
    Setting::new("admin_key", |c| SettingField::Secret(&mut c.server.admin_key), "The key for the admin routes, presented likewise; it must differ from api_key. Without one, there are no such routes."),
    Setting::new("allowed_hosts", |c| SettingField::Hosts(&mut c.server.allowed_hosts), "Further names that clients may give as Host, without a port, besides loopback's and listen: box.example"),
    Setting::new("allowed_origins", |c| SettingField::Origins(&mut c.server.allowed_origins), "Further web origins that may call: https://chat.example. The gateway's own, and pages that this machine serves on loopback, whatever their port, always may."),
    Setting::new("policy", |c| SettingField::Policy(&mut c.policy.source), "The policy to run: a component's file, or `shipped` for the one inside airlock. Else the one that was activated last. It is never rolled back automatically.").flag("policy"),
    Setting::new("workers", |c| SettingField::Count(&mut c.workers), "Threads that serve requests. 0: one for every two processors; the rest is Codex's, and its models' clients'.").range(0, 256),
    Setting::new("strict", |c| SettingField::Bool(&mut c.policy.strict), "Refuse parameters that Codex cannot honour, in place of ignoring and naming them.").flag("strict"),
    Setting::new("synthesis", |c| SettingField::Name(&mut c.policy.synthesis), "How a fan-out makes one answer of several where its request does not choose: one of the policy's strategies. The embedded one has merge, judge, vote and first."),
    Setting::new("rehearsal", |c| SettingField::Bool(&mut c.server.rehearsal), "Run the real Codex against a scripted model inside Airlock: no account, no network, no cost.").flag("rehearsal"),
    Setting::new("data_dir", |c| SettingField::Folder(&mut c.data_dir), "The folder of Airlock's own files: its Codex home, the Codex install, policies, tapes and caches.").flag("data-dir").former_key("codex.data_dir"),
    Setting::new("codex.bin", |c| SettingField::Path(&mut c.codex.bin), "The Codex binary. Else the install in data_dir, then PATH.").flag("codex-bin").alias_variable("CODEX_BIN"),
    Setting::new("codex.home", |c| SettingField::ExistingFolder(&mut c.codex.home), "An existing Codex home to take login, model and model providers from.").flag("codex-home"),
    Setting::new("codex.login", |c| SettingField::LoginMode(&mut c.codex.login), "\"shared\": the login of codex.home, or else of the user's own Codex. \"separate\": one of Airlock's own."),
    Setting::new("codex.log", |c| SettingField::LogFilter(&mut c.codex.log), "What Codex itself logs, as a RUST_LOG filter."),
    Setting::new("codex.sign_in_origins", |c| SettingField::Origins(&mut c.codex.sign_in_origins), "Origins of the pages that people may be sent to for signing in to ChatGPT. Another ends the sign-in."),
    Setting::new("codex.workspace", |c| SettingField::Name(&mut c.codex.workspace), "The id of the only ChatGPT workspace that may be signed in, also with external tokens. Else that of forced_chatgpt_workspace_id in codex.home, or any."),
    Setting::new("codex.token_command", |c| SettingField::Command(&mut c.codex.token_command), "A program, with its arguments, that prints ChatGPT tokens as JSON: accessToken, chatgptAccountId, chatgptPlanType. It is run at the start, and whenever the model refuses the token."),
    Setting::new("codex.token_url", |c| SettingField::Url(&mut c.codex.token_url), "A URL that returns the same to a POST, in place of token_command. http only on loopback."),
    Setting::new("codex.token_url_key", |c| SettingField::Secret(&mut c.codex.token_url_key), "The key for token_url, presented as `Authorization: Bearer …`."),
    // Codex itself waits 10 s for a token (0.169.0).
    Setting::new("codex.token_timeout", |c| SettingField::Duration(&mut c.codex.token_timeout), "How long token_command or token_url may take.").range(100, 9_500),
    Setting::new("fleet.children", |c| SettingField::Count(&mut c.codex.fleet.children), "Children of Codex that take turns. One is enough for most: docs/performance.md.").range(1, 100),
    Setting::new("fleet.spare", |c| SettingField::Bool(&mut c.codex.fleet.spare), "Keep one more child ready, for when another ends or is replaced. It takes 80 MiB."),
    Setting::new("fleet.warm_threads", |c| SettingField::Count(&mut c.codex.fleet.warm_threads), "Threads that each child starts before requests need them. 0: none.").range(0, 100).former_key("fleet.threads_ahead"),
    Setting::new("fleet.recycle_threads", |c| SettingField::Count(&mut c.codex.fleet.recycle_threads), "Threads after which a child is replaced; its replies end first.").range(1, 1_000_000_000),
    // Codex 0.169 has 140 MiB after its first turn.
    Setting::new("fleet.recycle_resident_bytes", |c| SettingField::Bytes(&mut c.codex.fleet.recycle_resident_bytes), "Memory at which a child is replaced. Codex itself takes 140 MiB.").range(64 * MIB, 64 * GIB),
    Setting::new("fleet.recycle_log_bytes", |c| SettingField::Bytes(&mut c.codex.fleet.recycle_log_bytes), "Size at which Codex's own log is started anew.").range(MIB, 64 * GIB),
    Setting::new("fleet.recycle_age", |c| SettingField::Duration(&mut c.codex.fleet.recycle_age), "How long a child runs before it is replaced.").range(1000, 365 * DAY),
    Setting::new("limits.connections", |c| SettingField::Count(&mut c.server.limits.connections), "Connections at once, as far as the limit of file descriptors allows. At the bound, the one that has been idle longest is closed for a new one.").range(1, 1_000_000),
    Setting::new("limits.body_bytes", |c| SettingField::Bytes(&mut c.server.limits.body_bytes), "The largest request body.").range(KIB, GIB),
    Setting::new("limits.body_memory_bytes", |c| SettingField::Bytes(&mut c.server.limits.body_memory_bytes), "Memory that all request bodies may take up at once, counted as five copies of each; at least six times limits.body_bytes. 0: a quarter of what the control group or the machine has, at most 2 GiB, and at least what one of the largest needs.").range(0, 1024 * GIB),
    Setting::new("limits.turns", |c| SettingField::Count(&mut c.codex.limits.turns), "Turns that Codex runs at once.").range(1, 1000),
    Setting::new("limits.queue", |c| SettingField::Count(&mut c.server.limits.queue), "Requests that may wait for a turn.").range(0, 100_000),
    Setting::new("limits.queue_wait", |c| SettingField::Duration(&mut c.server.limits.queue_wait), "How long a request may wait for a turn.").range(0, HOUR),
    Setting::new("limits.first_event_wait", |c| SettingField::Duration(&mut c.server.limits.first_event_wait), "How long a response's headers wait for the turn's first text, reasoning or ending.").range(1, HOUR),
    // Some proxies close a stream that has been silent for 15 s.
    Setting::new("limits.heartbeat", |c| SettingField::Duration(&mut c.server.limits.heartbeat), "How long a stream may be silent before a heartbeat.").range(10, 15_000),
    Setting::new("limits.turn_timeout", |c| SettingField::Duration(&mut c.codex.limits.turn_timeout), "How long a turn may take.").range(100, DAY),
    Setting::new("limits.parked_turns", |c| SettingField::Count(&mut c.server.limits.parked_turns), "Turns that may wait for the results of their client's tools; of more, the oldest ends. 0: none waits. A turn that did not wait is rebuilt.").range(0, 10_000),
    Setting::new("limits.park_time", |c| SettingField::Duration(&mut c.server.limits.park_time), "How long each of them may wait.").range(1, DAY),
    Setting::new("limits.model_wait", |c| SettingField::Duration(&mut c.codex.limits.model_wait), "How long the model may send nothing after a request, from the start of a turn and after each of its responses, Codex's own retries included. A model of your own that reads a long prompt before its first token may need more.").range(100, DAY),
    Setting::new("limits.model_requests", |c| SettingField::Count(&mut c.codex.limits.model_requests), "Requests to the model that a turn may make for one response to a client, besides Codex's own retries. One is usual; each call of a function that was not offered makes another.").range(2, 1000),
    Setting::new("limits.call_silence", |c| SettingField::Duration(&mut c.codex.limits.call_silence), "How long a model that has called a tool may be silent before Airlock queries whether its stream still runs; its turn then does not wait.").range(10, HOUR),
    Setting::new("limits.call_timeout", |c| SettingField::Duration(&mut c.codex.limits.call_timeout), "How long a call to Codex may take.").range(100, HOUR),
    // At about 200 unanswered calls Codex 0.169 refuses, and at 400 some are never answered.
    Setting::new("limits.calls_in_flight", |c| SettingField::Count(&mut c.codex.limits.calls_in_flight), "Calls to Codex that may be unanswered at once.").range(1, 150),
    Setting::new("limits.turn_buffer_bytes", |c| SettingField::Bytes(&mut c.codex.limits.turn_buffer_bytes), "Events of one turn that may wait for a slow client. Past it, that turn is interrupted.").range(KIB, GIB),
    Setting::new("limits.candidate_bytes", |c| SettingField::Bytes(&mut c.server.limits.candidate_bytes), "The transcript that is kept of one candidate of a fan-out. Past it, that candidate fails.").range(KIB, GIB),
    Setting::new("limits.fan_out_bytes", |c| SettingField::Bytes(&mut c.server.limits.fan_out_bytes), "The transcripts that are kept of all candidates of a fan-out together. Past it, the one that sends more fails.").range(KIB, GIB),
    Setting::new("limits.line_bytes", |c| SettingField::Bytes(&mut c.codex.limits.line_bytes), "The longest line taken from Codex.").range(MIB, GIB),
    Setting::new("limits.drain", |c| SettingField::Duration(&mut c.server.limits.drain), "How long running replies may go on once the gateway is signalled to stop.").range(0, HOUR),
    // nginx and cloud load balancers keep theirs for 60 s: the side that sends requests must be the one that closes.
    Setting::new("limits.keep_alive_timeout", |c| SettingField::Duration(&mut c.server.limits.keep_alive_timeout), "How long a client's connection is kept without a request, and how long a request's head may take. Make it longer than a proxy in front keeps its connections.").range(1000, HOUR),
    Setting::new("store.mode", |c| SettingField::StoreMode(&mut c.store.mode), "Where responses and conversations are stored: \"disk\", in data_dir; \"memory\", until the gateway ends; \"off\", nowhere, and background responses are refused."),
    Setting::new("store.time", |c| SettingField::Duration(&mut c.store.time), "How long a response or conversation is stored after its last use.").bounds(store::TIME),
    Setting::new("store.bytes", |c| SettingField::Bytes64(&mut c.store.bytes), "What all stored objects may take together. Past it, those that were not used for longest are removed.").bounds(store::BYTES),
    Setting::new("store.records", |c| SettingField::Count64(&mut c.store.records), "Responses and conversations that are stored.").bounds(store::RECORDS),
    Setting::new("store.object_bytes", |c| SettingField::Bytes64(&mut c.store.object_bytes), "The largest response or conversation that is stored.").bounds(store::OBJECT_BYTES),
    Setting::new("store.chain_objects", |c| SettingField::Count64(&mut c.store.chain_objects), "Responses that may continue one another.").bounds(store::CHAIN_OBJECTS),
    Setting::new("store.chain_bytes", |c| SettingField::Bytes64(&mut c.store.chain_bytes), "What such a chain may take, as far as one request loads it.").bounds(store::OBJECT_BYTES),
    Setting::new("frame_logs.log_bytes", |c| SettingField::Bytes64(&mut c.frame_logs.log_bytes), "The events that are kept of one background response, in memory. Past it, its stream cannot be resumed.").bounds(store::LOG_BYTES),
    Setting::new("frame_logs.total_bytes", |c| SettingField::Bytes64(&mut c.frame_logs.total_bytes), "The events that are kept of all background responses together.").bounds(store::LOG_BYTES),
    Setting::new("frame_logs.time", |c| SettingField::Duration(&mut c.frame_logs.time), "How long the events of a background response are kept after its end.").bounds(store::LOG_TIME),
    Setting::new("sandbox.memory_bytes", |c| SettingField::Bytes(&mut c.policy.sandbox.memory_bytes), "Memory that a policy may use for one request.").bounds(config::MEMORY_BYTES),
    Setting::new("sandbox.call_timeout", |c| SettingField::Duration(&mut c.policy.sandbox.call_timeout), "How long one call into a policy may take.").bounds(config::CALL_TIMEOUT),
    Setting::new("sandbox.request_time", |c| SettingField::Duration(&mut c.policy.sandbox.request_time), "CPU time that all calls of one request into a policy may take together.").bounds(config::REQUEST_TIME),
    Setting::new("sandbox.event_bytes", |c| SettingField::Bytes(&mut c.policy.sandbox.event_bytes), "What a policy may emit at one event.").bounds(config::EVENT_BYTES),
    Setting::new("sandbox.output_bytes", |c| SettingField::Bytes(&mut c.policy.sandbox.output_bytes), "What a policy may emit for one request.").bounds(config::OUTPUT_BYTES),
    Setting::new("sandbox.instances", |c| SettingField::Count32(&mut c.policy.sandbox.instances), "Requests that may hold a sandbox at once; each reserves address space, not memory.").range(1, 100_000),
    Setting::new("policies.watch", |c| SettingField::Bool(&mut c.policy.watch), "Load policies that are added to the folder of policies, or change there, without a command."),
    Setting::new("policies.wasi", |c| SettingField::Bool(&mut c.policy.wasi), "Policies may import WASI, of which they get a clock that stands still, random bytes that are always the same, and a way to the log. Without it, those that do are refused."),
    Setting::new("policies.require_signature", |c| SettingField::Bool(&mut c.policy.require_signature), "Refuse policies that no key of policies.public_keys has signed. The embedded one needs no signature."),
    Setting::new("policies.public_keys", |c| SettingField::PublicKeys(&mut c.policy.public_keys), "The minisign keys whose signatures are good, as the second line of minisign.pub has them. With any, a signature that is there must be good, required or not."),
    Setting::new("policies.compile_timeout", |c| SettingField::Duration(&mut c.policy.compile_timeout), "How long compiling a policy may take.").range(100, HOUR),
    // The program itself takes some hundred MiB of it.
    Setting::new("policies.compile_memory_bytes", |c| SettingField::Bytes(&mut c.policy.compile_memory_bytes), "Address space that compiling a policy may take, in a process of its own.").range(256 * MIB, 1024 * GIB),
    Setting::new("rollback.window", |c| SettingField::Duration(&mut c.policy.rollback.window), "How far back requests count that failed by their policy's fault: traps, timeouts, broken contracts.").range(1000, HOUR),
    Setting::new("rollback.faults", |c| SettingField::Count(&mut c.policy.rollback.faults), "The number of them in a window, each for another client key where there are keys, at which a policy is rolled back to the one before. 0: never.").range(0, 1_000_000),
    Setting::new("rollback.percent", |c| SettingField::Count(&mut c.policy.rollback.percent), "The share of the window's requests that they must also make up, in percent.").range(0, 100),
    Setting::new("log.filter", |c| SettingField::LogFilter(&mut c.log.filter), "What Airlock logs to stderr, as a RUST_LOG filter: `info`, `airlock=debug,warn`.").alias_variable("RUST_LOG"),
    Setting::new("log.json", |c| SettingField::Bool(&mut c.log.json), "Log one JSON object a line, in place of text."),
];
