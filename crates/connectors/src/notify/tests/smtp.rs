//! An SMTP server of the tests: it keeps every mail that it has taken, and answers or cuts as it is told. With a
//! certificate it speaks TLS, at once or after STARTTLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does at a word of the client; `.` is the end of a mail.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// What a well server would.
    Go,
    /// Says this instead.
    Say(&'static str),
    /// Cuts the connection; a mail that is whole is taken.
    Cut,
}

/// A mail that was taken.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    /// `MAIL FROM` and `RCPT TO`, as they came.
    pub(super) envelope: Vec<String>,
    /// What came with `AUTH`.
    pub(super) login: Option<String>,
    pub(super) encrypted: bool,
    /// Headers and body, with line ends as they came.
    pub(super) content: String,
}

impl Mail {
    /// The lines of the head, folded ones joined.
    pub(super) fn head(&self) -> Vec<String> {
        let (head, _) = self.content.split_once("\r\n\r\n").expect("an empty line behind the head");
        head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
    }

    /// The value of a header that is there once.
    pub(super) fn header(&self, name: &str) -> String {
        let head = self.head();
        let values: Vec<&str> = head.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect();
        assert_eq!(values.len(), 1, "{name} in {head:?}");
        values[0].to_owned()
    }

    pub(super) fn body(&self) -> &str {
        self.content.split_once("\r\n\r\n").expect("an empty line behind the head").1
    }
}

type Plan = dyn FnMut(&str) -> Turn + Send;

/// How a server speaks TLS.
#[derive(Clone)]
pub(super) enum Tls {
    None,
    Starttls(Arc<ServerConfig>),
    Implicit(Arc<ServerConfig>),
}

/// A certificate for `host`: what clients trust, as PEM, and what the server has.
pub(super) fn certificate(host: &str) -> (String, Arc<ServerConfig>) {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).expect("a certificate");
    let pem = made.cert.pem();
    let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    (pem, Arc::new(config.with_no_client_auth().with_single_cert(chain, key).expect("a pair")))
}

/// A server.
pub(super) struct Smtp {
    pub(super) port: String,
    taken: Arc<Mutex<Vec<Mail>>>,
}

impl Smtp {
    pub(super) fn start(tls: Tls, plan: impl FnMut(&str) -> Turn + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port().to_string();
        let taken = Arc::<Mutex<Vec<Mail>>>::default();
        let kept = Arc::clone(&taken);
        let mut plan: Box<Plan> = Box::new(plan);
        // One client at a time, as one message is in flight.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &tls, &mut Talk { plan: plan.as_mut(), taken: &kept, encrypted: false, offers: false });
            }
        });
        Self { port, taken }
    }

    pub(super) fn taken(&self) -> MutexGuard<'_, Vec<Mail>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(stream: TcpStream, tls: &Tls, talk: &mut Talk<'_>) {
    let secure = |stream, config: &Arc<ServerConfig>| {
        Some(StreamOwned::new(ServerConnection::new(Arc::clone(config)).ok()?, stream))
    };
    match tls {
        Tls::None => drop(talk.run(stream, true)),
        Tls::Implicit(config) => {
            talk.encrypted = true;
            if let Some(stream) = secure(stream, config) {
                drop(talk.run(stream, true));
            }
        }
        Tls::Starttls(config) => {
            talk.offers = true;
            if let Some(stream) = talk.run(stream, true).and_then(|stream| secure(stream, config)) {
                (talk.encrypted, talk.offers) = (true, false);
                drop(talk.run(stream, false));
            }
        }
    }
}

/// One connection.
struct Talk<'a> {
    plan: &'a mut Plan,
    taken: &'a Mutex<Vec<Mail>>,
    encrypted: bool,
    /// STARTTLS can be had.
    offers: bool,
}

impl Talk<'_> {
    /// Talks until the end; gives the stream back when the client starts TLS.
    fn run<S: Read + Write>(&mut self, stream: S, greets: bool) -> Option<S> {
        let mut reader = BufReader::new(stream);
        let say = |reader: &mut BufReader<S>, line: &str| {
            reader.get_mut().write_all(format!("{line}\r\n").as_bytes()).and_then(|()| reader.get_mut().flush()).ok()
        };
        if greets {
            say(&mut reader, "220 ready")?;
        }
        let (mut envelope, mut login) = (Vec::new(), None);
        loop {
            let line = line(&mut reader)?;
            let verb = line.split(' ').next().unwrap_or_default().to_uppercase();
            match (self.plan)(&verb) {
                Turn::Cut => return None,
                Turn::Say(answer) => {
                    say(&mut reader, answer)?;
                    continue;
                }
                Turn::Go => {}
            }
            match verb.as_str() {
                "EHLO" => {
                    let offer = if self.offers { "250-STARTTLS\r\n" } else { "" };
                    say(&mut reader, &format!("250-here\r\n{offer}250 AUTH PLAIN"))?;
                }
                "STARTTLS" => {
                    say(&mut reader, "220 go on")?;
                    return Some(reader.into_inner());
                }
                "AUTH" => {
                    login = Some(line);
                    say(&mut reader, "235 welcome")?;
                }
                "MAIL" | "RCPT" => {
                    envelope.push(line);
                    say(&mut reader, "250 well")?;
                }
                "DATA" => {
                    say(&mut reader, "354 go on")?;
                    let content = content(&mut reader)?;
                    let turn = (self.plan)(".");
                    if !matches!(turn, Turn::Say(_)) {
                        let envelope = std::mem::take(&mut envelope);
                        let mail = Mail { envelope, login: login.clone(), encrypted: self.encrypted, content };
                        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
                    }
                    match turn {
                        Turn::Go => say(&mut reader, "250 taken")?,
                        Turn::Say(answer) => say(&mut reader, answer)?,
                        Turn::Cut => return None,
                    }
                }
                "QUIT" => {
                    say(&mut reader, "221 farewell")?;
                    return None;
                }
                _ => say(&mut reader, "502 what")?,
            }
        }
    }
}

/// A line without its end, which must be CR LF.
fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    line.strip_suffix("\r\n").map(str::to_owned)
}

fn content(reader: &mut impl BufRead) -> Option<String> {
    let mut content = String::new();
    loop {
        let line = line(reader)?;
        match line.strip_prefix('.') {
            Some("") => return Some(content),
            stuffed => content.push_str(stuffed.unwrap_or(&line)),
        }
        content.push_str("\r\n");
    }
}
