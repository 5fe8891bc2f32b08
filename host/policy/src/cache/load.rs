//! Loads compiled code, which is unsafe.
#![allow(
    unsafe_code,
    reason = "the engine cannot check that machine code is what its compiler made"
)]

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;

use wasmtime::component::Component;

/// Maps the code of a file that [`super::Cache`] has checked.
///
/// # Errors
/// The file is not code, or was made for another engine.
pub(super) fn load(engine: &wasmtime::Engine, file: &File) -> wasmtime::Result<Component> {
    // By descriptor, because the name may belong to another file by now.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: the code must be what `Engine::precompile_component` made, and must not change while it is mapped.
    // Only files that this host compiled itself get here: they are keyed by the component's digest and the engine's
    // configuration, lie in a folder that belongs to us and that nobody else can write, belong to us and can be
    // written by nobody else (checked on this very file), and match the SHA-256 noted when they were made. The host
    // writes them under another name and renames them; it never writes to one again, and removing one leaves what is
    // mapped as it is.
    let mapped = unsafe { Component::deserialize_file(engine, path) };
    mapped.or_else(|error| {
        // Code cannot be mapped from a folder that is mounted `noexec`.
        let mut bytes = Vec::new();
        let read = (&mut &*file).seek(SeekFrom::Start(0));
        if read
            .and_then(|_| (&mut &*file).read_to_end(&mut bytes))
            .is_err()
        {
            return Err(error);
        }
        // SAFETY: as above; these are the bytes of the same file.
        unsafe { Component::deserialize(engine, bytes) }
    })
}
