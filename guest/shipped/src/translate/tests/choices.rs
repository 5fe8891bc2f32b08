//! A choice of several is what its turn alone would be.

use super::*;

/// The notes of a response with so many choices, if several.
fn notes(streaming: bool, choices: Option<u32>) -> PlanNotes {
    PlanNotes {
        streaming,
        include_usage: true,
        reasoning: true,
        stop: vec!["}.".to_owned()],
        choices,
        ..PlanNotes::default()
    }
}

fn used(output: u64) -> Event {
    event(EventKind::Usage(Usage {
        input: 1,
        cached: 0,
        output,
        reasoning: 0,
    }))
}

/// The turns of the choices, and how each ends.
fn turns() -> [(Vec<Event>, Ending); 3] {
    [
        (turn_with_usage(), Ending::Completed),
        (
            vec![
                text(0, None, "b} and"),
                used(2),
                text(1, None, "c}"),
                text(1, None, ". nothing"),
            ],
            Ending::Completed,
        ),
        (
            vec![reasoning(0, true, "d"), text(0, None, "e}"), used(4)],
            Ending::Incomplete(Shortfall::MaxOutputTokens),
        ),
    ]
}

fn turn_with_usage() -> Vec<Event> {
    let mut events = turn();
    events.pop();
    events.push(used(8));
    events
}

/// The events of all turns, alternately, each turn with its end.
fn interleaved() -> Vec<Event> {
    let mut turns = turns().map(|(events, ending)| {
        let mut events = events;
        events.push(event(EventKind::Settled(ending)));
        events.into_iter()
    });
    let mut all = Vec::new();
    let mut source = 0;
    while turns.iter().any(|turn| turn.len() > 0) {
        let next = turns[source % 3].next();
        source += 1;
        let number = u32::try_from((source - 1) % 3 + 1).unwrap();
        all.extend(next.map(|event| Event {
            source: number,
            ..event
        }));
    }
    all
}

/// The choices of a body, or of a stream as a client puts it together: content, reasoning and finish reason. And the output
/// tokens.
type Seen = (Vec<(String, String, String)>, u64);

fn seen_of_stream(frames: &[Frame], count: usize) -> Seen {
    let mut choices = vec![Default::default(); count];
    let mut begun = vec![false; count];
    let (last, chunks) = frames.split_last().unwrap();
    assert_eq!(last.data, "[DONE]");
    let (usage, chunks) = chunks.split_last().unwrap();
    for frame in chunks {
        let chunk: Value = serde_json::from_str(&frame.data).unwrap();
        assert_eq!(chunk["usage"], Value::Null);
        let choice = &chunk["choices"][0];
        let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
        let (content, reasoning, reason): &mut (String, String, String) = &mut choices[index];
        assert_eq!(reason, "", "nothing follows the end of a choice");
        let is_first = !std::mem::replace(&mut begun[index], true);
        assert_eq!(choice["delta"].get("role").is_some(), is_first);
        let member = |name: &str| choice["delta"][name].as_str().unwrap_or_default();
        content.push_str(member("content"));
        reasoning.push_str(member("reasoning_content"));
        reason.push_str(choice["finish_reason"].as_str().unwrap_or_default());
    }
    let usage: Value = serde_json::from_str(&usage.data).unwrap();
    assert_eq!(usage["choices"], Value::Array(Vec::new()));
    (
        choices,
        usage["usage"]["completion_tokens"].as_u64().unwrap(),
    )
}

fn seen_of_body(body: &str) -> Seen {
    let body: Value = serde_json::from_str(body).unwrap();
    let choices = body["choices"].as_array().unwrap().iter().enumerate();
    let choices = choices.map(|(index, choice)| {
        assert_eq!(choice["index"], index);
        assert_eq!(choice["message"]["role"], "assistant");
        assert_eq!(choice["message"]["refusal"], Value::Null);
        assert_eq!(choice["logprobs"], Value::Null);
        let member = |name: &str| choice["message"][name].as_str().unwrap_or_default();
        (
            member("content").to_owned(),
            member("reasoning_content").to_owned(),
            choice["finish_reason"].as_str().unwrap().to_owned(),
        )
    });
    let usage = body["usage"]["completion_tokens"].as_u64();
    (choices.collect(), usage.unwrap_or_default())
}

/// What a client sees of these batches.
fn seen(notes: &PlanNotes, batches: Vec<Vec<Event>>, ending: Ending, count: usize) -> Seen {
    let mut reply = reply(notes);
    let mut frames = Vec::new();
    for batch in batches {
        frames.extend(reply.feed(batch).frames);
    }
    let closing = reply.finish(ending);
    frames.extend(closing.frames);
    if notes.streaming {
        seen_of_stream(&frames, count)
    } else {
        assert!(frames.is_empty());
        seen_of_body(&closing.body.unwrap())
    }
}

#[test]
fn each_choice_is_what_its_turn_alone_would_be() {
    let alone = turns().map(|(events, ending)| {
        let (choices, _) = seen(&notes(false, None), vec![events], ending, 1);
        choices.into_iter().next().unwrap()
    });
    assert_eq!(alone[1].0, "b} and\n\nc");
    let expected = (alone.to_vec(), 8 + 2 + 4);
    for streaming in [false, true] {
        let notes = notes(streaming, Some(3));
        let events = interleaved();
        // The batches begin anywhere, and have any length.
        for length in 1..=events.len() {
            for first in 0..length {
                let (first, rest) = events.split_at(first);
                let mut batches = vec![first.to_vec()];
                batches.extend(rest.chunks(length).map(<[Event]>::to_vec));
                let seen = seen(&notes, batches, Ending::Completed, 3);
                assert_eq!(seen, expected, "{streaming} {length}");
            }
        }
    }
}

#[test]
fn the_response_is_complete_once_each_choice_has_stopped_or_settled() {
    let stopped = |source| Event {
        source,
        ..text(0, None, "}.")
    };
    let settled = |source, ending| Event {
        source,
        ..event(EventKind::Settled(ending))
    };
    let failed = || settled(2, Ending::Interrupted);
    let cases: [(&[Event], &[bool]); 5] = [
        (&[stopped(1), stopped(2)], &[false, true]),
        (&[stopped(1), failed()], &[false, true]),
        (&[failed(), stopped(1)], &[false, true]),
        // The panel decides where no turn runs.
        (&[settled(1, Ending::Completed), failed()], &[false, false]),
        (
            &[stopped(1), settled(1, Ending::Completed), failed()],
            &[false; 3],
        ),
    ];
    for streaming in [false, true] {
        for (events, expected) in cases {
            let mut reply = reply(&notes(streaming, Some(2)));
            let events = events.iter().cloned();
            let complete: Vec<bool> = events
                .map(|event| reply.feed(vec![event]).complete)
                .collect();
            assert_eq!(complete, expected);
            assert!(reply.finish(Ending::Completed).body.is_ok());
        }
    }
}

#[test]
fn no_pattern_is_offered_for_a_choice() {
    let mut reply = reply(&notes(true, Some(2)));
    let frames = reply.feed(vec![Event {
        source: 1,
        ..text(0, None, "a")
    }]);
    assert_eq!(frames.frames.len(), 2);
    assert_eq!(reply.offer(), None);
    assert!(reply.keep_alive().is_empty());
}

#[test]
fn a_refusal_names_the_clients_field_once() {
    let refused = |param: &str| {
        Ending::Failed(Problem {
            param: Some(param.to_owned()),
            ..crate::problem::upstream("upstream_bad_request", "no")
        })
    };
    let mut reply = reply(&notes(false, Some(2)));
    for source in [1, 2] {
        reply.feed(vec![Event {
            source,
            ..event(EventKind::Settled(refused("input[1]")))
        }]);
    }
    let problem = reply.finish(refused("input[1]")).body.unwrap_err();
    assert_eq!(problem.param.as_deref(), Some("messages"));
    let message = "messages: no (`input[1]` is a field of the request that the gateway made of it)";
    assert_eq!(problem.message, message);
}
