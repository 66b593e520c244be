//! A way to a member that can be cut.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Proxy {
    port: u16,
    is_open: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// To an address such as `http://127.0.0.1:2379`.
    pub async fn to(url: &str) -> Self {
        let target = url.split_once("://").unwrap().1.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_open = Arc::new(watch::Sender::new(true));
        let state = is_open.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut open, target) = (state.subscribe(), target.clone());
                if *open.borrow_and_update() {
                    tokio::spawn(async move {
                        tokio::select! {
                            () = carry(client, &target) => {}
                            _cut = open.wait_for(|open| !open) => {}
                        }
                    });
                }
            }
        });
        Self { port, is_open }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What is under way ends, and nothing begins.
    pub fn cut(&self) {
        self.is_open.send_replace(false);
    }

    pub fn heal(&self) {
        self.is_open.send_replace(true);
    }
}

async fn carry(mut client: TcpStream, target: &str) {
    if let Ok(mut server) = TcpStream::connect(target).await {
        let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}
