//! Answers as JSON, complete before the first byte leaves: an error has its status. It must not know sockets.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures_util::StreamExt;
use serde::Serialize;
use thalweg_core::{SqlError, SqlState};
use utoipa::ToSchema;

use super::super::config::HttpConfig;
use super::super::failure::Failure;
use super::super::media;
use super::super::rows::{Column, RowWriter, columns};
use super::request::SqlRequest;
use super::{run, statements};
use crate::backend::{Answer, CancelToken, RowStream, Session};

/// The answer to a statement, as it is documented; it is written by hand because rows are encoded from columns.
#[derive(Serialize, ToSchema)]
pub(crate) struct SqlAnswer {
    /// The columns of the rows; none for a statement without rows.
    columns: Vec<Column>,
    /// Each an array of values.
    rows: Vec<Vec<serde_json::Value>>,
    /// How many rows.
    row_count: u64,
    /// What was done, as PostgreSQL tells it.
    #[schema(example = "SELECT 3")]
    command: String,
    /// Notices of the statement, if any.
    notices: Option<Vec<String>>,
}

/// Runs all statements of the request.
pub(super) async fn answer<S: Session>(
    session: &mut S,
    cancel: &CancelToken,
    request: &SqlRequest,
    config: &HttpConfig,
) -> Result<Response, Failure> {
    let statements = statements(session, request)?;
    let several = statements.len() != 1;
    let mut out = Vec::new();
    for (i, statement) in statements.iter().enumerate() {
        out.extend_from_slice(if i > 0 { b"," } else { b"" });
        let (columns, rows, tag) = match run(session, cancel, statement, request).await? {
            Answer::Rows { schema, rows, tag } => {
                (columns(&schema), Some((RowWriter::new(&schema), rows)), tag.to_owned())
            }
            Answer::Done(tag) => (Vec::new(), None, tag),
            Answer::CopyIn { .. } | Answer::CopyOut { .. } => return Err(Failure::internal()),
        };
        out.extend_from_slice(b"{\"columns\":");
        json(&columns, &mut out);
        out.extend_from_slice(b",\"rows\":[");
        let (count, command) = match rows {
            None => (0, tag),
            Some((writer, rows)) => match write_rows(&writer, rows, &mut out, config).await {
                Ok(count) => (count, format!("{tag} {count}")),
                Err(error) => {
                    session.abort();
                    return Err(error.into());
                }
            },
        };
        out.extend_from_slice(format!("],\"row_count\":{count},\"command\":").as_bytes());
        json(&command, &mut out);
        let notices: Vec<String> = session.notices().into_iter().map(|n| n.message).collect();
        if !notices.is_empty() {
            out.extend_from_slice(b",\"notices\":");
            json(&notices, &mut out);
        }
        out.push(b'}');
    }
    session.sync();
    if several {
        out.insert(0, b'[');
        out.push(b']');
    }
    let mut response = Response::new(Body::from(out));
    response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static(media::JSON));
    Ok(response)
}

async fn write_rows(
    writer: &RowWriter,
    mut rows: RowStream,
    out: &mut Vec<u8>,
    config: &HttpConfig,
) -> Result<usize, SqlError> {
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        let encoded = writer.rows(&batch)?;
        for row in 0..batch.num_rows() {
            if count == config.sql_json_max_rows || out.len() > config.sql_json_limit_bytes {
                return Err(too_much(config));
            }
            if count > 0 {
                out.push(b',');
            }
            encoded.array(row, out);
            count += 1;
        }
        // A stream whose batches are all there already would keep the executor to itself.
        tokio::task::yield_now().await;
    }
    Ok(count)
}

fn too_much(config: &HttpConfig) -> SqlError {
    let (rows, bytes) = (config.sql_json_max_rows, config.sql_json_limit_bytes);
    SqlError::new(SqlState::PROGRAM_LIMIT, format!("the answer is more than {rows} rows or {bytes} bytes of JSON"))
        .hint("Ask for a streamed form, which has no limit: Accept: application/x-ndjson, text/csv or Arrow.")
}

fn json(value: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("names and texts have a JSON form");
}
