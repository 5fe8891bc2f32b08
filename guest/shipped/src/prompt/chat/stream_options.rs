//! `stream_options` of a chat completion.

use serde::de::MapAccess;

use crate::prompt::members::read_members;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{BooleanShape, JsonShape};

/// `stream_options`.
#[derive(Clone, Copy)]
pub(super) struct StreamOptions {
    pub(super) include_usage: bool,
    /// Send the candidates of a fan-out in the stream.
    pub(super) include_candidates: bool,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            include_usage: false,
            include_candidates: true,
        }
    }
}

pub(super) struct StreamOptionsShape;

impl<'de> JsonShape<'de> for StreamOptionsShape {
    type Value = StreamOptions;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<StreamOptions, A::Error> {
        let mut options = StreamOptions::default();
        read_members!(reader, fields, {
            "include_usage" => or_default(options.include_usage, BooleanShape),
            "include_candidates" => run {
                options.include_candidates = reader.nullable(&mut fields, "include_candidates", BooleanShape)?
                    .unwrap_or(true);
            },
            // Padding that hides the lengths of chunks. The answer does not depend on it.
            "include_obfuscation" => run {
                reader.nullable(&mut fields, "include_obfuscation", BooleanShape)?;
            },
        });
        Ok(options)
    }
}
