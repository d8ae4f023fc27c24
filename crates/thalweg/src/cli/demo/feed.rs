//! `Feed`: hands in what the generators make, ten times a second, as time goes by. It must not know what the rows mean.
//!
//! Each stream goes on after the last row that is there, five minutes back at most: at the first start that is a past
//! for charts and detectors, after a pause or a restart over a data directory what was missed, and never a row twice.

use std::time::Duration;

use anyhow::{Context, Result};
use thalweg::arrow::array::{AsArray, RecordBatch};
use thalweg::arrow::compute::cast;
use thalweg::arrow::datatypes::{DataType, Int64Type};
use thalweg::{SqlError, SqlState, Thalweg};
use tokio::time::MissedTickBehavior;

use super::flights::{Departure, Replay};
use super::market::Market;
use super::sensors::Sensors;
use super::{batches, now};

/// How often rows are handed in.
const TICK: Duration = Duration::from_millis(100);
/// How far back a stream begins, in milliseconds: what the views look back.
const PAST: i64 = 5 * 60 * 1000;

/// Where rows come from.
pub(super) struct Streams {
    pub flights: Replay,
    pub market: Market,
    pub sensors: Sensors,
}

const RELATIONS: [&str; 3] = ["departures", "trades", "readings"];

pub(super) struct Feed {
    db: Thalweg,
    streams: Streams,
    /// Of each stream, up to when it was handed in.
    handed_in: [i64; RELATIONS.len()],
    /// Of each stream, whether the last batch was refused: that is told once.
    refused: [bool; RELATIONS.len()],
}

impl Feed {
    /// Looks what is there already.
    ///
    /// # Errors
    /// The views of the demo cannot be read.
    pub(super) async fn open(db: Thalweg, streams: Streams, origin: i64) -> Result<Self> {
        let mut handed_in = [origin - PAST; RELATIONS.len()];
        for (at, relation) in handed_in.iter_mut().zip(RELATIONS) {
            let rows = db.query_with("SELECT last FROM streams WHERE stream = $1", &[&relation]).await;
            *at = last(&rows.context("streams")?)?.map_or(*at, |last| last.max(*at));
        }
        Ok(Self { db, streams, handed_in, refused: [false; RELATIONS.len()] })
    }

    /// Hands in all that is new until `until`, a batch for each stream.
    pub(super) async fn hand_in(&mut self, until: i64) {
        for (i, relation) in RELATIONS.into_iter().enumerate() {
            // After a pause nobody looks at what is older; a clock that was put back is waited for.
            let after = self.handed_in[i].max(until - PAST);
            if after >= until {
                continue;
            }
            let outcome = match self.rows(i, after, until) {
                Ok(rows) if rows.num_rows() == 0 => Ok(0),
                Ok(rows) => self.db.ingest(relation, rows).await,
                Err(error) => Err(SqlError::new(SqlState::INTERNAL_ERROR, format!("{error:#}"))),
            };
            match outcome {
                Ok(_) => {
                    self.handed_in[i] = until;
                    self.refused[i] = false;
                }
                // What could not be handed in is tried again with the next: someone may have dropped the stream, or is
                // about to create it again.
                Err(error) if !self.refused[i] => {
                    tracing::warn!(relation, %error, "rows of the demo are refused");
                    self.refused[i] = true;
                }
                Err(_) => {}
            }
        }
    }

    fn rows(&self, stream: usize, after: i64, until: i64) -> Result<RecordBatch> {
        match stream {
            0 => batches::departures(&self.streams.flights.between(after, until).collect::<Vec<Departure>>()),
            1 => batches::trades(&self.streams.market.between(after, until)),
            _ => batches::readings(&self.streams.sensors.between(after, until)),
        }
    }

    /// Waits until what was handed in can be read.
    ///
    /// # Errors
    /// The engine has stopped.
    pub(super) async fn flush(&self) -> Result<()> {
        Ok(self.db.flush().await?)
    }

    /// Goes on until it is dropped.
    ///
    /// # Errors
    /// None: what is refused is told in the log.
    pub(super) async fn run(mut self) -> Result<()> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.hand_in(now()).await;
        }
    }
}

/// The time in the first row, in milliseconds since 1970.
fn last(rows: &[RecordBatch]) -> Result<Option<i64>> {
    let Some(first) = rows.iter().find(|b| b.num_rows() > 0) else { return Ok(None) };
    let micros = cast(first.column(0), &DataType::Int64)?;
    let micros = micros.as_primitive::<Int64Type>();
    Ok(micros.iter().next().flatten().map(|micros| micros.div_euclid(1000)))
}
