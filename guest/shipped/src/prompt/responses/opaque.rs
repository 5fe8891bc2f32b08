//! Items that reach the model as they are: reasoning, compactions, and web searches of OpenAI. They are written anew from
//! the members that Codex (0.169) passes on: Codex refuses a whole conversation if it cannot parse one item.

use std::borrow::Cow;

use serde::de::{MapAccess, SeqAccess};

use crate::json;
use crate::prompt::members::read_members;
use crate::prompt::problems::quoted;
use crate::prompt::reader::Reader;
use crate::prompt::shape::{JsonShape, StringShape};

/// A `reasoning` item. None without content and `encrypted_content`: the model can do nothing with a summary.
pub(super) struct ReasoningItem;

impl<'de> JsonShape<'de> for ReasoningItem {
    type Value = Option<String>;
    const EXPECTED: &'static str = "an item object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Option<String>, A::Error> {
        let (mut id, mut summary, mut content, mut encrypted) = (None, None, None, None);
        read_members!(reader, fields, {
            "type" | "status" => skip(),
            "id" => nullable(id, StringShape),
            "summary" => nullable(summary, TextParts(&["summary_text"])),
            "content" => nullable(content, TextParts(&["reasoning_text", "text"])),
            "encrypted_content" => nullable(encrypted, StringShape),
        });
        let content = content.filter(|content| content != "[]");
        let encrypted = encrypted.filter(|encrypted| !encrypted.is_empty());
        if content.is_none() && encrypted.is_none() {
            return Ok(None);
        }
        let mut item = ObjectWriter::new("reasoning");
        item.text("id", id.as_deref());
        item.json("summary", Some(summary.as_deref().unwrap_or("[]")));
        item.json("content", content.as_deref());
        item.text("encrypted_content", encrypted.as_deref());
        Ok(Some(item.finish()))
    }
}

/// A `compaction` item.
pub(super) struct CompactionItem;

/// A compaction of earlier items.
pub(super) struct Compaction<'de> {
    id: Option<Cow<'de, str>>,
    pub(super) encrypted_content: Cow<'de, str>,
}

impl Compaction<'_> {
    /// The item for the model.
    pub(super) fn into_item(self) -> String {
        let mut item = ObjectWriter::new("compaction");
        item.text("id", self.id.as_deref());
        item.text("encrypted_content", Some(&self.encrypted_content));
        item.finish()
    }
}

impl<'de> JsonShape<'de> for CompactionItem {
    type Value = Compaction<'de>;
    const EXPECTED: &'static str = "an item object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<Compaction<'de>, A::Error> {
        let (mut id, mut encrypted) = (None, None);
        read_members!(reader, fields, {
            "type" | "created_by" => skip(),
            "id" => nullable(id, StringShape),
            "encrypted_content" => value(encrypted, StringShape),
        });
        match encrypted {
            Some(encrypted_content) => Ok(Compaction {
                id,
                encrypted_content,
            }),
            None => {
                let message = "required: the compaction as the response returned it";
                Err(reader.invalid_member("encrypted_content", message))
            }
        }
    }
}

/// A `web_search_call` item.
pub(super) struct WebSearchItem;

impl<'de> JsonShape<'de> for WebSearchItem {
    type Value = String;
    const EXPECTED: &'static str = "an item object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<String, A::Error> {
        let (mut id, mut status, mut action) = (None, None, None);
        read_members!(reader, fields, {
            "type" => skip(),
            "id" => nullable(id, StringShape),
            "status" => nullable(status, StringShape),
            "action" => nullable(action, WebSearchActionShape),
        });
        let mut item = ObjectWriter::new("web_search_call");
        item.text("id", id.as_deref());
        item.text("status", status.as_deref());
        item.json("action", action.as_deref());
        Ok(item.finish())
    }
}

/// `action` of a web search, as JSON.
struct WebSearchActionShape;

impl<'de> JsonShape<'de> for WebSearchActionShape {
    type Value = String;
    const EXPECTED: &'static str = "an object with a `type`";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<String, A::Error> {
        let (mut kind, mut query, mut queries) = (None, None, None);
        let (mut url, mut pattern) = (None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "query" => nullable(query, StringShape),
            "queries" => nullable(queries, StringsShape),
            "url" => nullable(url, StringShape),
            "pattern" => nullable(pattern, StringShape),
            // Codex does not pass them on.
            "sources" => skip(),
        });
        let Some(kind) = kind else {
            return Err(reader.invalid_member("type", "required: the kind of the search"));
        };
        let mut action = ObjectWriter::new(&kind);
        action.text("query", query.as_deref());
        action.json("queries", queries.as_deref());
        action.text("url", url.as_deref());
        action.text("pattern", pattern.as_deref());
        Ok(action.finish())
    }
}

/// An array of strings, as JSON.
struct StringsShape;

impl<'de> JsonShape<'de> for StringsShape {
    type Value = String;
    const EXPECTED: &'static str = "an array of strings";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<String, A::Error> {
        let mut array = String::from("[");
        let mut index = 0;
        while let Some(text) = reader.member(&mut members, index, StringShape)? {
            if index > 0 {
                array.push(',');
            }
            json::push_text(&mut array, &text);
            index += 1;
        }
        array.push(']');
        Ok(array)
    }
}

/// An array of objects with a `type` of these and a `text`, as JSON. All have the first type: Codex (0.169) drops the content of
/// reasoning whose type is `text`.
struct TextParts(&'static [&'static str]);

impl<'de> JsonShape<'de> for TextParts {
    type Value = String;
    const EXPECTED: &'static str = "an array of parts";

    fn array<A: SeqAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut members: A,
    ) -> Result<String, A::Error> {
        let mut array = String::from("[");
        let mut index = 0;
        while let Some(part) = reader.member(&mut members, index, TextPart(self.0))? {
            if index > 0 {
                array.push(',');
            }
            array.push_str(&part);
            index += 1;
        }
        array.push(']');
        Ok(array)
    }
}

struct TextPart(&'static [&'static str]);

impl<'de> JsonShape<'de> for TextPart {
    type Value = String;
    const EXPECTED: &'static str = "a part object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<String, A::Error> {
        let (mut kind, mut text) = (None, None);
        read_members!(reader, fields, {
            "type" => value(kind, StringShape),
            "text" => value(text, StringShape),
        });
        let Some(kind) = kind.filter(|kind| self.0.contains(&kind.as_ref())) else {
            let message = format!("expected `{}`", self.0.join("` or `"));
            return Err(reader.invalid_member("type", &message));
        };
        let Some(text) = text else {
            let message = format!("required in a part of type `{}`", quoted(&kind));
            return Err(reader.invalid_member("text", &message));
        };
        let mut part = ObjectWriter::new(self.0.first().copied().unwrap_or(&kind));
        part.text("text", Some(&text));
        Ok(part.finish())
    }
}

/// A JSON object that is written member by member.
struct ObjectWriter(String);

impl ObjectWriter {
    fn new(kind: &str) -> Self {
        let mut text = String::from(r#"{"type":"#);
        json::push_text(&mut text, kind);
        Self(text)
    }

    /// Adds a member unless it is absent.
    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.name(name);
            json::push_text(&mut self.0, value);
        }
    }

    /// Adds a member whose value is JSON unless it is absent.
    fn json(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.name(name);
            self.0.push_str(value);
        }
    }

    fn name(&mut self, name: &str) {
        self.0.push_str(",\"");
        self.0.push_str(name);
        self.0.push_str("\":");
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
