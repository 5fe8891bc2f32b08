//! Conversations: stored items that responses continue, and the routes that create, read, change and delete them.

mod body;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;

use super::echo::push_metadata;
use super::listed_item::{ItemList, push_listed};
use super::new_items::NewItem;
use crate::bindings::airlock::policy::types::{
    ImmediateResponse, NewObject, ObjectChange, ObjectKeys, ObjectPlace, Problem, ProblemKind,
    StoredItem, StoredObject,
};
use crate::bindings::exports::airlock::policy::prompt::Action;
use crate::json;
use crate::problem::coded;
use crate::prompt::problems::{invalid, missing, quoted, unknown_route};
use crate::prompt::{Rendering, paging, respond};
use crate::stored_response::{ID_AT_MOST, seed};

use body::{ConversationBody, ConversationRequest};

/// The format of a stored conversation. Its head is the object that clients receive, its items are input items of the Responses
/// API as clients and responses wrote them.
pub(super) const FORMAT: &str = "airlock.conversations.1";

/// Renders a request to `/v1/conversations` or a route below it.
///
/// # Errors
///
/// `not-found` for a conversation or an item that does not exist, `unsupported` if the gateway stores nothing, and the others of
/// [`render_with`](crate::prompt::render_with).
pub(in crate::prompt) fn render(rendering: &Rendering<'_>) -> Result<Action, Problem> {
    let request = rendering.request;
    if !request.has_store {
        let message = "this gateway stores no conversations: send the whole conversation in `input` of POST /v1/responses, or \
            have its operator set `store.mode`";
        return Err(coded(
            ProblemKind::Unsupported,
            "store_disabled",
            message.to_owned(),
        ));
    }
    if request.route == "POST /v1/conversations" {
        return create(rendering);
    }
    let [id, rest @ ..] = request.path_parameters.as_slice() else {
        return Err(unknown_route(&request.dialect, &request.route));
    };
    if id.len() > ID_AT_MOST {
        return Err(no_conversation(id));
    }
    let Some(loaded) = &request.loaded else {
        return Ok(Action::Load(ObjectKeys {
            objects: vec![id.clone()],
            items: Vec::new(),
        }));
    };
    let mut objects = loaded.objects.iter();
    let found = objects.find(|object| object.key == *id && object.format == FORMAT);
    let conversation = found.ok_or_else(|| no_conversation(id))?;
    match (request.route.as_str(), rest) {
        ("GET /v1/conversations/{conversation_id}", []) => Ok(respond(conversation.head.clone())),
        ("POST /v1/conversations/{conversation_id}", []) => update(rendering, conversation),
        ("DELETE /v1/conversations/{conversation_id}", []) => Ok(delete(id)),
        ("GET /v1/conversations/{conversation_id}/items", []) => {
            paging::page(&request.query, &conversation.items, push_item).map(respond)
        }
        ("POST /v1/conversations/{conversation_id}/items", []) => add(rendering, conversation),
        ("GET /v1/conversations/{conversation_id}/items/{item_id}", [item]) => {
            let mut out = String::new();
            push_item(&mut out, item_of(conversation, item)?);
            Ok(respond(out))
        }
        ("DELETE /v1/conversations/{conversation_id}/items/{item_id}", [item]) => {
            item_of(conversation, item)?;
            let change = ObjectChange::RemoveItem((id.clone(), item.clone()));
            Ok(changed(conversation.head.clone(), change))
        }
        (route, _) => Err(unknown_route(&request.dialect, route)),
    }
}

/// `POST /v1/conversations`.
fn create(rendering: &Rendering<'_>) -> Result<Action, Problem> {
    let request = rendering.request;
    let seed = seed(&request.id, &request.seed);
    with_body(rendering, |body| {
        let key = ["conv_", seed].concat();
        let head = head(
            &key,
            request.arrived / 1000,
            &body.metadata.unwrap_or_default(),
        );
        let items = NewItem::stored(&body.items.unwrap_or_default(), BTreeSet::new(), seed);
        let object = NewObject {
            key,
            format: FORMAT.to_owned(),
            base: None,
            head: head.clone(),
            items,
            place: ObjectPlace::Store,
        };
        Ok(changed(head, ObjectChange::Put(object)))
    })
}

/// `POST /v1/conversations/{conversation_id}`: replaces the metadata.
fn update(rendering: &Rendering<'_>, conversation: &StoredObject) -> Result<Action, Problem> {
    let key = &conversation.key;
    with_body(rendering, |body| {
        if body.items.is_some() {
            let message = "add items with POST /v1/conversations/{conversation_id}/items";
            return Err(invalid("items", message));
        }
        let Some(metadata) = body.metadata else {
            return Err(missing(
                "metadata",
                "an object of strings, which may be empty",
            ));
        };
        let head = head(key, created_at(conversation), &metadata);
        let change = ObjectChange::ReplaceHead((key.clone(), head.clone()));
        Ok(changed(head, change))
    })
}

/// `DELETE /v1/conversations/{conversation_id}`.
fn delete(id: &str) -> Action {
    let mut out = String::from(r#"{"id":"#);
    json::push_text(&mut out, id);
    out.push_str(r#","object":"conversation.deleted","deleted":true}"#);
    changed(out, ObjectChange::Delete(id.to_owned()))
}

/// `POST /v1/conversations/{conversation_id}/items`.
fn add(rendering: &Rendering<'_>, conversation: &StoredObject) -> Result<Action, Problem> {
    let request = rendering.request;
    let seed = seed(&request.id, &request.seed);
    with_body(rendering, |body| {
        if body.metadata.is_some() {
            let message = "change it with POST /v1/conversations/{conversation_id}";
            return Err(invalid("metadata", message));
        }
        let items = body.items.unwrap_or_default();
        if items.is_empty() {
            return Err(missing("items", "an array of 1 to 20 items"));
        }
        let taken = conversation.items.iter().map(|item| item.id.as_str());
        let items = NewItem::stored(&items, taken.collect(), seed);
        let created: Vec<&StoredItem> = items.iter().collect();
        let list = paging::list(&created, false, push_item);
        let change = ObjectChange::Append((conversation.key.clone(), items));
        Ok(changed(list, change))
    })
}

/// Parses the body and passes it on. An empty one is an empty object.
fn with_body(
    rendering: &Rendering<'_>,
    then: impl FnOnce(ConversationBody<'_>) -> Result<Action, Problem>,
) -> Result<Action, Problem> {
    if rendering.request.body.trim().is_empty() {
        return then(ConversationBody::default());
    }
    rendering.with_body::<ConversationRequest, _>(|body, _| then(body))
}

/// The conversation for the client.
fn head(id: &str, created_at: u64, metadata: &[(Cow<'_, str>, Cow<'_, str>)]) -> String {
    let mut out = String::from(r#"{"id":"#);
    json::push_text(&mut out, id);
    out.push_str(r#","object":"conversation","created_at":"#);
    out.push_str(&created_at.to_string());
    out.push_str(r#","metadata":"#);
    push_metadata(&mut out, metadata);
    out.push('}');
    out
}

/// When a conversation was created, in seconds since 1970.
fn created_at(conversation: &StoredObject) -> u64 {
    #[derive(Deserialize)]
    struct Head {
        created_at: u64,
    }
    serde_json::from_str::<Head>(&conversation.head).map_or(0, |head| head.created_at)
}

fn push_item(out: &mut String, item: &StoredItem) {
    push_listed(out, item, ItemList::Conversation);
}

/// The newest item with this identifier.
fn item_of<'a>(conversation: &'a StoredObject, id: &str) -> Result<&'a StoredItem, Problem> {
    let mut items = conversation.items.iter().rev();
    items
        .find(|item| item.id == id)
        .ok_or_else(|| not_found("Item", id))
}

fn no_conversation(id: &str) -> Problem {
    not_found("Conversation", id)
}

/// In OpenAI's words. Unknown, deleted and expired ones, and those of other clients, are all the same.
fn not_found(what: &str, id: &str) -> Problem {
    Problem {
        kind: ProblemKind::NotFound,
        code: None,
        message: format!("{what} with id '{}' not found.", quoted(id)),
        param: None,
        retry_after_seconds: None,
    }
}

/// Makes the change and answers with this body.
fn changed(body: String, change: ObjectChange) -> Action {
    Action::Respond(ImmediateResponse {
        body,
        frames: Vec::new(),
        changes: vec![change],
    })
}
