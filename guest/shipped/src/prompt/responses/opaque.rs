//! Items that reach the model as they are: reasoning, compactions, and web searches of OpenAI. They are written anew from
//! the members that Codex (0.169) passes on: Codex refuses a whole conversation if it cannot parse one item.

use serde::de::{self, MapAccess, SeqAccess};

use crate::json;
use crate::prompt::problems::quoted;
use crate::prompt::reader::{PathSegment, Reader};
use crate::prompt::shape::{JsonShape, Scalar};

/// What a value of an item may be.
pub(super) enum OpaqueSchema {
    Text,
    /// One of these strings. It becomes the first one.
    OneOf(&'static [&'static str]),
    Array(&'static OpaqueSchema),
    Object(&'static [OpaqueMember]),
    /// Any value, which is left out.
    Dropped,
}

/// A member of an object.
pub(super) struct OpaqueMember {
    name: &'static str,
    schema: OpaqueSchema,
    presence: Presence,
}

/// Whether an object may lack a member.
#[derive(PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
    /// An object in which all such members are absent or empty is left out.
    Substance,
}

const fn required(name: &'static str, schema: OpaqueSchema) -> OpaqueMember {
    OpaqueMember {
        name,
        schema,
        presence: Presence::Required,
    }
}

const fn optional(name: &'static str, schema: OpaqueSchema) -> OpaqueMember {
    OpaqueMember {
        name,
        schema,
        presence: Presence::Optional,
    }
}

const fn substance(name: &'static str, schema: OpaqueSchema) -> OpaqueMember {
    OpaqueMember {
        name,
        schema,
        presence: Presence::Substance,
    }
}

/// A `reasoning` item. Without content and `encrypted_content` the model can do nothing with it. Codex drops content whose type
/// is `text`.
pub(super) const REASONING: &OpaqueSchema = &OpaqueSchema::Object(&[
    required("type", OpaqueSchema::Text),
    optional("id", OpaqueSchema::Text),
    required(
        "summary",
        OpaqueSchema::Array(&OpaqueSchema::Object(&[
            required("type", OpaqueSchema::OneOf(&["summary_text"])),
            required("text", OpaqueSchema::Text),
        ])),
    ),
    substance(
        "content",
        OpaqueSchema::Array(&OpaqueSchema::Object(&[
            required("type", OpaqueSchema::OneOf(&["reasoning_text", "text"])),
            required("text", OpaqueSchema::Text),
        ])),
    ),
    substance("encrypted_content", OpaqueSchema::Text),
    optional("status", OpaqueSchema::Dropped),
]);

/// A `compaction` item.
pub(super) const COMPACTION: &OpaqueSchema = &OpaqueSchema::Object(&[
    required("type", OpaqueSchema::Text),
    optional("id", OpaqueSchema::Text),
    required("encrypted_content", OpaqueSchema::Text),
    optional("created_by", OpaqueSchema::Dropped),
]);

/// A `web_search_call` item.
pub(super) const WEB_SEARCH_CALL: &OpaqueSchema = &OpaqueSchema::Object(&[
    required("type", OpaqueSchema::Text),
    optional("id", OpaqueSchema::Text),
    optional("status", OpaqueSchema::Text),
    optional(
        "action",
        OpaqueSchema::Object(&[
            required("type", OpaqueSchema::Text),
            optional("query", OpaqueSchema::Text),
            optional("queries", OpaqueSchema::Array(&OpaqueSchema::Text)),
            optional("url", OpaqueSchema::Text),
            optional("pattern", OpaqueSchema::Text),
            optional("sources", OpaqueSchema::Dropped),
        ]),
    ),
]);

/// A value of this schema, as one line of JSON with an object's members in the order of the schema. Unknown members are left out
/// and named as ignored; members that are null are absent. None for null, and for an object without substance.
pub(super) struct OpaqueShape(pub(super) &'static OpaqueSchema);

impl OpaqueShape {
    /// The value that is expected, for the error of another one.
    fn expected(&self) -> &'static str {
        match self.0 {
            OpaqueSchema::Text | OpaqueSchema::OneOf(_) => "a string",
            OpaqueSchema::Array(_) => "an array",
            OpaqueSchema::Object(_) | OpaqueSchema::Dropped => "an object",
        }
    }
}

impl<'de> JsonShape<'de> for OpaqueShape {
    type Value = Option<String>;
    const EXPECTED: &'static str = "a string, an array or an object";

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        let text = match (self.0, scalar) {
            (_, Scalar::Null) => return Ok(None),
            (OpaqueSchema::Text | OpaqueSchema::OneOf(_), Scalar::Text(text)) => text,
            (_, other) => return Err(reader.wrong(self.expected(), other.kind())),
        };
        let text = match self.0 {
            OpaqueSchema::OneOf(names) if names.contains(&text.as_ref()) => {
                names.first().copied().unwrap_or_default()
            }
            OpaqueSchema::OneOf(names) => {
                let message = format!(
                    "expected `{}`, found `{}`",
                    names.join("` or `"),
                    quoted(&text)
                );
                return Err(reader.invalid(&message));
            }
            _ => &text,
        };
        let mut out = String::with_capacity(json::text_length(text));
        json::push_text(&mut out, text);
        Ok(Some(out))
    }

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<Self::Value, A::Error> {
        let OpaqueSchema::Array(schema) = self.0 else {
            return Err(reader.wrong(self.expected(), "an array"));
        };
        let mut out = String::from("[");
        let mut index = 0;
        while let Some(member) = reader.member(&mut members, index, OpaqueShape(schema))? {
            let Some(member) = member else {
                return Err(reader.invalid_at(&[PathSegment::Index(index)], "must not be null"));
            };
            if index > 0 {
                out.push(',');
            }
            out.push_str(&member);
            index += 1;
        }
        out.push(']');
        Ok(Some(out))
    }

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Self::Value, A::Error> {
        let OpaqueSchema::Object(members) = self.0 else {
            return Err(reader.wrong(self.expected(), "an object"));
        };
        let mut values: Vec<Option<String>> = members.iter().map(|_| None).collect();
        while let Some(key) = reader.key(&mut fields)? {
            let known = members.iter().zip(&mut values);
            match known.into_iter().find(|(member, _)| member.name == key) {
                Some((member, _)) if matches!(member.schema, OpaqueSchema::Dropped) => {
                    fields.next_value::<de::IgnoredAny>()?;
                }
                Some((member, value)) => {
                    *value = reader.field(&mut fields, member.name, OpaqueShape(&member.schema))?;
                }
                None => reader.unknown(&mut fields, &key)?,
            }
        }
        write_members(reader, members, &values)
    }
}

/// Writes an object. `values` are those of the members, as JSON.
fn write_members<E: de::Error>(
    reader: &mut Reader<'_>,
    members: &[OpaqueMember],
    values: &[Option<String>],
) -> Result<Option<String>, E> {
    let mut out = String::from("{");
    let (mut lacks_substance, mut has_substance) = (false, false);
    for (member, value) in members.iter().zip(values) {
        let is_empty = matches!(value.as_deref(), None | Some("\"\"" | "[]"));
        match value {
            _ if is_empty && member.presence == Presence::Substance => lacks_substance = true,
            Some(value) => {
                has_substance |= member.presence == Presence::Substance;
                out.push_str(if out.len() > 1 { ",\"" } else { "\"" });
                out.push_str(member.name);
                out.push_str("\":");
                out.push_str(value);
            }
            None if member.presence == Presence::Required => {
                let message = "required: send the item as the response returned it";
                return Err(reader.invalid_member(member.name, message));
            }
            None => {}
        }
    }
    out.push('}');
    Ok((has_substance || !lacks_substance).then_some(out))
}
