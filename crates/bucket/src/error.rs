//! What an answer of an object store means, in words that say what to mend. It must not show credentials: of what a
//! server says, only the code and the message are taken, and what is secret is masked there too.

use std::error::Error as _;
use std::io::{Error, ErrorKind};

use object_store::Error as StoreError;
use thalweg_core::Secret;

/// Bytes of a cause that are shown.
const MAX_SHOWN: usize = 400;

/// Whether a text of a server says that there is no bucket.
pub fn no_bucket(text: &str) -> bool {
    text.contains("NoSuchBucket")
}

/// What to tell of `cause`, which came when `what` was tried; whoever may try again does so after `NotConnected`.
/// `NotFound` is said of objects alone: whoever reads may take another for that.
pub fn explain(what: &str, cause: &StoreError, secrets: &[Secret]) -> Error {
    let text = cause.to_string();
    let (kind, hint) = match cause {
        _ if no_bucket(&text) => (ErrorKind::NotConnected, "the bucket does not exist: make it, or correct its name"),
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => (
            ErrorKind::PermissionDenied,
            "access is denied: check the access key, the secret key and what they may do in this bucket",
        ),
        StoreError::NotFound { .. } => (ErrorKind::NotFound, "there is no such object"),
        StoreError::InvalidPath { .. } => (
            ErrorKind::InvalidData,
            "a key there is not a path, with // or a part that is . or ..: name that object otherwise",
        ),
        StoreError::AlreadyExists { .. } => (ErrorKind::AlreadyExists, "the name is taken"),
        _ if text.contains("169.254.") => (
            ErrorKind::PermissionDenied,
            "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the options for them",
        ),
        _ if text.contains("status code: 4") || text.contains("LOCATION") => {
            (ErrorKind::NotConnected, "the object store refuses: check endpoint, region and bucket")
        }
        _ => (
            ErrorKind::NotConnected,
            "the object store is not to be reached, or fails: check the endpoint and the network",
        ),
    };
    Error::new(kind, format!("cannot {what}: {hint} ({})", shown(cause, &text, secrets)))
}

/// The cause without what a server repeats of a request.
fn shown(cause: &StoreError, text: &str, secrets: &[Secret]) -> String {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0)
    };
    let mut shown = match (element("Code"), element("Message")) {
        (Some(code), message) => format!("{code}: {}", message.unwrap_or_default()),
        _ => {
            let mut shown = text.split('<').next().unwrap_or_default().trim().to_owned();
            let mut deepest = cause.source();
            while let Some(next) = deepest.and_then(|e| e.source()) {
                deepest = Some(next);
            }
            if let Some(deepest) = deepest.map(ToString::to_string).filter(|d| !d.contains('<') && !shown.contains(d)) {
                shown = format!("{shown}: {deepest}");
            }
            shown
        }
    };
    for secret in secrets.iter().filter(|secret| !secret.reveal().is_empty()) {
        shown = shown.replace(secret.reveal(), Secret::MASK);
    }
    let end = (0..=MAX_SHOWN.min(shown.len())).rev().find(|at| shown.is_char_boundary(*at)).unwrap_or(0);
    shown.truncate(end);
    shown
}
