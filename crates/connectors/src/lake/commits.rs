//! The log of commits: which files count, how far the sink is, and who wrote last. It must not know what files hold.

use serde_json::{Value, json};
use thalweg_core::{Epoch, Error, Incarnation, Result};
use thalweg_disk::{Disk, DiskErrorKind};

/// The folder of the log.
pub(super) const FOLDER: &str = "_commits";

/// The version of the files of the log.
const VERSION: u64 = 1;

/// A file that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// From the lake's folder, with `/`.
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    /// XXH3 (64 bits) of its content.
    pub(super) hash: u64,
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    /// From 0, without a gap.
    pub(super) number: u64,
    /// Whose it is: cluster and id of the sink.
    pub(super) owner: (String, String),
    pub(super) incarnation: Incarnation,
    /// The last epoch that the lake holds.
    pub(super) epoch: Option<Epoch>,
    /// The files that it adds.
    pub(super) parts: Vec<Part>,
}

impl Commit {
    /// Where it is.
    pub(super) fn path(&self) -> String {
        path(self.number)
    }

    /// The content of its file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let file =
            |p: &Part| json!({ "path": p.path, "bytes": p.bytes, "rows": p.rows, "xxh3": format!("{:016x}", p.hash) });
        let value = json!({
            "version": VERSION,
            "cluster": self.owner.0,
            "sink": self.owner.1,
            "incarnation": self.incarnation.0,
            "epoch": self.epoch.map(|e| e.0),
            "files": self.parts.iter().map(file).collect::<Vec<_>>(),
        });
        let mut text = value.to_string().into_bytes();
        text.push(b'\n');
        text
    }

    /// From the content of file `number`.
    pub(super) fn decode(number: u64, bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let text = |value: &Value, name: &str| Some(value.get(name)?.as_str()?.to_owned());
        let count = |value: &Value, name: &str| value.get(name)?.as_u64();
        if count(&value, "version")? != VERSION {
            return None;
        }
        let part = |value: &Value| {
            Some(Part {
                path: text(value, "path")?,
                bytes: count(value, "bytes")?,
                rows: count(value, "rows")?,
                hash: u64::from_str_radix(value.get("xxh3")?.as_str()?, 16).ok()?,
            })
        };
        let epoch = match value.get("epoch")? {
            Value::Null => None,
            epoch => Some(Epoch(epoch.as_u64()?)),
        };
        Some(Self {
            number,
            owner: (text(&value, "cluster")?, text(&value, "sink")?),
            incarnation: Incarnation(count(&value, "incarnation")?),
            epoch,
            parts: value.get("files")?.as_array()?.iter().map(part).collect::<Option<_>>()?,
        })
    }
}

fn path(number: u64) -> String {
    format!("{FOLDER}/{number:020}.json")
}

/// The numbers of the commits that are there, in order.
pub(super) fn numbers(disk: &dyn Disk) -> Result<Vec<u64>, thalweg_disk::DiskError> {
    let entries = match disk.list(FOLDER) {
        Err(e) if e.kind == DiskErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let number = |name: &str| name.strip_suffix(".json").filter(|n| n.len() == 20)?.parse().ok();
    let mut numbers: Vec<u64> = entries.iter().filter_map(|e| number(&e.name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Commit `number`.
pub(super) fn read(disk: &dyn Disk, number: u64) -> Result<Commit, CommitError> {
    let path = path(number);
    let bytes = disk.read(&path)?;
    Commit::decode(number, &bytes).ok_or_else(|| {
        CommitError::Damaged(Error::invalid_with_hint(
            format!("{} is no commit of a lake that this version reads", disk.locate(&path).display()),
            "Restore it from a copy: the files that it names count only with it.",
        ))
    })
}

/// Why a commit cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    #[error(transparent)]
    Disk(#[from] thalweg_disk::DiskError),
    #[error("{0}")]
    Damaged(Error),
}
