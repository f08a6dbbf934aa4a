//! A proxy before the server that delays each request, as a network and Snowflake's services do.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::Outcome;

/// Runs until it is dropped.
pub(super) struct Proxy {
    pub(super) port: u16,
    _runtime: Runtime,
}

impl Proxy {
    /// Forwards to a port of this machine; each request waits for `delay`.
    pub(super) fn start(server: u16, delay: Duration) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A broken connection is the client's to report.
                tokio::spawn(async move { drop(forward(client, server, delay).await) });
            }
        });
        Ok(Self { port, _runtime: runtime })
    }
}

/// Copies in both directions. What the client sends after an answer is the next request.
async fn forward(mut client: TcpStream, server: u16, delay: Duration) -> std::io::Result<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut sent, mut answered, mut is_new) = (vec![0; 64 << 10], vec![0; 64 << 10], true);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let length = read?;
                if length == 0 {
                    return Ok(());
                }
                if std::mem::replace(&mut is_new, false) {
                    tokio::time::sleep(delay).await;
                }
                server.write_all(&sent[..length]).await?;
            }
            read = server.read(&mut answered) => {
                let length = read?;
                if length == 0 {
                    return Ok(());
                }
                is_new = true;
                client.write_all(&answered[..length]).await?;
            }
        }
    }
}
