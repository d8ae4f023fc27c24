//! `POST /v1/ingest/{source}`: a body of rows to the backend, bad rows beside the good ones. It must not know formats.

mod columnar;
mod delimited;
mod harvest;
mod json;
pub(crate) mod smoke;
mod text;

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use thalweg_core::{SqlError, SqlState};
use thalweg_formats::JsonDecoder;
use utoipa::IntoParams;

use self::harvest::{Harvest, IngestReport, Limits};
use super::body::Held;
use super::door::{Caller, Door};
use super::failure::{ErrorBody, Failure};
use super::lanes::{Lane, Lanes};
use super::media;
use crate::backend::{Backend, IngestError, IngestTarget, Session};

/// Larger bodies are decoded on a thread of their own, so that the executor goes on.
const MAX_INLINE_BYTES: usize = 64 * 1024;

/// Options of an ingest request.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct IngestOptions {
    /// Take all rows or none.
    #[serde(default)]
    strict: bool,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Lines,
    Json,
    Csv,
    Arrow,
}

/// Takes rows into a source or table.
///
/// Fields are matched to columns by name; missing columns are NULL. Rows that cannot be decoded are reported, at most
/// 100 of them, and kept as dead letters; the others are taken. The body may be compressed (`Content-Encoding: gzip` or
/// `zstd`).
#[utoipa::path(
    post, path = "/v1/ingest/{source}", tag = "data",
    params(("source" = String, Path, description = "The source or table."), IngestOptions),
    request_body(
        description = "Rows: one JSON object a line (the default), a JSON array or object, CSV with a header line, or an Arrow IPC stream.",
        content((String = "application/x-ndjson"), (Vec<Object> = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream")),
    ),
    responses(
        (status = 200, description = "Rows were taken, or there were none.", body = IngestReport),
        (status = 400, description = "The body is not of its format.", body = ErrorBody),
        (status = 404, description = "No such source.", body = ErrorBody),
        (status = 413, description = "The body or its rows are too large.", body = ErrorBody),
        (status = 415, description = "Not a format that is read.", body = ErrorBody),
        (status = 422, description = "Every row was rejected, or one was and `strict` is set.", body = IngestReport),
        (status = 429, description = "The queue is full; send the same rows after Retry-After seconds.", body = ErrorBody),
    ),
)]
pub(crate) async fn ingest<B: Backend>(
    State(door): State<Arc<Door<B>>>,
    Extension(caller): Extension<Caller>,
    source: Result<Path<String>, PathRejection>,
    options: Result<Query<IngestOptions>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let Path(source) = source.map_err(|e| Failure::bad_request(e.body_text()))?;
    let Query(options) = options.map_err(|e| Failure::bad_request(e.body_text()))?;
    let format = Format::of(&headers)?;
    let body = Held::read(&door, &headers, body).await?;
    let mut lane = Lanes::take(&door, &caller)?;
    let target = lane.session.ingest_target(&source).map_err(unknown_is_404)?;
    let bytes = body.bytes.len();
    let harvest = decode(&door, &mut lane, format, &target, body.bytes.clone()).await?;
    // `body` keeps its share of the memory for bodies until its rows are taken.
    let response = take(&door, &mut lane, &target, harvest, options.strict, bytes).await?;
    door.lanes.put_back(&caller, lane);
    Ok(response)
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        match media::content_type(headers).as_deref() {
            // What `curl -d` sends unless it is told otherwise.
            None
            | Some("application/x-www-form-urlencoded" | media::NDJSON | "application/ndjson" | "application/jsonl") => {
                Ok(Self::Lines)
            }
            Some(media::JSON) => Ok(Self::Json),
            Some(media::CSV) => Ok(Self::Csv),
            Some(media::ARROW) => Ok(Self::Arrow),
            Some(other) => {
                let message = format!("{other} is not a format that is read");
                let failure =
                    Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, SqlState::FEATURE_NOT_SUPPORTED, message);
                let known = [media::NDJSON, media::JSON, media::CSV, media::ARROW].join(", ");
                Err(failure.hint(format!("Set Content-Type to one of {known}.")))
            }
        }
    }
}

/// The rows of the body.
async fn decode<B: Backend>(
    door: &Door<B>,
    lane: &mut Lane<B::Session>,
    format: Format,
    target: &IngestTarget,
    body: Bytes,
) -> Result<Harvest, Failure> {
    let limits = Limits::of(&door.config);
    let text = matches!(format, Format::Lines | Format::Json);
    let decoder = match text {
        true => Some(lane.decoder(&target.relation, &target.schema).map_err(SqlError::from)?),
        false => None,
    };
    let work = Work { format, target: target.clone(), body, limits, decoder };
    // Columnar bodies are decoded by a library that may panic on hostile ones: there a panic is caught.
    let (harvest, decoder) = if work.body.len() <= MAX_INLINE_BYTES && format != Format::Arrow {
        work.run()
    } else {
        let _turn = door.decodings.acquire().await.expect("the semaphore is never closed");
        tokio::task::spawn_blocking(|| work.run())
            .await
            .map_err(|_| Failure::bad_request("the body is not of its format"))?
    };
    if let Some(decoder) = decoder {
        lane.keep_decoder(&target.relation, decoder);
    }
    harvest
}

/// What a thread needs to decode a body.
struct Work {
    format: Format,
    target: IngestTarget,
    body: Bytes,
    limits: Limits,
    decoder: Option<JsonDecoder>,
}

impl Work {
    fn run(self) -> (Result<Harvest, Failure>, Option<JsonDecoder>) {
        let Self { format, target, body, limits, mut decoder } = self;
        let harvest = Harvest::new(limits);
        let result = match (format, &mut decoder) {
            (Format::Lines, Some(decoder)) => json::lines(&body, decoder, harvest),
            (Format::Json, Some(decoder)) => json::values(&body, decoder, harvest),
            (Format::Csv, _) => delimited::records(&body, &target, harvest),
            _ => columnar::batches(&body, &target, harvest),
        };
        (result, decoder)
    }
}

/// Hands the rows over and reports what became of them.
async fn take<B: Backend>(
    door: &Door<B>,
    lane: &mut Lane<B::Session>,
    target: &IngestTarget,
    harvest: Harvest,
    strict: bool,
    bytes: usize,
) -> Result<Response, Failure> {
    let rejected = harvest.rejected();
    let rejects = harvest.rejects;
    if strict && rejected > 0 {
        door.meters.ingested(0, rejected, bytes);
        let why = SqlError::new(SqlState::DATA_EXCEPTION, "rows were rejected, and strict takes all rows or none");
        return Ok(refused(IngestReport::new(0, 0, rejected, rejects), why));
    }
    let none_good = harvest.rows.is_empty() && rejected > 0;
    let ingested = match lane.session.ingest(target, harvest.rows, harvest.dead).await {
        Ok(ingested) => ingested,
        Err(IngestError::Refused(error)) => return Err(unknown_is_404(error)),
        Err(IngestError::Busy { retry_after_ms }) => {
            let message = "the queue of the source is full; nothing was taken";
            return Err(Failure::busy(StatusCode::TOO_MANY_REQUESTS, message, retry_after_ms.div_ceil(1000)));
        }
    };
    door.meters.ingested(ingested.rows, rejected, bytes);
    let report = IngestReport::new(ingested.rows, ingested.set_aside, rejected, rejects);
    if none_good {
        return Ok(refused(report, SqlError::new(SqlState::DATA_EXCEPTION, "every row was rejected")));
    }
    Ok(Json(report).into_response())
}

fn refused(report: IngestReport, why: SqlError) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(report.with_error(why))).into_response()
}

fn unknown_is_404(error: SqlError) -> Failure {
    let failure = Failure::from(error);
    match failure.state() {
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_OBJECT | SqlState::INVALID_SCHEMA_NAME => {
            failure.with_status(StatusCode::NOT_FOUND)
        }
        _ => failure,
    }
}
