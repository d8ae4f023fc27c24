//! Lets a user in: protocol version, password, session. The user is not known to anything else before it has shown its
//! credential. It must not know statements.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, SecretKey};
use thalweg_core::{SqlError, SqlState};
use tokio::time::{sleep, timeout_at};

use super::cancel::Registration;
use super::failure::{Failure, violation};
use super::guard::Verdict;
use super::listener::Door;
use super::reply;
use super::scram::{Exchange, MECHANISM, Refusal};
use super::startup::{NEWEST_MINOR, Startup};
use super::wire::Wire;
use crate::backend::{Backend, Credential, Login, ScramVerifier, Session, Surface};

/// Protocol 3, in the upper half of a version number.
const MAJOR: i32 = 3 << 16;

/// Authenticates and opens a session, up to the first `ReadyForQuery`.
pub(crate) async fn log_in<B: Backend>(
    door: &Door<B>,
    wire: &mut Wire,
    startup: Startup,
    peer: SocketAddr,
    deadline: Instant,
) -> Result<(B::Session, Registration), Failure> {
    if let Some(unknown) = &startup.negotiate {
        let newest = MAJOR | i32::from(NEWEST_MINOR);
        wire.send(&PgWireBackendMessage::NegotiateProtocolVersion(NegotiateProtocolVersion::new(
            newest,
            unknown.iter().cloned().map(reply::without_nul).collect(),
        )));
    }
    match door.backend.credential(&startup.user) {
        Some(Credential::Trust) => {}
        Some(Credential::Scram(verifier)) => check(door, wire, &startup.user, verifier, peer, deadline).await?,
        None => {
            let verifier = door.strangers.verifier(&startup.user);
            check(door, wire, &startup.user, verifier, peer, deadline).await?;
        }
    }
    wire.send(&PgWireBackendMessage::Authentication(Authentication::Ok));
    let registration = door.cancels.register(startup.minor >= 2);
    let mut session = door
        .backend
        .connect(Login {
            user: startup.user.clone(),
            database: startup.database,
            settings: startup.settings,
            peer: Some(peer),
            surface: Surface::Postgres,
            process_id: registration.process_id,
            cancel: registration.token.clone(),
        })
        .map_err(|error| {
            door.backend.audit("session refused", &startup.user, Some(peer));
            Failure::Fatal(error)
        })?;
    door.backend.audit("login", &startup.user, Some(peer));
    session.parameter_changes().into_iter().for_each(|change| wire.send(&reply::parameter(change)));
    wire.send(&PgWireBackendMessage::BackendKeyData(BackendKeyData::new(
        registration.process_id.cast_signed(),
        SecretKey::Bytes(Bytes::copy_from_slice(&registration.secret)),
    )));
    session.notices().into_iter().for_each(|notice| wire.send(&reply::notice(notice)));
    wire.send(&reply::ready(session.status()));
    wire.limit(door.config.limits.max_message_bytes);
    Ok((session, registration))
}

/// Asks for the password, slowly if there have been too many wrong ones.
async fn check<B: Backend>(
    door: &Door<B>,
    wire: &mut Wire,
    user: &str,
    verifier: ScramVerifier,
    peer: SocketAddr,
    deadline: Instant,
) -> Result<(), Failure> {
    let delay = match door.guard.judge(peer.ip(), Instant::now()) {
        Verdict::Proceed => None,
        Verdict::Wait(delay) => Some(delay),
        Verdict::Refuse => return Err(too_many_failures(door, user, peer)),
    };
    if let Some(delay) = delay {
        sleep(delay).await;
    }
    let deadline = deadline + delay.unwrap_or_default();
    let outcome = timeout_at(deadline.into(), exchange(wire, verifier)).await.unwrap_or_else(|_| {
        let late = SqlError::new(SqlState::QUERY_CANCELED, "canceling authentication due to timeout");
        Err(Failure::Fatal(late))
    });
    // Attempts that were begun together must not be more guesses than attempts made one after the other.
    if door.guard.judge(peer.ip(), Instant::now()) == Verdict::Refuse {
        return Err(too_many_failures(door, user, peer));
    }
    match outcome {
        Ok(Ok(proof)) => {
            wire.send(&PgWireBackendMessage::Authentication(Authentication::SASLFinal(proof.into())));
            door.guard.succeeded(peer.ip());
            Ok(())
        }
        Ok(Err(refusal)) => {
            door.guard.failed(peer.ip(), Instant::now());
            door.backend.audit("login failed", user, Some(peer));
            Err(Failure::Fatal(match refusal {
                Refusal::Malformed(what) => violation("malformed SCRAM message").detail(what),
                Refusal::WrongPassword => {
                    let message = format!("password authentication failed for user \"{user}\"");
                    SqlError::new(SqlState::INVALID_PASSWORD, message)
                }
            }))
        }
        Err(failure) => {
            door.backend.audit("login broken off", user, Some(peer));
            Err(failure)
        }
    }
}

fn too_many_failures<B: Backend>(door: &Door<B>, user: &str, peer: SocketAddr) -> Failure {
    door.backend.audit("login refused: too many failures", user, Some(peer));
    let error = SqlError::new(SqlState::INVALID_AUTHORIZATION, "too many failed logins from this address");
    Failure::Fatal(error.hint("Try again in half a minute."))
}

async fn exchange(wire: &mut Wire, verifier: ScramVerifier) -> Result<Result<String, Refusal>, Failure> {
    wire.send(&PgWireBackendMessage::Authentication(Authentication::SASL(vec![MECHANISM.to_owned()])));
    let first = password_message(wire).await?;
    let (mechanism, first) = initial_response(&first)?;
    if mechanism != MECHANISM.as_bytes() {
        return Ok(Err(Refusal::Malformed("no such authentication mechanism")));
    }
    let (exchange, answer) = match Exchange::begin(verifier, first) {
        Ok(begun) => begun,
        Err(refusal) => return Ok(Err(refusal)),
    };
    wire.send(&PgWireBackendMessage::Authentication(Authentication::SASLContinue(answer.into())));
    let last = password_message(wire).await?;
    Ok(exchange.finish(&last))
}

/// Takes nothing but what authentication needs.
async fn password_message(wire: &mut Wire) -> Result<Bytes, Failure> {
    wire.flush().await?;
    match wire.frame().await? {
        Some(frame) if frame.kind == b'p' => Ok(frame.body),
        Some(frame) => Err(Failure::protocol(format!("expected SASL response, got message type {}", frame.kind))),
        None => Err(Failure::Gone(std::io::ErrorKind::UnexpectedEof.into())),
    }
}

/// The mechanism and the first message.
fn initial_response(body: &[u8]) -> Result<(&[u8], &[u8]), Failure> {
    let wrong = || Failure::protocol("malformed SASL initial response");
    let end = body.iter().position(|b| *b == 0).ok_or_else(wrong)?;
    let (length, data) = body[end + 1..].split_first_chunk().ok_or_else(wrong)?;
    if usize::try_from(i32::from_be_bytes(*length)) == Ok(data.len()) { Ok((&body[..end], data)) } else { Err(wrong()) }
}
