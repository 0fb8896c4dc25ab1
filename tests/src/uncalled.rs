//! A port of this machine that nobody is to call.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// Listens on one port of both loopback addresses, and notices who comes.
pub struct Uncalled {
    /// The port.
    pub port: u16,
    listeners: Vec<TcpListener>,
}

impl Uncalled {
    /// Begins to listen.
    ///
    /// # Panics
    ///
    /// When no port is free on both addresses.
    pub async fn listen() -> Self {
        for _ in 0..100 {
            let v4 = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
            let port = v4.local_addr().expect("a bound listener has an address").port();
            if let Ok(v6) = TcpListener::bind(("::1", port)).await {
                return Self { port, listeners: vec![v4, v6] };
            }
        }
        panic!("no port is free on both addresses of this machine");
    }

    /// The spellings of hosts that lead to this machine, or to a network around it.
    pub fn hosts(&self) -> Vec<String> {
        let hosts = ["127.0.0.1", "169.254.169.254", "[::1]", "10.0.0.1", "0.0.0.0", "localhost"];
        let spellings =
            ["127.1", "2130706433", "[::ffff:127.0.0.1]", "LOCALHOST", "localhost.", "a.localhost"];
        hosts.iter().chain(&spellings).map(|host| format!("{host}:{}", self.port)).collect()
    }

    /// Nobody came so far: the first connection at each address is the one that this makes.
    ///
    /// # Panics
    ///
    /// When somebody came.
    pub async fn assert_nobody_came(&self) {
        for listener in &self.listeners {
            let address: SocketAddr = listener.local_addr().expect("a bound listener has an address");
            let own = TcpStream::connect(address).await.expect("the listener listens");
            let (_, first) = listener.accept().await.expect("a connection was made");
            let own = own.local_addr().expect("a connection has an address");
            assert_eq!(first, own, "somebody came to {address} before");
        }
    }
}
