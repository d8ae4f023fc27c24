//! `Message`: one row to be told, and the key by which its doubles are found; the messages of an epoch in their order. It
//! must not know how it is told.

use arrow::array::RecordBatch;
use thalweg_core::{Epoch, EpochRows};

/// What has happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Insert,
    Delete,
}

impl Op {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Delete => "delete",
        }
    }
}

/// Which changes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    /// Rows that come.
    Inserts,
    /// Also rows that go.
    All,
}

/// One row to be told.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The same whenever this message is sent, and no other's: `CLUSTER-SINK-EPOCH-SEQUENCE`.
    pub(super) key: String,
    pub(super) epoch: Epoch,
    /// With [`Changes::All`].
    pub(super) op: Option<Op>,
    /// The row alone.
    pub(super) row: RecordBatch,
}

/// Where the row of a message is.
pub(super) struct Place<'a> {
    batch: &'a RecordBatch,
    row: usize,
    op: Op,
}

impl Place<'_> {
    /// Message number `sequence` of `epoch`, from a sink whose keys begin with `sink`.
    pub(super) fn message(&self, sink: &str, epoch: Epoch, sequence: u64, changes: Changes) -> Message {
        Message {
            key: format!("{sink}-{}-{sequence}", epoch.0),
            epoch,
            op: (changes == Changes::All).then_some(self.op),
            row: self.batch.slice(self.row, 1),
        }
    }
}

/// The messages of an epoch, in the order of its rows: several copies of a row are several messages.
pub(super) fn places(epoch: &EpochRows, changes: Changes) -> impl Iterator<Item = Place<'_>> {
    epoch.deltas.iter().flat_map(move |delta| {
        (0..delta.num_rows()).flat_map(move |row| {
            let weight = delta.weight(row);
            let op = if weight < 0 { Op::Delete } else { Op::Insert };
            let told = op == Op::Insert || changes == Changes::All;
            let copies = if told { weight.unsigned_abs() } else { 0 };
            (0..copies).map(move |_| Place { batch: &delta.rows, row, op })
        })
    })
}
