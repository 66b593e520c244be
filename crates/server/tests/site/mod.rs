//! A server of the test's own, and a client for it.

use std::path::Path;

use keyfold_server::{Address, Config, Server};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// Storage in memory, plain HTTP on a free port.
pub const PLAIN: &str = r#"
    storage "inmem" {}
    listener "tcp" { address = "127.0.0.1:0" tls_disable = true }
"#;

/// A running server and how to reach it.
pub struct Site {
    pub server: Server,
    pub client: Client,
    pub base: String,
    pub token: String,
}

/// Status and body of an answer; null where it has none.
pub type Answer = (StatusCode, Value);

impl Site {
    /// Starts one with a configuration.
    pub async fn start(config: &str) -> Self {
        Self::start_with(config, Client::builder().no_proxy()).await
    }

    /// The same with a client of the test's own making.
    pub async fn start_with(config: &str, client: reqwest::ClientBuilder) -> Self {
        let config = Config::parse(config, Path::new("test.hcl")).unwrap();
        let server = Server::start(config).await.unwrap();
        let base = match &server.addresses()[0] {
            Address::Tcp { socket, tls: true } => format!("https://localhost:{}", socket.port()),
            Address::Tcp { socket, tls: false } => format!("http://{socket}"),
            Address::Unix(_) => "http://localhost".to_owned(),
        };
        Self {
            server,
            client: client.build().unwrap(),
            base,
            token: String::new(),
        }
    }

    /// Initialises with one share and unseals; gives the share.
    pub async fn open(&mut self) -> String {
        let split = json!({"secret_shares": 1, "secret_threshold": 1});
        let (status, keys) = self.put("sys/init", split).await;
        assert_eq!(status, 200, "{keys}");
        self.token = keys["root_token"].as_str().unwrap().to_owned();
        let share = keys["keys_base64"][0].as_str().unwrap().to_owned();
        self.unseal(&share).await;
        share
    }

    /// Gives it the share that opens it.
    pub async fn unseal(&self, share: &str) {
        let (status, state) = self.put("sys/unseal", json!({"key": share})).await;
        assert_eq!(
            (status.as_u16(), &state["sealed"]),
            (200, &json!(false)),
            "{state}"
        );
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, Some(body.to_string())).await
    }

    pub async fn send(&self, method: &str, path: &str, body: Option<String>) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .client
            .request(method, format!("{}/v1/{path}", self.base));
        if !self.token.is_empty() {
            request = request.header("X-Vault-Token", &self.token);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}
