//! A proxy that corrupts responses.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// What happens to a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseFault {
    /// The connection is reset before any byte of the response has arrived.
    ResetAtOnce,
    /// … after the headers.
    ResetAfterHead,
    /// … in the middle of the body.
    ResetMidBody,
    /// Nothing arrives, and the connection stays open.
    Stall,
    /// Nothing more arrives after half of the body.
    StallMidBody,
    /// One byte every 50 milliseconds.
    Drip,
    /// The connection is closed in the middle of the body.
    Truncated,
    /// `Content-Length` is longer than the body.
    LengthTooLarge,
    /// `Content-Length` is shorter than the body.
    LengthTooSmall,
    /// The headers say gzip, and the body is plain.
    NotGzip,
    /// Latin-1, declared as such.
    Latin1,
    /// The server speaks another protocol.
    WrongProtocol,
    /// Headers without an end.
    EndlessHead,
    /// A body without an end.
    EndlessBody,
    /// JSON of an unexpected shape.
    UnexpectedJson,
}

/// The numbers of the corrupted responses, counted from 0, and their fault.
#[derive(Debug, Clone)]
struct Plan {
    fault: ResponseFault,
    responses: std::ops::Range<usize>,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<Plan>,
    next: usize,
    delay: Duration,
}

/// A local port that forwards to a server.
#[derive(Debug)]
pub(crate) struct FaultyProxy {
    socket: Mutex<Option<TcpSocket>>,
    port: u16,
    server: u16,
    state: Arc<Mutex<State>>,
}

impl FaultyProxy {
    /// A proxy to the server at this URL, a port of 127.0.0.1. Until [`connect`](Self::connect) is called, the port is held and
    /// refuses every connection.
    pub(crate) fn to(url: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let server = url.rsplit(':').next().unwrap().parse().unwrap();
        Self { socket: Mutex::new(Some(socket)), port, server, state: Arc::default() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Accepts connections.
    pub(crate) fn connect(&self) {
        let Some(socket) = self.socket.lock().unwrap().take() else { return };
        let listener = socket.listen(64).unwrap();
        let (state, ports) = (self.state.clone(), (self.port, self.server));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, ports, state.clone()));
            }
        });
    }

    /// Corrupts these responses, counted from now on.
    pub(crate) fn inject(&self, fault: ResponseFault, responses: std::ops::Range<usize>) {
        let mut state = self.state.lock().unwrap();
        (state.plan, state.next) = (Some(Plan { fault, responses }), 0);
    }

    /// Delays every response by this long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    pub(crate) fn clear_fault(&self) {
        self.state.lock().unwrap().plan = None;
    }
}

/// The fault of the next response, if any.
fn next_fault(state: &Mutex<State>) -> Option<ResponseFault> {
    let mut state = state.lock().unwrap();
    let number = state.next;
    state.next += 1;
    state.plan.as_ref().filter(|plan| plan.responses.contains(&number)).map(|plan| plan.fault)
}

/// Forwards one request and its response. The client sees a failure as a broken connection.
async fn forward(mut client: TcpStream, (port, server): (u16, u16), state: Arc<Mutex<State>>) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(client.read_u8().await.ok()?);
    }
    let request = String::from_utf8(request).ok()?.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut upstream = TcpStream::connect(("127.0.0.1", server)).await.ok()?;
    upstream.write_all(request.as_bytes()).await.ok()?;
    let mut response = Vec::new();
    upstream.read_to_end(&mut response).await.ok()?;
    let end = response.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let delay = state.lock().unwrap().delay;
    // Even a zero delay would wait until a paused clock advances.
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    // Links must lead through this proxy, too.
    let address = |port: u16| format!("127.0.0.1:{port}");
    let head = String::from_utf8(response[..end].to_vec()).ok()?.replace(&address(server), &address(port));
    match next_fault(&state) {
        None => send(&mut client, &[head.as_bytes(), &response[end..]]).await,
        Some(fault) => send_faulty(client, fault, &head, &response[end..]).await,
    }
}

async fn send(client: &mut TcpStream, parts: &[&[u8]]) -> Option<()> {
    client.write_all(&parts.concat()).await.ok()?;
    client.shutdown().await.ok()
}

async fn send_faulty(mut client: TcpStream, fault: ResponseFault, head: &str, body: &[u8]) -> Option<()> {
    let half = &body[..body.len() / 2];
    let with = |header: &str| {
        let lines = head.trim_end().split("\r\n").filter(|line| !line.to_lowercase().starts_with("content-length"));
        format!("{}\r\n{header}\r\n\r\n", lines.collect::<Vec<_>>().join("\r\n"))
    };
    let length = |length: usize| format!("content-length: {length}");
    match fault {
        ResponseFault::ResetAtOnce => client.set_zero_linger().ok(),
        ResponseFault::ResetAfterHead => {
            client.write_all(head.as_bytes()).await.ok()?;
            client.set_zero_linger().ok()
        }
        ResponseFault::ResetMidBody => {
            client.write_all(&[head.as_bytes(), half].concat()).await.ok()?;
            client.set_zero_linger().ok()
        }
        ResponseFault::Stall => wait_until_closed(&mut client).await,
        ResponseFault::StallMidBody => {
            client.write_all(&[head.as_bytes(), half].concat()).await.ok()?;
            wait_until_closed(&mut client).await
        }
        ResponseFault::Drip => {
            for byte in [head.as_bytes(), body].concat() {
                client.write_all(&[byte]).await.ok()?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Some(())
        }
        ResponseFault::Truncated => send(&mut client, &[head.as_bytes(), half]).await,
        ResponseFault::LengthTooLarge => send(&mut client, &[with(&length(body.len() + 100)).as_bytes(), body]).await,
        ResponseFault::LengthTooSmall => send(&mut client, &[with(&length(half.len())).as_bytes(), body]).await,
        ResponseFault::NotGzip => {
            let head = with(&format!("content-encoding: gzip\r\n{}", length(body.len())));
            send(&mut client, &[head.as_bytes(), body]).await
        }
        ResponseFault::Latin1 => {
            let head = with(&length(body.len())).replace("charset=utf-8", "charset=iso-8859-1");
            let body: Vec<u8> = body.iter().map(|byte| if *byte == b'e' { 0xe9 } else { *byte }).collect();
            send(&mut client, &[head.as_bytes(), &body]).await
        }
        ResponseFault::WrongProtocol => send(&mut client, &[b"SSH-2.0-OpenSSH_9.2\r\n"]).await,
        ResponseFault::EndlessHead => {
            client.write_all(b"HTTP/1.1 200 OK\r\n").await.ok()?;
            loop {
                client.write_all(&b"x-header: and one more of them\r\n".repeat(100)).await.ok()?;
            }
        }
        ResponseFault::EndlessBody => {
            client.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[").await.ok()?;
            let spaces = vec![b' '; 1 << 20];
            loop {
                client.write_all(&spaces).await.ok()?;
            }
        }
        ResponseFault::UnexpectedJson => {
            let body = br#"{"hello":"world"}"#;
            send(&mut client, &[with(&length(body.len())).as_bytes(), body]).await
        }
    }
}

/// Waits until the client closes the connection.
async fn wait_until_closed(client: &mut TcpStream) -> Option<()> {
    client.read_u8().await.ok().map(drop)
}
