//! The same on the real, pinned Codex, with a scripted model behind it.

mod answers; // what reaches the model, and what comes back
mod failures; // each failure of the model
mod fan_out; // several candidates, one answer
mod leaving; // interrupts, down to the model's socket
mod overheard; // Codex with a listener
mod tools; // functions that the client runs
