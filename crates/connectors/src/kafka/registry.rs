//! A client of a schema registry with Confluent's REST routes: schemas by id, the newest of a subject, registration.
//! It must not know what a schema means.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use thalweg_core::{Error, Options, Result};

use crate::block::block_on;

/// How long the registry may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer longer than this (4 MiB) is refused.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Schemas kept; an id never changes its meaning, so that none is asked for twice.
const MAX_CACHED: usize = 1024;

/// A registry. It prints no secrets. Clones share what is cached.
#[derive(Clone)]
pub(super) struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    addresses: Vec<String>,
    login: Option<(String, Option<String>)>,
    client: reqwest::Client,
    schemas: Mutex<HashMap<u32, String>>,
}

/// A schema of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// Its id in the whole registry.
    pub(super) id: u32,
    /// Its text.
    pub(super) schema: String,
}

/// Why there is no answer to work with.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The registry has answered, and will answer the same again.
    Final(String),
    /// It has not answered, or is not well.
    Again(String),
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("addresses", &self.shared.addresses).finish_non_exhaustive()
    }
}

impl Registry {
    /// Takes `schema.registry` and its login, if it is given.
    pub(super) fn take(options: &mut Options) -> Result<Option<Self>> {
        let addresses = options.take("schema.registry");
        let user = options.take("schema.registry.username");
        let password = options.take("schema.registry.password");
        let Some(text) = addresses else { return Ok(None) };
        let mut addresses = Vec::new();
        for address in text.split(',').map(|a| a.trim().trim_end_matches('/')).filter(|a| !a.is_empty()) {
            let sound = address.starts_with("http://") || address.starts_with("https://");
            if !sound || address.contains('@') || address.contains(['?', '#']) {
                return Err(Error::invalid_with_hint(
                    "option schema.registry is not a list of http or https addresses",
                    "Write schema.registry = 'https://registry:8081'; a login goes in schema.registry.username and .password.",
                ));
            }
            addresses.push(address.to_owned());
        }
        if addresses.is_empty() {
            return Err(Error::invalid("option schema.registry is empty"));
        }
        // The first caller in the process decides; all of them choose the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|e| Error::invalid(format!("no client for the schema registry can be made: {e}")))?;
        let login = user.map(|user| (user, password));
        let schemas = Mutex::default();
        Ok(Some(Self { shared: Arc::new(Shared { addresses, login, client, schemas }) }))
    }

    /// The schema `id`.
    pub(super) fn by_id(&self, id: u32) -> std::result::Result<String, Refusal> {
        let cached = self.shared.schemas.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(schema) = cached {
            return Ok(schema);
        }
        let answer = self.ask(Method::GET, format!("/schemas/ids/{id}"), None)?;
        let schema = schema_of(&answer)?;
        let mut schemas = self.shared.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if schemas.len() >= MAX_CACHED {
            schemas.clear();
        }
        schemas.insert(id, schema.clone());
        Ok(schema)
    }

    /// The newest schema of `subject`.
    pub(super) fn latest(&self, subject: &str) -> Result<Subject> {
        let path = format!("/subjects/{}/versions/latest", escaped(subject));
        let answer = self.ask(Method::GET, path, None).map_err(|r| self.error(&format!("subject '{subject}'"), r))?;
        let schema = schema_of(&answer).map_err(|r| self.error(&format!("subject '{subject}'"), r))?;
        let id = id_of(&answer).map_err(|r| self.error(&format!("subject '{subject}'"), r))?;
        Ok(Subject { id, schema })
    }

    /// Registers `schema` under `subject`, or finds it there; returns its id.
    pub(super) fn register(&self, subject: &str, kind: &str, schema: &str) -> std::result::Result<u32, Refusal> {
        let path = format!("/subjects/{}/versions", escaped(subject));
        let body = json!({ "schema": schema, "schemaType": kind });
        let answer = self.ask(Method::POST, path, Some(body.to_string()))?;
        id_of(&answer)
    }

    /// A refusal as the error of a statement.
    pub(super) fn error(&self, what: &str, refusal: Refusal) -> Error {
        let (Refusal::Final(reason) | Refusal::Again(reason)) = refusal;
        Error::invalid_with_hint(
            format!("schema registry {}: {what}: {reason}", self.shared.addresses.join(",")),
            "Check options schema.registry, schema.registry.username and schema.registry.subject.",
        )
    }

    /// The answer of the first address that gives one.
    fn ask(&self, method: Method, path: String, body: Option<String>) -> std::result::Result<Value, Refusal> {
        let shared = Arc::clone(&self.shared);
        let answered = block_on(async move {
            let mut last = Refusal::Again("no address".to_owned());
            for address in &shared.addresses {
                match one(&shared, &method, &format!("{address}{path}"), body.as_deref()).await {
                    Err(again @ Refusal::Again(_)) => last = again,
                    answered => return answered,
                }
            }
            Err(last)
        });
        answered.unwrap_or_else(|| Err(Refusal::Again("the question was given up".to_owned())))
    }
}

async fn one(
    shared: &Shared,
    method: &Method,
    address: &str,
    body: Option<&str>,
) -> std::result::Result<Value, Refusal> {
    let again = |e: reqwest::Error| Refusal::Again(explain(&e));
    let mut request = shared.client.request(method.clone(), address);
    if let Some((user, password)) = &shared.login {
        request = request.basic_auth(user, password.as_ref());
    }
    if let Some(body) = body {
        request = request.header("content-type", "application/vnd.schemaregistry.v1+json").body(body.to_owned());
    }
    let mut response = request.send().await.map_err(again)?;
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(again)? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Refusal::Final(format!("an answer of more than {MAX_ANSWER_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    let answer: Option<Value> = serde_json::from_slice(&bytes).ok();
    if status.is_success() {
        return answer.ok_or_else(|| Refusal::Final("the answer is not JSON".to_owned()));
    }
    let said = answer.as_ref().and_then(|a| a.get("message")?.as_str()).unwrap_or("no reason given");
    let reason = format!("{} ({said})", status.as_u16());
    // A login may be mended and a server may recover; everything else will be the same the next time.
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => Err(Refusal::Again(reason)),
        status if status.is_server_error() => Err(Refusal::Again(reason)),
        _ => Err(Refusal::Final(reason)),
    }
}

/// What went wrong with a request, and why, without the address (it is named by the caller).
fn explain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { "no answer".to_owned() };
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn schema_of(answer: &Value) -> std::result::Result<String, Refusal> {
    if answer.get("references").and_then(Value::as_array).is_some_and(|r| !r.is_empty()) {
        return Err(Refusal::Final("a schema with references to other subjects is not supported".to_owned()));
    }
    let schema = answer.get("schema").and_then(Value::as_str);
    Ok(schema.ok_or_else(|| Refusal::Final("the answer has no schema".to_owned()))?.to_owned())
}

fn id_of(answer: &Value) -> std::result::Result<u32, Refusal> {
    let id = answer.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    id.ok_or_else(|| Refusal::Final("the answer has no id".to_owned()))
}

/// `text` as a part of a path.
fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
