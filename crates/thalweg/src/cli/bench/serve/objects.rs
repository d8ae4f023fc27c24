//! `Objects`: what the benchmark makes in the server and takes away again. It must not measure.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::{Client, Config};

use crate::cli::http::HttpAddress;
use crate::cli::pg::{self, Notices};
use crate::cli::sql::fault;

/// Rows of `bench_points`.
pub(super) const POINTS: u64 = 100_000;

/// Rows of one request that fills `bench_points`.
const FILL_ROWS: u64 = 10_000;

/// How often and how many times it is looked whether the rows are there.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(100);
const LOOKS: u32 = 600;

/// What the server has for the benchmark.
pub(super) struct Objects {
    client: Client,
    events: bool,
    points: bool,
}

/// The value of `n` in `bench_points`.
pub(super) fn point(k: i32) -> i64 {
    i64::from(k) * 7
}

impl Objects {
    /// Makes them anew: a run that was cut off may have left some.
    pub(super) async fn create(config: &Config, http: &HttpAddress, events: bool, points: bool) -> Result<Self> {
        let client = pg::connect(config, Notices::Ignore).await?;
        let objects = Self { client, events, points };
        objects.drop_all().await?;
        if let Err(error) = objects.fill(http).await {
            let _ = objects.drop_all().await;
            return Err(error);
        }
        Ok(objects)
    }

    async fn fill(&self, http: &HttpAddress) -> Result<()> {
        if self.events {
            self.run("CREATE SOURCE bench_events (id BIGINT, ts_us BIGINT, k INT, v BIGINT) WITH (connector = 'push')")
                .await?;
            self.run(
                "CREATE MATERIALIZED VIEW bench_latest AS SELECT k, max(ts_us) AS ts_us, count(*) AS n FROM bench_events GROUP BY k",
            )
            .await?;
        }
        if self.points {
            self.run("CREATE TABLE bench_points (k INT PRIMARY KEY, n BIGINT)").await?;
            for first in (0..POINTS).step_by(usize::try_from(FILL_ROWS)?) {
                post(http, "bench_points", first..first + FILL_ROWS).await?;
            }
            let mut looks = 0;
            while self.number("SELECT count(*) FROM bench_points").await? != POINTS {
                looks += 1;
                ensure!(looks < LOOKS, "bench_points does not fill");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
        Ok(())
    }

    /// Events that the view has counted.
    pub(super) async fn counted(&self) -> Result<u64> {
        self.number("SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM bench_latest").await
    }

    pub(super) async fn drop_all(&self) -> Result<()> {
        self.run("DROP MATERIALIZED VIEW IF EXISTS bench_latest").await?;
        self.run("DROP SOURCE IF EXISTS bench_events").await?;
        self.run("DROP TABLE IF EXISTS bench_points").await
    }

    async fn run(&self, sql: &str) -> Result<()> {
        match self.client.batch_execute(sql).await {
            Ok(()) => Ok(()),
            Err(error) => bail!("{sql}\n{}", fault::error(&error, sql).trim_end()),
        }
    }

    async fn number(&self, sql: &str) -> Result<u64> {
        let row = self.client.query_one(sql, &[]).await.with_context(|| sql.to_owned())?;
        Ok(u64::try_from(row.try_get::<_, i64>(0)?)?)
    }
}

/// Sends rows of `bench_points` and waits for the answer.
async fn post(http: &HttpAddress, table: &str, keys: std::ops::Range<u64>) -> Result<()> {
    let mut body = String::new();
    for k in keys {
        let n = point(i32::try_from(k)?);
        writeln!(body, "{{\"k\":{k},\"n\":{n}}}")?;
    }
    let HttpAddress { authority, authorization } = http;
    let head = format!(
        "POST /v1/ingest/{table} HTTP/1.0\r\nHost: {authority}\r\n{authorization}Content-Type: application/x-ndjson\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = http.connect().await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.split(' ').nth(1) == Some("200"), "rows for {table} were not taken: {answer}");
    Ok(())
}
