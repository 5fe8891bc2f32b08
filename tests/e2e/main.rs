//! End-to-end tests: the real gateway between a client and a Codex, scripted or real.

mod account; // sign-in on the scripted Codex
mod admin; // the admin routes
mod answers; // responses, streamed and whole
mod author; // the author's kit
mod broken; // broken installations
mod demo; // the example client
mod disk; // a full disk, and a damaged data folder
mod drain; // requests beyond the drain time
mod examples; // the example policies
mod extras; // reasoning, usage, and the format of an answer
mod failures; // failures of turns
mod fan_out; // several candidates, one answer
mod fleet; // the children of Codex
mod harness; // the scripted Codex and model, compared with the real Codex
mod hostile; // policies that misbehave or cannot be loaded
mod http; // HTTP/1 on the wire
mod images; // images that are refused
mod install; // Codex from npm
mod leaving; // clients that leave
mod lifecycle; // start and end of the gateway and of Codex
mod limits; // limits of time, size and number
mod logs; // text of others in the log
mod metrics; // the metrics of requests
mod policies; // policies that misbehave
mod proof; // a small run of the swap proof
mod real; // tests on the real Codex
mod requests;
mod responses; // what is refused, ignored and passed on
mod retries; // what is retried, and what never is
mod rollout; // canary, shadow, rollback, and older WIT worlds
mod safety; // authentication, and the permissions of Codex
mod sdk; // the official packages
mod tapes; // recording and replay
mod tools; // the client's functions
mod upgrade; // Codexes with another protocol
mod upstream; // a model that cannot be reached, or that loops
