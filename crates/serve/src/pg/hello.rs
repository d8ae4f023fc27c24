//! The first bytes of a connection: TLS or not, a cancel request, or a start-up message. They are read here and nowhere
//! else, and TLS begins on the raw socket with nothing read ahead. It must not know users.

use std::io;
use std::sync::Arc;

use futures_util::FutureExt;
use rustls::ServerConfig;
use thalweg_core::{SqlError, SqlState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::config::PgConfig;
use super::failure::Failure;
use super::startup::Startup;
use super::wire::{Socket, Wire};

const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// The name of the protocol in ALPN.
const ALPN: &[u8] = b"postgresql";

/// What a client wants.
#[derive(Debug)]
pub(crate) enum Hello {
    /// To cancel the statement of another connection.
    Cancel { process_id: u32, secret: Vec<u8> },
    /// A session. An error is to be told before the connection ends.
    Start(Wire, Box<Result<Startup, Failure>>),
}

/// Reads until it is clear what the client wants.
pub(crate) async fn greet(stream: TcpStream, config: &PgConfig) -> io::Result<Hello> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first[0] == TLS_HANDSHAKE {
        let tls = config.tls.as_ref().ok_or_else(|| refused("TLS is not configured"))?;
        let socket = secure(stream, tls, true).await?;
        return opening(Wire::new(socket, config.limits.max_login_message_bytes), config, true).await;
    }
    let wire = Wire::new(Socket::Plain(stream), config.limits.max_login_message_bytes);
    opening(wire, config, false).await
}

/// Reads unframed messages until one of them is not about encryption.
async fn opening(mut wire: Wire, config: &PgConfig, mut encrypted: bool) -> io::Result<Hello> {
    let (mut asked_ssl, mut asked_gss) = (false, false);
    loop {
        let mut head = [0; 8];
        wire.socket().read_exact(&mut head).await?;
        let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
        let length = i32::from_be_bytes([l0, l1, l2, l3]);
        let code = u32::from_be_bytes([c0, c1, c2, c3]);
        match (usize::try_from(length), code) {
            (Ok(8), SSL) if !encrypted && !asked_ssl => {
                asked_ssl = true;
                let mut stream = wire.into_plain().ok_or_else(|| refused("TLS inside TLS"))?;
                nothing_behind(&stream)?;
                let answer = if config.tls.is_some() { b"S" } else { b"N" };
                stream.write_all(answer).await?;
                let socket = match &config.tls {
                    Some(tls) => {
                        encrypted = true;
                        secure(stream, tls, false).await?
                    }
                    None => Socket::Plain(stream),
                };
                wire = Wire::new(socket, config.limits.max_login_message_bytes);
            }
            (Ok(8), GSS) if !encrypted && !asked_gss => {
                asked_gss = true;
                if let Socket::Plain(stream) = wire.socket() {
                    nothing_behind(stream)?;
                }
                wire.socket().write_all(b"N").await?;
            }
            (Ok(length), CANCEL) if (13..=12 + 256).contains(&length) => {
                let mut body = vec![0; length - 8];
                wire.socket().read_exact(&mut body).await?;
                let (process_id, secret) = body.split_first_chunk().ok_or_else(|| refused("cancel request"))?;
                return Ok(Hello::Cancel { process_id: u32::from_be_bytes(*process_id), secret: secret.to_vec() });
            }
            (Ok(length), code)
                if (9..=config.limits.max_login_message_bytes).contains(&length)
                    && ![CANCEL, SSL, GSS].contains(&code) =>
            {
                let mut body = vec![0; length - 4];
                body[..4].copy_from_slice(&code.to_be_bytes());
                wire.socket().read_exact(&mut body[4..]).await?;
                let startup = Startup::decode(&body).map_err(Failure::Fatal);
                let startup = match startup {
                    Ok(_) if config.require_tls && !encrypted => Err(Failure::Fatal(no_tls())),
                    other => other,
                };
                return Ok(Hello::Start(wire, Box::new(startup)));
            }
            _ => {
                let wrong = Failure::protocol("invalid length of startup packet");
                return Ok(Hello::Start(wire, Box::new(Err(wrong))));
            }
        }
    }
}

/// Bytes that came with the request for encryption could have been put there by anybody.
fn nothing_behind(stream: &TcpStream) -> io::Result<()> {
    match stream.peek(&mut [0]).now_or_never() {
        None | Some(Ok(0)) => Ok(()),
        Some(Ok(_)) => Err(refused("received unencrypted data after an encryption request")),
        Some(Err(error)) => Err(error),
    }
}

async fn secure(stream: TcpStream, tls: &Arc<ServerConfig>, direct: bool) -> io::Result<Socket> {
    let stream = Box::pin(TlsAcceptor::from(Arc::clone(tls)).accept(stream)).await?;
    if direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(refused("direct TLS without the ALPN protocol postgresql"));
    }
    Ok(Socket::Tls(Box::new(stream)))
}

fn no_tls() -> SqlError {
    SqlError::new(SqlState::INVALID_AUTHORIZATION, "this server takes encrypted connections only")
        .hint("Connect with sslmode=require.")
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
