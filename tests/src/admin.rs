//! A client of the gateway's admin routes.

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
    /// An operator of the gateway of this client.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.with_key(ADMIN_KEY),
        }
    }

    /// Activates a build, and fails if the gateway refuses. `digest` may be `None` if the name is unambiguous.
    pub async fn activate(&self, name: &str, digest: Option<&str>) -> Result<Value> {
        success_body(self.try_activate(name, digest).await?)
    }

    /// Like `activate`, but returns the response whatever its status.
    pub async fn try_activate(&self, name: &str, digest: Option<&str>) -> Result<Reply> {
        let path = format!("/admin/policies/{name}/active");
        self.send(Method::PUT, &path, &json!({ "digest": digest }))
            .await
    }

    /// Activates the previous release.
    pub async fn rollback(&self) -> Result<Value> {
        success_body(
            self.send(Method::POST, "/admin/policies/rollback", &json!({}))
                .await?,
        )
    }

    /// Makes a build the canary, which serves this percentage of requests.
    pub async fn canary(&self, name: &str, digest: &str, percent: f64) -> Result<Value> {
        let body = json!({"name": name, "digest": digest, "percent": percent});
        success_body(
            self.send(Method::PUT, "/admin/rollout/canary", &body)
                .await?,
        )
    }

    /// Ends the canary.
    pub async fn end_canary(&self) -> Result<Value> {
        success_body(
            self.send(Method::DELETE, "/admin/rollout/canary", &json!({}))
                .await?,
        )
    }

    /// Makes a build the shadow of the active one.
    pub async fn shadow(&self, name: &str, digest: &str) -> Result<Value> {
        let body = json!({"name": name, "digest": digest});
        success_body(
            self.send(Method::PUT, "/admin/rollout/shadow", &body)
                .await?,
        )
    }

    /// Ends the shadow.
    pub async fn end_shadow(&self) -> Result<Value> {
        success_body(
            self.send(Method::DELETE, "/admin/rollout/shadow", &json!({}))
                .await?,
        )
    }

    /// The report of `/admin/policies`.
    pub async fn report(&self) -> Result<Value> {
        success_body(self.client.get("/admin/policies").await?)
    }

    /// Waits until the report satisfies `is`, and returns it. `what` names the condition in the error.
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

    /// The metrics, in Prometheus's text format.
    pub async fn metrics(&self) -> Result<String> {
        let response = self.client.request(Method::GET, "/metrics").send().await?;
        Ok(response.error_for_status()?.text().await?)
    }

    /// Polls the metrics until they have all of these lines, and returns them: metrics of a request's end are updated
    /// shortly after its response.
    pub async fn measured(&self, lines: &[&str]) -> Result<String> {
        let mut metrics = String::new();
        let missing = |metrics: &str| -> Vec<&str> {
            let is_missing = |line: &&&str| metrics.lines().all(|it| it != **line);
            lines.iter().filter(is_missing).copied().collect()
        };
        let look = async {
            while !missing(&metrics).is_empty() {
                tokio::task::yield_now().await;
                metrics = self.metrics().await?;
            }
            anyhow::Ok(())
        };
        let looked = soon("metrics", look).await;
        match looked {
            Ok(looked) => looked.map(|()| metrics),
            Err(_) => bail!("no {:?} in\n{metrics}", missing(&metrics)),
        }
    }

    /// The fleet of Codex children, as `/admin/fleet` reports it.
    pub async fn fleet(&self) -> Result<Value> {
        Ok(success_body(self.client.get("/admin/fleet").await?)?["homes"][0].take())
    }

    /// Waits until the fleet satisfies `is`, and returns it. `what` names the condition in the error.
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

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Reply> {
        send(self.client.request(method, path).json(body)).await
    }
}

fn success_body(reply: Reply) -> Result<Value> {
    ensure!(
        reply.status.is_success(),
        "the gateway refused: {} {}",
        reply.status,
        reply.body
    );
    Ok(reply.body)
}
