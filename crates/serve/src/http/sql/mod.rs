//! `POST /v1/sql`: statements to answers. It must not know SQL.

mod buffered;
mod request;
mod streamed;

use std::future::Future;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use thalweg_core::{SqlError, SqlState};
use tokio::time::timeout;

use self::buffered::SqlAnswer;
use self::request::SqlRequest;
use super::body::Held;
use super::door::{Caller, Door};
use super::failure::{ErrorBody, Failure};
use super::media;
use crate::backend::{Answer, Backend, CancelToken, Session};

/// A statement is cancelled when whoever waits for it goes away.
pub(super) struct CancelOnDrop(pub(super) CancelToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs statements and answers the rows.
///
/// `Accept` chooses the form: JSON (the default; an array if there are several statements), or one streamed form for the
/// last statement: NDJSON, CSV or Arrow IPC. A streamed answer that fails half-way is cut off, so that it is not taken
/// for a whole one. All statements of a request run in one session of its own, which ends with it.
#[utoipa::path(
    post, path = "/v1/sql", tag = "data",
    request_body(
        description = "The statements, with parameters or as they are.",
        content((SqlRequest = "application/json"), (String = "text/plain")),
    ),
    responses(
        (status = 200, description = "The answers.", content(
            (SqlAnswer = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 400, description = "A statement is wrong.", body = ErrorBody),
        (status = 401, description = "Not authenticated.", body = ErrorBody),
        (status = 403, description = "The user lacks the privilege.", body = ErrorBody),
        (status = 408, description = "Cancelled, or not finished in time.", body = ErrorBody),
        (status = 503, description = "Not ready, going down, or out of a resource.", body = ErrorBody),
    ),
)]
pub(crate) async fn sql<B: Backend>(
    State(door): State<Arc<Door<B>>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let form = media::accepted(&headers, &[media::JSON, media::NDJSON, media::CSV, media::ARROW]).ok_or_else(|| {
        Failure::new(StatusCode::NOT_ACCEPTABLE, SqlState::FEATURE_NOT_SUPPORTED, "no accepted form is one of ours")
    })?;
    door.ensure_ready()?;
    let request = SqlRequest::parse(&headers, &Held::read(&door, &headers, body).await?.bytes)?;
    let (mut session, cancel) = door.connect(&caller)?;
    let cancel = CancelOnDrop(cancel);
    if form == media::JSON {
        let answered = in_time(&door, buffered::answer(&mut session, &cancel.0, &request, &door.config)).await;
        return answered;
    }
    streamed::answer(&door, session, cancel, &request, form).await
}

/// Ends a statement that takes longer than a request may; whoever owns its [`CancelOnDrop`] cancels it.
async fn in_time<B: Backend, T>(door: &Door<B>, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let limit = door.config.request_timeout;
    timeout(limit, work).await.unwrap_or_else(|_| {
        let message = format!("cancelled: the answer was not complete within {} s", limit.as_secs());
        let late = Failure::new(StatusCode::REQUEST_TIMEOUT, SqlState::QUERY_CANCELED, message);
        Err(late.hint("Ask for a streamed form: Accept: application/x-ndjson."))
    })
}

/// The statements of a request, cut apart.
fn statements<S: Session>(session: &mut S, request: &SqlRequest) -> Result<Vec<S::Statement>, Failure> {
    let statements = session.parse(request.text())?;
    if statements.len() > 1 && request.has_parameters() {
        return Err(Failure::bad_request("parameters go with one statement only"));
    }
    Ok(statements)
}

/// Runs a statement; COPY has no way through this door.
async fn run<S: Session>(
    session: &mut S,
    cancel: &CancelToken,
    statement: &S::Statement,
    request: &SqlRequest,
) -> Result<Answer, SqlError> {
    cancel.arm();
    let copy =
        |hint: &str| SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "COPY is not available over HTTP").hint(hint);
    match session.execute(statement, &request.arrays()).await {
        Ok(Answer::CopyIn { .. }) => {
            session.copy_fail();
            session.abort();
            Err(copy("Send rows to POST /v1/ingest/{source}."))
        }
        Ok(Answer::CopyOut { .. }) => {
            session.abort();
            Err(copy("Send the query itself with Accept: text/csv."))
        }
        Ok(answer) => Ok(answer),
        Err(error) => {
            session.abort();
            Err(error)
        }
    }
}
