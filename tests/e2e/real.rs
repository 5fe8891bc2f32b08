//! Tests on a real Codex, the pinned one or that of `AIRLOCK_TEST_CODEX`, over the scripted model.

mod account; // sign-in, down to the sign-in servers
mod answers; // what reaches the model, and the responses
mod failures; // each failure of the model
mod fan_out; // several candidates, one answer
mod images; // images that Codex can decode
mod inputs; // requests as real clients send them
mod killed; // children killed at random
mod leaving; // interrupts, down to the model's socket
mod protocol; // its schema
mod recorded; // Codex with a copy of its output
mod rehearsal; // Airlock's own scripted model
mod tools; // the client's functions
mod undone; // a client that tries to get a policy taken back
mod upstream; // a model that cannot be reached, or that loops
mod verbatim; // text to which Codex gives a meaning of its own
