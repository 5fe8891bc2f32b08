//! The names of tools in namespaces, which the model knows as functions of one list.

use std::borrow::Cow;

/// The text between a namespace and a tool's name.
const SEPARATOR: &str = "__";

/// The name of the function that stands for a tool.
pub(super) fn flat_name<'de>(namespace: Option<&str>, name: Cow<'de, str>) -> Cow<'de, str> {
    match namespace {
        Some(namespace) => Cow::Owned([namespace, SEPARATOR, &name].concat()),
        None => name,
    }
}
