//! An HTTP/1.1 receiver of the tests: it notes every request that it has read, and answers, hangs or cuts as it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a receiver does with a request.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Answers: status, further header lines, content.
    Answer(u16, String, String),
    /// Cuts the connection without reading.
    CutBefore,
    /// Reads, and cuts the connection.
    CutAfter,
    /// Reads, and cuts the connection within the answer.
    CutAnswer,
    /// Reads, and says nothing until the sender has gone.
    Hang,
}

impl Act {
    pub(super) fn status(status: u16) -> Self {
        Self::Answer(status, String::new(), String::new())
    }

    fn confirms(&self) -> bool {
        matches!(self, Self::Answer(200..=299, _, _))
    }
}

/// A request that was read.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// `POST /path HTTP/1.1`
    pub(super) line: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The answer says so.
    pub(super) confirmed: bool,
}

impl Request {
    /// The value of a header that is there once.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    pub(super) fn key(&self) -> &str {
        self.header("idempotency-key").expect("each message has a key")
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }
}

type Plan = dyn FnMut() -> Act + Send;

/// A receiver.
pub(super) struct Receiver {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    /// One that does with each request what `plan` says then.
    pub(super) fn start(plan: impl FnMut() -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::<Mutex<Vec<Request>>>::default();
        let plan: Arc<Mutex<Plan>> = Arc::new(Mutex::new(plan));
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (plan, noted) = (Arc::clone(&plan), Arc::clone(&noted));
                std::thread::spawn(move || serve(stream, &plan, &noted));
            }
        });
        Self { port, seen }
    }

    /// One that answers the same to all.
    pub(super) fn always(act: Act) -> Self {
        Self::start(move || act.clone())
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Vec<Request>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves a connection until either side cuts it.
fn serve(stream: TcpStream, plan: &Mutex<Plan>, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    // A connection that is closed between two requests is none that was cut.
    while reader.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
        let act = plan.lock().unwrap_or_else(PoisonError::into_inner)();
        if matches!(act, Act::CutBefore) {
            return;
        }
        let Some(request) = read(&mut reader) else { return };
        // Before the answer: whoever has it finds the request here.
        let request = Request { confirmed: act.confirms(), ..request };
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        match act {
            Act::Answer(status, headers, content) => {
                let length = content.len();
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{headers}\r\n{content}");
                if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
            Act::CutAnswer => {
                let _ = reader.get_mut().write_all(b"HTTP/1.1 20");
                return;
            }
            Act::Hang => {
                let _ = reader.read(&mut [0]);
                return;
            }
            Act::CutAfter | Act::CutBefore => return,
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let line = lines.first()?.clone();
    let split = |line: &String| line.split_once(": ").map(|(n, v)| (n.to_lowercase(), v.to_owned()));
    let headers: Vec<(String, String)> = lines[1..].iter().filter_map(split).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, v)| v.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Request { line, headers, body, confirmed: false })
}
