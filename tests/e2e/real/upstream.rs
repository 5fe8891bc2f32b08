//! A model that cannot be reached, or that loops with Codex, on the real Codex.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use airlock_tests::{Gateway, GatewayBuilder, ModelAnswer, ScriptedModel, tool};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The listener, or none, at the model's address.
struct Host {
    address: SocketAddr,
    /// Whether Codex reports why the model is not reached.
    is_reported: bool,
    _listener: Option<TcpListener>,
    _queue: Vec<TcpStream>,
}

impl Host {
    /// Nothing listens.
    fn closed() -> Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            address: listener.local_addr()?,
            is_reported: true,
            _listener: None,
            _queue: Vec::new(),
        })
    }

    /// Connections are accepted, and nothing is sent.
    async fn silent() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self {
            address: listener.local_addr()?,
            is_reported: false,
            _listener: Some(listener),
            _queue: Vec::new(),
        })
    }

    /// Packets that open a connection are dropped: Linux drops them if the queue of unaccepted connections is full
    /// (listen(2), tcp_abort_on_overflow in tcp(7)).
    async fn dropping() -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let mut queue = Vec::new();
        loop {
            let connect = TcpStream::connect(address);
            match tokio::time::timeout(Duration::from_millis(500), connect).await {
                Ok(connected) => queue.push(connected?),
                Err(_full) => break,
            }
            ensure!(queue.len() < 64, "the queue does not fill");
        }
        Ok(Self {
            address,
            is_reported: false,
            _listener: Some(listener),
            _queue: queue,
        })
    }
}

fn watched(model_wait: &str) -> GatewayBuilder {
    let settings = format!("[limits]\nmodel_wait = \"{model_wait}\"");
    Gateway::with().administered().settings(&settings)
}

/// Sends a request, waits for this warning in the log, and returns the state at that moment, the status and the error's code.
async fn reported_failure(gateway: &Gateway, warning: &str) -> Result<(Value, u16, Value)> {
    let serves = |fleet: &Value| fleet["children"][0]["state"] == "serving";
    gateway.admin().fleet_is("a child", serves).await?;
    let asking = gateway.client().chat(json!({}));
    let seen = async {
        let line = gateway.logged(warning).await?;
        ensure!(line.contains("WARN"), "{line}");
        let soon = (0..10).any(|seconds| line.contains(&format!("seconds={seconds}")));
        ensure!(soon, "not within 10 s: {line}");
        anyhow::Ok(gateway.client().get("/readyz").await?)
    };
    let (reply, seen) = tokio::join!(asking, seen);
    let (reply, seen) = (reply?, seen?);
    let state = seen.body.clone();
    let code = reply.error("code").clone();
    Ok((state, reply.status.as_u16(), code))
}

/// The turn ends within seconds, where Codex alone would take minutes or never end it.
async fn ends_in_time(host: Host) -> Result<()> {
    let (wait, warning) = match host.is_reported {
        true => ("6s", "the model cannot be reached"),
        false => ("10s", "the model has sent nothing for a turn"),
    };
    let url = format!("http://{}/v1", host.address);
    let gateway = watched(wait).retries(4).over_real_model_at(&url).await?;
    let (ready, status, code) = reported_failure(&gateway, warning).await?;
    if host.is_reported {
        ensure!(ready["error"]["code"] == "upstream_unreachable", "{ready}");
        ensure!(
            (status, &code) == (502, &json!("upstream_unreachable")),
            "{status} {code}"
        );
    } else {
        ensure!(ready["model"]["state"] == "silent", "{ready}");
        ensure!(
            (status, &code) == (504, &json!("upstream_timeout")),
            "{status} {code}"
        );
    }
    let fleet = gateway.admin().fleet().await?;
    ensure!(
        fleet["model"]["state"] == "unreachable",
        "{}",
        fleet["model"]
    );
    ensure!(fleet["stopped_turns"]["timeouts"] == 1, "{fleet}");
    Ok(())
}

#[tokio::test]
async fn a_closed_port_is_reported_and_the_turn_ends() -> Result<()> {
    ends_in_time(Host::closed()?).await
}

#[tokio::test]
async fn a_host_that_never_answers_is_reported_and_the_turn_ends() -> Result<()> {
    ends_in_time(Host::silent().await?).await
}

#[tokio::test]
async fn a_host_that_drops_packets_is_reported_and_the_turn_ends() -> Result<()> {
    ends_in_time(Host::dropping().await?).await
}

#[tokio::test]
async fn the_first_answer_after_an_outage_clears_it() -> Result<()> {
    let model = ScriptedModel::start().await?;
    model.next(ModelAnswer::new().hang());
    let gateway = watched("1s").over_real(&model).await?;
    let reply = gateway.client().chat(json!({})).await?;
    assert_eq!(reply.error("code"), "upstream_timeout", "{}", reply.body);
    model.call().await?.left().await?;
    assert_eq!(
        gateway.client().ask("and now?").await?,
        "You said: and now?"
    );
    let ready = gateway.client().get("/readyz").await?;
    assert_eq!(
        ready.body["model"],
        json!({"state": "reachable"}),
        "{}",
        ready.body
    );
    Ok(())
}

/// The requests that reach the model: the allowed ones, and those that Codex sends before it is interrupted.
const MOST: usize = 10;

#[tokio::test]
async fn a_model_that_calls_what_it_was_not_offered_is_stopped() -> Result<()> {
    for name in ["exec_command", "apply_patch", "no_such_function"] {
        for stream in [false, true] {
            let model = ScriptedModel::start().await?;
            model.otherwise(ModelAnswer::new().call("call_1", name, r#"{"cmd":"id"}"#));
            let gateway = Gateway::with().administered().over_real(&model).await?;
            let reply = gateway.client().chat(json!({"stream": stream})).await?;
            assert_eq!(
                (reply.status.as_u16(), reply.error("code")),
                (502, &json!("upstream_loop")),
                "{name}: {}",
                reply.body
            );
            let calls = model.calls().len();
            assert!((8..=MOST).contains(&calls), "{name}: {calls} requests");
            let line = r#"airlock_stopped_turns_total{reason="upstream_loop"} 1"#;
            gateway.admin().measured(&[line]).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_model_that_calls_no_tool_of_the_clients_is_stopped_whatever_it_counts() -> Result<()> {
    let counted = ModelAnswer::new().call("call_1", "no_such_function", "{}");
    for answer in [counted.clone(), counted.usage(None)] {
        let model = ScriptedModel::start().await?;
        model.otherwise(answer);
        let gateway = Gateway::with().over_real(&model).await?;
        let body = json!({"tools": [tool("weather")]});
        let reply = gateway.client().chat(body).await?;
        assert_eq!(
            (reply.status.as_u16(), reply.error("code")),
            (502, &json!("upstream_loop")),
            "{}",
            reply.body
        );
        let calls = model.calls().len();
        assert!((8..=MOST).contains(&calls), "{calls} requests");
    }
    Ok(())
}
