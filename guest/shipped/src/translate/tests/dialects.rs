//! What holds in every dialect: neither batches nor patterns change what the client receives.

mod stop_sequences;

use super::*;
use crate::bindings::airlock::policy::types::Notification;
use crate::notes::{DialectNotes, MessagesNotes, ResponsesNotes, ThinkingDisplay, WebSocketNotes};

fn dialects() -> [DialectNotes; 3] {
    [
        DialectNotes::Chat,
        DialectNotes::Messages(MessagesNotes {
            input_tokens: 1,
            thinking: ThinkingDisplay::Summarized,
        }),
        DialectNotes::Responses(ResponsesNotes::default()),
    ]
}

/// A response that goes over a WebSocket.
fn websocket() -> DialectNotes {
    DialectNotes::Responses(ResponsesNotes {
        websocket: Some(WebSocketNotes {
            stream_id: Some("s-1".to_owned()),
        }),
        ..ResponsesNotes::default()
    })
}

fn notes(dialect: DialectNotes, streaming: bool) -> PlanNotes {
    PlanNotes {
        streaming,
        reasoning: true,
        dialect,
        ..PlanNotes::default()
    }
}

/// The frame's data as the host writes it.
fn data(frame: &Frame) -> Value {
    let mut data = frame.data.clone();
    if let Some(offset) = frame.number {
        data.insert(usize::try_from(offset).unwrap(), '7');
    }
    serde_json::from_str(&data).unwrap_or_default()
}

/// The text and the reasoning of a stream, by message and part, and why it ended.
fn received(frames: &[Frame]) -> (String, String, Value) {
    let (mut text, mut reasoning, mut end) = (String::new(), String::new(), Value::Null);
    for frame in frames {
        let data = data(frame);
        let delta = &data["delta"];
        let choice = &data["choices"][0];
        let piece = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match data["type"].as_str().unwrap_or_default() {
            "response.content_part.added" | "content_block_start" if !text.is_empty() => {
                text.push('|');
            }
            "response.output_text.delta" => text.push_str(&piece(delta)),
            "response.reasoning_summary_text.delta" => reasoning.push_str(&piece(delta)),
            "content_block_delta" => {
                text.push_str(&piece(&delta["text"]));
                reasoning.push_str(&piece(&delta["thinking"]));
            }
            "response.completed" => end = data["response"]["status"].clone(),
            "message_delta" => end = delta["stop_reason"].clone(),
            _ => {
                text.push_str(&piece(&choice["delta"]["content"]));
                reasoning.push_str(&piece(&choice["delta"]["reasoning_content"]));
                if choice["finish_reason"].is_string() {
                    end = choice["finish_reason"].clone();
                }
            }
        }
    }
    (text, reasoning, end)
}

/// The texts of a whole body, as `received` gives those of a stream.
fn whole_text(body: &Value) -> String {
    if let Some(content) = body["choices"][0]["message"]["content"].as_str() {
        return content.to_owned();
    }
    let items = body["content"].as_array().or(body["output"].as_array());
    let texts = items.into_iter().flatten().filter_map(|item| {
        let text = item["text"].as_str();
        text.or_else(|| item["content"][0]["text"].as_str())
    });
    texts.collect::<Vec<&str>>().join("|")
}

fn streamed(notes: &PlanNotes, batches: Vec<Vec<Event>>) -> Vec<Frame> {
    let mut reply = reply(notes);
    let mut frames = Vec::new();
    for batch in batches {
        let output = reply.feed(batch);
        frames.extend(output.frames);
        if output.complete {
            break;
        }
    }
    frames.extend(reply.finish(Ending::Completed).frames);
    frames
}

#[test]
fn batching_does_not_change_what_is_received() {
    let events = vec![
        reasoning(0, false, "one"),
        reasoning(0, false, " two"),
        text(0, Some(Phase::Commentary), "I \"look\"\n"),
        text(1, Some(Phase::FinalAnswer), ""),
        text(1, Some(Phase::FinalAnswer), "{\"a\""),
        text(1, Some(Phase::FinalAnswer), ": 1}"),
    ];
    let texts = [
        "I \"look\"\n\n\n{\"a\": 1}",
        "I \"look\"\n|{\"a\": 1}",
        "I \"look\"\n|{\"a\": 1}",
    ];
    for ((dialect, expected), end) in
        dialects()
            .into_iter()
            .zip(texts)
            .zip(["stop", "end_turn", "completed"])
    {
        for cuts in 0..1 << events.len() {
            let frames = streamed(&notes(dialect.clone(), true), batches(events.clone(), cuts));
            let (text, reasoning, reason) = received(&frames);
            assert_eq!(text, expected, "{cuts:b}");
            assert_eq!(reasoning, "one two");
            assert_eq!(reason, end);
        }
        let mut reply = reply(&notes(dialect, false));
        reply.feed(events.clone());
        let body: Value =
            serde_json::from_str(&reply.finish(Ending::Completed).body.unwrap()).unwrap();
        assert_eq!(whole_text(&body), expected);
    }
}

#[test]
fn a_pattern_writes_the_frames_that_feed_would_in_every_dialect() {
    let pieces = ["more", "\"\\/\n\u{0}\u{2028}", "🦀"];
    let fields: [fn(&str) -> Event; 2] = [
        |piece| text(3, Some(Phase::FinalAnswer), piece),
        |piece| reasoning(2, false, piece),
    ];
    for dialect in dialects().into_iter().chain([websocket()]) {
        let notes = notes(dialect, true);
        for field in fields {
            let (mut fed, mut relayed) = (reply(&notes), reply(&notes));
            for reply in [&mut fed, &mut relayed] {
                reply.feed(vec![field("One")]);
            }
            let pattern = relayed.offer().unwrap();
            for piece in pieces {
                let frames = fed.feed(vec![field(piece)]).frames;
                let mut written = pattern.before.clone();
                crate::json::push_text(&mut written, piece);
                let number = pattern
                    .number
                    .map(|offset| u32::try_from(written.len()).unwrap() + offset);
                let written = Frame {
                    event: pattern.event.clone(),
                    data: [&written, pattern.after.as_str()].concat(),
                    number,
                };
                assert_eq!(frames, [written], "{notes:?}");
            }
            if pattern.report {
                relayed.relayed(pieces.map(field).to_vec());
            }
            let ends = [fed, relayed].map(|reply| reply.finish(Ending::Completed));
            assert_eq!(ends[0], ends[1]);
        }
    }
}

#[test]
fn every_event_on_a_websocket_has_the_name_of_its_stream() {
    let events = vec![
        reasoning(0, false, "one"),
        text(0, None, "two"),
        text(0, None, " three"),
    ];
    for ending in [Ending::Completed, Ending::Interrupted] {
        let mut reply = reply(&notes(websocket(), true));
        let mut frames = reply.keep_alive();
        frames.extend(reply.feed(events.clone()).frames);
        frames.extend(reply.finish(ending).frames);
        assert!(frames.len() > 8, "{}", frames.len());
        for frame in &frames {
            assert_eq!(data(frame)["stream_id"], "s-1", "{}", frame.data);
            assert_eq!(data(frame)["sequence_number"], 7, "{}", frame.data);
        }
    }
}

#[test]
fn a_silent_stream_is_kept_alive_by_events_that_clients_know() {
    let expected: [&[&str]; 3] = [
        &[],
        &[r#"{"type":"ping"}"#],
        &["response.created", "response.in_progress"],
    ];
    for (dialect, expected) in dialects().into_iter().zip(expected) {
        let mut reply = reply(&notes(dialect, true));
        let first = reply.keep_alive();
        assert_eq!(first.len(), expected.len());
        for (frame, expected) in first.iter().zip(expected) {
            assert!(frame.event.as_deref() == Some(expected) || frame.data == *expected);
        }
        assert_eq!(reply.keep_alive().last(), first.last());
        let frames = reply.feed(vec![text(0, None, "a")]).frames;
        let is_created = |frame: &Frame| frame.event.as_deref() == Some("response.created");
        assert!(!frames.iter().any(is_created));
    }
}

#[test]
fn the_item_that_is_incomplete_does_not_depend_on_streaming() {
    let [_, _, responses] = dialects();
    let item = |item: &str| {
        event(EventKind::Other(Notification {
            method: "rawResponseItem/completed".to_owned(),
            params: format!(r#"{{"item":{item}}}"#),
        }))
    };
    let message = text(0, None, "a");
    let completed = item(r#"{"type":"message","role":"assistant","content":[]}"#);
    for (events, expected) in [
        (vec![message.clone()], "incomplete"),
        (
            vec![reasoning(0, false, "b"), message.clone()],
            "incomplete",
        ),
        // The model begins an item once the one before is complete.
        (vec![message.clone(), reasoning(0, false, "b")], "completed"),
        (vec![message.clone(), completed], "completed"),
    ] {
        let (mut streamed, mut whole) = (
            reply(&notes(responses.clone(), true)),
            reply(&notes(responses.clone(), false)),
        );
        let mut frames = streamed.feed(events.clone()).frames;
        whole.feed(events);
        let ending = Ending::Incomplete(Shortfall::MaxOutputTokens);
        frames.extend(streamed.finish(ending.clone()).frames);
        let body: Value = serde_json::from_str(&whole.finish(ending).body.unwrap()).unwrap();
        let is_message = |item: &&Value| item["type"] == "message";
        let status = |output: &Value| {
            let message = output.as_array().unwrap().iter().find(is_message);
            message.unwrap()["status"].clone()
        };
        assert_eq!(status(&body["output"]), expected, "whole");
        let mut last = Value::Null;
        for data in frames.iter().map(data) {
            if data["type"] == "response.output_item.done" && is_message(&&data["item"]) {
                assert_eq!(data["item"]["status"], expected, "the item's end");
            }
            if data["type"] == "response.incomplete" {
                last = data["response"]["output"].clone();
            }
        }
        assert_eq!(status(&last), expected, "streamed");
        assert_eq!(
            last.as_array().unwrap().len(),
            body["output"].as_array().unwrap().len()
        );
    }
}

#[test]
fn a_response_is_completed_at_its_latest_event() {
    let [_, _, responses] = dialects();
    let timed = |at: u64| Event {
        at,
        ..text(0, None, "a")
    };
    let mut reply = reply(&notes(responses, false));
    reply.feed(vec![timed(9_000), timed(0)]);
    reply.relayed(vec![timed(0)]);
    let body: Value = serde_json::from_str(&reply.finish(Ending::Completed).body.unwrap()).unwrap();
    assert_eq!(body["completed_at"], 9);
}

#[test]
fn a_continuation_is_filtered_as_the_beginning_of_a_message() {
    let events = [
        text(0, Some(Phase::FinalAnswer), "a"),
        text(0, Some(Phase::Commentary), "x"),
        text(0, Some(Phase::FinalAnswer), ""),
        text(0, Some(Phase::FinalAnswer), "b"),
        text(0, Some(Phase::FinalAnswer), "c"),
    ];
    for (dialect, streaming) in dialects().into_iter().zip([true, true, false]) {
        for structure in [Structure::Free, Structure::Schema] {
            let mut notes = notes(dialect.clone(), streaming);
            notes.structure = structure;
            let mut reply = reply(&notes);
            let mut frames = reply.feed(events.to_vec()).frames;
            let closing = reply.finish(Ending::Completed);
            frames.extend(closing.frames);
            let text = match closing.body.unwrap() {
                body if body.is_empty() => received(&frames).0,
                body => whole_text(&serde_json::from_str(&body).unwrap()),
            };
            let is_free = structure == Structure::Free;
            assert_eq!(text, if is_free { "axbc" } else { "abc" }, "{notes:?}");
        }
    }
}

#[test]
fn a_pattern_is_as_short_as_the_host_takes() {
    let [_, _, responses] = dialects();
    for (length, is_offered) in [(64, true), (5_000, false)] {
        let mut reply = reply(&notes(responses.clone(), true));
        let mut first = text(0, None, "a");
        if let EventKind::Text(text) = &mut first.kind {
            text.item = Some("m".repeat(length));
        }
        reply.feed(vec![first]);
        assert_eq!(reply.offer().is_some(), is_offered, "{length}");
    }
}
