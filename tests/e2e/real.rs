//! The same on a real Codex, the pinned one or that of `AIRLOCK_TEST_CODEX`, with a scripted model behind it.

mod account; // who is signed in, down to the sign-in servers
mod answers; // what reaches the model, and what comes back
mod failures; // each failure of the model
mod fan_out; // several candidates, one answer
mod images; // what Codex can decode, and what the gateway lets through
mod inputs; // requests as clients really send them
mod killed; // children that die at any moment
mod leaving; // interrupts, down to the model's socket
mod overheard; // Codex with a listener
mod protocol; // what it says of it
mod rehearsal; // the scripted model that Airlock brings along
mod tools; // functions that the client runs
mod undone;
mod upstream; // a model out of reach, or one that never ends
mod verbatim; // words that Codex takes for more than words // a client that would have another policy
