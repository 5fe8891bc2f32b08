//! The error of a request whose field is invalid.

/// A field of a request that is invalid.
#[derive(Debug)]
pub struct InvalidField {
    /// The field's name.
    pub param: &'static str,
    /// Why it is invalid. Never its value.
    pub message: String,
}

impl InvalidField {
    /// An error that names the field and what is wrong with it.
    pub fn new(param: &'static str, fault: &str) -> Self {
        let message = format!("{param} {fault}");
        Self { param, message }
    }
}
