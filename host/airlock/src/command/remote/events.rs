//! An answer of server-sent events, read as they come. Dropping it leaves the gateway, which ends what it stands for.

use anyhow::{Context as _, anyhow, bail};
use axum::body::Bytes;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{ANSWER, Remote};

/// Bytes of the longest event.
const EVENT: usize = 1 << 20;

/// Pieces of the body that may wait.
const PIECES: usize = 16;

/// The events of one answer.
pub(in crate::command) struct Events {
    pieces: mpsc::Receiver<anyhow::Result<Bytes>>,
    read: Vec<u8>,
    connection: tokio::task::JoinSet<()>,
}

impl Remote {
    /// Asks for a stream of events.
    ///
    /// # Errors
    /// Nobody answers in time, or what the gateway says where it refuses.
    pub(in crate::command) async fn stream(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Events> {
        match timeout(self.wait, self.begun(method, path, body)).await {
            Ok(events) => events,
            Err(_) => bail!(
                "the gateway at {} has not answered within {} s",
                self.address,
                self.wait.as_secs()
            ),
        }
    }

    /// The answer once it has begun. From then on it may take its time.
    async fn begun(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Events> {
        let stream = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("no gateway listens on {}", self.address))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = self.request(method, path, body)?;
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            // What breaks it breaks the body, too.
            let _ = connection.await;
        });
        let response = sender
            .send_request(request)
            .await
            .with_context(|| format!("the gateway at {} does not answer", self.address))?;
        let status = response.status();
        if !status.is_success() {
            let body = http_body_util::Limited::new(response.into_body(), ANSWER);
            let body = body.collect().await.map_err(|error| anyhow!("{error}"))?;
            let answer = serde_json::from_slice(&body.to_bytes()).ok();
            return Err(self.refusal(status, answer.as_ref()));
        }
        let (to, pieces) = mpsc::channel(PIECES);
        tasks.spawn(async move {
            // It holds the connection open.
            let _sender = sender;
            forward(response.into_body(), to).await;
        });
        Ok(Events {
            pieces,
            read: Vec::new(),
            connection: tasks,
        })
    }
}

async fn forward(mut body: Incoming, to: mpsc::Sender<anyhow::Result<Bytes>>) {
    while let Some(frame) = body.frame().await {
        let piece = match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(_trailers)) => continue,
            Err(error) => Err(anyhow!(error).context("the gateway's answer broke off")),
        };
        if to.send(piece).await.is_err() {
            return;
        }
    }
}

impl Events {
    /// The next event. None: the answer is over.
    ///
    /// # Errors
    /// It breaks off, or is none that we know.
    pub(in crate::command) async fn next<T: DeserializeOwned>(
        &mut self,
    ) -> anyhow::Result<Option<T>> {
        loop {
            while let Some(end) = memchr::memmem::find(&self.read, b"\n\n") {
                let event: Vec<u8> = self.read.drain(..end + 2).collect();
                let text = String::from_utf8_lossy(&event);
                if let Some(data) = text.trim().strip_prefix("data: ") {
                    let event = serde_json::from_str(data);
                    return Ok(Some(event.context("an event that is not known")?));
                }
            }
            if self.read.len() > EVENT {
                bail!("an event that is too long");
            }
            match self.pieces.recv().await {
                Some(piece) => self.read.extend_from_slice(&piece?),
                None => {
                    self.connection.abort_all();
                    return Ok(None);
                }
            }
        }
    }
}
