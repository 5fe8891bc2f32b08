//! Encodes core modules as components.

use std::borrow::Cow;

use wit_component::ComponentEncoder;

/// Why bytes make no component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComponentError {
    /// The header is not that of WebAssembly.
    #[error("it is not WebAssembly")]
    NotWasm,
    /// The module has no component-type section, or does not match it.
    #[error("it is a core module of which no component can be made: {0}")]
    Module(String),
}

/// Returns a component as it is, and a core module encoded by its component-type section, which wit-bindgen writes.
///
/// # Errors
/// The bytes are neither, or the module does not match its section.
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

/// An error's text on one line.
pub(super) fn line(error: std::fmt::Arguments<'_>) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
}
