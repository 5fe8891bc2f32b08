//! The parameters of a chat completion, and what becomes of each.

mod rule;
mod table;
#[cfg(test)]
mod tests;

pub(super) use rule::ParameterAction;
pub use rule::{Harmless, Parameter, Treatment, Values};
pub use table::PARAMETERS;
