//! The operator's side: asks a gateway's admin routes.

use anyhow::{Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::send;
use crate::{Client, Reply, soon};

/// The admin key of a gateway under test.
pub const ADMIN_KEY: &str = "an-admin-key-for-tests";

/// An operator of one gateway. Clones share connections.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

impl Admin {
    /// An operator of the gateway that this client asks.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.with_key(ADMIN_KEY),
        }
    }

    /// Makes a build active, and fails where the gateway refuses. `digest`: none where the name says enough.
    pub async fn activate(&self, name: &str, digest: Option<&str>) -> Result<Value> {
        good(self.try_activate(name, digest).await?)
    }

    /// The same, whatever the gateway says.
    pub async fn try_activate(&self, name: &str, digest: Option<&str>) -> Result<Reply> {
        let path = format!("/admin/policies/{name}/active");
        self.tell(Method::PUT, &path, &json!({ "digest": digest }))
            .await
    }

    /// Makes the release before active again.
    pub async fn rollback(&self) -> Result<Value> {
        good(
            self.tell(Method::POST, "/admin/policies/rollback", &json!({}))
                .await?,
        )
    }

    /// Has a build serve so many of 100 requests.
    pub async fn canary(&self, name: &str, digest: &str, percent: f64) -> Result<Value> {
        let body = json!({"name": name, "digest": digest, "percent": percent});
        good(
            self.tell(Method::PUT, "/admin/rollout/canary", &body)
                .await?,
        )
    }

    /// Ends the canary.
    pub async fn end_canary(&self) -> Result<Value> {
        good(
            self.tell(Method::DELETE, "/admin/rollout/canary", &json!({}))
                .await?,
        )
    }

    /// Has a build answer unseen beside the active one.
    pub async fn shadow(&self, name: &str, digest: &str) -> Result<Value> {
        let body = json!({"name": name, "digest": digest});
        good(
            self.tell(Method::PUT, "/admin/rollout/shadow", &body)
                .await?,
        )
    }

    /// Ends the shadow.
    pub async fn end_shadow(&self) -> Result<Value> {
        good(
            self.tell(Method::DELETE, "/admin/rollout/shadow", &json!({}))
                .await?,
        )
    }

    /// What serves, what could, and what has been.
    pub async fn report(&self) -> Result<Value> {
        good(self.client.get("/admin/policies").await?)
    }

    /// Waits until the report `is` so, and returns it. `what` is what the error says did not come.
    pub async fn reported(&self, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let look = async {
            loop {
                let report = self.report().await?;
                if is(&report) {
                    return anyhow::Ok(report);
                }
                tokio::task::yield_now().await;
            }
        };
        soon(what, look).await?
    }

    /// All that is counted, as text.
    pub async fn metrics(&self) -> Result<String> {
        let response = self.client.request(Method::GET, "/metrics").send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    /// Asks for that until it has all of these lines, and returns it: what is counted at a request's end comes a moment
    /// after it.
    pub async fn measured(&self, lines: &[&str]) -> Result<String> {
        let mut told = String::new();
        let missing = |told: &str| -> Vec<&str> {
            let is_missing = |line: &&&str| told.lines().all(|it| it != **line);
            lines.iter().filter(is_missing).copied().collect()
        };
        let look = async {
            while !missing(&told).is_empty() {
                tokio::task::yield_now().await;
                told = self.metrics().await?;
            }
            anyhow::Ok(())
        };
        let looked = soon("metrics", look).await;
        match looked {
            Ok(looked) => looked.map(|()| told),
            Err(_) => bail!("no {:?} in\n{told}", missing(&told)),
        }
    }

    /// The children of Codex.
    pub async fn fleet(&self) -> Result<Value> {
        Ok(good(self.client.get("/admin/fleet").await?)?["homes"][0].take())
    }

    /// Waits until the fleet `is` so, and returns it. `what` is what the error says did not come.
    pub async fn fleet_is(&self, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value> {
        let look = async {
            loop {
                let fleet = self.fleet().await?;
                if is(&fleet) {
                    return anyhow::Ok(fleet);
                }
                tokio::task::yield_now().await;
            }
        };
        soon(what, look).await?
    }

    async fn tell(&self, method: Method, path: &str, body: &Value) -> Result<Reply> {
        send(self.client.request(method, path).json(body)).await
    }
}

fn good(reply: Reply) -> Result<Value> {
    ensure!(
        reply.status.is_success(),
        "the gateway refuses: {} {}",
        reply.status,
        reply.body
    );
    Ok(reply.body)
}
