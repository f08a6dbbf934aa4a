//! A proxy before the server that delays each request, as a network and Snowflake's services do, and measures how long the server takes.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::Outcome;

/// Runs until it is dropped.
pub(super) struct Proxy {
    pub(super) port: u16,
    busy: Arc<Busy>,
    _runtime: Runtime,
}

/// The time during which the server worked on at least one request.
#[derive(Debug, Default)]
struct Busy(Mutex<BusyTime>);

#[derive(Debug, Default)]
struct BusyTime {
    requests: usize,
    since: Option<Instant>,
    total: Duration,
}

impl Busy {
    fn begin(&self) {
        let mut time = self.0.lock().unwrap();
        time.requests += 1;
        time.since.get_or_insert_with(Instant::now);
    }

    fn end(&self) {
        let mut time = self.0.lock().unwrap();
        time.requests -= 1;
        if time.requests == 0 {
            let worked = time.since.take().map(|since| since.elapsed()).unwrap_or_default();
            time.total += worked;
        }
    }
}

impl Proxy {
    /// Forwards to a port of this machine; each request waits for `delay`.
    pub(super) fn start(server: u16, delay: Duration) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        let busy = Arc::new(Busy::default());
        let shared = busy.clone();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A broken connection is the client's to report.
                let busy = shared.clone();
                tokio::spawn(async move { drop(forward(client, server, delay, &busy).await) });
            }
        });
        Ok(Self { port, busy, _runtime: runtime })
    }

    /// How long the server has worked so far.
    pub(super) fn busy(&self) -> Duration {
        self.busy.0.lock().unwrap().total
    }
}

/// Copies in both directions. What the client sends after an answer is the next request.
async fn forward(mut client: TcpStream, server: u16, delay: Duration, busy: &Busy) -> std::io::Result<()> {
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
                    busy.begin();
                }
                server.write_all(&sent[..length]).await?;
            }
            read = server.read(&mut answered) => {
                let length = read?;
                if length == 0 {
                    return Ok(());
                }
                if !std::mem::replace(&mut is_new, true) {
                    busy.end();
                }
                client.write_all(&answered[..length]).await?;
            }
        }
    }
}
