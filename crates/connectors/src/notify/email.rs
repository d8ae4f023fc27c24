//! `email`: a message is an e-mail, handed to a server by SMTP. It must not know how the server passes it on.
//!
//! | option | meaning | default |
//! | --- | --- | --- |
//! | `smtp.host`, `smtp.port` | the server | required; 587, 465 (`implicit`) or 25 (`none`) |
//! | `smtp.tls` | `starttls`, `implicit`, `none`; none only on this machine | `starttls` |
//! | `ssl.ca.pem` | the authorities that are trusted, as PEM text | the system's |
//! | `username`, `password` | the login | |
//! | `from`, `to` | addresses; several in `to`, divided by commas, see each other | required |
//! | `subject`, `body` | templates, `{{column}}` | a line about the message; a line a value |
//! | `timeout.millis` | how long the server may take to connect, and for one answer | `10000` |

use std::net::IpAddr;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thalweg_core::{Error, Options, Result};

use super::about::About;
use super::channel::{Channel, Failure, said};
use super::message::Message;
use super::options::{MESSAGE_BYTES, timeout};
use crate::template::Template;

/// Whom one message may go to (addresses).
const RECIPIENTS: usize = 50;

/// A subject is cut after so many characters.
const SUBJECT_CHARACTERS: usize = 200;

/// Answers that are about the login, whatever the message (RFC 4954, section 6).
const OF_LOGIN: [u16; 4] = [530, 534, 535, 538];

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    Starttls,
    Implicit,
    None,
}

/// Mails each message.
pub(super) struct Email {
    transport: SmtpTransport,
    /// For messages.
    server: String,
    from: Mailbox,
    to: Mailboxes,
    subject: Option<Template>,
    body: Option<Template>,
    about: About,
}

impl Email {
    /// # Errors
    /// Options that are wrong.
    pub(super) fn take(options: &mut Options, about: About) -> Result<Self> {
        const ENCRYPTIONS: &[(&str, Encryption)] =
            &[("starttls", Encryption::Starttls), ("implicit", Encryption::Implicit), ("none", Encryption::None)];
        let host = options.require("smtp.host", "smtp.example.com")?.trim().to_owned();
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/' || c == '@') {
            return Err(Error::invalid("option smtp.host is not the name of a host"));
        }
        let encryption = options.choice("smtp.tls", ENCRYPTIONS, Encryption::Starttls)?;
        let port = match encryption {
            Encryption::Starttls => 587,
            Encryption::Implicit => 465,
            Encryption::None => 25,
        };
        let port: u16 = options.parse("smtp.port", port, "the number of a port")?;
        let mut transport = SmtpTransport::builder_dangerous(&host)
            .port(port)
            .timeout(Some(timeout(options)?))
            .tls(tls(encryption, &host, options.take("ssl.ca.pem"))?);
        match (options.take("username"), options.take("password")) {
            (None, None) => {}
            (Some(username), Some(password)) => {
                transport = transport.credentials(Credentials::new(username, password));
            }
            _ => return Err(Error::invalid("options username and password are given together or not at all")),
        }
        let from = options.require("from", "thalweg@example.com")?;
        let to = options.require("to", "operators@example.com")?;
        Ok(Self {
            transport: transport.build(),
            server: format!("{host}:{port}"),
            from: from.parse().map_err(|e| Error::invalid(format!("option from = '{}': {e}", from.escape_debug())))?,
            to: recipients(&to)?,
            subject: about.template("subject", options)?,
            body: about.template("body", options)?,
            about,
        })
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message> {
        let subject = match &self.subject {
            Some(template) => self.about.fill(template, message, str::to_owned)?,
            None => self.about.headline(message)?,
        };
        let body = match &self.body {
            Some(template) => self.about.fill(template, message, str::to_owned)?,
            None => self.about.lines(message)?,
        };
        // The same for doubles, so that clients which look at it show one.
        let id = format!("<{}@{}>", message.key, self.from.email.domain());
        // RFC 3834: nobody's machine is to answer.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut mail = lettre::Message::builder()
            .message_id(Some(id))
            .from(self.from.clone())
            .subject(line(&subject))
            .header(ContentType::TEXT_PLAIN)
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        for to in self.to.iter() {
            mail = mail.to(to.clone());
        }
        mail.body(lines(&body)).map_err(|e| Error::Internal(format!("a mail without a part that it has: {e}")))
    }
}

impl Channel for Email {
    fn send(&mut self, message: &Message) -> Result<(), Failure> {
        let mail = self.mail(message)?;
        let bytes = mail.formatted();
        if bytes.len() > MESSAGE_BYTES {
            let bytes = bytes.len();
            return Err(Failure::Refused(format!(
                "it has {bytes} bytes, and no message may have more than {MESSAGE_BYTES}"
            )));
        }
        let Err(error) = self.transport.send_raw(mail.envelope(), &bytes) else { return Ok(()) };
        let why = format!("{}: {}", self.server, said(&error.to_string()));
        let code = error.status().map(u16::from);
        if code.is_some_and(|code| OF_LOGIN.contains(&code)) {
            return Err(Failure::Broken(Error::invalid_with_hint(
                format!("the login is refused: {why}"),
                "Check options username and password and what the server asks of its users.",
            )));
        }
        Err(if error.is_permanent() { Failure::Refused(why) } else { Failure::again(why) })
    }
}

fn tls(encryption: Encryption, host: &str, authorities: Option<String>) -> Result<Tls> {
    if encryption == Encryption::None {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let here = host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if !here {
            return Err(Error::invalid_with_hint(
                format!("option smtp.tls = 'none' would send mail to {host} for all to read"),
                "Use 'starttls' or 'implicit'; 'none' is for a server on this machine.",
            ));
        }
        if authorities.is_some() {
            return Err(Error::invalid("option ssl.ca.pem means nothing with smtp.tls = 'none'"));
        }
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(pem) = authorities {
        let wrong = |e: &dyn std::fmt::Display| Error::invalid(format!("option ssl.ca.pem: {e}"));
        if CertificateDer::pem_slice_iter(pem.as_bytes()).next().is_none() {
            return Err(wrong(&"there is no certificate in it"));
        }
        parameters = parameters
            .certificate_store(CertificateStore::None)
            .add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(|e| wrong(&e))?);
    }
    let parameters = parameters.build().map_err(|e| Error::invalid(format!("no TLS can be set up: {e}")))?;
    Ok(match encryption {
        Encryption::Implicit => Tls::Wrapper(parameters),
        _ => Tls::Required(parameters),
    })
}

fn recipients(text: &str) -> Result<Mailboxes> {
    let wrong = |why: &dyn std::fmt::Display| Error::invalid(format!("option to = '{}': {why}", text.escape_debug()));
    let to: Mailboxes = text.parse().map_err(|e| wrong(&e))?;
    match to.iter().count() {
        0 => Err(wrong(&"there is no address in it")),
        count if count > RECIPIENTS => {
            Err(wrong(&format!("{count} addresses, and no more than {RECIPIENTS} are told")))
        }
        _ => Ok(to),
    }
}

/// `text` as one line, of which a header cannot make two.
fn line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().take(SUBJECT_CHARACTERS).map(clean).collect();
    if text.chars().nth(SUBJECT_CHARACTERS).is_some() {
        line.push('…');
    }
    line
}

/// `text` without control characters, but with its lines and tabs.
fn lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { ' ' } else { c }).collect()
}
