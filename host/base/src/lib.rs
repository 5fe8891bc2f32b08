//! Mechanisms without a domain, for every crate of the host: tasks, synchronisation, files, the process, and safe text.

pub mod clock; // UTC timestamps
pub mod descriptors; // the limit of file descriptors
pub mod environment; // the process's variables
pub mod escape; // control characters, for terminals and logs
pub mod file; // atomic writes
pub mod memory; // the memory budget of request bodies
pub mod proc; // the reader of /proc
pub mod quantity; // numbers, sizes and durations in settings
pub mod resizable_semaphore; // a semaphore of variable capacity
pub mod secrets; // redaction, and text that is never printed
pub mod storage; // the data folder
pub mod task; // named background tasks with cancellation
pub mod wake_flag; // a notification without a lock
