//! The JSON schema of the scripted Codex's protocol: the part that the gateway uses, as the tested Codex has it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const USED: &str = include_str!("../../../host/codex/src/upgrade_gate/used.json");
const TESTED: &str = include_str!("../../../host/codex/src/upgrade_gate/tested.json");

/// The gateway's tables of the protocol that it uses and of the tested Codex. A test may change the latter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    used: Value,
    tested: Value,
}

impl Protocol {
    /// The protocol of the tested Codex.
    pub fn tested() -> Self {
        Self {
            used: serde_json::from_str(USED).unwrap_or_default(),
            tested: serde_json::from_str(TESTED).unwrap_or_default(),
        }
    }

    /// Removes a method or notification.
    pub fn remove(&mut self, method: &str) {
        if let Some(methods) = self.tested["methods"].as_object_mut() {
            methods.remove(method);
        }
    }

    /// Removes a field. `side` is `params` or `result`.
    pub fn remove_field(&mut self, method: &str, side: &str, path: &str) {
        if let Some(fields) = self.fields(method, side) {
            fields.retain(|field, _| field != path && !field.starts_with(&format!("{path}.")));
        }
    }

    /// Sets the shape of a field, such as `string|null?`. Adds the field if it is missing.
    pub fn set_field(&mut self, method: &str, side: &str, path: &str, shape: &str) {
        if let Some(fields) = self.fields(method, side) {
            fields.insert(path.to_owned(), json!(shape));
        }
    }

    fn fields(&mut self, method: &str, side: &str) -> Option<&mut Map<String, Value>> {
        let sides = self.tested["methods"].get_mut(method)?;
        sides.get_mut(side)?["fields"].as_object_mut()
    }

    /// The schema as Codex writes it (`codex_app_server_protocol.schemas.json`).
    pub fn schema(&self) -> Value {
        let mut definitions = Map::new();
        let unions = [
            ("calls", "ClientRequest"),
            ("notifications", "ServerNotification"),
            ("requests", "ServerRequest"),
        ];
        for (section, union) in unions {
            let mut members = Vec::new();
            for (method, used) in entries(&self.used[section]) {
                let tested = &self.tested["methods"][method];
                if tested.is_null() {
                    continue;
                }
                let mut member = json!({"type": "object", "required": ["method"], "properties": {"method": {"enum": [method]}}});
                if tested["params"].is_object() {
                    member["properties"]["params"] = described(&tested["params"]);
                }
                members.push(member);
                if let Some(kind) = used["answer"].as_str() {
                    definitions.insert(kind.to_owned(), described(&tested["result"]));
                }
            }
            definitions.insert(union.to_owned(), json!({ "oneOf": members }));
        }
        let sent = self.used["sent"].as_array().into_iter().flatten();
        let sent: Vec<Value> = sent
            .map(|name| json!({"type": "object", "properties": {"method": {"enum": [name]}}}))
            .collect();
        definitions.insert("ClientNotification".to_owned(), json!({ "oneOf": sent }));
        for (method, used) in entries(&self.used["unlisted"]) {
            let params = &self.tested["methods"][method]["params"];
            if let (Some(kind), true) = (used["type"].as_str(), params.is_object()) {
                definitions.insert(kind.to_owned(), described(params));
            }
        }
        json!({ "definitions": definitions })
    }
}

fn entries(section: &Value) -> impl Iterator<Item = (&String, &Value)> {
    section.as_object().into_iter().flatten()
}

fn described(side: &Value) -> Value {
    let mut root = SchemaNode::default();
    for (path, shape) in entries(&side["fields"]) {
        root.at(path).shape = shape.as_str().unwrap_or_default().to_owned();
    }
    root.schema()
}

/// A node of the tree of fields.
#[derive(Default)]
struct SchemaNode {
    /// Such as `string|null?: a, b`. Empty: an object of which only the members are known.
    shape: String,
    members: BTreeMap<String, SchemaNode>,
    elements: Option<Box<SchemaNode>>,
    tagged: BTreeMap<String, SchemaNode>,
}

impl SchemaNode {
    fn at(&mut self, path: &str) -> &mut Self {
        let mut node = self;
        for segment in path.split('.') {
            let end = segment.find(['[', '<']).unwrap_or(segment.len());
            let (name, mut rest) = segment.split_at(end);
            if !name.is_empty() {
                node = node.members.entry(name.to_owned()).or_default();
            }
            while !rest.is_empty() {
                if let Some(after) = rest.strip_prefix("[]") {
                    node = node.elements.get_or_insert_default();
                    rest = after;
                } else if let Some((tag, after)) =
                    rest.strip_prefix('<').and_then(|rest| rest.split_once('>'))
                {
                    node = node.tagged.entry(tag.to_owned()).or_default();
                    rest = after;
                } else {
                    break;
                }
            }
        }
        node
    }

    fn is_optional(&self) -> bool {
        let kinds = self.shape.split(": ").next().unwrap_or_default();
        kinds.ends_with('?')
    }

    fn schema(&self) -> Value {
        let (kinds, texts) = match self.shape.split_once(": ") {
            Some((kinds, texts)) => (kinds, Some(texts)),
            None => (self.shape.as_str(), None),
        };
        let otherwise = match &self.elements {
            Some(_) => "array",
            None => "object",
        };
        let kinds = match kinds.trim_end_matches('?') {
            "" => otherwise,
            kinds => kinds,
        };
        if kinds == "any" && self.members.is_empty() {
            return json!(true);
        }
        let mut choices = Vec::new();
        for kind in kinds.split('|') {
            match kind {
                "object" | "any" => choices.extend(self.objects()),
                "array" => {
                    let elements = self.elements.as_ref().map(|elements| elements.schema());
                    choices
                        .push(json!({"type": "array", "items": elements.unwrap_or(json!(true))}));
                }
                "string" => {
                    let (open, named): (Vec<&str>, Vec<&str>) = texts
                        .into_iter()
                        .flat_map(|texts| texts.split(", "))
                        .partition(|text| *text == "…");
                    if named.is_empty() || !open.is_empty() {
                        choices.push(json!({"type": "string"}));
                    }
                    if !named.is_empty() {
                        choices.push(json!({"type": "string", "enum": named}));
                    }
                }
                kind => choices.push(json!({ "type": kind })),
            }
        }
        json!({ "anyOf": choices })
    }

    /// The schema of each tag's object, and one of all other tags.
    fn objects(&self) -> Vec<Value> {
        let mut objects: Vec<Value> = self
            .tagged
            .iter()
            .map(|(tag, node)| {
                let mut object = node.object(&["type"]);
                object["properties"]["type"] = json!({ "enum": [tag] });
                object
            })
            .collect();
        if objects.is_empty() {
            return vec![self.object(&[])];
        }
        if let Some(kind) = self.members.get("type") {
            let (_, tags) = kind.shape.split_once(": ").unwrap_or_default();
            let others: Vec<&str> = tags
                .split(", ")
                .filter(|tag| !self.tagged.contains_key(*tag))
                .collect();
            let mut object = self.object(&["type"]);
            object["properties"]["type"] = json!({ "enum": others });
            objects.push(object);
        }
        objects
    }

    fn object(&self, required: &[&str]) -> Value {
        let members = self.members.iter();
        let properties: Map<String, Value> = members
            .map(|(name, node)| (name.clone(), node.schema()))
            .collect();
        let needed = self.members.iter().filter(|(_, node)| !node.is_optional());
        let needed = needed.map(|(name, _)| name.as_str());
        let required: Vec<&str> = required.iter().copied().chain(needed).collect();
        json!({"type": "object", "properties": properties, "required": required})
    }
}
