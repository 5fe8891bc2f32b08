//! The probe of the model's server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use tokio::net::TcpListener;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().copied().collect()
}

fn broken(finding: Finding) -> String {
    match finding {
        Finding::Fail(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_step_has_its_own_fault() {
    let here = environment(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fine = check(&format!("http://{address}/v1"), &here).await;
    assert!(matches!(fine, Finding::Pass(_)), "{fine:?}");
    // It hangs up where TLS would begin.
    let hanging_up = async { drop(listener.accept().await.unwrap()) };
    let url = format!("https://{address}/v1");
    let (finding, ()) = tokio::join!(check(&url, &here), async {
        // The first was of the check before.
        hanging_up.await;
        drop(listener.accept().await.unwrap());
    });
    let text = broken(finding);
    assert!(
        text.contains("TLS fails") || text.contains("no CA certificate"),
        "{text}"
    );
    drop(listener);
    let text = broken(check(&url, &here).await);
    assert!(text.contains("the connection is refused"), "{text}");
    let text = broken(check("https://model.invalid/v1", &here).await);
    // Where DNS is dropped, it is the wait that ends.
    assert!(
        text.starts_with("model.invalid:443 cannot be reached: ")
            && text.ends_with("; check network and DNS"),
        "{text}"
    );
    let text = broken(check("model", &here).await);
    assert!(text.contains("is not the URL"), "{text}");
}

#[test]
fn a_proxy_is_reached_in_place_of_the_server_unless_it_is_exempt() {
    let server = ModelServer::of("https://chatgpt.com/backend-api").unwrap();
    let found = |variables: &[(&str, &str)]| {
        let found = proxy(&server, &environment(variables));
        found.map(|(name, proxy)| format!("{name} {proxy}"))
    };
    assert_eq!(found(&[("HTTP_PROXY", "http://p")]), None);
    for (variables, expected) in [
        (
            &[("HTTPS_PROXY", "http://me:secret@p:3128")][..],
            "HTTPS_PROXY p:3128",
        ),
        (&[("all_proxy", "socks5://p")], "all_proxy p:1080"),
        (
            &[("https_proxy", "p:8080"), ("NO_PROXY", "gpt.com,x.com")],
            "https_proxy p:8080",
        ),
    ] {
        assert_eq!(found(variables).as_deref(), Some(expected));
    }
    for exempt in ["*", "a, chatgpt.com", ".com", "*.com", "ChatGPT.com"] {
        let variables = [("HTTPS_PROXY", "http://p"), ("no_proxy", exempt)];
        assert_eq!(found(&variables), None, "{exempt}");
    }
}
