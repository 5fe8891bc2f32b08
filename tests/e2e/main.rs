//! End-to-end tests: the real gateway between a client and a Codex, scripted or real.

mod account; // signing in and out, as the scripted Codex has it
mod admin; // what operators ask of a running gateway
mod answers; // what a client gets
mod author; // what somebody needs who writes a policy
mod broken; // set-ups with something missing
mod demo; // the example client
mod disk; // what cannot be written, and folders that are none
mod drain; // requests that outlive the time to stop
mod examples; // policies that show how one is written
mod extras; // reasoning, usage, and the form of an answer
mod failures; // what it gets when something fails
mod fan_out; // several candidates, one answer
mod fleet; // the children of Codex
mod harness; // the scripted parties against the real ones
mod hostile; // policies that are meant to do harm, or cannot be loaded
mod http; // HTTP/1 as it is on the wire
mod images; // images that models see, or cannot
mod install; // Codex from npm
mod leaving; // clients that go
mod lifecycle; // starting, ending and dying
mod limits; // slow, large and many
mod logs; // what others choose, in the log
mod metrics; // what is counted
mod policies; // policies that misbehave
mod proof; // what swaps promise
mod real; // the same on the real Codex
mod requests; // what is refused, ignored and passed on
mod retries; // what is asked again, and what never
mod rollout; // canary, shadow, rollback, and older worlds
mod safety; // who may ask, and what Codex may do
mod sdk; // the official packages
mod tapes; // requests, played again
mod tools; // functions that the client runs
mod upgrade; // Codexes of another protocol
mod upstream; // a model out of reach, or one that never ends
