//! Components of core modules, their digests, and atomic writes of files.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wit_component::ComponentEncoder;

/// Why bytes cannot be made a component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// The header is not that of WebAssembly.
    #[error("it is not WebAssembly")]
    NotWasm,
    /// The module has no component-type section, or does not match it.
    #[error("it is a core module of which no component can be made: {0}")]
    Module(String),
}

/// The component of a file: a component as it is, or a core module encoded by its component-type section, which
/// wit-bindgen writes.
///
/// # Errors
/// The bytes are neither, or the module and its section do not match.
pub(super) fn component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ComponentError> {
    // The magic number, the version, and the layer, which is 1 for components and 0 for modules.
    match bytes {
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => Ok(Cow::Borrowed(bytes)),
        [b'\0', b'a', b's', b'm', _, _, 0, 0, ..] => {
            let mut encoder = ComponentEncoder::default();
            let encoded = encoder
                .validate(true)
                .module(bytes)
                .and_then(ComponentEncoder::encode);
            encoded
                .map(Cow::Owned)
                .map_err(|error| ComponentError::Module(line(format_args!("{error:#}"))))
        }
        _ => Err(ComponentError::NotWasm),
    }
}

/// An error on one line.
pub(super) fn line(error: std::fmt::Arguments<'_>) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The SHA-256 of a build, in 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file under a temporary name in the same folder and renames it, so that readers never see a partial file.
///
/// # Errors
/// The path names no file, or its folder is missing or cannot be written to.
pub fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it does not name a file",
        ));
    };
    let mut fresh = std::ffi::OsString::from(".");
    fresh.push(name);
    // The name is random, so no other user of the folder can have put a link there.
    fresh.push(format!(".{:016x}", rand::random::<u64>()));
    let fresh: PathBuf = path.with_file_name(fresh);
    let mut file = File::create_new(&fresh)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| std::fs::rename(&fresh, path));
    if written.is_err() {
        // A file that stays behind is never read.
        let _ = std::fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn bytes_that_are_no_component_are_refused() {
        for bytes in [&b""[..], b"text", b"\0asm"] {
            assert_eq!(component(bytes), Err(ComponentError::NotWasm));
        }
        // A module that ends in the middle of a section.
        let error = component(b"\0asm\x01\0\0\0\x01\x7f").unwrap_err();
        assert!(matches!(&error, ComponentError::Module(_)), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }

    #[test]
    fn a_file_is_replaced_and_no_temporary_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wasm");
        for bytes in [&b"one"[..], b"two"] {
            save(&path, bytes).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        // A folder of that name is in the way.
        std::fs::create_dir(folder.path().join("b.wasm")).unwrap();
        save(&folder.path().join("b.wasm"), b"three").unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        save(&folder.path().join("none/c.wasm"), b"").unwrap_err();
        // A link is replaced, and its target unchanged.
        let link = folder.path().join("d.wasm");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        save(&link, b"four").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
        save(Path::new(".."), b"").unwrap_err();
    }

    #[test]
    fn a_digest_is_the_whole_sha_256() {
        let expected = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(b""), expected);
    }
}
