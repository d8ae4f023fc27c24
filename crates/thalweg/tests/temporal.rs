//! Temporal filters under windows and joins, by a clock of the test's own: what leaves a filter leaves every view above it.

use std::sync::Arc;

use thalweg::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use thalweg::arrow::datatypes::Int64Type;
use thalweg::{Clock, Config, Thalweg};
use thalweg_runtime::DrivenClock;

const SECOND: u32 = 1_000_000;
const BEGIN: i64 = 1_700_000_000;
/// How far the views look back, and how long rows come (seconds).
const AGE: i64 = 10;
const LENGTH: i64 = 40;

const VIEWS: &str = "
    CREATE SOURCE s (ts TIMESTAMPTZ, k BIGINT, WATERMARK FOR ts AS ts);
    CREATE TABLE names (k BIGINT PRIMARY KEY, name VARCHAR);
    INSERT INTO names VALUES (0, 'even'), (1, 'odd');
    CREATE MATERIALIZED VIEW below AS
      SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '1 second')
      WHERE ts > now() - INTERVAL '10 seconds' GROUP BY window_start, window_end;
    CREATE MATERIALIZED VIEW above AS
      SELECT * FROM (
        SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '1 second') GROUP BY window_start, window_end
      ) AS w WHERE window_start > now() - INTERVAL '10 seconds';
    CREATE MATERIALIZED VIEW hops AS
      SELECT window_start, count(*) AS n FROM HOP(s, ts, INTERVAL '1 second', INTERVAL '2 seconds')
      WHERE ts > now() - INTERVAL '10 seconds' GROUP BY window_start, window_end;
    CREATE MATERIALIZED VIEW joined AS
      SELECT n.name, s.ts FROM s JOIN names AS n ON n.k = s.k WHERE s.ts > now() - INTERVAL '10 seconds'";

/// The row in the middle of a second.
fn row(second: i64) -> RecordBatch {
    let micros = (BEGIN + second) * i64::from(SECOND) + i64::from(SECOND / 2);
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("+00:00"));
    let k: ArrayRef = Arc::new(Int64Array::from(vec![second % 2]));
    RecordBatch::try_from_iter([("ts", at), ("k", k)]).expect("columns of one length")
}

async fn count(db: &Thalweg, what: &str) -> i64 {
    let rows = db.query(what).await.unwrap_or_else(|e| panic!("{what}: {e}"));
    rows.iter().find(|b| b.num_rows() > 0).map_or(0, |b| b.column(0).as_primitive::<Int64Type>().value(0))
}

#[tokio::test]
async fn what_leaves_a_temporal_filter_leaves_the_views_above_it() {
    let clock = DrivenClock::new(BEGIN * i64::from(SECOND));
    let mut config = Config::default();
    config.run.workers = 2;
    config.run.clock = Clock::Driven(Arc::clone(&clock));
    let db = Thalweg::open(config).await.expect("it opens");
    let ticking = Arc::clone(&clock);
    // Epochs end by this clock too, which otherwise stands while a statement waits.
    let ticks = tokio::spawn(async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            ticking.advance(1);
        }
    });
    for statement in VIEWS.split(';') {
        db.execute(statement.trim()).await.unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    for second in 0..LENGTH {
        db.ingest("s", row(second)).await.expect("it is taken");
        clock.advance(SECOND);
    }
    db.ingest("s", row(LENGTH)).await.expect("it is taken");
    db.flush().await.expect("it is open");
    // It is a moment after the last full second: the rows of the last ten are there, and the one that was just written.
    assert_eq!(count(&db, "SELECT count(*) FROM below").await, AGE + 1);
    assert_eq!(count(&db, "SELECT sum(n)::BIGINT FROM below").await, AGE + 1);
    assert_eq!(count(&db, "SELECT sum(n)::BIGINT FROM hops").await, 2 * (AGE + 1));
    assert_eq!(count(&db, "SELECT count(*) FROM joined").await, AGE + 1);
    // By the window's beginning: that of the second ten seconds ago has just passed.
    assert_eq!(count(&db, "SELECT count(*) FROM above").await, AGE);
    ticks.abort();
    db.close().await;
}
