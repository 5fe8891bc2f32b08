//! Whether the address to listen on is free, and if not, what listens there.

use std::io::{self, ErrorKind};
use std::net::TcpListener;

use super::gateway_client::{GatewayClient, Listener};
use crate::config::Config;
use crate::preflight::Finding;
use airlock_base::storage;

/// For `airlock doctor`: a running gateway of this configuration is not a fault.
pub(super) async fn check(config: &Config) -> Finding {
    let error = match TcpListener::bind(config.server.listen) {
        Ok(_) => return Finding::Pass(format!("{} is free", config.server.listen)),
        Err(error) => error,
    };
    match fault(config, &error).await {
        ListenFault::OwnGateway => Finding::Pass(format!(
            "{} is served by this airlock, which runs with this data folder",
            config.server.listen
        )),
        ListenFault::Other(text) => Finding::Fail(text),
    }
}

/// For `airlock serve`: why it cannot listen, with a remedy.
pub(super) async fn taken(config: &Config, error: &io::Error) -> String {
    match fault(config, error).await {
        ListenFault::OwnGateway => format!(
            "{} is served by an airlock that runs with this data folder already; stop that one first, or choose another \
             address with --listen",
            config.server.listen
        ),
        ListenFault::Other(text) => text,
    }
}

enum ListenFault {
    /// A gateway with this data folder listens there.
    OwnGateway,
    Other(String),
}

async fn fault(config: &Config, error: &io::Error) -> ListenFault {
    let listen = config.server.listen;
    ListenFault::Other(match error.kind() {
        ErrorKind::AddrInUse => {
            let identify = match GatewayClient::new(config) {
                Ok(client) => client.identify().await,
                Err(_) => Listener::Other,
            };
            let ours = storage::data_dir_id(&config.data_dir);
            match identify {
                Listener::Airlock { data } if data.is_some() && data == ours => {
                    return ListenFault::OwnGateway;
                }
                Listener::Airlock { .. } => format!(
                    "{listen} is in use by an airlock that runs with another data folder; choose another address with \
                     --listen, or name that folder with --data-dir"
                ),
                Listener::None | Listener::Other => format!(
                    "{listen} is in use by another program; choose another address with --listen, or end that program"
                ),
            }
        }
        ErrorKind::PermissionDenied => format!(
            "this user may not listen on {listen}; choose a port from 1024 on with --listen"
        ),
        ErrorKind::AddrNotAvailable => {
            format!("{listen} is not an address of this machine; choose another with --listen")
        }
        _ => format!("cannot listen on {listen}: {error}; choose another address with --listen"),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use airlock_base::environment::Environment;

    /// The finding of `doctor` and the error of `serve` if a listener answers with this body.
    async fn outcome(body: &str, data: &Path) -> (Finding, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::defaults(Environment::default());
        config.server.listen = listener.local_addr().unwrap();
        config.data_dir = data.to_owned();
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        let serving = async {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let asking = async {
            let used = io::Error::from(ErrorKind::AddrInUse);
            (check(&config).await, taken(&config, &used).await)
        };
        tokio::join!(asking, serving).0
    }

    #[tokio::test]
    async fn a_gateway_is_identified_by_its_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let id = storage::data_dir_id(folder.path()).unwrap();
        let of = |id: &str| format!("{{\"service\": \"airlock\", \"data\": \"{id}\"}}");
        let (finding, error) = outcome(&of(&id), folder.path()).await;
        assert!(matches!(finding, Finding::Pass(_)), "{finding:?}");
        assert!(error.contains("stop that one first"), "{error}");
        for (body, who) in [
            (
                of("0123456789abcdef"),
                "by an airlock that runs with another data folder;",
            ),
            (
                "{\"service\": \"airlock\"}".to_owned(),
                "by an airlock that runs with another data folder;",
            ),
            ("{}".to_owned(), "by another program;"),
            ("<html>".to_owned(), "by another program;"),
        ] {
            let (finding, error) = outcome(&body, folder.path()).await;
            let Finding::Fail(text) = finding else {
                panic!("{body}: {finding:?}")
            };
            assert!(text.contains(who) && text.contains("--listen"), "{text}");
            assert_eq!(text, error);
        }
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_no_port_in_use() {
        let mut config = Config::defaults(Environment::default());
        config.server.listen = "192.0.2.1:1".parse().unwrap();
        let Finding::Fail(text) = check(&config).await else {
            panic!("TEST-NET-1 is nobody's")
        };
        assert!(text.contains("is not an address of this machine"), "{text}");
    }
}
