//! `Failure`: a refused request as a client sees it. It must not carry secrets.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use thalweg_core::{SqlError, SqlState};
use utoipa::ToSchema;

/// What both ways to log in look like to a client that has shown nothing, or the wrong thing.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"thalweg\", charset=\"UTF-8\", Bearer");

/// A refusal: status, error, and when to come back.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    error: SqlError,
    retry_after_seconds: Option<u64>,
}

/// The body of every refusal.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What went wrong.
    error: ErrorDetail,
}

/// What went wrong, as PostgreSQL clients get it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorDetail {
    /// SQLSTATE, five characters.
    #[schema(example = "42P01")]
    code: &'static str,
    /// What is wrong.
    message: String,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Where in the statement: characters from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
}

impl ErrorBody {
    pub(crate) fn new(error: SqlError) -> Self {
        let SqlError { state, message, detail, hint, position } = error;
        Self { error: ErrorDetail { code: state.0, message, detail, hint, position } }
    }

    pub(crate) fn into_detail(self) -> ErrorDetail {
        self.error
    }
}

impl Failure {
    pub(crate) fn new(status: StatusCode, state: SqlState, message: impl Into<String>) -> Self {
        Self { status, error: SqlError::new(state, message), retry_after_seconds: None }
    }

    /// The request itself is malformed.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, SqlState::PROTOCOL_VIOLATION, message)
    }

    /// Credentials are missing or wrong; which of them is not told.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, SqlState::INVALID_PASSWORD, "user name or password is wrong or missing")
            .hint("Send Authorization: Basic, or Bearer with a token from POST /v1/token.")
    }

    /// A limit of the door would be passed.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, SqlState::PROGRAM_LIMIT, message)
    }

    /// Not now; the same request may succeed later.
    pub(crate) fn busy(status: StatusCode, message: impl Into<String>, retry_after_seconds: u64) -> Self {
        let failure = Self::new(status, SqlState::CONFIGURATION_LIMIT, message);
        Self { retry_after_seconds: Some(retry_after_seconds.max(1)), ..failure }
    }

    /// A defect of ours; the log has more.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, SqlState::INTERNAL_ERROR, "internal error; please report it")
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn state(&self) -> SqlState {
        self.error.state
    }
}

/// Every SQLSTATE has a status: 400 unless it is about rights (401, 403), time (408) or the server (500, 503).
impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        let status = match error.state.0 {
            "42501" => StatusCode::FORBIDDEN,
            "57014" => StatusCode::REQUEST_TIMEOUT,
            "58030" | "XX000" => StatusCode::INTERNAL_SERVER_ERROR,
            state if state.starts_with("28") => StatusCode::UNAUTHORIZED,
            state if state.starts_with("53") || state.starts_with("57") => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let retry_after_seconds = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self { status, error, retry_after_seconds }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody::new(self.error))).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        response
    }
}
