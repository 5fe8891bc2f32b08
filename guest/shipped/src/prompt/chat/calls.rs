//! `tool_calls` of an assistant's message: the calls that the model made earlier.

use std::borrow::Cow;

use serde::de::{MapAccess, SeqAccess};

use super::tools::check_type;
use crate::json;
use crate::prompt::members::read_members;
use crate::prompt::options::NonEmptyString;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{JsonShape, StringShape};
use crate::prompt::tools::FunctionNameShape;
use crate::tools::FunctionCall;

pub(super) struct CallsShape;

impl<'de> JsonShape<'de> for CallsShape {
    type Value = Vec<FunctionCall<'de>>;
    const EXPECTED: &'static str = "an array of calls";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let mut calls = Vec::new();
        while let Some(call) = reader.member(&mut members, calls.len(), CallShape)? {
            calls.push(call);
        }
        Ok(calls)
    }
}

struct CallShape;

impl<'de> JsonShape<'de> for CallShape {
    type Value = FunctionCall<'de>;
    const EXPECTED: &'static str = "a call object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<FunctionCall<'de>, A::Error> {
        let (mut id, mut kind, mut function) = (None, None, None);
        read_members!(reader, fields, {
            "id" => value(id, NonEmptyString),
            "type" => value(kind, StringShape),
            "function" => value(function, CalledFunctionShape),
            // `index` is left over from a stream. `custom` is refused by its type, which may come later.
            "index" | "custom" => skip(),
        });
        check_type(reader, kind.as_deref(), "calls")?;
        let Some(id) = id else {
            return Err(reader.invalid_member("id", "required: the call's id"));
        };
        let Some((name, arguments)) = function else {
            let message = "required: an object with `name` and `arguments`";
            return Err(reader.invalid_member("function", message));
        };
        Ok(FunctionCall {
            id,
            name,
            arguments,
        })
    }
}

/// The called function: its name, and the arguments as the model wrote them.
struct CalledFunctionShape;

impl<'de> JsonShape<'de> for CalledFunctionShape {
    type Value = (Cow<'de, str>, Cow<'de, str>);
    const EXPECTED: &'static str = "an object with `name` and `arguments`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let (mut name, mut arguments) = (None, None);
        read_members!(reader, fields, {
            "name" => value(name, FunctionNameShape),
            "arguments" => value(arguments, StringShape),
            // OpenAI's client library leaves this field in parsed messages.
            "parsed_arguments" => skip(),
        });
        let Some(name) = name else {
            return Err(reader.invalid_member("name", "required: the function's name"));
        };
        match arguments {
            // The string contains JSON, which has escapes of its own.
            Some(arguments) => Ok((name, json::without_lone_surrogates(arguments))),
            None => {
                Err(reader.invalid_member("arguments", "required: a string, as the model wrote it"))
            }
        }
    }
}
