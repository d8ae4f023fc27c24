//! `Golden`: a data directory with some of everything, made by the engine itself, as it is after a kill and after an
//! orderly end. It must not know damage.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use thalweg::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use thalweg::arrow::util::pretty::pretty_format_batches;
use thalweg::{Config, SqlError, Thalweg};
use thalweg_disk::Rng;
use tokio::runtime::{Builder, Runtime};

use super::directory::{copy, copy_at_rest, files};
use super::model::{Expected, Model};

/// What the system says of itself, as it was when the directory was made.
const SYSTEM: [&str; 7] = [
    "SELECT rolname, rolsuper FROM pg_roles ORDER BY rolname",
    "SELECT relname, relkind FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY relname",
    "SELECT description FROM pg_description ORDER BY description",
    "SHOW SECRETS",
    "SHOW CONNECTIONS",
    "SHOW SINKS",
    "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = 'ann' ORDER BY 2, 3",
];

/// See the module.
pub struct Golden {
    folder: TempDir,
    pub expected: Expected,
    /// Lines of the sink's target, each once.
    pub delivered: Vec<String>,
    /// An older state of each file that has changed since, by path.
    pub older: PathBuf,
}

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads")
}

pub async fn open(data: &Path) -> Result<Thalweg, SqlError> {
    let mut config = Config { data: Some(data.to_owned()), ..Config::default() };
    config.run.workers = 1;
    // Only when one is asked for.
    config.checkpoint_interval = Duration::from_secs(3600);
    Thalweg::open(config).await
}

/// The rows as lines of cells.
pub async fn lines(db: &Thalweg, sql: &str) -> Result<Vec<String>, SqlError> {
    let rows = db.query(sql).await?;
    if rows.iter().all(|batch| batch.num_rows() == 0) {
        return Ok(Vec::new());
    }
    let table = pretty_format_batches(&rows).expect("rows can be shown").to_string();
    let cells = |line: &str| line.trim_matches(['|', ' ']).split('|').map(str::trim).collect::<Vec<_>>().join(" ");
    Ok(table.lines().filter(|l| l.starts_with('|')).skip(1).map(cells).collect())
}

/// The lines of the files that the commits of a lake name, in order.
pub fn lake_lines(lake: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let commits = files(lake).into_iter().filter(|f| f.starts_with("_commits/") && f.ends_with(".json"));
    for commit in commits {
        let text = std::fs::read(lake.join(commit)).expect("readable");
        let commit: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        for file in commit["files"].as_array().expect("a list") {
            let file = lake.join(file["path"].as_str().expect("a path"));
            let text = std::fs::read_to_string(file).expect("what is committed is there");
            lines.extend(text.lines().map(str::to_owned));
        }
    }
    lines.sort_unstable();
    lines
}

impl Golden {
    /// Makes one.
    pub fn make() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let (expected, delivered) = runtime().block_on(make(&root, &root.join("lake")));
        Self { older: root.join("older"), folder, expected, delivered }
    }

    /// Where the sink delivers to.
    pub fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    /// Puts the directory into `data`, and its sink's target where it is.
    pub fn put(&self, is_closed: bool, data: &Path) {
        let (of, lake) = if is_closed { ("closed", "lake-closed") } else { ("killed", "lake-killed") };
        copy(&self.folder.path().join(of), data);
        copy(&self.folder.path().join(lake), &self.lake());
    }

    /// A place for a copy.
    pub fn place(&self) -> PathBuf {
        self.folder.path().join("copy")
    }
}

/// Makes the directories `killed` and `closed` below `root`, beside each its sink's target, which was `lake`: what they
/// hold, and what the target is to hold.
pub async fn make(root: &Path, lake: &Path) -> (Expected, Vec<String>) {
    let data = root.join("data");
    let mut db = open(&data).await.expect("it is new");
    let mut rng = Rng::new(7);
    let mut model = Model::default();
    run(
        &db,
        &format!(
            "CREATE TABLE accounts (id BIGINT PRIMARY KEY, owner VARCHAR, balance BIGINT);
             CREATE TABLE orders (account BIGINT, amount BIGINT, note VARCHAR);
             CREATE SOURCE clicks (page VARCHAR, ms BIGINT);
             CREATE TABLE left_twin (id BIGINT PRIMARY KEY, word VARCHAR);
             CREATE TABLE right_twin (id BIGINT PRIMARY KEY, word VARCHAR);
             CREATE TABLE readings (n BIGINT) EXPECT (positive CHECK (n >= 0) ON VIOLATION QUARANTINE);
             CREATE MATERIALIZED VIEW totals AS
               SELECT account, count(*) AS n, CAST(sum(amount) AS BIGINT) AS total FROM orders GROUP BY account;
             CREATE MATERIALIZED VIEW large AS SELECT account, total FROM totals WHERE total > 40;
             CREATE MATERIALIZED VIEW joined AS
               SELECT o.amount, a.owner FROM orders o JOIN accounts a ON a.id = o.account;
             CREATE MATERIALIZED VIEW top AS SELECT amount FROM orders ORDER BY amount DESC LIMIT 3;
             CREATE MATERIALIZED VIEW pages AS
               SELECT page, count(*) AS n, CAST(sum(ms) AS BIGINT) AS total FROM clicks GROUP BY page;
             CREATE VIEW rich AS SELECT id FROM accounts WHERE balance > 500;
             CREATE INDEX totals_by_account ON totals (account);
             CREATE USER ann WITH PASSWORD 'a canary'; GRANT SELECT ON totals TO ann;
             CREATE SECRET seed AS '7';
             CREATE CONNECTION gen WITH (type = 'datagen', rows = '4', seed = '1');
             COMMENT ON TABLE accounts IS 'who pays'; COMMENT ON COLUMN accounts.balance IS 'in cents';
             CREATE SINK out AS SELECT page, ms FROM clicks
               WITH (connector = 'lake', path = '{}', format = 'ndjson');",
            lake.display()
        ),
    )
    .await;
    for round in 0..6 {
        for _ in 0..2 {
            change(&db, &mut model, &mut rng).await;
        }
        if round == 3 {
            // Another life, and what the files were then.
            db.close().await;
            copy(&data, &root.join("older"));
            db = open(&data).await.expect("it was closed");
        }
        // Which takes a checkpoint.
        run(&db, &format!("CREATE TABLE gone_{round} (k INT); INSERT INTO gone_{round} VALUES (1), (2)")).await;
        run(&db, &format!("CREATE MATERIALIZED VIEW passing_{round} AS SELECT count(*) AS n FROM gone_{round}")).await;
        if round % 2 == 0 {
            run(&db, &format!("DROP TABLE gone_{round} CASCADE")).await;
        }
    }
    // Only the last two checkpoints have it.
    model.clicks_before = model.clicks.len();
    run(
        &db,
        "FLUSH; CREATE MATERIALIZED VIEW later AS
           SELECT page, count(*) AS n, CAST(sum(ms) AS BIGINT) AS total FROM clicks GROUP BY page",
    )
    .await;
    change(&db, &mut model, &mut rng).await;
    run(&db, "FLUSH; CREATE MATERIALIZED VIEW last AS SELECT max(n) AS n FROM passing_5").await;
    let at_checkpoint = model.delivered().len();
    wait_for(lake, at_checkpoint).await;
    // Only the hub has these.
    for _ in 0..2 {
        change(&db, &mut model, &mut rng).await;
    }
    run(&db, "COMMENT ON TABLE orders IS 'what they buy'; FLUSH").await;

    let mut expected = model.expected();
    for (sql, wanted) in &expected {
        assert_eq!(&lines(&db, sql).await.expect("it is right"), wanted, "{sql}");
    }
    for sql in SYSTEM {
        let found = lines(&db, sql).await.unwrap_or_else(|e| panic!("{e}\n{sql}"));
        assert!(!found.is_empty(), "{sql}");
        expected.push((sql, found));
    }
    copy_at_rest(&data, &root.join("killed"));
    copy_at_rest(lake, &root.join("lake-killed"));
    break_off(&root.join("killed"));
    db.close().await;
    wait_for(lake, at_checkpoint).await;
    copy(&data, &root.join("closed"));
    copy(lake, &root.join("lake-closed"));
    (expected, model.delivered())
}

async fn run(db: &Thalweg, sql: &str) {
    db.execute(sql).await.unwrap_or_else(|e| panic!("{e}\n{sql}"));
}

async fn change(db: &Thalweg, model: &mut Model, rng: &mut Rng) {
    let (sql, count) = model.change(rng);
    run(db, &sql).await;
    let clicks = &model.clicks[model.clicks.len() - count..];
    let pages: ArrayRef = Arc::new(StringArray::from_iter_values(clicks.iter().map(|(page, _)| page)));
    let times: ArrayRef = Arc::new(Int64Array::from_iter_values(clicks.iter().map(|(_, ms)| *ms)));
    let rows = RecordBatch::try_from_iter([("page", pages), ("ms", times)]).expect("two columns");
    db.ingest("clicks", rows).await.expect("they fit");
}

/// Waits until a lake holds `rows`.
async fn wait_for(lake: &Path, rows: usize) {
    for _ in 0..3_000 {
        if lake.exists() && lake_lines(lake).len() >= rows {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the sink does not deliver");
}

/// Leaves what a kill leaves in the midst of writes: a part of a record where one was to be.
fn break_off(data: &Path) {
    let append = |file: &str, bytes: &[u8]| {
        let whole = [std::fs::read(data.join(file)).expect("readable").as_slice(), bytes].concat();
        std::fs::write(data.join(file), whole).expect("room");
    };
    append("catalog.log", b"\x50\0\0\0\x11\x22\x33\x44{\"user\":\"root\"");
    let segments = files(data).into_iter().filter(|f| f.starts_with("hub/topics/") && f.ends_with(".log"));
    for segment in segments {
        let bytes = std::fs::read(data.join(&segment)).expect("readable");
        append(&segment, &bytes[..bytes.len().min(40)]);
    }
}
