//! What we use of the protocol, and what it looks like in the Codex that the tests run against: two tables.
//!
//! `used.json` is written by hand: each method that we call, notification that we read and request that we answer,
//! with each field that we send or read and what we take it for. `tested.json` is what Codex 0.169.0 says of the same
//! fields; a test writes it anew when `AIRLOCK_BLESS` is set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::{Document, Method};

/// FieldShapes by their paths.
pub(super) type FieldShapes = BTreeMap<String, String>;

const USED: &str = include_str!("used.json");
const TESTED: &str = include_str!("tested.json");

/// What we use.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Used {
    calls: BTreeMap<String, RequestUse>,
    notifications: BTreeMap<String, FieldShapes>,
    requests: BTreeMap<String, RequestUse>,
    /// What Codex sends without listing it: their fields are in the schema, their names are not.
    unlisted: BTreeMap<String, Unlisted>,
    /// What we tell without being answered.
    sent: Vec<String>,
    /// What we ask Codex not to send. Nothing is lost where it knows none of that name.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "a test holds it against what we tell Codex")
    )]
    pub(super) unread: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestUse {
    /// None: it goes without.
    params: Option<FieldShapes>,
    /// The type of what is answered: no schema ties it to the method.
    answer: String,
    #[serde(default)]
    result: FieldShapes,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unlisted {
    #[serde(rename = "type")]
    kind: String,
    params: FieldShapes,
}

/// What the tested Codex says.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tested {
    /// Its version.
    pub(super) codex: String,
    /// `params` or `result` of each method and notification.
    pub(super) methods: BTreeMap<String, BTreeMap<String, DescribedSide>>,
}

/// What it says of one object.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct DescribedSide {
    pub(super) fields: FieldShapes,
    /// Members that we do not use, of the objects that we do.
    #[serde(rename = "besides", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unused: Vec<String>,
}

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Sent,
    Read,
}

/// A method or notification that we use.
#[derive(Debug)]
pub(super) struct MethodUse<'u> {
    pub(super) name: &'u str,
    /// The union that lists it. None: none does.
    pub(super) union: Option<&'static str>,
    pub(super) sides: Vec<MessageSide<'u>>,
}

/// What goes one way.
#[derive(Debug)]
pub(super) struct MessageSide<'u> {
    /// `params` or `result`
    pub(super) name: &'static str,
    pub(super) direction: Direction,
    /// Its type's name. None: the method's parameters.
    pub(super) kind: Option<&'u str>,
    pub(super) fields: &'u FieldShapes,
}

impl Used {
    /// The table that the gateway was built with. None: it is broken, which a test rules out.
    pub(super) fn load() -> Option<Self> {
        serde_json::from_str(USED).ok()
    }

    /// All of it, in the order of the table.
    pub(super) fn uses(&self) -> Vec<MethodUse<'_>> {
        let calls = self.calls.iter().map(|(name, exchange)| {
            exchange.used(name, "ClientRequest", Direction::Sent, Direction::Read)
        });
        let requests = self.requests.iter().map(|(name, exchange)| {
            exchange.used(name, "ServerRequest", Direction::Read, Direction::Sent)
        });
        let notifications = self.notifications.iter().map(|(name, fields)| MethodUse {
            name,
            union: Some("ServerNotification"),
            sides: vec![MessageSide {
                name: "params",
                direction: Direction::Read,
                kind: None,
                fields,
            }],
        });
        let unlisted = self.unlisted.iter().map(|(name, unlisted)| MethodUse {
            name,
            union: None,
            sides: vec![MessageSide {
                name: "params",
                direction: Direction::Read,
                kind: Some(&unlisted.kind),
                fields: &unlisted.params,
            }],
        });
        let sent = self.sent.iter().map(|name| MethodUse {
            name,
            union: Some("ClientNotification"),
            sides: Vec::new(),
        });
        calls
            .chain(sent)
            .chain(notifications)
            .chain(requests)
            .chain(unlisted)
            .collect()
    }
}

impl RequestUse {
    fn used<'u>(
        &'u self,
        name: &'u str,
        union: &'static str,
        params: Direction,
        result: Direction,
    ) -> MethodUse<'u> {
        let params = self.params.as_ref().map(|fields| MessageSide {
            name: "params",
            direction: params,
            kind: None,
            fields,
        });
        let result = MessageSide {
            name: "result",
            direction: result,
            kind: Some(&self.answer),
            fields: &self.result,
        };
        MethodUse {
            name,
            union: Some(union),
            sides: params.into_iter().chain([result]).collect(),
        }
    }
}

impl MethodUse<'_> {
    /// What the schema says of the method. The outer `None`: no union lists it, and none has to.
    pub(super) fn method<'d>(&self, document: &'d Document) -> Option<Option<Method<'d>>> {
        self.union.map(|union| document.method(union, self.name))
    }
}

impl Tested {
    /// The table that the gateway was built with. None: it is broken, which a test rules out.
    pub(super) fn load() -> Option<Self> {
        serde_json::from_str(TESTED).ok()
    }
}
