//! A message bridge of the tests' own, on a raw socket, that behaves on the wire as the real one was seen to, and
//! fails on demand.
//!
//! HTTP/1.0, one thread, one request a connection, answers without a length, an odd `Content-Type::` header,
//! replies taken only as ASCII with a length and a lower-case content type. It keeps every request, and every
//! reply that the owner would get, in the order they came.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::Value;

/// How often a fault strikes that lasts until [`FakeBridge::heal`].
pub(crate) const ALWAYS: usize = usize::MAX;
/// Bytes of the answer under [`Fault::Huge`].
pub(crate) const HUGE_BYTES: u64 = 300_000_000;
/// The real bridge's XMPP link breaks at a longer reply.
const REPLY_BYTES: usize = 256 * 1024;
/// For what the bridge itself must wait for, far above what it takes.
const PATIENCE: Duration = Duration::from_secs(10);
const HEAD: &str = "Server: BaseHTTP/0.6 Python/3.11.2\r\nDate: Sun, 22 Nov 2026 11:23:54 GMT\r\n\
                    Content-Type:: application/json\r\n\r\n";

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is accepted, and nothing ever comes.
    Stalled,
    /// The answer is no HTTP.
    Garbage,
    /// The answer is 200 and a web page.
    Page,
    /// The request is refused with this status.
    Status(u16),
    /// The answer is 200 and [`HUGE_BYTES`] long.
    Huge,
    /// The answer comes a byte at a time, and does not end.
    Drip,
    /// The request is carried out, and the connection dropped instead of the answer.
    AnswerLost,
    /// The request is read but not carried out, and the connection dropped.
    RequestLost,
}

/// Which requests a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Requests {
    /// Every one.
    All,
    /// Polls only.
    Gets,
    /// Replies only.
    Puts,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `GET` or `PUT`.
    pub(crate) method: String,
    /// `/<name>` or `/replies`.
    pub(crate) path: String,
    /// Header lines, names in lower case.
    pub(crate) headers: Vec<String>,
    /// The body, byte by byte.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

/// What the bridge has seen so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Every request that was read.
    pub(crate) requests: Vec<Request>,
    /// Every reply that the owner gets.
    pub(crate) replies: Vec<String>,
    /// Connections under [`Fault::Stalled`].
    pub(crate) stalled: usize,
    /// Bytes that clients took of endless answers.
    pub(crate) bytes_taken: u64,
    /// Whether a reply broke the link to the owner: nothing arrives from there on, though all is answered 200.
    pub(crate) link_is_dead: bool,
}

/// The bridge. It ends when it is dropped.
pub(crate) struct FakeBridge {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    seen: Seen,
    name: String,
    commands: VecDeque<String>,
    tells_names: bool,
    fault: Option<(Requests, Fault, usize)>,
    /// Connections that are held open without an answer.
    held: Vec<TcpStream>,
    /// Whether it should listen, and whether it does.
    is_wanted: bool,
    is_listening: bool,
    is_over: bool,
}

impl FakeBridge {
    /// A bridge that knows one queue, on a free port of the loopback.
    pub(crate) fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        *shared.lock() =
            Inner { name: name.to_owned(), is_wanted: true, is_listening: true, ..Inner::default() };
        let server = Arc::clone(&shared);
        let thread = thread::spawn(move || server.run(listener, port));
        Self { port, shared, thread: Some(thread) }
    }

    /// Its address, as `bridge.url` takes it.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Its address with a name and a password in it.
    pub(crate) fn url_with(&self, user: &str, password: &str) -> String {
        format!("http://{user}:{password}@127.0.0.1:{}/", self.port)
    }

    /// The owner says something.
    pub(crate) fn push_command(&self, text: &str) {
        self.shared.lock().commands.push_back(text.to_owned());
    }

    /// From now on knows the queue by this name only.
    pub(crate) fn rename(&self, name: &str) {
        self.shared.lock().name = name.to_owned();
    }

    /// Whether its root names its queue, as some bridges do.
    pub(crate) fn tell_names(&self, tells_names: bool) {
        self.shared.lock().tells_names = tells_names;
    }

    /// From now on fails the next requests of a kind, so many times, instead of any fault before.
    pub(crate) fn fail(&self, requests: Requests, fault: Fault, times: usize) {
        self.release(Some((requests, fault, times)));
    }

    /// Works again. Connections that were held are dropped.
    pub(crate) fn heal(&self) {
        self.release(None);
    }

    /// Stops listening: connections are refused when this returns.
    pub(crate) fn close(&self) {
        self.shared.lock().is_wanted = false;
        self.knock();
        drop(self.shared.wait(PATIENCE, |inner| !inner.is_listening).expect("the bridge closes"));
    }

    /// Listens again, on the same port.
    pub(crate) fn reopen(&self) {
        self.shared.lock().is_wanted = true;
        self.shared.changed.notify_all();
        drop(self.shared.wait(PATIENCE, |inner| inner.is_listening).expect("the port is free again"));
    }

    /// What it has seen so far.
    pub(crate) fn seen(&self) -> Seen {
        self.shared.lock().seen.clone()
    }

    /// The replies that the owner has got so far.
    pub(crate) fn replies(&self) -> Vec<String> {
        self.seen().replies
    }

    /// Waits until the owner has got so many replies; fails with those that came.
    pub(crate) fn wait_for_replies(&self, count: usize, limit: Duration) -> Vec<String> {
        self.wait_until(limit, |seen| seen.replies.len() >= count).replies
    }

    /// Waits for a condition; fails with what was seen.
    pub(crate) fn wait_until(&self, limit: Duration, is_so: impl Fn(&Seen) -> bool) -> Seen {
        match self.shared.wait(limit, |inner| is_so(&inner.seen)) {
            Ok(inner) => inner.seen.clone(),
            Err(inner) => panic!("not so within {limit:?}; seen: {:#?}", inner.seen),
        }
    }

    fn release(&self, fault: Option<(Requests, Fault, usize)>) {
        let mut inner = self.shared.lock();
        inner.fault = fault;
        inner.held.clear();
        drop(inner);
        self.shared.changed.notify_all();
    }

    /// Wakes the thread from its wait for a connection; it is not there if the port is closed.
    fn knock(&self) {
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.shared.changed.notify_all();
    }
}

impl Drop for FakeBridge {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.release(None);
        self.knock();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; a second one here would hide the test's own.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for a condition: `Err` if the limit was reached first.
    fn wait(
        &self,
        limit: Duration,
        is_so: impl Fn(&Inner) -> bool,
    ) -> Result<MutexGuard<'_, Inner>, MutexGuard<'_, Inner>> {
        let (guard, waited) = self
            .changed
            .wait_timeout_while(self.lock(), limit, |inner| !is_so(inner))
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if waited.timed_out() { Err(guard) } else { Ok(guard) }
    }

    fn run(&self, listener: TcpListener, port: u16) {
        let mut listener = Some(listener);
        loop {
            let inner = self.lock();
            let (is_wanted, is_over) = (inner.is_wanted, inner.is_over);
            drop(inner);
            if is_over {
                return;
            }
            if !is_wanted {
                listener = None;
                self.lock().is_listening = false;
                self.changed.notify_all();
                // A limit only so that a test that forgot it ends.
                drop(self.wait(PATIENCE, |inner| inner.is_wanted || inner.is_over));
                continue;
            }
            let Some(open) = &listener else {
                listener = TcpListener::bind(("127.0.0.1", port)).ok();
                self.lock().is_listening = listener.is_some();
                self.changed.notify_all();
                continue;
            };
            if let Ok((stream, _)) = open.accept() {
                // The client may go at any moment; the next one is served.
                let _ = self.serve(stream);
            }
        }
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let fault = self.lock().fault;
        if matches!(fault, Some((Requests::All, Fault::Stalled, _))) {
            return self.stall(stream);
        }
        let Some(request) = read(&stream)? else { return Ok(()) };
        let mut inner = self.lock();
        inner.seen.requests.push(request.clone());
        let fault = inner.strike(&request.method);
        drop(inner);
        self.changed.notify_all();
        let result = self.answer(&stream, &request, fault);
        self.changed.notify_all();
        match fault {
            Some(Fault::Stalled) => self.stall(stream),
            _ => result.and_then(|()| stream.shutdown(Shutdown::Write)),
        }
    }

    fn stall(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut inner = self.lock();
        // Healed in between: then it is simply dropped.
        if inner.fault.is_some() {
            inner.held.push(stream);
        }
        inner.seen.stalled += 1;
        drop(inner);
        self.changed.notify_all();
        Ok(())
    }

    fn answer(&self, mut stream: &TcpStream, request: &Request, fault: Option<Fault>) -> std::io::Result<()> {
        let page = format!("HTTP/1.0 200 OK\r\n{HEAD}");
        match fault {
            None => {
                let (status, body) = self.lock().carry_out(request);
                write!(stream, "HTTP/1.0 {status} Whatever\r\n{HEAD}{body}")
            }
            Some(Fault::AnswerLost) => {
                self.lock().carry_out(request);
                Ok(())
            }
            Some(Fault::RequestLost | Fault::Stalled) => Ok(()),
            Some(Fault::Garbage) => stream.write_all(b"\x00\xffSSH-2.0-OpenSSH_9.2\r\n\r\n\r\n"),
            Some(Fault::Page) => write!(stream, "{page}<html>It works!</html>"),
            Some(Fault::Status(status)) => write!(stream, "HTTP/1.0 {status} Whatever\r\n{HEAD}"),
            Some(Fault::Huge) => {
                stream.write_all(page.as_bytes())?;
                let chunk = [b' '; 65_536];
                while self.lock().seen.bytes_taken < HUGE_BYTES {
                    let taken = stream.write(&chunk)?;
                    self.lock().seen.bytes_taken += u64::try_from(taken).unwrap_or(0);
                }
                Ok(())
            }
            Some(Fault::Drip) => {
                stream.write_all(page.as_bytes())?;
                let tick = Duration::from_millis(20);
                while self.wait(tick, |inner| inner.is_over || inner.fault.is_none()).is_err() {
                    stream.write_all(b" ")?;
                    self.lock().seen.bytes_taken += 1;
                }
                Ok(())
            }
        }
    }
}

impl Inner {
    /// The fault for this request, if one is planned.
    fn strike(&mut self, method: &str) -> Option<Fault> {
        let (requests, fault, left) = self.fault.as_mut()?;
        let is_meant = match requests {
            Requests::All => true,
            Requests::Gets => method == "GET",
            Requests::Puts => method == "PUT",
        };
        if !is_meant || *left == 0 {
            return None;
        }
        *left -= usize::from(*left != ALWAYS);
        Some(*fault)
    }

    /// What the real bridge does: status and body.
    fn carry_out(&mut self, request: &Request) -> (u16, String) {
        if request.method == "GET" {
            let name = request.path.trim_matches('/');
            if name.is_empty() && self.tells_names {
                return (200, serde_json::json!({ "active agents": [self.name] }).to_string());
            }
            if name != self.name {
                return (404, format!("{{\"{name}\": \"not found\"}}"));
            }
            let command = self.commands.pop_front().unwrap_or_else(|| "no commands".to_owned());
            return (200, serde_json::json!({ "command": command }).to_string());
        }
        if request.method != "PUT" || request.path != "/replies" {
            return (404, String::new());
        }
        let is_json = request.header("content-type").is_some_and(|value| value.contains("application/json"));
        if request.header("content-length").is_none() || !is_json || !request.body.is_ascii() {
            return (500, String::new());
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let text = |key| body.get(key).and_then(Value::as_str);
        let (Some(_), Some(reply)) = (text("name"), text("reply")) else {
            return (400, String::new());
        };
        let is_illegal = |c: char| (c < ' ' && !"\t\n\r".contains(c)) || matches!(c, '\u{fffe}' | '\u{ffff}');
        if reply.len() > REPLY_BYTES || reply.contains(is_illegal) {
            self.seen.link_is_dead = true;
        }
        if !self.seen.link_is_dead {
            self.seen.replies.push(reply.to_owned());
        }
        (200, String::new())
    }
}

/// Reads one request; `None` where the client left before it said anything.
fn read(stream: &TcpStream) -> std::io::Result<Option<Request>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push(format!("{}:{value}", name.to_ascii_lowercase()));
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_end(&mut request.body)?;
    Ok(Some(request))
}
