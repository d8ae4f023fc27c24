//! The rows of the last statement as NDJSON, CSV or Arrow IPC, sent as they come. It must not know SQL.

use std::io;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream;
use thalweg_core::SqlError;
use thalweg_formats::{CsvEncoder, CsvStyle};

use super::super::door::Door;
use super::super::failure::Failure;
use super::super::media;
use super::super::rows::RowWriter;
use super::request::SqlRequest;
use super::{CancelOnDrop, in_time, run, statements};
use crate::backend::{Answer, Backend, RowStream, Session};

/// Runs all statements and streams what the last one yields.
pub(super) async fn answer<B: Backend>(
    door: &Door<B>,
    mut session: B::Session,
    cancel: CancelOnDrop,
    request: &SqlRequest,
    form: &'static str,
) -> Result<Response, Failure> {
    let first = in_time(door, first_batch(&mut session, &cancel, request)).await?;
    let mut response = Response::new(match first {
        None => Body::empty(),
        Some(First { schema, batch, rows }) => {
            let mut encoder = Encoder::new(form, &schema)?;
            let mut head = encoder.head(&schema);
            let ended = batch.is_none();
            match batch {
                Some(batch) => encoder.rows(&batch, &mut head)?,
                None => encoder.end(&mut head)?,
            }
            let state = Streaming { session, _cancel: cancel, rows, encoder, ended };
            let rest = stream::unfold(state, Streaming::next);
            Body::from_stream(stream::iter([Ok(Bytes::from(head))]).chain(rest))
        }
    });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form));
    Ok(response)
}

/// The start of an answer: what fails up to here has its status.
struct First {
    schema: SchemaRef,
    batch: Option<RecordBatch>,
    rows: RowStream,
}

async fn first_batch<S: Session>(
    session: &mut S,
    cancel: &CancelOnDrop,
    request: &SqlRequest,
) -> Result<Option<First>, Failure> {
    let statements = statements(session, request)?;
    let mut first = None;
    for (i, statement) in statements.iter().enumerate() {
        first = None;
        let Answer::Rows { schema, mut rows, .. } = run(session, &cancel.0, statement, request).await? else {
            continue;
        };
        if i + 1 < statements.len() {
            // Run to the end, as it would be if its rows were wanted.
            while let Some(batch) = rows.next().await {
                batch?;
            }
            continue;
        }
        let batch = rows.next().await.transpose()?;
        first = Some(First { schema, batch, rows });
    }
    if first.is_none() {
        session.sync();
    }
    Ok(first)
}

/// An answer on its way.
struct Streaming<S: Session> {
    session: S,
    _cancel: CancelOnDrop,
    rows: RowStream,
    encoder: Encoder,
    ended: bool,
}

impl<S: Session> Streaming<S> {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.ended {
            return None;
        }
        let mut out = Vec::new();
        let encoded = match self.rows.next().await {
            Some(Ok(batch)) => self.encoder.rows(&batch, &mut out),
            Some(Err(error)) => Err(error),
            None => {
                self.ended = true;
                self.session.sync();
                self.encoder.end(&mut out)
            }
        };
        match encoded {
            Ok(()) => Some((Ok(out.into()), self)),
            Err(error) => {
                tracing::warn!(state = error.state.0, "a streamed answer was cut off");
                self.ended = true;
                self.session.abort();
                // What was sent before leaves before the connection is cut.
                tokio::task::yield_now().await;
                Some((Err(io::Error::other(error)), self))
            }
        }
    }
}

/// Rows to bytes.
enum Encoder {
    Ndjson(RowWriter),
    Csv(CsvEncoder),
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

impl Encoder {
    fn new(form: &str, schema: &SchemaRef) -> Result<Self, SqlError> {
        Ok(match form {
            media::CSV => Self::Csv(CsvEncoder::new(CsvStyle::default())),
            media::ARROW => {
                let writer = StreamWriter::try_new(Vec::new(), schema).map_err(thalweg_core::Error::from)?;
                Self::Arrow(Box::new(writer))
            }
            _ => Self::Ndjson(RowWriter::new(schema)),
        })
    }

    fn head(&mut self, schema: &SchemaRef) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Ndjson(_) => {}
            Self::Csv(encoder) => encoder.header(schema, &mut out),
            Self::Arrow(writer) => out.append(writer.get_mut()),
        }
        out
    }

    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), SqlError> {
        match self {
            Self::Ndjson(writer) => {
                let rows = writer.rows(batch)?;
                for row in 0..batch.num_rows() {
                    rows.object(row, out);
                    out.push(b'\n');
                }
            }
            Self::Csv(encoder) => encoder.encode(batch, out)?,
            Self::Arrow(writer) => {
                writer.write(batch).map_err(thalweg_core::Error::from)?;
                out.append(writer.get_mut());
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), SqlError> {
        if let Self::Arrow(writer) = self {
            writer.finish().map_err(thalweg_core::Error::from)?;
            out.append(writer.get_mut());
        }
        Ok(())
    }
}
