//! Pages of a list of stored items: `limit`, `order` and `after` of the query, as OpenAI's API has them, and the list object.

use super::problems::{invalid, quoted};
use crate::bindings::airlock::policy::types::{Problem, StoredItem};
use crate::json;

/// The items of a page without `limit`, and the most.
const LIMIT: (usize, usize) = (20, 100);

/// The page that the query requests of these items, which are from the oldest to the newest: the text of a list object, in which
/// `write` appends each item as JSON.
///
/// # Errors
///
/// `invalid-request` with the name of the query's parameter as `param`.
pub(super) fn page<'a>(
    query: &[(String, String)],
    items: impl IntoIterator<Item = &'a StoredItem>,
    write: impl FnMut(&mut String, &StoredItem),
) -> Result<String, Problem> {
    let query = PageQuery::of(query)?;
    let mut items: Vec<&StoredItem> = items.into_iter().collect();
    if !query.ascending {
        items.reverse();
    }
    let start = match query.after {
        None => 0,
        Some(after) => start_after(&items, after)?,
    };
    let rest = items.get(start..).unwrap_or_default();
    let page = rest.get(..query.limit).unwrap_or(rest);

    Ok(list(page, page.len() < rest.len(), write))
}

/// A list object of these items, after which there may be more.
pub(super) fn list(
    items: &[&StoredItem],
    has_more: bool,
    mut write: impl FnMut(&mut String, &StoredItem),
) -> String {
    let mut out = String::from(r#"{"object":"list","data":["#);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(&mut out, item);
    }
    out.push_str(r#"],"first_id":"#);
    push_id(&mut out, items.first());
    out.push_str(r#","last_id":"#);
    push_id(&mut out, items.last());
    out.push_str(r#","has_more":"#);
    out.push_str(if has_more { "true}" } else { "false}" });
    out
}

/// The index behind the item with this id. Of several it is the last, so that no client turns pages for ever.
fn start_after(items: &[&StoredItem], after: &str) -> Result<usize, Problem> {
    match items.iter().rposition(|item| item.id == after) {
        Some(index) => Ok(index + 1),
        None => Err(invalid(
            "after",
            &format!(
                "this list has no item with the id `{}`: give the `last_id` of the page before",
                quoted(after)
            ),
        )),
    }
}

/// OpenAI's schema requires a string, and its clients end at an empty one.
fn push_id(out: &mut String, item: Option<&&StoredItem>) {
    json::push_text(out, item.map_or("", |item| item.id.as_str()));
}

/// What a query requests. Of a duplicate parameter the last one counts, and others are not read.
struct PageQuery<'q> {
    limit: usize,
    ascending: bool,
    after: Option<&'q str>,
}

impl<'q> PageQuery<'q> {
    fn of(query: &'q [(String, String)]) -> Result<Self, Problem> {
        let (default, most) = LIMIT;
        let mut page = Self {
            limit: default,
            ascending: false,
            after: None,
        };
        for (name, value) in query {
            match name.as_str() {
                "limit" => {
                    let limit = value.parse().ok();
                    let limit = limit.filter(|limit| (1..=most).contains(limit));
                    let expected = format!("an integer from 1 to {most}");
                    page.limit = limit.ok_or_else(|| wrong("limit", &expected, value))?;
                }
                "order" => {
                    page.ascending = match value.as_str() {
                        "asc" => true,
                        "desc" => false,
                        other => return Err(wrong("order", "`asc` or `desc`", other)),
                    }
                }
                "after" => page.after = Some(value).filter(|id| !id.is_empty()).map(String::as_str),
                "before" => {
                    let message = "not supported: give `after`, and the other `order`";
                    return Err(invalid("before", message));
                }
                _ => {}
            }
        }
        Ok(page)
    }
}

fn wrong(name: &str, expected: &str, found: &str) -> Problem {
    invalid(
        name,
        &format!("expected {expected}, found `{}`", quoted(found)),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

    use serde_json::{Value, json};

    use super::*;
    use crate::bindings::airlock::policy::types::ProblemKind;

    fn items(ids: &[&str]) -> Vec<StoredItem> {
        let item = |id: &&str| StoredItem {
            id: (*id).to_owned(),
            text: format!(r#"{{"id":"{id}"}}"#),
        };
        ids.iter().map(item).collect()
    }

    fn listed(query: &[(&str, &str)], items: &[StoredItem]) -> Result<Value, Problem> {
        let query: Vec<(String, String)> = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let text = page(&query, items, |out, item| out.push_str(&item.text))?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    fn ids(page: &Value) -> Vec<&str> {
        let data = page["data"].as_array().unwrap().iter();
        data.map(|item| item["id"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_page_begins_after_an_item_and_ends_at_the_limit() {
        let items = items(&["a", "b", "c"]);
        let whole = json!({"object": "list", "data": [{"id": "c"}, {"id": "b"}, {"id": "a"}],
            "first_id": "c", "last_id": "a", "has_more": false});
        assert_eq!(listed(&[("include[]", "x")], &items).unwrap(), whole);
        let pages = [
            (vec![("order", "asc")], vec!["a", "b", "c"], false),
            (vec![("order", "asc"), ("limit", "2")], vec!["a", "b"], true),
            (vec![("limit", "3")], vec!["c", "b", "a"], false),
            (vec![("after", "c"), ("limit", "1")], vec!["b"], true),
            (vec![("after", "b"), ("order", "asc")], vec!["c"], false),
            (vec![("after", "")], vec!["c", "b", "a"], false),
            (vec![("limit", "1"), ("limit", "2")], vec!["c", "b"], true),
        ];
        for (query, expected, has_more) in pages {
            let page = listed(&query, &items).unwrap();
            assert_eq!(ids(&page), expected, "{query:?}");
            assert_eq!(page["first_id"], expected[0], "{query:?}");
            assert_eq!(page["last_id"], expected[expected.len() - 1], "{query:?}");
            assert_eq!(page["has_more"], has_more, "{query:?}");
        }
    }

    #[test]
    fn an_empty_page_has_empty_ids() {
        let empty =
            json!({"object": "list", "data": [], "first_id": "", "last_id": "", "has_more": false});
        assert_eq!(listed(&[], &[]).unwrap(), empty);
        assert_eq!(listed(&[("after", "a")], &items(&["a"])).unwrap(), empty);
    }

    #[test]
    fn turning_pages_ends_although_an_id_occurs_twice() {
        let items = items(&["a", "b", "a"]);
        let query = [("order", "asc"), ("limit", "2")];
        let page = listed(&query, &items).unwrap();
        assert_eq!(ids(&page), ["a", "b"]);
        let page = listed(&[query[0], query[1], ("after", "b")], &items).unwrap();
        assert_eq!(ids(&page), ["a"]);
        assert_eq!(page["has_more"], false);
        let page = listed(&[query[0], query[1], ("after", "a")], &items).unwrap();
        assert_eq!(ids(&page), Vec::<&str>::new());
    }

    #[test]
    fn a_wrong_query_is_refused_by_its_name() {
        let items = items(&["a"]);
        for (name, value, message) in [
            ("limit", "0", "expected an integer from 1 to 100, found `0`"),
            (
                "limit",
                "101",
                "expected an integer from 1 to 100, found `101`",
            ),
            ("limit", "", "expected an integer from 1 to 100, found ``"),
            (
                "limit",
                "1.5",
                "expected an integer from 1 to 100, found `1.5`",
            ),
            ("order", "ASC", "expected `asc` or `desc`, found `ASC`"),
            (
                "after",
                "b",
                "this list has no item with the id `b`: give the `last_id` of the page before",
            ),
            (
                "before",
                "a",
                "not supported: give `after`, and the other `order`",
            ),
        ] {
            let problem = listed(&[(name, value)], &items).expect_err(value);
            assert_eq!(problem.kind, ProblemKind::InvalidRequest, "{name}");
            assert_eq!(problem.param.as_deref(), Some(name));
            assert_eq!(problem.message, format!("{name}: {message}"));
        }
    }
}
