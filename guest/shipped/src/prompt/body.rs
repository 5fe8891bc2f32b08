//! The top level of a request's body: an object whose members a table of parameters describes.

use serde::de::MapAccess;

use super::any_value::AnyShape;
use super::parameters::{Parameter, ParameterAction, Treatment};
use super::reader::{PathSegment, Reader};
use super::request::NeutralRequest;
use super::shape::{JsonShape, ShapeSeed};
use crate::bindings::airlock::policy::types::{ObjectKeys, Problem, Request};

/// A kind of request that the policy parses: a dialect's, or that of one of its other routes.
pub(super) trait Dialect {
    /// The body of its requests.
    type Body<'de>: RequestBody<'de>;
}

/// A body while it is read.
pub(super) trait RequestBody<'de>: Default {
    /// The parameters of its route.
    const PARAMETERS: &'static [Parameter];

    /// The body of this request before its members are read.
    fn begin(_request: &'de Request) -> Self {
        Self::default()
    }

    /// What must be loaded before the request can be planned. None once it is loaded.
    ///
    /// # Errors
    ///
    /// `invalid-request` and `unsupported`, with the path of the field at fault.
    fn to_load(&self) -> Result<Option<ObjectKeys>, Problem> {
        Ok(None)
    }

    /// Reads the value of a parameter that is honoured.
    fn honour<A: MapAccess<'de>>(
        &mut self,
        name: &'static str,
        reader: &mut Reader<'_>,
        fields: &mut A,
    ) -> Result<(), A::Error>;

    /// Notes that the body has a parameter that is required and unused.
    fn note_required(&mut self, _name: &'static str) {}
}

/// A body that requests turns.
pub(super) trait TurnRequestBody<'de>: RequestBody<'de> {
    /// Whether the model is to answer. Otherwise the request is only checked, and stored for those that continue it.
    fn generates(&self) -> bool {
        true
    }

    /// Checks what depends on several fields of this dialect alone.
    ///
    /// # Errors
    ///
    /// `invalid-request` and `unsupported`, with the path of the field at fault.
    fn into_request(self, reader: &mut Reader<'_>) -> Result<NeutralRequest<'de>, Problem>;
}

/// The shape of a body. Of a duplicate field the last one counts, as in other JSON parsers.
pub(super) struct RequestBodyShape<B>(pub(super) B);

impl<'de, B: RequestBody<'de>> JsonShape<'de> for RequestBodyShape<B> {
    type Value = B;
    const EXPECTED: &'static str = "a JSON object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<B, A::Error> {
        let mut body = self.0;
        while let Some(key) = reader.key(&mut fields)? {
            let Some(parameter) = Parameter::named(B::PARAMETERS, &key) else {
                reader.unknown(&mut fields, &key)?;
                continue;
            };
            match parameter.treatment {
                Treatment::Honoured => body.honour(parameter.name, reader, &mut fields)?,
                _ => {
                    let verdict = reader.at(PathSegment::Key(parameter.name), |reader| {
                        let value = fields.next_value_seed(ShapeSeed {
                            reader,
                            shape: AnyShape,
                        })?;
                        parameter.apply(reader, &value)
                    })?;
                    match verdict {
                        ParameterAction::Nothing => {}
                        ParameterAction::Ignore => reader.ignore(parameter.name)?,
                        ParameterAction::NoteRequired => {
                            body.note_required(parameter.name);
                            reader.note_ignored(parameter.name.to_owned());
                        }
                    }
                }
            }
        }
        Ok(body)
    }
}
