//! Two tables: what the gateway uses of the protocol, and how the tested Codex describes that.
//!
//! `used.json` is written by hand. It has each method that the gateway calls, notification that it reads and request that it
//! answers, with each field that it sends or reads, and the field's shape. `tested.json` has the shapes of the same fields in
//! Codex 0.169.0; a test writes it when `AIRLOCK_BLESS` is set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::{Document, Method};

/// The shapes of fields in the form of the tables, by path.
pub(super) type FieldShapes = BTreeMap<String, String>;

const USED: &str = include_str!("used.json");
const TESTED: &str = include_str!("tested.json");

/// The table of what the gateway uses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Used {
    calls: BTreeMap<String, RequestUse>,
    notifications: BTreeMap<String, FieldShapes>,
    requests: BTreeMap<String, RequestUse>,
    /// Notifications that Codex sends without listing them: the schema has their fields, but not their names.
    unlisted: BTreeMap<String, Unlisted>,
    /// Notifications that the gateway sends.
    sent: Vec<String>,
    /// Notifications that the gateway switches off. A Codex that does not know one is compatible.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "a test compares it with what is sent to Codex")
    )]
    pub(super) unread: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestUse {
    /// The parameters. None: it has none.
    params: Option<FieldShapes>,
    /// The type of the result, which the schema does not connect with the method.
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

/// The table of how the tested Codex describes that.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tested {
    /// The version of the tested Codex.
    pub(super) codex: String,
    /// `params` or `result` of each method and notification.
    pub(super) methods: BTreeMap<String, BTreeMap<String, DescribedSide>>,
}

/// The description of one side of a method.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct DescribedSide {
    pub(super) fields: FieldShapes,
    /// The members that the gateway does not use, of the objects that it uses.
    #[serde(rename = "besides", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unused: Vec<String>,
}

/// The direction, as seen from the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Sent,
    Read,
}

/// A method or notification that the gateway uses.
#[derive(Debug)]
pub(super) struct MethodUse<'u> {
    pub(super) name: &'u str,
    /// The union that lists it. None: no union does.
    pub(super) union: Option<&'static str>,
    pub(super) sides: Vec<MessageSide<'u>>,
}

/// The parameters or the result of a method.
#[derive(Debug)]
pub(super) struct MessageSide<'u> {
    /// `params` or `result`.
    pub(super) name: &'static str,
    pub(super) direction: Direction,
    /// The name of its type. None: the method's parameters.
    pub(super) kind: Option<&'u str>,
    pub(super) fields: &'u FieldShapes,
}

impl Used {
    /// The table that is built into the gateway. None: it is malformed, which a test rules out.
    pub(super) fn load() -> Option<Self> {
        serde_json::from_str(USED).ok()
    }

    /// All methods and notifications, in the order of the table.
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
    /// The method in the schema; the inner None: the schema does not list it. The outer None: no union need list it.
    pub(super) fn method<'d>(&self, document: &'d Document) -> Option<Option<Method<'d>>> {
        self.union.map(|union| document.method(union, self.name))
    }
}

impl Tested {
    /// The table that is built into the gateway. None: it is malformed, which a test rules out.
    pub(super) fn load() -> Option<Self> {
        serde_json::from_str(TESTED).ok()
    }
}
