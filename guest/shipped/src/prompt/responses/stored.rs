//! What a request has of stored responses: what it continues, and the items to which it refers.

use std::borrow::Cow;

use super::conversations::FORMAT as CONVERSATION_FORMAT;
use super::input::InputItems;
use super::own_item::OwnItem;
use super::storage::ResolvedStorage;
use crate::bindings::airlock::policy::types::{
    Loaded, ObjectKeys, ObjectPlace, ObjectStatus, Problem, ProblemKind, Request, StoredItem,
    StoredObject, Transport,
};
use crate::problem::coded;
use crate::prompt::problems::{invalid, problem, quoted};
use crate::stored_response::{ID_AT_MOST, RESPONSE_FORMAT, ResponseHead, seed};

/// The most items to which a request may refer.
const REFERENCES_AT_MOST: usize = 1_000;

/// The code of a response that cannot be continued as there is nothing to read. Clients then send the whole conversation.
const PREVIOUS_NOT_FOUND: &str = "previous_response_not_found";

/// The members of the body that concern stored responses, and what was loaded for them.
#[derive(Default)]
pub(super) struct StoredOptions<'de> {
    /// The request. None only in a body that was not begun.
    request: Option<&'de Request>,
    pub(super) store: Option<bool>,
    pub(super) background: bool,
    pub(super) previous: Option<Cow<'de, str>>,
    pub(super) conversation: Option<Cow<'de, str>>,
}

impl<'de> StoredOptions<'de> {
    pub(super) fn of(request: &'de Request) -> Self {
        Self {
            request: Some(request),
            ..Self::default()
        }
    }

    fn loaded(&self) -> Option<&'de Loaded> {
        self.request?.loaded.as_ref()
    }

    /// The stored object that the request continues.
    fn object(&self) -> Option<&'de StoredObject> {
        let object = self.loaded()?.objects.first()?;
        let format = object.format.as_str();
        [RESPONSE_FORMAT, CONVERSATION_FORMAT]
            .contains(&format)
            .then_some(object)
    }

    /// The items of the request itself as they are stored.
    pub(super) fn own_items(&self, own: Vec<OwnItem<'de>>) -> Vec<StoredItem> {
        let seed = self
            .request
            .map_or("", |request| seed(&request.id, &request.seed));
        let own = own.into_iter().enumerate();
        own.map(|(index, item)| item.into_stored(seed, index, true))
            .collect()
    }

    /// The stored items that the request continues.
    pub(super) fn chain(&self) -> &'de [StoredItem] {
        self.object().map_or(&[], |object| &object.items)
    }

    /// The member that names what the request continues.
    pub(super) fn chain_param(&self) -> &'static str {
        match self.object() {
            Some(object) if object.format == CONVERSATION_FORMAT => "conversation",
            _ => "previous_response_id",
        }
    }

    /// A stored item to which the request refers, and its index among those that were loaded.
    pub(super) fn item(&self, id: &str) -> Option<(usize, &'de StoredItem)> {
        let items = self.loaded()?.items.iter().enumerate();
        items.into_iter().find(|(_, item)| item.id == id)
    }

    /// What must be loaded. None once it is loaded.
    pub(super) fn to_load(
        &self,
        references: &[(usize, Cow<'de, str>)],
    ) -> Result<Option<ObjectKeys>, Problem> {
        if self.previous.is_some() && self.conversation.is_some() {
            let message = "only allowed without `conversation`: a response continues either";
            return Err(invalid("previous_response_id", message));
        }
        if self.loaded().is_some() {
            return Ok(None);
        }
        let is_known = |id: &str| (1..=ID_AT_MOST).contains(&id.len());
        match (&self.previous, &self.conversation) {
            (Some(id), _) if !is_known(id) => return Err(self.previous_not_found(id)),
            (_, Some(id)) if !is_known(id) => return Err(self.conversation_not_found(id)),
            _ => {}
        }
        let mut items: Vec<String> = Vec::new();
        for (index, id) in references {
            if !is_known(id) {
                return Err(item_not_found(*index, id));
            }
            items.push(id.clone().into_owned());
        }
        if items.len() > REFERENCES_AT_MOST {
            let message = format!("at most {REFERENCES_AT_MOST} references to stored items");
            return Err(invalid("input", &message));
        }
        items.sort_unstable();
        let twice = items.windows(2).find(|pair| pair[0] == pair[1]);
        if let Some(id) = twice.and_then(|pair| pair.first()) {
            let message = format!(
                "two references to the item '{}': refer to it once",
                quoted(id)
            );
            return Err(invalid("input", &message));
        }
        let named = self.previous.iter().chain(&self.conversation);
        let objects: Vec<String> = named.map(|id| id.clone().into_owned()).collect();
        if objects.is_empty() && items.is_empty() {
            return Ok(None);
        }
        Ok(Some(ObjectKeys { objects, items }))
    }

    /// The place of what the request continues, which must have been found and have ended.
    fn base_place(&self) -> Result<Option<ObjectPlace>, Problem> {
        if let Some(id) = &self.conversation {
            let object = self.object().filter(|object| object.key == **id);
            return match object {
                Some(object) if object.format == CONVERSATION_FORMAT => {
                    Ok(Some(ObjectPlace::Store))
                }
                _ => Err(self.conversation_not_found(id)),
            };
        }
        let Some(id) = &self.previous else {
            return Ok(None);
        };
        let object = self.object().filter(|object| object.key == **id);
        let object = object.filter(|object| object.format == RESPONSE_FORMAT);
        let head = object.and_then(|object| ResponseHead::parse(&object.head));
        let Some((object, head)) = object.zip(head) else {
            return Err(self.previous_not_found(id));
        };
        let message = match (object.status, head.status.as_str()) {
            (ObjectStatus::Running, _) => {
                "this response is still running: wait until it has ended, or cancel it"
            }
            (ObjectStatus::Lost, _) | (_, "failed") => {
                "this response has failed, so that there is no answer to continue: continue the one before it"
            }
            (_, "cancelled") => {
                "this response was cancelled, so that there is no answer to continue: continue the one before it"
            }
            _ if head.conversation.is_some() => {
                "this response belongs to a conversation: continue that with `conversation`"
            }
            _ if head.store => return Ok(Some(ObjectPlace::Store)),
            _ => return Ok(Some(ObjectPlace::Connection)),
        };
        Err(invalid("previous_response_id", message))
    }

    fn has_store(&self) -> bool {
        self.request.is_some_and(|request| request.has_store)
    }

    fn previous_not_found(&self, id: &str) -> Problem {
        Problem {
            param: Some("previous_response_id".to_owned()),
            ..coded(
                ProblemKind::InvalidRequest,
                PREVIOUS_NOT_FOUND,
                self.not_found_message("Previous response", id),
            )
        }
    }

    fn conversation_not_found(&self, id: &str) -> Problem {
        not_found("conversation", self.not_found_message("Conversation", id))
    }

    /// OpenAI's message, with the way out where nothing is ever found.
    fn not_found_message(&self, what: &str, id: &str) -> String {
        let hint = if self.has_store() {
            ""
        } else {
            " This gateway has no store: send the whole conversation in `input`."
        };
        format!("{what} with id '{}' not found.{hint}", quoted(id))
    }

    /// Where the response is to be stored.
    fn place(&self) -> Result<Option<ObjectPlace>, Problem> {
        let has_store = self.has_store();
        let transport = self.request.map(|request| request.transport);
        let on_websocket = transport == Some(Transport::Websocket);
        let stores = self.store.unwrap_or(true);
        if self.background {
            if on_websocket {
                let message = "not possible on a WebSocket, whose messages are the response: send the request over HTTP";
                return Err(invalid("background", message));
            }
            if !stores {
                let message = "needs `store: true`, as the response is fetched from the store";
                return Err(invalid("background", message));
            }
            if !has_store {
                let message = "this gateway stores no responses, so that none can be fetched later; leave it out and use `stream: true`";
                let param = "background".to_owned();
                return Err(problem(ProblemKind::Unsupported, param, message));
            }
        }
        if self.conversation.is_some() && !stores {
            let message = "must not be false together with `conversation`, which receives the items of stored responses";
            return Err(invalid("store", message));
        }
        Ok(if stores && has_store {
            Some(ObjectPlace::Store)
        } else if on_websocket {
            Some(ObjectPlace::Connection)
        } else {
            None
        })
    }

    /// Checks what the request continues.
    pub(super) fn check(&self, input: &InputItems<'de>) -> Result<(), Problem> {
        self.base_place()?;
        match input.references.first() {
            Some((index, id)) => Err(item_not_found(*index, id)),
            None => input.check(),
        }
    }

    /// Checks that the request, which `compacts` its input or `generates` a response, does nothing that its conversation
    /// cannot record.
    pub(super) fn check_conversation(
        &self,
        compacts: bool,
        generates: bool,
    ) -> Result<(), Problem> {
        if self.conversation.is_none() {
            return Ok(());
        }
        let message = if compacts {
            "only allowed without a `compaction_trigger`: a conversation keeps its items; compact its items with POST /v1/responses/compact, and begin another"
        } else if !generates {
            "only allowed without `generate: false`: add items with POST /v1/conversations/{conversation_id}/items"
        } else {
            return Ok(());
        };
        Err(invalid("conversation", message))
    }

    /// How the response is stored.
    pub(super) fn resolve(&self) -> Result<ResolvedStorage<'de>, Problem> {
        let base = self.base_place()?;
        let place = self.place()?;
        // An object in the store outlives the connection, and so must not continue one that does not.
        let copies = base == Some(ObjectPlace::Connection) && place == Some(ObjectPlace::Store);
        Ok(ResolvedStorage {
            place,
            background: self.background,
            previous: self.previous.clone(),
            conversation: self.conversation.clone(),
            copied: if copies { self.chain() } else { &[] },
            has_base: self.previous.is_some() && !copies,
            is_detached: false,
            request: self.request,
        })
    }
}

/// The problem of a stored item that cannot be sent to the model again, with the member of the request that names it.
/// `found` is what the parser found wrong. Codex (0.169.0) sends the whole conversation upon the code.
pub(super) fn unreadable(param: &str, item: &StoredItem, found: Option<&Problem>) -> Problem {
    let code = (param == "previous_response_id").then(|| PREVIOUS_NOT_FOUND.to_owned());
    Problem {
        code,
        ..unreadable_item(param, item, found)
    }
}

fn unreadable_item(param: &str, item: &StoredItem, found: Option<&Problem>) -> Problem {
    let is_image = found.is_some_and(|found| {
        let param = found.param.as_deref().unwrap_or_default();
        param.ends_with(".image_url")
    });
    if is_image {
        let message = "the stored items have an image that cannot be read: send the whole conversation in `input`";
        return invalid(param, message);
    }
    let message = format!(
        "the stored item `{}` cannot be read: send the whole conversation in `input`",
        quoted(&item.id)
    );
    invalid(param, &message)
}

fn item_not_found(index: usize, id: &str) -> Problem {
    let message = format!(
        "Item with id '{}' not found. Items are stored with `store: true` alone, and for a limited time: send the item itself.",
        quoted(id)
    );
    not_found(&format!("input[{index}].id"), message)
}

fn not_found(param: &str, message: String) -> Problem {
    Problem {
        kind: ProblemKind::NotFound,
        code: None,
        message,
        param: Some(param.to_owned()),
        retry_after_seconds: None,
    }
}
