//! Dynamic tools: Codex's checks of their definitions, and calls that it handles itself.

use serde_json::Value;

/// Bytes that a name may have.
const NAME_AT_MOST: usize = 128;

/// The names of the `dynamicTools` in the parameters of `thread/start`. The error is Codex's message.
pub(super) fn names(params: &Value) -> Result<Vec<String>, String> {
    let specs = match params.get("dynamicTools") {
        None | Some(Value::Null) => &Vec::new(),
        Some(Value::Array(specs)) => specs,
        Some(_) => return Err("Invalid request: invalid type, expected a sequence".to_owned()),
    };
    let mut names = Vec::new();
    for spec in specs {
        let name = name(spec)?;
        if names.contains(&name) {
            return Err(format!("duplicate dynamic tool name: {name}"));
        }
        names.push(name);
    }
    Ok(names)
}

/// Codex's own output of a call that it does not send to the client: the tool is unknown, or its name is one that Codex
/// reserves for itself, though it accepts a definition with that name.
pub(super) fn refusal(tools: &[String], name: &str) -> Option<String> {
    match name {
        "request_user_input" => {
            Some("request_user_input is unavailable in Default mode".to_owned())
        }
        "exec_command" | "shell_command" => Some(format!("unsupported call: {name}")),
        _ if tools.iter().any(|tool| tool == name) => None,
        _ => Some(format!("unsupported call: {name}")),
    }
}

fn name(spec: &Value) -> Result<String, String> {
    let member = |name: &str| match spec.get(name) {
        Some(value) => Ok(value),
        None => Err(format!("Invalid request: missing field `{name}`")),
    };
    let text = |name: &str| match member(name)? {
        Value::String(text) => Ok(text.clone()),
        _ => Err(format!(
            "Invalid request: invalid type of `{name}`, expected a string"
        )),
    };
    if text("type")? != "function" {
        return Err("Invalid request: unknown variant, expected `function`".to_owned());
    }
    let name = text("name")?;
    text("description")?;
    let schema = member("inputSchema")?;
    let known = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    if name.is_empty() {
        return Err("dynamic tool name must not be empty".to_owned());
    }
    if !name.chars().all(known) {
        return Err(format!(
            "dynamic tool name must match ^[a-zA-Z0-9_-]+$ to match Responses API: {name}"
        ));
    }
    if name.len() > NAME_AT_MOST {
        return Err(format!(
            "dynamic tool name must be at most {NAME_AT_MOST} characters to match Responses API: {name}"
        ));
    }
    if name == "mcp" || name.starts_with("mcp__") {
        return Err(format!("dynamic tool name is reserved: {name}"));
    }
    if !schema.is_object() {
        return Err(format!(
            "dynamic tool input schema is not supported for {name}: invalid type: {}, expected struct JsonSchema",
            kind(schema)
        ));
    }
    Ok(name)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "sequence",
        Value::Object(_) => "map",
    }
}
