//! The connection over an in-memory pipe. The test plays Codex.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use airlock_wire::decode::RpcError;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf, split,
};

use super::super::turn::TurnContext;
use super::*;
use airlock_types::wit::{Ending, EventKind};

const BOUNDS: ConnectionLimits = ConnectionLimits {
    call_timeout: Duration::from_secs(5),
    calls_in_flight: 4,
    line_bytes: 1 << 20,
};

/// The far end of the pipe, which plays Codex.
struct Far {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    write: WriteHalf<DuplexStream>,
}

impl Far {
    async fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next_line().await.unwrap().unwrap()).unwrap()
    }
    async fn send(&mut self, message: Value) {
        self.write
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }
}

fn pair(limits: ConnectionLimits) -> (Connection, Far) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (stdout, stdin) = split(near);
    let (read, write) = split(far);
    let connection = Connection::open(stdin, stdout, limits, &Tasks::default());
    (
        connection,
        Far {
            lines: BufReader::new(read).lines(),
            write,
        },
    )
}

#[tokio::test]
async fn responses_may_arrive_in_any_order() {
    let (connection, mut far) = pair(BOUNDS);
    let codex = async {
        let first = far.next().await;
        let second = far.next().await;
        assert_eq!(first["method"], "one");
        far.send(json!({"id": second["id"], "result": 2})).await;
        far.send(json!({"id": first["id"], "result": 1})).await;
    };
    let (one, two, ()) = tokio::join!(
        connection.call::<u32>("one", &()),
        connection.call::<u32>("two", &()),
        codex
    );
    assert_eq!((one.unwrap(), two.unwrap()), (1, 2));
}

#[tokio::test]
async fn errors_timeouts_and_the_end_are_distinguished() {
    let (connection, mut far) = pair(ConnectionLimits {
        call_timeout: Duration::from_millis(50),
        ..BOUNDS
    });
    let codex = async {
        let call = far.next().await;
        far.send(json!({"id": call["id"], "error": {"code": -32001, "message": "later"}}))
            .await;
    };
    let (refused, ()) = tokio::join!(connection.call::<Value>("busy", &()), codex);
    assert!(matches!(
        refused,
        Err(CallError::Refused(RpcError { code: -32001, .. }))
    ));
    let silent = connection.call::<Value>("silent", &()).await;
    assert!(matches!(silent, Err(CallError::TimedOut)));
    drop(far);
    connection.closed().await;
    let closed = connection.call::<Value>("closed", &()).await;
    assert!(matches!(closed, Err(CallError::Closed)));
}

#[tokio::test]
async fn no_more_calls_are_in_flight_than_the_cap() {
    let (connection, mut far) = pair(BOUNDS);
    let calls = futures_util::future::join_all((0..6).map(|_| connection.call::<u32>("m", &())));
    let codex = async {
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(far.next().await["id"].clone());
        }
        // The fifth call is sent only once one of the four has its response.
        let early = tokio::time::timeout(Duration::from_millis(50), far.next()).await;
        assert!(early.is_err());
        for id in ids {
            far.send(json!({"id": id, "result": 0})).await;
        }
        for _ in 0..2 {
            let id = far.next().await["id"].clone();
            far.send(json!({"id": id, "result": 0})).await;
        }
    };
    let (results, ()) = tokio::join!(calls, codex);
    assert!(results.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_probe_does_not_wait_for_a_permit() {
    let (connection, mut far) = pair(BOUNDS);
    let calls = futures_util::future::join_all((0..4).map(|_| connection.call::<u32>("m", &())));
    let codex = async {
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(far.next().await["id"].clone());
        }
        let probe = async {
            let request = far.next().await;
            assert_eq!(request["method"], "are/you/there");
            far.send(json!({"id": request["id"], "result": {}})).await;
        };
        tokio::join!(connection.probe("are/you/there"), probe);
        for id in ids {
            far.send(json!({"id": id, "result": 0})).await;
        }
    };
    let (results, ()) = tokio::join!(calls, codex);
    assert!(results.iter().all(Result::is_ok));
}

#[tokio::test]
async fn no_call_is_more_than_one_line() {
    let (connection, mut far) = pair(BOUNDS);
    let smuggled = serde_json::value::RawValue::from_string("[\n1\n]".to_owned()).unwrap();
    let refused = connection.call::<Value>("m", &smuggled).await;
    assert!(matches!(refused, Err(CallError::Malformed(_))));
    let codex = async {
        let call = far.next().await;
        assert_eq!(call["method"], "next");
        far.send(json!({"id": call["id"], "result": 1})).await;
    };
    let (answer, ()) = tokio::join!(connection.call::<u32>("next", &()), codex);
    assert_eq!(answer.unwrap(), 1);
}

#[tokio::test]
async fn requests_of_codex_are_refused_under_their_own_id() {
    let (connection, mut far) = pair(BOUNDS);
    far.send(json!({"id": 1, "method": "item/tool/call", "params": {}}))
        .await;
    let refusal = far.next().await;
    assert_eq!(
        (refusal["id"].clone(), refusal["error"]["code"].clone()),
        (json!(1), json!(-32601))
    );
    // A call of the gateway has the same id; the numbering is independent.
    let codex = async {
        let call = far.next().await;
        assert_eq!(call["id"], 1);
        far.send(json!({"id": 1, "result": "ours"})).await;
    };
    let (answer, ()) = tokio::join!(connection.call::<String>("m", &()), codex);
    assert_eq!(answer.unwrap(), "ours");
}

#[tokio::test]
async fn calls_fail_only_after_all_output_was_read() {
    let (connection, mut far) = pair(BOUNDS);
    let turn = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
    connection.register("t", &turn);
    let codex = async {
        far.next().await;
        far.send(json!({"method": "item/agentMessage/delta", "params": {"threadId": "t", "turnId": "u", "itemId": "i", "delta": "last words"}})).await;
        let whole = json!({"type": "agentMessage", "id": "i", "text": "last words", "phase": null});
        far.send(json!({"method": "item/completed", "params": {"threadId": "t", "turnId": "u", "item": whole}})).await;
        far.send(json!({"method": "turn/completed", "params": {"threadId": "t", "turn": {"id": "u", "status": "completed", "error": null}}})).await;
        drop(far);
    };
    let (call, ()) = tokio::join!(connection.call::<Value>("m", &()), codex);
    assert!(matches!(call, Err(CallError::Closed)));
    let mut reply = super::super::turn::Turn::new(turn, "m".to_owned());
    let mut batch = Vec::new();
    let outcome = reply.drain_ready(&mut batch).await.unwrap();
    assert!(matches!(&batch[0].kind, EventKind::Text(text) if text.text == "last words"));
    assert!(matches!(outcome.ending, Ending::Completed));
}

#[tokio::test]
async fn the_output_of_a_child_that_stops_reading_is_still_read() {
    let (stdin, far_stdin) = tokio::io::duplex(64);
    let (stdout, mut far_stdout) = tokio::io::duplex(64 << 10);
    let connection = Connection::open(stdin, stdout, BOUNDS, &Tasks::default());
    let turn = SharedTurn::new(TurnContext::alone(0, 1 << 20), false);
    connection.register("t", &turn);
    drop(far_stdin);
    let unsent = connection.call::<Value>("m", &()).await;
    assert!(matches!(
        unsent,
        Err(CallError::Closed | CallError::TimedOut)
    ));
    connection.stdin_closed().await;
    assert!(!connection.is_open());
    let delta = json!({"method": "item/agentMessage/delta", "params": {"threadId": "t", "turnId": "u", "itemId": "i", "delta": "last words"}});
    far_stdout
        .write_all(format!("{delta}\n").as_bytes())
        .await
        .unwrap();
    let mut reply = super::super::turn::Turn::new(turn, "m".to_owned());
    let mut batch = Vec::new();
    assert!(reply.drain_ready(&mut batch).await.is_none());
    assert_eq!(batch.len(), 1);
}

#[tokio::test]
async fn malformed_lines_are_skipped_and_an_endless_line_ends_the_connection() {
    let (connection, mut far) = pair(BOUNDS);
    far.write
        .write_all(b"not json\n\n{\"neither\":1}\n{\"id\":\"x\",\"result\":1}\n")
        .await
        .unwrap();
    let codex = async {
        let call = far.next().await;
        far.send(json!({"id": call["id"], "result": "x".repeat(900_000)}))
            .await;
        far.write.write_all(&vec![b'x'; (1 << 20) + 300_000]).await
    };
    let (answer, _written) = tokio::join!(connection.call::<String>("m", &()), codex);
    assert_eq!(answer.unwrap().len(), 900_000);
    connection.closed().await;
}
