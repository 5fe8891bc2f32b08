//! Whether the address to listen on is free, and who has it if not.

use std::io::{self, ErrorKind};
use std::net::TcpListener;

use super::remote::{Hello, Remote};
use crate::config::Config;
use crate::preflight::Finding;
use airlock_base::storage;

/// For `airlock doctor`: that a gateway of this configuration runs already is as it should be.
pub(super) async fn check(config: &Config) -> Finding {
    let error = match TcpListener::bind(config.server.listen) {
        Ok(_) => return Finding::Fine(format!("{} is free", config.server.listen)),
        Err(error) => error,
    };
    match fault(config, &error).await {
        Fault::Ours => Finding::Fine(format!(
            "{} is served by this airlock, which runs with this data folder",
            config.server.listen
        )),
        Fault::Other(text) => Finding::Broken(text),
    }
}

/// For `airlock serve`: why it cannot listen, and the way out.
pub(super) async fn taken(config: &Config, error: &io::Error) -> String {
    match fault(config, error).await {
        Fault::Ours => format!(
            "{} is served by an airlock that runs with this data folder already; stop that one first, or choose another \
             address with --listen",
            config.server.listen
        ),
        Fault::Other(text) => text,
    }
}

enum Fault {
    /// A gateway with this data folder listens there.
    Ours,
    Other(String),
}

async fn fault(config: &Config, error: &io::Error) -> Fault {
    let listen = config.server.listen;
    Fault::Other(match error.kind() {
        ErrorKind::AddrInUse => {
            let hello = match Remote::reached(config) {
                Ok(remote) => remote.hello().await,
                Err(_) => Hello::Stranger,
            };
            let ours = storage::id(&config.data_dir);
            match hello {
                Hello::Airlock { data } if data.is_some() && data == ours => return Fault::Ours,
                Hello::Airlock { .. } => format!(
                    "{listen} is in use by an airlock that runs with another data folder; choose another address with \
                     --listen, or name that folder with --data-dir"
                ),
                Hello::Nobody | Hello::Stranger => format!(
                    "{listen} is in use by another program; choose another address with --listen, or end that program"
                ),
            }
        }
        ErrorKind::PermissionDenied => format!(
            "this user may not listen on {listen}; choose a port from 1024 on with --listen"
        ),
        ErrorKind::AddrNotAvailable => {
            format!("{listen} is no address of this machine; choose another with --listen")
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

    /// What is found where this answers, once, and what `serve` says of it.
    async fn found(body: &str, data: &Path) -> (Finding, String) {
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
    async fn a_gateway_is_told_from_others_by_its_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let id = storage::id(folder.path()).unwrap();
        let of = |id: &str| format!("{{\"service\": \"airlock\", \"data\": \"{id}\"}}");
        let (finding, said) = found(&of(&id), folder.path()).await;
        assert!(matches!(finding, Finding::Fine(_)), "{finding:?}");
        assert!(said.contains("stop that one first"), "{said}");
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
            let (finding, said) = found(&body, folder.path()).await;
            let Finding::Broken(text) = finding else {
                panic!("{body}: {finding:?}")
            };
            assert!(text.contains(who) && text.contains("--listen"), "{text}");
            assert_eq!(text, said);
        }
    }

    #[tokio::test]
    async fn an_address_that_is_not_ours_is_no_port_in_use() {
        let mut config = Config::defaults(Environment::default());
        config.server.listen = "192.0.2.1:1".parse().unwrap();
        let Finding::Broken(text) = check(&config).await else {
            panic!("TEST-NET-1 is nobody's")
        };
        assert!(text.contains("is no address of this machine"), "{text}");
    }
}
