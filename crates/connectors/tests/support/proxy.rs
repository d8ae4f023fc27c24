//! `Proxy`: connections to a server through a door that can be shut. While it is shut nothing passes: what is connected
//! is cut, or held up.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the door does.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Door {
    /// Bytes pass both ways.
    Open = 0,
    /// Connections are closed, and new ones as soon as they are made.
    Cut = 1,
    /// Connections stay, and nothing passes: as when packets are lost.
    Silent = 2,
    /// Requests pass and answers do not: the client cannot know what became of them.
    Deaf = 3,
}

/// A listener on loopback that forwards to a server.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

/// What becomes of the request at which connections are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// It does not get there.
    Lost,
    /// It gets there, and its answer is lost.
    Unanswered,
    /// Nothing is cut: it waits until the door is opened again.
    Held,
}

struct Shared {
    door: AtomicU8,
    /// Requests that pass until connections are cut, the last among them; below 1 there is no such end.
    fuse: AtomicI64,
    last: Mutex<Last>,
    stopped: AtomicBool,
    target: Mutex<Option<String>>,
    connections: Mutex<Vec<TcpStream>>,
}

/// How often a held-up connection looks at the door.
const LOOK: Duration = Duration::from_millis(5);

impl Proxy {
    /// Listens; forwards once [`Proxy::forward_to`] says where to.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let shared = Arc::new(Shared {
            door: AtomicU8::new(Door::Open as u8),
            fuse: AtomicI64::new(0),
            last: Mutex::new(Last::Lost),
            stopped: AtomicBool::new(false),
            target: Mutex::new(None),
            connections: Mutex::new(Vec::new()),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                accepting.accept(client);
            }
        });
        Self { port, shared }
    }

    /// The port that clients come to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Connections are forwarded to `address` from now on.
    pub fn forward_to(&self, address: &str) {
        *self.shared.target.lock().expect("not poisoned") = Some(address.to_owned());
    }

    /// Opens or shuts the door.
    pub fn set(&self, door: Door) {
        self.shared.door.store(door as u8, Ordering::SeqCst);
        if door == Door::Cut {
            self.shared.close_all();
        }
    }

    /// Connections are cut at the request of this number, counted from now on and from 1; new ones pass.
    pub fn cut_at(&self, request: i64, last: Last) {
        *self.shared.last.lock().expect("not poisoned") = last;
        self.shared.fuse.store(request, Ordering::SeqCst);
    }

    /// The request of [`Proxy::cut_at`] has not come yet.
    pub fn will_cut(&self) -> bool {
        self.shared.fuse.load(Ordering::SeqCst) > 0
    }

    /// Closes every connection; new ones pass.
    pub fn reset(&self) {
        self.shared.close_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.close_all();
        // The listener looks up from its wait.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn is(&self, door: Door) -> bool {
        self.door.load(Ordering::SeqCst) == door as u8
    }

    fn close_all(&self) {
        for connection in self.connections.lock().expect("not poisoned").drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn accept(self: &Arc<Self>, client: TcpStream) {
        let target = self.target.lock().expect("not poisoned").clone();
        let server = target.and_then(|t| TcpStream::connect(t).ok());
        let (Some(server), false) = (server, self.is(Door::Cut)) else {
            let _ = client.shutdown(Shutdown::Both);
            return;
        };
        let clone = |s: &TcpStream| s.try_clone().expect("a second handle");
        self.connections.lock().expect("not poisoned").extend([clone(&client), clone(&server)]);
        for (from, to, answers) in [(clone(&client), clone(&server), false), (server, client, true)] {
            let shared = Arc::clone(self);
            std::thread::spawn(move || shared.carry(from, to, answers));
        }
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, answers: bool) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            while self.is(Door::Silent) || (answers && self.is(Door::Deaf)) {
                std::thread::park_timeout(LOOK);
            }
            let at_end = !answers && self.fuse.fetch_sub(1, Ordering::SeqCst) == 1;
            if at_end && *self.last.lock().expect("not poisoned") == Last::Held {
                self.door.store(Door::Silent as u8, Ordering::SeqCst);
                while self.is(Door::Silent) {
                    std::thread::park_timeout(LOOK);
                }
            } else if at_end {
                if *self.last.lock().expect("not poisoned") == Last::Unanswered {
                    self.door.store(Door::Deaf as u8, Ordering::SeqCst);
                    let _ = to.write_all(&buffer[..length]);
                }
                self.close_all();
                self.door.store(Door::Open as u8, Ordering::SeqCst);
                break;
            }
            if self.is(Door::Cut) || to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
