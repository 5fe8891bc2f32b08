//! Tests of lifting attachments.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const BODY: &str = r#"{"model": "m", "messages": [{"role": "user", "content": [
    {"type": "text", "text": "data:image/png;base64,AAAA"},
    {"type": "image_url", "image_url": {"url": "data:image/PNG;base64,iVBORw0KGgo="}},
    {"type": "image_url", "image_url": "data:image\/jpeg;charset=x;base64,\/9j\/"}]}], "seed": 12345678901234567890123}"#;

/// More bytes than a path may have.
const PATH_TOO_LONG: usize = 300;

fn assert_unchanged(body: &str) {
    let (rest, attachments) = Attachments::lift(body.to_owned());
    assert_eq!(rest, body);
    assert!(attachments.descriptions().is_empty(), "{attachments:?}");
}

#[test]
fn data_urls_are_lifted_and_all_else_stays_as_it_was() {
    let (rest, attachments) = Attachments::lift(BODY.to_owned());
    let expected = BODY
        .replace(
            r#""data:image/PNG;base64,iVBORw0KGgo=""#,
            r#""attachment:0""#,
        )
        .replace(
            r#""data:image\/jpeg;charset=x;base64,\/9j\/""#,
            r#""attachment:1""#,
        );
    assert_eq!(rest, expected);
    let digests: Vec<String> = attachments
        .descriptions()
        .into_iter()
        .map(|one| one.digest)
        .collect();
    assert!(digests.iter().all(|digest| digest.len() == 64) && digests[0] != digests[1]);
    let descriptions = |media_type: &str, number: usize, size, path: &str| wit::Attachment {
        digest: digests[number].clone(),
        media_type: media_type.to_owned(),
        size,
        path: path.to_owned(),
    };
    assert_eq!(
        attachments.descriptions(),
        [
            descriptions("image/png", 0, 8, "messages[0].content[1].image_url.url"),
            descriptions("image/jpeg", 1, 3, "messages[0].content[2].image_url"),
        ]
    );
    assert_eq!(
        attachments.url(0),
        Some("data:image/PNG;base64,iVBORw0KGgo=")
    );
    assert_eq!(
        attachments.url(1),
        Some("data:image/jpeg;charset=x;base64,/9j/"),
        "escapes are decoded"
    );
    assert_eq!(
        attachments.path(1),
        Some("messages[0].content[2].image_url")
    );
    assert_eq!((attachments.url(2), attachments.path(2)), (None, None));
}

#[test]
fn a_body_that_is_not_json_is_unchanged() {
    for body in [
        r#"{"url": "data:image/png;base64,AAAA""#,
        r#"{"url": "data:image/png;base64,AAAA"}}"#,
        r#"{"url": "data:image/png;base64,AAAA"#,
        r#"{"url" "data:image/png;base64,AAAA"}"#,
        r#"{url: "data:image/png;base64,AAAA"}"#,
        r#"["data:", {"url": "data:image/png;base64,AAAA"} 1]"#,
        r#""data:\"#,
        "data:",
        "",
    ] {
        assert_unchanged(body);
    }
}

#[test]
fn only_base64_is_lifted() {
    for url in [
        "data:text/plain,hello",
        "data:image/png;base64",
        "data:image/png;base64,AAAAA",
        "data:image/png;base64,QQ",
        "data:image/png;base64,QUJD==",
        "data:image/png;base64,AA AA",
        "data:image/png;base64,====",
        "https://example.com/data:image/png;base64,AAAA",
    ] {
        assert_unchanged(&format!(
            r#"{{"messages": {{"image_url": "{url}", "note": "data:"}}}}"#
        ));
    }
    assert_unchanged(
        r#"{"messages": {"other": "data:image/png;base64,AAAA", "list": ["data:image/png;base64,AAAA"]}}"#,
    );
}

#[test]
fn data_urls_outside_the_conversation_stay() {
    assert_unchanged(r#"{"response_format": {"const": {"url": "data:text/plain;base64,AAAA"}}}"#);
    assert_unchanged(r#"{"metadata": {"image_url": "data:image/png;base64,AAAA"}}"#);
    assert_unchanged(r#"{"url": "data:image/png;base64,AAAA"}"#);
}

#[test]
fn a_path_has_decoded_names_and_is_unique() {
    let body = r#"{"mess\u0061ges": [{"content": [{"im\u0061ge_url": {"\u0075rl": "data:;base64,AAAA"}}]}]}"#;
    let (rest, attachments) = Attachments::lift(body.to_owned());
    assert_eq!(
        rest,
        r#"{"mess\u0061ges": [{"content": [{"im\u0061ge_url": {"\u0075rl": "attachment:0"}}]}]}"#
    );
    assert_eq!(
        attachments.path(0),
        Some("messages[0].content[0].image_url.url")
    );
    // A name that looks like a path, and half a surrogate pair in a name of the path.
    assert_unchanged(r#"{"messages": [{"content[0].image_url": {"url": "data:;base64,AAAA"}}]}"#);
    assert_unchanged(r#"{"messages": {"[0].a": {"url": "data:;base64,AAAA"}}}"#);
    let body = r#"{"messages": [{"a\ud83d": {"url": "data:;base64,AAAA"}}]}"#;
    let (_, attachments) = Attachments::lift(body.to_owned());
    assert_eq!(attachments.path(0), Some(r"messages[0].a\ud83d.url"));
}

#[test]
fn long_keys_and_many_urls_cost_no_more_than_the_body() {
    let key = "k".repeat(PATH_TOO_LONG);
    assert_unchanged(&format!(
        r#"{{"messages": {{"{key}": [{{"url": "data:;base64,"}}]}}}}"#
    ));
    let many = r#"{"url": "data:;base64,AAAA"},"#.repeat(1_000);
    let body = format!(r#"{{"messages": [{many} 1]}}"#);
    let (rest, attachments) = Attachments::lift(body);
    assert_eq!(attachments.descriptions().len(), 256);
    assert_eq!(rest.matches("data:").count(), 1_000 - 256);
}

#[test]
fn the_type_of_an_image_follows_from_its_bytes() {
    for (payload, media_type) in [
        ("iVBORw0KGgo=", "image/png"),
        ("/9j/4AAQSkZJRg==", "image/jpeg"),
        ("R0lGODlhAQABAAAAACw=", "image/gif"),
        ("UklGRiQAAABXRUJQVlA4", "image/webp"),
        ("AAAA", "application/octet-stream"),
        ("PHN2Zz48L3N2Zz4=", "application/octet-stream"),
        ("", "application/octet-stream"),
    ] {
        let body = format!(r#"{{"messages":[{{"url":"data:image/png;base64,{payload}"}}]}}"#);
        let (_, attachments) = Attachments::lift(body);
        assert_eq!(
            attachments.descriptions()[0].media_type,
            media_type,
            "{payload}"
        );
    }
}

#[test]
fn sizes_are_of_the_decoded_bytes() {
    for (payload, size) in [
        ("", 0),
        ("QQ==", 1),
        ("QUI=", 2),
        ("QUJD", 3),
        ("QUJDRA==", 4),
    ] {
        let (_, attachments) = Attachments::lift(format!(
            r#"{{"input":{{"file_data":"data:;base64,{payload}"}}}}"#
        ));
        let descriptions = attachments.descriptions();
        assert_eq!(descriptions.len(), 1, "{payload}");
        assert_eq!(
            (descriptions[0].size, descriptions[0].media_type.as_str()),
            (size, "text/plain"),
            "{payload}"
        );
    }
}

#[test]
fn nesting_is_followed_up_to_the_maximum_depth() {
    let nested = |depth: usize| {
        format!(
            r#"{{"messages":{}{{"url":"data:a/b;base64,AAAA"}}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert_eq!(Attachments::lift(nested(50)).1.descriptions().len(), 1);
    assert_unchanged(&nested(128));
    assert_unchanged(&nested(100_000));
}

#[test]
fn escaped_quotes_do_not_end_a_string() {
    let body =
        r#"{"input": {"a": "\\", "b": "\"{", "image_url": "data:a/b;base64,AAAA", "ümläut": "ß"}}"#;
    let (rest, attachments) = Attachments::lift(body.to_owned());
    assert_eq!(
        rest,
        r#"{"input": {"a": "\\", "b": "\"{", "image_url": "attachment:0", "ümläut": "ß"}}"#
    );
    assert_eq!(attachments.path(0), Some("input.image_url"));
}

#[test]
fn the_debug_output_has_no_bytes() {
    let (_, attachments) = Attachments::lift(BODY.to_owned());
    assert_eq!(
        format!("{attachments:?}"),
        r#"[("image/png", 8), ("image/jpeg", 3)]"#
    );
}

#[test]
fn an_image_in_a_source_is_lifted_as_a_data_url() {
    let source = |data: &str, key: &str| {
        format!(
            r#"{{"messages":[{{"content":[{{"type":"image","{key}":{{"type":"base64","media_type":"image/jpeg","data":"{data}"}}}}]}}]}}"#
        )
    };
    let png = "iVBORw0KGgoAAAANSUhEUg==";
    let (rest, attachments) = Attachments::lift(source(png, "source"));
    assert_eq!(rest, source("attachment:0", "source"));
    let url = format!("data:image/png;base64,{png}");
    assert_eq!(attachments.url(0), Some(url.as_str()));
    let path = "messages[0].content[0].source.data";
    assert_eq!(attachments.path(0), Some(path));
    assert_unchanged(&source(png, "elsewhere"));
    assert_unchanged(&source("SGVsbG8=", "source"));
    assert_unchanged(&source("iVBORw0KGgo*", "source"));
}

#[test]
fn the_input_of_a_call_is_the_clients_own_data() {
    let url = "data:image/png;base64,iVBORw0KGgo=";
    let image = r#"{"source":{"type":"base64","data":"iVBORw0KGgo="}}"#;
    for input in [format!(r#"{{"url":"{url}"}}"#), image.to_owned()] {
        let call = format!(r#"{{"type":"tool_use","input":{input}}}"#);
        assert_unchanged(&format!(r#"{{"messages":[{{"content":[{call}]}}]}}"#));
    }
}

#[test]
fn the_coding_may_be_written_in_capitals() {
    let url = "data:image/png;BASE64,iVBORw0KGgo=";
    let body = format!(r#"{{"input":[{{"content":[{{"image_url":"{url}"}}]}}]}}"#);
    assert_eq!(Attachments::lift(body).1.url(0), Some(url));
}

#[test]
fn an_item_that_is_stored_has_its_image_again_and_lends_it_to_the_next_request() {
    let url = "data:image/png;base64,iVBORw0KGgoAAAAA";
    let item = |url: &str| {
        format!(
            r#"{{"role":"user","content":[{{"type":"input_text","text":"attachment:0"}}, {{"type":"input_image","image_url":"{url}"}}]}}"#
        )
    };
    let body = format!(r#"{{"input":[{}]}}"#, item(url));
    let (lifted, mut attachments) = Attachments::lift(body.clone());
    assert_eq!(lifted, format!(r#"{{"input":[{}]}}"#, item("attachment:0")));
    assert_eq!(
        attachments.restore(item("attachment:0")).unwrap(),
        item(url)
    );
    // Not of this request.
    assert_eq!(
        attachments.restore(item("attachment:1")).unwrap(),
        item("attachment:1")
    );
    assert_eq!(
        attachments
            .restore("no JSON attachment:0".to_owned())
            .unwrap(),
        "no JSON attachment:0"
    );

    let next = attachments.lift_item(item(url), "loaded.objects[0].items[3]");
    assert_eq!(next, item("attachment:1"));
    assert_eq!(attachments.url(1), Some(url));
    assert_eq!(
        attachments.path(1),
        Some("loaded.objects[0].items[3].content[1].image_url")
    );
    let plain = r#"{"role":"user","content":"data:text"}"#.to_owned();
    assert_eq!(
        attachments.lift_item(plain.clone(), "loaded.items[0]"),
        plain
    );
    for _ in 0..300 {
        attachments.lift_item(item(url), "loaded.items[0]");
    }
    assert_eq!(attachments.descriptions().len(), 256);
}

#[test]
fn references_without_end_are_refused() {
    let url = "data:image/png;base64,iVBORw0KGgoAAAAA";
    let (_, mut attachments) = Attachments::lift(format!(
        r#"{{"input":[{{"content":[{{"image_url":"{url}"}}]}}]}}"#
    ));
    let references = [r#"{"image_url":"attachment:0"}"#; 5].join(",");
    let refused = attachments.restore(format!("[{references}]")).unwrap_err();
    assert_eq!(
        refused.problem.code.as_deref(),
        Some("too_many_attachments")
    );
}
