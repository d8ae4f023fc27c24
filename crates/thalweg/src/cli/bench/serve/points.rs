//! `PointLoad`: prepared point queries at a fixed rate, sent when they are due. It must not know how they are answered.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use tokio_postgres::{Client, Config, Statement};

use super::objects::{POINTS, point};
use super::pacer::Pacer;
use super::schedule::Schedule;
use super::tally::Tally;
use crate::cli::pg::{self, Notices};
use crate::cli::sql::fault;

/// Answers may come this long after the last query was due.
const GRACE: Duration = Duration::from_secs(10);

const QUERY: &str = "SELECT n FROM bench_points WHERE k = $1";

/// An odd number near the golden ratio of 2^64: its multiples visit keys in no order.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

/// Point queries over several connections.
pub(super) struct PointLoad {
    pub(super) config: Config,
    pub(super) schedule: Schedule,
    pub(super) connections: u64,
}

/// One connection and its share of the queries.
struct Lane {
    client: Client,
    statement: Statement,
    first: u64,
    step: u64,
}

impl PointLoad {
    pub(super) async fn run(self) -> Result<Tally> {
        let mut lanes = Vec::new();
        for first in 0..self.connections {
            let client = pg::connect(&self.config, Notices::Ignore).await?;
            let statement = client.prepare(QUERY).await.context(QUERY)?;
            lanes.push(Lane { client, statement, first, step: self.connections });
        }
        let schedule = self.schedule.shifted_to_now();
        let mut tasks = JoinSet::new();
        for lane in lanes {
            tasks.spawn(lane.run(schedule));
        }
        let mut all = Tally::new("point query".to_owned());
        while let Some(lane) = tasks.join_next().await {
            all.merge(&lane.context("a connection's task failed")?);
        }
        Ok(all)
    }
}

impl Lane {
    async fn run(self, schedule: Schedule) -> Tally {
        let mut tally = Tally::new(String::new());
        let outcome = timeout_at((schedule.end() + GRACE).into(), self.query(schedule, &mut tally)).await;
        tally.over(schedule.measured_from(), schedule.end());
        let outcome =
            outcome.unwrap_or_else(|_| bail!("the server has fallen behind; figures are of what it answered"));
        if let Err(error) = outcome {
            let due = (self.first..schedule.total).step_by(usize::try_from(self.step).unwrap_or(usize::MAX));
            let expected = due.filter(|n| schedule.counts(*n)).count() as u64;
            let missing = expected.saturating_sub(tally.count() + tally.errors).max(1);
            tally.fail(missing, || format!("{error:#}"));
        }
        tally
    }

    async fn query(&self, schedule: Schedule, tally: &mut Tally) -> Result<()> {
        let pacer = Pacer::new()?;
        let mut waiting = FuturesUnordered::new();
        let mut n = self.first;
        while n < schedule.total || !waiting.is_empty() {
            // A query goes out when it is due, however many wait.
            while n < schedule.total && schedule.due(n) <= Instant::now() {
                waiting.push(self.one(n));
                n += self.step;
            }
            tokio::select! {
                biased;
                Some((n, outcome)) = waiting.next(), if !waiting.is_empty() => {
                    match outcome {
                        Ok(()) if schedule.counts(n) => {
                            tally.record(Instant::now().saturating_duration_since(schedule.due(n)), 1);
                        }
                        Ok(()) => {}
                        Err(why) => tally.fail(1, || why),
                    }
                }
                due = pacer.until(schedule.due(n)), if n < schedule.total => due?,
            }
        }
        Ok(())
    }

    /// Query `n`, and what is wrong with its answer.
    async fn one(&self, n: u64) -> (u64, Result<(), String>) {
        let k = i32::try_from((n.wrapping_mul(STRIDE) >> 32) % POINTS).unwrap_or(0);
        let outcome = match self.client.query_one(&self.statement, &[&k]).await {
            Ok(row) => match row.try_get::<_, i64>(0) {
                Ok(value) if value == point(k) => Ok(()),
                other => Err(format!("k = {k} was answered with {other:?}")),
            },
            Err(error) => Err(fault::error(&error, QUERY)),
        };
        (n, outcome)
    }
}
