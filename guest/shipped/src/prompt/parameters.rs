//! The parameters of a chat completion, and the rule for each.

mod rule;
mod table;
#[cfg(test)]
mod tests;

pub(super) use rule::ParameterAction;
pub use rule::{Harmless, Parameter, Treatment, Values};
pub use table::PARAMETERS;
