//! An HTTP server that takes what is posted. Now and then it answers that it cannot, or takes it and says nothing. It must
//! not know what should come.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::model::Event;

/// Long enough for anything that is to happen at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was posted: the key and the body, in order.
type Posts = Arc<Mutex<Vec<(String, Value)>>>;

pub struct Receiver {
    port: u16,
    posts: Posts,
}

/// What was told of an instance, by its key, in the order in which it came first.
struct Told {
    transition: String,
    t: f64,
    at: i64,
}

impl Receiver {
    pub fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let posts = Posts::default();
        let taken = Arc::clone(&posts);
        let mut chance = StdRng::seed_from_u64(seed ^ 0x5eed);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mood = chance.random_range(0..100);
                // What breaks off while it is read was not told.
                let _ = answer(stream, mood, &taken);
            }
        });
        Self { port, posts }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Different things told, and how many were told again.
    pub fn counts(&self) -> (usize, usize) {
        let posts = self.posts.lock().expect("nobody panics with it");
        let mut keys: Vec<&String> = posts.iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        (keys.len(), posts.len() - keys.len())
    }

    /// Waits until all of `expected` was told, and sees that it is told in order and that nothing else is.
    pub fn wait_for(&self, expected: &[Event]) {
        let begin = Instant::now();
        loop {
            match self.differs(expected) {
                None => return,
                Some(what) if begin.elapsed() > PATIENCE => panic!("{what}\nexpected: {expected:#?}"),
                Some(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn differs(&self, expected: &[Event]) -> Option<String> {
        let told = self.told();
        let mut wanted: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        expected.iter().for_each(|event| wanted.entry(&event.instance).or_default().push(event));
        if let Some(other) = told.keys().find(|instance| !wanted.contains_key(instance.as_str())) {
            panic!("instance {other} was told, and nothing happened to it");
        }
        for (instance, events) in wanted {
            let heard = told.get(instance).map_or(&[][..], Vec::as_slice);
            for (i, (event, told)) in events.iter().zip(heard).enumerate() {
                let right = event.transition == told.transition && (event.t - told.t).abs() < 1e-9;
                assert!(right, "instance {instance}, {i}: {} {} was told, {event:?} happened", told.transition, told.t);
                let in_time = (event.from..=event.to).contains(&told.at);
                assert!(in_time, "instance {instance}, {i}: told of {}, {event:?} happened", told.at);
            }
            assert!(
                heard.len() <= events.len(),
                "instance {instance}: told {} of {} events",
                heard.len(),
                events.len()
            );
            if heard.len() < events.len() {
                return Some(format!("instance {instance}: {:?} was not told", events[heard.len()]));
            }
        }
        None
    }

    /// By instance. What has one key is the same to the last byte.
    fn told(&self) -> BTreeMap<String, Vec<Told>> {
        let posts = self.posts.lock().expect("nobody panics with it");
        let mut by_key: BTreeMap<&str, &Value> = BTreeMap::new();
        let mut told: BTreeMap<String, Vec<Told>> = BTreeMap::new();
        for (key, body) in posts.iter() {
            if let Some(before) = by_key.insert(key, body) {
                assert_eq!(before, body, "two bodies under the key {key}");
                continue;
            }
            let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("{name} in {body}")).to_owned();
            let t = body["row"]["t"].as_f64().unwrap_or_else(|| panic!("t in {body}"));
            let at = chrono::DateTime::parse_from_rfc3339(&text("at")).expect("a time").timestamp_micros();
            told.entry(text("instance")).or_default().push(Told { transition: text("transition"), t, at });
        }
        told
    }
}

/// Reads a request and answers it as the `mood` (0 to 99) has it.
fn answer(stream: TcpStream, mood: u8, posts: &Posts) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream);
    let (mut length, mut key) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().expect("a number"),
            "idempotency-key" => key = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut stream = reader.into_inner();
    if mood < 10 {
        return stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let body = serde_json::from_slice(&body).expect("the body is JSON");
    posts.lock().expect("nobody panics with it").push((key, body));
    if mood < 15 {
        return Ok(());
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
}
