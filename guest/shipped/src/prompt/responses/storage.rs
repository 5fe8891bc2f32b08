//! How the response of a request is stored, once the request is checked.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::own_item::OwnItem;
use crate::RESPONSES_DIALECT;
use crate::bindings::airlock::policy::types::{
    Context, NewObject, ObjectLock, ObjectPlace, Problem, ProblemKind, Request, StoredItem,
};
use crate::notes::{ResponsesNotes, StoredNotes};
use crate::problem::coded;
use crate::prompt::request::ResponseStorage;
use crate::stored_response::{RESPONSE_FORMAT, response_id, seed};
use crate::translate::queued_response;

/// How the response of a request is stored, once everything is checked.
pub(super) struct ResolvedStorage<'de> {
    /// None if the response is not stored.
    pub(super) place: Option<ObjectPlace>,
    pub(super) background: bool,
    pub(super) previous: Option<Cow<'de, str>>,
    pub(super) conversation: Option<Cow<'de, str>>,
    /// Items that the response has because it cannot continue the object that they are of.
    pub(super) copied: &'de [StoredItem],
    /// Whether the object continues that of `previous`.
    pub(super) has_base: bool,
    /// Whether the object has no items but those of the output.
    pub(super) is_detached: bool,
    pub(super) request: Option<&'de Request>,
}

impl<'de> ResolvedStorage<'de> {
    /// Whether the response is in the store, as its `store` says.
    pub(super) fn is_stored(&self) -> bool {
        self.place == Some(ObjectPlace::Store)
    }

    pub(super) fn is_in_background(&self) -> bool {
        self.background
    }

    /// Stores the response without the items before it and those of the request, which its output replaces.
    pub(super) fn detach(&mut self) {
        self.has_base = false;
        self.copied = &[];
        self.is_detached = true;
    }

    /// The note for the reply. None if the response is not stored.
    pub(super) fn notes(&self) -> Option<StoredNotes> {
        self.place.map(|_| StoredNotes {
            background: self.background,
            conversation: self.conversation.clone().map(Cow::into_owned),
        })
    }

    /// The object of the response, for which the request has these items of its own.
    pub(super) fn into_storage(
        self,
        own: Vec<OwnItem<'de>>,
        model: &str,
        notes: &ResponsesNotes,
    ) -> ResponseStorage {
        let (Some(place), Some(request)) = (self.place, self.request) else {
            return ResponseStorage::default();
        };
        let seed = seed(&request.id, &request.seed);
        let background = self
            .background
            .then(|| queued_response(&context(request, model), notes));
        let own = if self.is_detached { Vec::new() } else { own };
        let chain = request.loaded.iter().flat_map(|loaded| &loaded.objects);
        let chain = chain.flat_map(|object| &object.items);
        let mut taken: BTreeSet<&str> = chain.map(|item| item.id.as_str()).collect();
        let ids: Vec<_> = own
            .iter()
            .map(OwnItem::identifier)
            .map(|id| id.map(Cow::into_owned))
            .collect();
        let keeps_id: Vec<bool> = ids
            .iter()
            .map(|id| id.as_deref().is_some_and(|id| taken.insert(id)))
            .collect();
        let own = own.into_iter().zip(&keeps_id).enumerate();
        let own = own.map(|(index, (item, keeps_id))| item.into_stored(seed, index, *keeps_id));
        let object = NewObject {
            key: response_id(seed),
            format: RESPONSE_FORMAT.to_owned(),
            base: self.previous.filter(|_| self.has_base).map(Cow::into_owned),
            // Without background, the object is created with the head of its end.
            head: background
                .as_deref()
                .map(crate::stored_response::head)
                .unwrap_or_default(),
            items: self.copied.iter().cloned().chain(own).collect(),
            place,
        };
        ResponseStorage {
            object: Some(object),
            background,
            lock: self.conversation.map(|conversation| ObjectLock {
                key: conversation.into_owned(),
                busy: Problem {
                    param: Some("conversation".to_owned()),
                    ..coded(
                        ProblemKind::InvalidRequest,
                        "conversation_locked",
                        "another response uses this conversation: send the request again once that has ended".to_owned(),
                    )
                },
            }),
        }
    }
}

/// The context of a response that is written before its turn begins, or without one.
pub(super) fn context(request: &Request, model: &str) -> Context {
    Context {
        id: request.id.clone(),
        arrived: request.arrived,
        dialect: RESPONSES_DIALECT.to_owned(),
        model: model.to_owned(),
        notes: String::new(),
        seed: request.seed.clone(),
    }
}
