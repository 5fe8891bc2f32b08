//! Requests about a stored response: to fetch, follow, delete or cancel it, and for its input.

use serde_json::Value;

use super::listed_item::{ItemList, push_listed};
use crate::bindings::airlock::policy::types::{
    ImmediateResponse, LogPosition, ObjectChange, ObjectKeys, ObjectStatus, Problem, ProblemKind,
    Request, StoredObject,
};
use crate::bindings::exports::airlock::policy::prompt::Action;
use crate::json;
use crate::problem::coded;
use crate::prompt::paging::page;
use crate::prompt::problems::{invalid, quoted};
use crate::prompt::respond;
use crate::stored_response::{ID_AT_MOST, RESPONSE_FORMAT, ResponseHead};

/// A stored response that was loaded.
struct StoredResponse<'r> {
    object: &'r StoredObject,
    head: ResponseHead<'r>,
}

/// `GET /v1/responses/{response_id}`: the Response object, or its stream.
pub(in crate::prompt) fn retrieve(request: &Request) -> Result<Action, Problem> {
    let streams = flag(request, "stream")?;
    let after = starting_after(request)?;
    with_response(request, |response| {
        if !streams {
            return Ok(respond(response.body()));
        }
        if !response.object.has_log {
            let message = "this response has no stream: only that of a response with `background: true` and `stream: true` can be sent again, until ten minutes after its end; leave `stream` out";
            return Err(Problem {
                kind: ProblemKind::NotFound,
                ..invalid("stream", message)
            });
        }
        Ok(Action::Follow(LogPosition {
            key: response.object.key.clone(),
            after,
        }))
    })
}

/// `DELETE /v1/responses/{response_id}`.
pub(in crate::prompt) fn delete(request: &Request) -> Result<Action, Problem> {
    with_response(request, |response| {
        let key = &response.object.key;
        let mut body = String::from(r#"{"id":"#);
        json::push_text(&mut body, key);
        body.push_str(r#","object":"response","deleted":true}"#);
        Ok(Action::Respond(ImmediateResponse {
            body,
            frames: Vec::new(),
            changes: vec![ObjectChange::Delete(key.clone())],
        }))
    })
}

/// `POST /v1/responses/{response_id}/cancel`. A response that has ended stays as it is.
pub(in crate::prompt) fn cancel(request: &Request) -> Result<Action, Problem> {
    with_response(request, |response| {
        if !response.head.background {
            return Err(coded(
                ProblemKind::InvalidRequest,
                "not_in_background",
                "Only a response that was requested with `background: true` can be cancelled; close the connection of any other.".to_owned(),
            ));
        }
        match response.object.status {
            ObjectStatus::Running => Ok(Action::Stop(response.object.key.clone())),
            ObjectStatus::Ended | ObjectStatus::Lost => Ok(respond(response.body())),
        }
    })
}

/// `GET /v1/responses/{response_id}/input_items`: the items that the model has read, those of earlier responses too.
pub(in crate::prompt) fn input_items(request: &Request) -> Result<Action, Problem> {
    with_response(request, |response| {
        let items = &response.object.items;
        let count = items.len().saturating_sub(response.head.output);
        let list = page(&request.query, items.iter().take(count), |out, item| {
            push_listed(out, item, ItemList::Input);
        })?;
        Ok(respond(list))
    })
}

/// Loads the response that the path names.
fn with_response(
    request: &Request,
    then: impl FnOnce(&StoredResponse<'_>) -> Result<Action, Problem>,
) -> Result<Action, Problem> {
    let id = request.path_parameters.first().map_or("", String::as_str);
    if !(1..=ID_AT_MOST).contains(&id.len()) {
        return Err(not_found(id));
    }
    let Some(loaded) = &request.loaded else {
        return Ok(Action::Load(ObjectKeys {
            objects: vec![id.to_owned()],
            items: Vec::new(),
        }));
    };
    let mut objects = loaded.objects.iter();
    let object = objects.find(|object| object.key == id && object.format == RESPONSE_FORMAT);
    let head = object.and_then(|object| ResponseHead::parse(&object.head));
    match object.zip(head) {
        Some((object, head)) => then(&StoredResponse { object, head }),
        None => Err(not_found(id)),
    }
}

fn not_found(id: &str) -> Problem {
    Problem {
        kind: ProblemKind::NotFound,
        code: None,
        message: format!("Response with id '{}' not found.", quoted(id)),
        param: None,
        retry_after_seconds: None,
    }
}

impl StoredResponse<'_> {
    /// The Response object. One whose gateway is gone has failed.
    fn body(&self) -> String {
        if self.object.status != ObjectStatus::Lost {
            return self.head.response.to_owned();
        }
        let mut response: Value = serde_json::from_str(self.head.response).unwrap_or_default();
        if let Value::Object(members) = &mut response {
            let error = serde_json::json!({
                "code": "server_error",
                "message": "the gateway ended while this response was running; send the request again",
            });
            members.insert("status".to_owned(), "failed".into());
            members.insert("error".to_owned(), error);
        }
        json::to_line(&response)
    }
}

/// The last value of this parameter of the query.
fn parameter<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    let mut query = request.query.iter().rev();
    let (_, value) = query.find(|(other, _)| other == name)?;
    Some(value)
}

fn flag(request: &Request, name: &str) -> Result<bool, Problem> {
    match parameter(request, name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(wrong(name, "`true` or `false`", other)),
    }
}

/// The sequence number after which the stream is to continue.
fn starting_after(request: &Request) -> Result<Option<u64>, Problem> {
    let name = "starting_after";
    let Some(number) = parameter(request, name) else {
        return Ok(None);
    };
    match number.parse() {
        Ok(after) => Ok(Some(after)),
        Err(_) => Err(wrong(name, "the `sequence_number` of an event", number)),
    }
}

fn wrong(name: &str, expected: &str, found: &str) -> Problem {
    let message = format!("expected {expected}, found `{}`", quoted(found));
    invalid(name, &message)
}
