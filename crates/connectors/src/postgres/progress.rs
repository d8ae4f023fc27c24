//! The progress table: how far each sink is, in rows that are part of the sink's own transactions. It must not know what
//! a sink writes.

use thalweg_core::{Epoch, Error, Incarnation, SinkError};

use super::connect::Session;
use super::table::{TableName, exists};

/// The table's name, beside the targets.
const TABLE: &str = "thalweg_progress";

/// How far a sink is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// The last epoch that the target holds.
    pub(super) epoch: Option<Epoch>,
    /// Who was the last to write.
    pub(super) incarnation: Incarnation,
}

/// The row of one sink.
pub(super) struct ProgressRow {
    table: TableName,
    cluster: String,
    sink: String,
}

impl ProgressRow {
    /// That of sink `sink` of `cluster`, in `schema`.
    pub(super) fn new(schema: &str, cluster: &str, sink: &str) -> Self {
        let table = TableName { schema: schema.to_owned(), table: TABLE.to_owned() };
        Self { table, cluster: cluster.to_owned(), sink: sink.to_owned() }
    }

    /// Makes the table if it is not there, and the row.
    pub(super) fn ensure(&self, session: &Session) -> Result<(), SinkError> {
        let table = self.table.quoted();
        if !exists(session, &self.table)? {
            let sql = format!(
                "CREATE TABLE IF NOT EXISTS {table} (cluster text, sink text, incarnation bigint NOT NULL, \
                 last_epoch bigint, updated_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (cluster, sink))"
            );
            let made = session.run("the progress table cannot be made", sql);
            // Two that make it at once get in each other's way: the loser finds it there.
            if let Err(error) = made {
                return if exists(session, &self.table)? { self.ensure(session) } else { Err(error) };
            }
        }
        let sql = format!(
            "INSERT INTO {table} (cluster, sink, incarnation) VALUES ($1, $2, 0) ON CONFLICT (cluster, sink) DO NOTHING"
        );
        session.query("the progress row cannot be made", &sql, vec![self.cluster(), self.sink()]).map(drop)
    }

    /// What the row holds. Nobody else reads it so or writes it until the end of the transaction.
    pub(super) fn lock(&self, session: &Session) -> Result<Option<Progress>, SinkError> {
        let sql = format!(
            "SELECT incarnation, last_epoch FROM {} WHERE cluster = $1 AND sink = $2 FOR UPDATE",
            self.table.quoted()
        );
        let rows = session.query("its progress cannot be read", &sql, vec![self.cluster(), self.sink()])?;
        let Some(row) = rows.first() else { return Ok(None) };
        let wrong = |what: &dyn std::fmt::Display| {
            SinkError::Fatal(Error::invalid(format!("table {} holds no progress of a sink: {what}", self.table)))
        };
        let number = |n: i64| u64::try_from(n).map_err(|e| wrong(&e));
        let incarnation: i64 = row.try_get(0).map_err(|e| wrong(&e))?;
        let epoch: Option<i64> = row.try_get(1).map_err(|e| wrong(&e))?;
        Ok(Some(Progress {
            epoch: epoch.map(number).transpose()?.map(Epoch),
            incarnation: Incarnation(number(incarnation)?),
        }))
    }

    /// Writes the row, which is locked.
    pub(super) fn write(&self, session: &Session, progress: Progress) -> Result<(), SinkError> {
        let number = |n: u64| {
            i64::try_from(n).map_err(|_| SinkError::Fatal(Error::Internal("an epoch beyond 63 bits".to_owned())))
        };
        let epoch = progress.epoch.map(|e| number(e.0)).transpose()?;
        let sql = format!(
            "UPDATE {} SET incarnation = $3, last_epoch = $4, updated_at = now() WHERE cluster = $1 AND sink = $2",
            self.table.quoted()
        );
        let incarnation = number(progress.incarnation.0)?;
        let values = vec![self.cluster(), self.sink(), Box::new(incarnation), Box::new(epoch)];
        session.query("its progress cannot be written", &sql, values).map(drop)
    }

    fn cluster(&self) -> super::connect::Value {
        Box::new(self.cluster.clone())
    }

    fn sink(&self) -> super::connect::Value {
        Box::new(self.sink.clone())
    }
}
