//! An HTTP/1.1 server on threads of its own, so that it outlives the runtime of the test that started it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

use super::message::{MockRequest, MockResponse};
use super::state::{Answer, State};

/// The longest head, and the longest body, of a request.
const MAX_HEAD: u64 = 64 * 1024;
const MAX_BODY: u64 = 16 * 1024 * 1024;

/// A running server. It stops when dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) state: Arc<State>,
    address: SocketAddr,
    connections: Connections,
}

/// The open connections, each with its number.
type Connections = Arc<Mutex<Vec<(u64, TcpStream)>>>;

impl Server {
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(format!("http://{address}")));
        let connections = Connections::default();
        let (accepting, open) = (Arc::clone(&state), Arc::clone(&connections));
        thread::Builder::new().name("mock-api".into()).spawn(move || accept(&listener, &accepting, &open))?;
        Ok(Self { state, address, connections })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stop();
        for (_, connection) in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        // The thread notices when it accepts a connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>, connections: &Connections) {
    for number in 0.. {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // The client has given up meanwhile.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(_) => return,
        };
        let open = || connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(stream) = stream.try_clone() {
            open().push((number, stream));
        }
        // Checked after the connection is listed, so that a server that stops meanwhile closes it.
        if state.is_stopped() {
            return;
        }
        let (state, connections) = (Arc::clone(state), Arc::clone(connections));
        let serve = move || {
            // An error ends the connection: the client is gone. So does a panic in a function of the test.
            let _ = catch_unwind(AssertUnwindSafe(|| serve(&stream, &state)));
            let _ = stream.shutdown(Shutdown::Both);
            connections.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| *other != number);
        };
        if thread::Builder::new().name("mock-api".into()).spawn(serve).is_err() {
            return;
        }
    }
}

/// Answers the requests of a connection, one after another.
fn serve(stream: &TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        let (is_head, closes) = (request.method() == "HEAD", request.header("connection") == Some("close"));
        match state.answer(request) {
            Answer::Whole(response) => write(stream, &response, response.body().as_bytes(), is_head)?,
            Answer::Truncated(response) => return write(stream, &response, response.half(), is_head),
            Answer::Nothing => return Ok(()),
        }
        if closes {
            break;
        }
    }
    Ok(())
}

/// Reads a request; `None` at the end of the connection.
fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<MockRequest>> {
    let mut head = reader.by_ref().take(MAX_HEAD);
    let mut line = String::new();
    head.read_line(&mut line)?;
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request = MockRequest::new(method, target);
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => request = request.with_header(name.trim(), value.trim()),
            None => break,
        }
    }
    if request.header("transfer-encoding").is_some() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    reader.by_ref().take(length.min(MAX_BODY)).read_to_end(&mut body)?;
    Ok(Some(request.with_body(body)))
}

/// Writes a response with this part of its body.
fn write(mut stream: &TcpStream, response: &MockResponse, body: &[u8], is_head: bool) -> io::Result<()> {
    let mut message = format!("HTTP/1.1 {} -\r\n", response.status()).into_bytes();
    for (name, value) in &response.headers {
        message.extend(format!("{name}: {value}\r\n").bytes());
    }
    // Servers tell their time.
    if response.header("date").is_none() {
        let now = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()).map_err(io::Error::other)?;
        message.extend(format!("date: {now}\r\n").bytes());
    }
    if matches!(response.status(), 204 | 304) {
        message.extend(b"\r\n");
    } else {
        message.extend(format!("content-length: {}\r\n\r\n", response.body().len()).bytes());
        message.extend(if is_head { &[] } else { body });
    }
    stream.write_all(&message)
}
