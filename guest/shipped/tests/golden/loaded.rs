//! What the host has loaded for a request, in a short form.

use airlock_shipped_policy::bindings::airlock::policy::types::{
    Loaded, ObjectStatus, StoredItem, StoredObject,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadedSpec {
    #[serde(default)]
    objects: Vec<ObjectSpec>,
    /// Each an identifier and the item.
    #[serde(default)]
    items: Vec<(String, Value)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectSpec {
    key: String,
    #[serde(default = "response_format")]
    format: String,
    #[serde(default)]
    head: Value,
    #[serde(default)]
    status: StatusSpec,
    #[serde(default)]
    has_log: bool,
    #[serde(default)]
    items: Vec<(String, Value)>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StatusSpec {
    Running,
    #[default]
    Ended,
    Lost,
}

fn response_format() -> String {
    "airlock.responses.1".to_owned()
}

impl LoadedSpec {
    pub(super) fn into_loaded(self) -> Loaded {
        let object = |object: ObjectSpec| StoredObject {
            key: object.key,
            format: object.format,
            head: object.head.to_string(),
            status: match object.status {
                StatusSpec::Running => ObjectStatus::Running,
                StatusSpec::Ended => ObjectStatus::Ended,
                StatusSpec::Lost => ObjectStatus::Lost,
            },
            has_log: object.has_log,
            items: items(object.items),
        };
        Loaded {
            objects: self.objects.into_iter().map(object).collect(),
            items: items(self.items),
        }
    }
}

fn items(items: Vec<(String, Value)>) -> Vec<StoredItem> {
    let item = |(id, item): (String, Value)| StoredItem {
        id,
        text: item.to_string(),
    };
    items.into_iter().map(item).collect()
}
