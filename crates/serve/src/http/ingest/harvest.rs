//! `Harvest`: the rows and rejects of a body so far, within the limits of a request. It must not know formats.

use arrow::array::RecordBatch;
use serde::Serialize;
use thalweg_core::{DeadLetter, SqlError};
use utoipa::ToSchema;

use super::super::config::HttpConfig;
use super::super::failure::{ErrorBody, ErrorDetail, Failure};

/// Rejects listed in a report; all are counted.
const MAX_LISTED: usize = 100;

/// Rows decoded at once.
pub(super) const BATCH_ROWS: usize = 8192;

/// What a request may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) rows_bytes: usize,
    pub(super) max_rejects: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Harvest {
    pub(super) rows: Vec<RecordBatch>,
    pub(super) dead: Vec<DeadLetter>,
    pub(super) rejects: Vec<Reject>,
    pub(super) limits: Limits,
    bytes: usize,
}

/// A row that was not taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reject {
    /// Which row, from 1; of text, which line among those that are not blank.
    pub(super) row: u64,
    /// Where it starts in the body, in bytes, after decompression.
    pub(super) offset: u64,
    /// What is wrong with it.
    pub(super) reason: String,
}

/// What became of the rows of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IngestReport {
    /// Rows taken.
    accepted: u64,
    /// Rows that could not be decoded.
    rejected: u64,
    /// Rows that an expectation of the source dropped or put into quarantine.
    set_aside: u64,
    /// The first 100 rejected rows.
    rejects: Vec<Reject>,
    /// Why nothing was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ErrorDetail>)]
    error: Option<ErrorDetail>,
}

impl Limits {
    pub(super) fn of(config: &HttpConfig) -> Self {
        Self { rows_bytes: config.ingest_rows_limit_bytes, max_rejects: config.ingest_max_rejects }
    }
}

impl Harvest {
    pub(super) fn new(limits: Limits) -> Self {
        Self { rows: Vec::new(), dead: Vec::new(), rejects: Vec::new(), limits, bytes: 0 }
    }

    pub(super) fn rejected(&self) -> u64 {
        self.dead.len() as u64
    }

    /// Adds good rows.
    pub(super) fn add(&mut self, rows: RecordBatch) -> Result<(), Failure> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.bytes += rows.get_array_memory_size();
        self.rows.push(rows);
        self.ensure_room(0)
    }

    /// Refuses what would take more memory than a request may.
    pub(super) fn ensure_room(&self, bytes: usize) -> Result<(), Failure> {
        let limit = self.limits.rows_bytes;
        if self.bytes.saturating_add(bytes) <= limit {
            return Ok(());
        }
        Err(Failure::too_large(format!("the rows take more than {limit} bytes of memory"))
            .hint("Send them in several requests."))
    }

    /// Adds a bad row.
    pub(super) fn reject(&mut self, row: u64, letter: DeadLetter) -> Result<(), Failure> {
        if self.dead.len() >= self.limits.max_rejects {
            let message = format!("more than {} rows are wrong; nothing was taken", self.limits.max_rejects);
            return Err(Failure::bad_request(message).hint("Does Content-Type name the format of the body?"));
        }
        if self.rejects.len() < MAX_LISTED {
            self.rejects.push(Reject { row, offset: letter.offset, reason: letter.reason.clone() });
        }
        self.dead.push(letter);
        Ok(())
    }
}

impl IngestReport {
    pub(super) fn new(accepted: u64, set_aside: u64, rejected: u64, rejects: Vec<Reject>) -> Self {
        Self { accepted, rejected, set_aside, rejects, error: None }
    }

    pub(super) fn with_error(self, why: SqlError) -> Self {
        Self { error: Some(ErrorBody::new(why).into_detail()), ..self }
    }
}
