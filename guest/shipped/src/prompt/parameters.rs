//! The rule for a parameter of a request; each dialect has a table of them. A hint that only shapes the sampling is ignored
//! and named, and so is an unknown parameter. A parameter without which the answer would be wrong is refused. Null counts as
//! absent. A value of the wrong type or out of range is an error under any rule.

use std::fmt;

use serde::de;

use crate::prompt::any_value::ValueSummary;
use crate::prompt::problems::quoted;
use crate::prompt::reader::Reader;

/// A parameter of a dialect's requests.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// The name in the request.
    pub name: &'static str,
    /// The allowed values, besides null.
    pub values: Values,
    /// The rule for requests that have the parameter.
    pub treatment: Treatment,
    /// The reason, for the documentation.
    pub reason: &'static str,
}

/// The values of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// A string.
    Text,
    /// True or false.
    Boolean,
    /// An integer from the first to the second.
    Integer(i64, i64),
    /// A number from the first to the second.
    Number(i32, i32),
    /// An array of anything.
    Array,
    /// An object with anything in it.
    Object,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A string or an array.
    TextOrArray,
    /// A string or an object.
    TextOrObject,
}

/// The treatment of a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Treatment {
    /// Has the effect that it has in the dialect's own API, or the one that its reason describes.
    Honoured,
    /// Does not affect the answer.
    Accepted,
    /// A hint: ignored, and named in the response. Refused under `strict`.
    Ignored,
    /// The API requires it, but it has no effect here: named in the response, and accepted under `strict`, which would refuse
    /// every request otherwise.
    RequiredUnused,
    /// The answer would be wrong without it: refused, except for values without effect.
    Refused(Harmless),
}

/// The values of a refused parameter that have no effect, besides null.
#[derive(Clone, Copy, Debug)]
pub enum Harmless {
    /// None.
    Never,
    /// This integer.
    Integer(i64),
    /// False.
    False,
    /// An empty value.
    Empty,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// An array of nothing but `text`.
    OnlyText,
}

impl Parameter {
    /// The row of a table.
    pub(in crate::prompt) const fn row(
        name: &'static str,
        values: Values,
        treatment: Treatment,
        reason: &'static str,
    ) -> Self {
        Self {
            name,
            values,
            treatment,
            reason,
        }
    }

    /// The parameter of a table that the client calls `name`.
    pub(in crate::prompt) fn named(table: &'static [Self], name: &str) -> Option<&'static Self> {
        table.iter().find(|parameter| parameter.name == name)
    }

    /// Applies the rule to a value. The reader's path must be the parameter's.
    pub(in crate::prompt) fn apply<E: de::Error>(
        &self,
        reader: &mut Reader<'_>,
        value: &ValueSummary<'_>,
    ) -> Result<ParameterAction, E> {
        if matches!(value, ValueSummary::Null) {
            return Ok(ParameterAction::Nothing);
        }
        self.values.check(reader, value)?;
        match self.treatment {
            Treatment::Honoured | Treatment::Accepted => Ok(ParameterAction::Nothing),
            Treatment::Ignored => Ok(ParameterAction::Ignore),
            Treatment::RequiredUnused => Ok(ParameterAction::NoteRequired),
            Treatment::Refused(harmless) if harmless.accepts(value) => Ok(ParameterAction::Nothing),
            Treatment::Refused(harmless) => {
                let message = match harmless {
                    Harmless::Never => format!("not supported: {}. Leave it out", self.reason),
                    _ => format!(
                        "not supported: {}. Leave it out, or give {harmless}",
                        self.reason
                    ),
                };
                Err(reader.unsupported(&message))
            }
        }
    }
}

/// The action that a rule requires of the caller.
pub(in crate::prompt) enum ParameterAction {
    Nothing,
    /// Name it among the ignored ones.
    Ignore,
    /// As `Ignore`, also under `strict`, and note that the body has it.
    NoteRequired,
}

impl Values {
    /// Fails if the value is of another type or out of range.
    fn check<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        value: &ValueSummary<'_>,
    ) -> Result<(), E> {
        let right_type = match (self, value) {
            (Self::OneOf(names), ValueSummary::Text(text)) => {
                if names.contains(&text.as_ref()) {
                    return Ok(());
                }
                return Err(reader.invalid(&format!("expected {self}, found `{}`", quoted(text))));
            }
            (Self::Integer(least, most), ValueSummary::Integer(number)) => {
                if (i128::from(least)..=i128::from(most)).contains(number) {
                    return Ok(());
                }
                return Err(reader.invalid(&format!("expected {self}, found {number}")));
            }
            (Self::Number(least, most), ValueSummary::Integer(number)) => {
                if (i128::from(least)..=i128::from(most)).contains(number) {
                    return Ok(());
                }
                return Err(reader.invalid(&format!("expected {self}, found {number}")));
            }
            (Self::Number(least, most), ValueSummary::Number(number)) => {
                if (f64::from(least)..=f64::from(most)).contains(number) {
                    return Ok(());
                }
                // Does not repeat the number: formatting a float takes a tenth of the policy's code.
                return Err(reader.invalid(&format!("expected {self}")));
            }
            (Self::Text, ValueSummary::Text(_))
            | (Self::Boolean, ValueSummary::Boolean(_))
            | (Self::Array, ValueSummary::Array { .. })
            | (Self::Object, ValueSummary::Object { .. })
            | (Self::TextOrArray, ValueSummary::Text(_) | ValueSummary::Array { .. })
            | (Self::TextOrObject, ValueSummary::Text(_) | ValueSummary::Object { .. }) => true,
            _ => false,
        };
        if right_type {
            Ok(())
        } else {
            Err(reader.wrong(&self.to_string(), value.kind()))
        }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => out.write_str("a string"),
            Self::Boolean => out.write_str("a boolean"),
            Self::Integer(i64::MIN, _) => out.write_str("an integer"),
            Self::Integer(least, i64::MAX) => write!(out, "an integer of at least {least}"),
            Self::Integer(least, most) => write!(out, "an integer from {least} to {most}"),
            Self::Number(least, i32::MAX) => write!(out, "a number of at least {least}"),
            Self::Number(least, most) => write!(out, "a number from {least} to {most}"),
            Self::Array => out.write_str("an array"),
            Self::Object => out.write_str("an object"),
            Self::OneOf(names) => write!(out, "one of `{}`", names.join("`, `")),
            Self::TextOrArray => out.write_str("a string or an array"),
            Self::TextOrObject => out.write_str("a string or an object"),
        }
    }
}

impl Harmless {
    fn accepts(self, value: &ValueSummary<'_>) -> bool {
        match (self, value) {
            (Self::Integer(harmless), ValueSummary::Integer(number)) => *number == harmless.into(),
            (Self::False, ValueSummary::Boolean(value)) => !value,
            (Self::Empty, value) => value.is_empty(),
            (Self::OneOf(names), ValueSummary::Text(text)) => names.contains(&text.as_ref()),
            (
                Self::OnlyText,
                ValueSummary::Array {
                    members,
                    text_members,
                },
            ) => members == text_members,
            _ => false,
        }
    }
}

impl fmt::Display for Harmless {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => out.write_str("nothing"),
            Self::Integer(number) => write!(out, "`{number}`"),
            Self::False => out.write_str("`false`"),
            Self::Empty => out.write_str("an empty one"),
            Self::OneOf(names) => write!(out, "`{}`", names.join("` or `")),
            Self::OnlyText => out.write_str("`[\"text\"]`"),
        }
    }
}

#[cfg(test)]
mod tests;
