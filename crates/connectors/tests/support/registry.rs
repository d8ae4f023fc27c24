//! A schema registry of the documented REST routes, for one test: schemas by id, the newest of a subject, registration,
//! basic authentication; it can be taken down and put up again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A running registry.
pub struct Registry {
    address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// By id, from 1: subject and text.
    schemas: Mutex<Vec<(String, String)>>,
    down: AtomicBool,
    asked: AtomicUsize,
    login: Option<String>,
}

impl Registry {
    /// Starts one; `login` is the value that `Authorization` must have.
    pub fn start(login: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let shared = Arc::new(Shared { login: login.map(str::to_owned), ..Shared::default() });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // One request a connection is all that a test needs.
                let _ = serving.serve(connection);
            }
        });
        Self { address, shared }
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Adds a schema; returns its id.
    pub fn add(&self, subject: &str, schema: &str) -> u32 {
        self.shared.add(subject, schema)
    }

    /// It answers every question with 503, or no longer does.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// How many questions there were.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }

    /// The texts under each subject.
    pub fn subjects(&self) -> BTreeMap<String, String> {
        self.shared.schemas.lock().expect("not poisoned").iter().cloned().collect()
    }
}

impl Shared {
    fn add(&self, subject: &str, schema: &str) -> u32 {
        let mut schemas = self.schemas.lock().expect("not poisoned");
        let wanted = (subject.to_owned(), schema.to_owned());
        let at = schemas.iter().position(|s| *s == wanted).unwrap_or_else(|| {
            schemas.push(wanted);
            schemas.len() - 1
        });
        at as u32 + 1
    }

    fn serve(&self, mut connection: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(connection.try_clone()?);
        let mut request = String::new();
        reader.read_line(&mut request)?;
        let (mut length, mut login) = (0, None);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(": ") {
                match name.to_lowercase().as_str() {
                    "content-length" => length = value.parse().expect("a number"),
                    "authorization" => login = Some(value.to_owned()),
                    _ => {}
                }
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (status, answer) = self.answer(&request, login, &body);
        let answer = answer.to_string();
        write!(
            connection,
            "HTTP/1.1 {status} X\r\ncontent-type: application/vnd.schemaregistry.v1+json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{answer}",
            answer.len()
        )
    }

    fn answer(&self, request: &str, login: Option<String>, body: &[u8]) -> (u16, Value) {
        if self.down.load(Ordering::SeqCst) {
            return (503, json!({ "error_code": 503, "message": "down" }));
        }
        if self.login.is_some() && self.login != login {
            return (401, json!({ "error_code": 401, "message": "Unauthorized" }));
        }
        let words: Vec<&str> = request.split_whitespace().collect();
        let path: Vec<&str> = words[1].split('/').skip(1).collect();
        let not_found = (404, json!({ "error_code": 40401, "message": "not found" }));
        let schemas = || self.schemas.lock().expect("not poisoned").clone();
        match (words[0], path.as_slice()) {
            ("GET", ["schemas", "ids", id]) => {
                let at = id.parse::<usize>().ok().and_then(|id| id.checked_sub(1));
                at.and_then(|at| schemas().get(at).map(|s| json!({ "schema": s.1 }))).map_or(not_found, |a| (200, a))
            }
            ("GET", ["subjects", subject, "versions", "latest"]) => {
                let all = schemas();
                let found = all.iter().enumerate().rev().find(|(_, s)| s.0 == **subject);
                found.map_or(not_found, |(at, s)| {
                    (200, json!({ "subject": s.0, "version": 1, "id": at + 1, "schema": s.1 }))
                })
            }
            ("POST", ["subjects", subject, "versions"]) => {
                let body: Value = serde_json::from_slice(body).expect("JSON");
                let id = self.add(subject, body["schema"].as_str().expect("text"));
                (200, json!({ "id": id }))
            }
            _ => not_found,
        }
    }
}
