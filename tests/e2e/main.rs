//! End-to-end tests: the real gateway between a client and a Codex, scripted or real.

mod answers; // what a client gets
mod demo; // the example client
mod extras; // reasoning, usage, and the form of an answer
mod failures; // what it gets when something fails
mod fan_out; // several candidates, one answer
mod harness; // the scripted parties against the real ones
mod leaving; // clients that go
mod lifecycle; // starting, ending and dying
mod limits; // slow, large and many
mod policies; // policies that misbehave
mod real; // the same on the real Codex
mod requests; // what is refused, ignored and passed on
mod retries; // what is asked again, and what never
mod safety; // who may ask, and what Codex may do
mod sdk; // the official packages
mod tools; // functions that the client runs
