//! `Gate`: who a request is from. The same users and passwords as on the SQL wire. It must not know routes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, SEC_WEBSOCKET_PROTOCOL, UPGRADE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use super::door::{Caller, Connection, Door};
use super::failure::{ErrorBody, Failure};
use super::failures::Failures;
use super::passwords::{Passwords, fingerprint};
use super::places::credentials_in_url;
use super::tokens::Tokens;
use crate::backend::{Backend, Credential};

/// Names of query parameters that people put secrets into.
const SECRET_PARAMETERS: [&str; 9] =
    ["access_token", "api_key", "apikey", "auth", "authorization", "bearer", "password", "token", "user"];

/// What has been shown so far.
pub(crate) struct Gate {
    passwords: Passwords,
    tokens: Tokens,
    failures: Failures,
}

/// The protocol of a WebSocket that carries a token: what the server answers, so that the token is not echoed.
pub(crate) const TOKEN_PROTOCOL: &str = "thalweg.token";

/// How a request was authenticated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    Trust,
    Password,
    Token,
}

/// An `Authorization` header, taken apart. It has no `Debug` so that it is not logged.
enum Shown {
    Nothing,
    Basic { user: String, password: String },
    Bearer(String),
}

impl Gate {
    pub(crate) fn new(token_lifetime: Duration) -> Self {
        Self { passwords: Passwords::new(), tokens: Tokens::new(token_lifetime), failures: Failures::default() }
    }

    async fn admit<B: Backend>(
        &self,
        door: &Door<B>,
        connection: &Connection,
        headers: &HeaderMap,
    ) -> Result<(Caller, Means), Failure> {
        let caller = |user: Arc<str>| Caller { user, peer: connection.peer };
        match Shown::parse(headers)? {
            Shown::Nothing => match door.backend.credential(&door.config.default_user) {
                Some(Credential::Trust) => Ok((caller(door.config.default_user.as_str().into()), Means::Trust)),
                _ => Err(Failure::unauthorized()),
            },
            Shown::Bearer(token) => {
                let found = self.tokens.user(&token, Instant::now());
                let still_good = |(user, credential): &(Arc<str>, _)| {
                    door.backend.credential(user).is_some_and(|now| fingerprint(&now) == *credential)
                };
                match found.filter(still_good) {
                    Some((user, _)) => Ok((caller(user), Means::Token)),
                    None => Err(Failure::unauthorized()),
                }
            }
            Shown::Basic { user, password } => {
                // Before the password is looked at: a remembered one must not be found by guessing either.
                self.ensure_may_try(door, connection)?;
                let verifier = match door.backend.credential(&user) {
                    Some(Credential::Trust) => return Ok((caller(user.into()), Means::Trust)),
                    Some(Credential::Scram(verifier)) => Some(verifier),
                    None => None,
                };
                if verifier.as_ref().is_some_and(|v| self.passwords.remembered(&user, &password, v)) {
                    return Ok((caller(user.into()), Means::Password));
                }
                // Until a failure is counted, so that those that wait see it.
                let turn = self.passwords.turn().await;
                // Others that came at the same time may have failed since.
                self.ensure_may_try(door, connection)?;
                if self.passwords.check(&turn, &user, password, verifier).await? {
                    door.backend.audit("http login", &user, Some(connection.peer));
                    return Ok((caller(user.into()), Means::Password));
                }
                self.failures.add(connection.peer.ip(), Instant::now());
                door.meters.login_refused();
                door.backend.audit("http login refused", &user, Some(connection.peer));
                tracing::warn!(peer = %connection.peer, "login refused");
                Err(Failure::unauthorized())
            }
        }
    }

    fn ensure_may_try<B: Backend>(&self, door: &Door<B>, connection: &Connection) -> Result<(), Failure> {
        let Some(left) = self.failures.wait(connection.peer.ip(), Instant::now()) else { return Ok(()) };
        door.meters.login_refused();
        Err(Failure::busy(
            StatusCode::TOO_MANY_REQUESTS,
            "too many wrong passwords from this address",
            left.as_millis().div_ceil(1000) as u64,
        ))
    }
}

impl Shown {
    fn parse(headers: &HeaderMap) -> Result<Self, Failure> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok(protocol_token(headers).map_or(Self::Nothing, |token| Self::Bearer(token.to_owned())));
        };
        if values.next().is_some() {
            return Err(Failure::bad_request("more than one Authorization header"));
        }
        let malformed = || Failure::bad_request("the Authorization header is neither Basic nor Bearer");
        let (scheme, rest) = value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or_else(malformed)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Self::Bearer(rest.trim().to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(malformed());
        }
        let text = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = text.as_deref().and_then(|t| t.split_once(':')).ok_or_else(malformed)?;
        if text.as_deref().is_some_and(|t| t.contains('\0')) {
            return Err(malformed());
        }
        Ok(Self::Basic { user: user.to_owned(), password: password.to_owned() })
    }
}

/// The token that a WebSocket's handshake offers beside [`TOKEN_PROTOCOL`], as `thalweg.token.<token>`: a page cannot
/// give it an `Authorization`.
fn protocol_token(headers: &HeaderMap) -> Option<&str> {
    headers.get(UPGRADE)?;
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut offers = offers.flat_map(|value| value.split(',')).map(str::trim);
    offers.find_map(|offer| offer.strip_prefix(TOKEN_PROTOCOL)?.strip_prefix('.'))
}

/// The layer that lets in a request with its [`Caller`], or refuses it.
pub(crate) async fn authenticate<B: Backend>(
    State(door): State<Arc<Door<B>>>,
    Extension(connection): Extension<Arc<Connection>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    refuse_secrets_in(request.uri().query().unwrap_or_default())?;
    let (caller, means) = match door.gate.admit(&door, &connection, request.headers()).await {
        Ok(admitted) => admitted,
        Err(failure) if request.headers().contains_key(UPGRADE) => {
            // A browser would open a password window of its own.
            let mut response = failure.into_response();
            response.headers_mut().remove(WWW_AUTHENTICATE);
            return Ok(response);
        }
        Err(failure) => return Err(failure),
    };
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(means);
    Ok(next.run(request).await)
}

fn refuse_secrets_in(query: &str) -> Result<(), Failure> {
    for pair in query.split('&') {
        let name = pair.split('=').next().unwrap_or_default();
        if SECRET_PARAMETERS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
            return Err(credentials_in_url());
        }
    }
    Ok(())
}

/// A fresh bearer token.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenBody {
    /// To be sent as `Authorization: Bearer …`. It is shown this once.
    token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// Seconds until it ends.
    expires_in: u64,
    /// A WebSocket of a page offers this protocol, and `<this>.<token>` beside it, instead of the header.
    websocket_protocol: &'static str,
}

/// Issues a bearer token for the user who asks with a password.
#[utoipa::path(
    post, path = "/v1/token", tag = "access",
    responses(
        (status = 200, description = "A token that is good for an hour.", body = TokenBody),
        (status = 401, description = "Not with this password, or not with a token.", body = ErrorBody),
        (status = 429, description = "Too many wrong passwords; see Retry-After.", body = ErrorBody),
    ),
)]
pub(crate) async fn token<B: Backend>(
    State(door): State<Arc<Door<B>>>,
    Extension(caller): Extension<Caller>,
    Extension(means): Extension<Means>,
) -> Result<Response, Failure> {
    // A token that could renew itself would never end.
    if means == Means::Token {
        return Err(Failure::unauthorized());
    }
    let credential = door.backend.credential(&caller.user).ok_or_else(Failure::unauthorized)?;
    let token = door.gate.tokens.issue(Arc::clone(&caller.user), fingerprint(&credential), Instant::now());
    door.backend.audit("http token issued", &caller.user, Some(caller.peer));
    let expires_in = door.gate.tokens.lifetime().as_secs();
    let body = TokenBody { token, token_type: "Bearer", expires_in, websocket_protocol: TOKEN_PROTOCOL };
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}
