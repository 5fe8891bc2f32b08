//! Answers that are void, and extras that are dropped.

use super::*;

#[test]
fn an_answer_whose_text_was_sent_is_not_replaced_in_a_stream() {
    let events = [
        candidate_text(0, 0, "told"),
        settled(0, 0, failure()),
        candidate_text(0, 0, "other"),
    ];
    for cuts in 0..1 << events.len() {
        let notes = notes(true, Structure::Free);
        let (_, closing) = replied(&notes, &events, cuts, Ending::Completed);
        let problem = closing.body.unwrap_err();
        assert_eq!(problem.code.as_deref(), Some("stream_restarted"));
    }
    let body = whole(Structure::Free, &events);
    assert_eq!(body["choices"][0]["message"]["content"], "other");
}

#[test]
fn the_panels_extra_cannot_break_a_frame() {
    let cases = [
        (None, json!({})),
        (Some("not JSON"), json!({})),
        (Some("[1]"), json!({})),
        (Some("{}} , {"), json!({})),
        (
            Some("{\"strategy\":\"x\",\"candidate\":7,\"reasons\":\"\\n\"}"),
            json!({"reasons": "\n"}),
        ),
    ];
    for (extra, added) in cases {
        let events = [
            opened(2, 0),
            candidate_text(2, 0, "yes"),
            settled(2, 1, Ending::Completed),
            picked(2, extra),
            candidate_text(0, 0, "yes"),
        ];
        let mut expected = json!({"strategy": "merge", "candidate": 2});
        let members = added.as_object().unwrap().clone();
        expected.as_object_mut().unwrap().extend(members);
        let notes = notes(true, Structure::Free);
        let (frames, _) = replied(&notes, &events, 0, Ending::Completed);
        assert_eq!(
            client_view(&frames).airlock["synthesis"],
            expected,
            "{extra:?}"
        );
        let body = whole(Structure::Free, &events);
        assert_eq!(body["airlock"]["synthesis"], expected, "{extra:?}");
        assert_eq!(body["airlock"]["candidates"][0]["text"], "yes");
    }
}

#[test]
fn an_empty_answer_is_void_however_it_ended() {
    let cut = Ending::Incomplete(Shortfall::ContentFilter);
    for ending in [Ending::Completed, cut, Ending::Interrupted, failure()] {
        let events = [
            opened(1, 0),
            candidate_text(1, 0, "yes"),
            settled(1, 1, Ending::Completed),
            opened(0, 2),
            event(EventKind::Restarted(Vec::new())),
            used(0, 3),
            settled(0, 4, ending),
            picked(1, Some("{\"fallback\":true}")),
            candidate_text(0, 0, "yes"),
        ];
        let synthesis = json!({"strategy": "merge", "candidate": 1, "fallback": true});
        for cuts in 0..1 << events.len() {
            let notes = notes(true, Structure::Free);
            let (frames, closing) = replied(&notes, &events, cuts, Ending::Completed);
            assert_eq!(closing.body, Ok(String::new()));
            let observed = client_view(&frames);
            assert_eq!(observed.content, "yes");
            assert_eq!(observed.airlock["synthesis"], synthesis);
            assert_eq!(observed.airlock["usage"]["synthesis"], tokens(1, 3));
        }
        let body = whole(Structure::Free, &events);
        assert_eq!(body["choices"][0]["message"]["content"], "yes");
        assert_eq!(body["choices"][0]["finish_reason"], "stop");
        assert_eq!(body["airlock"]["synthesis"], synthesis);
        assert_eq!(body["airlock"]["usage"]["synthesis"], tokens(1, 3));
    }
}
