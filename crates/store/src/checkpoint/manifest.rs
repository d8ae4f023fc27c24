//! `Manifest`: what a checkpoint consists of, as a checksummed text. It must not know what the state means.
//!
//! One line of JSON, then a line `crc32c XXXXXXXX` over the first with its line end.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thalweg_core::{Error, Result};

/// The format that this program writes. Those before it are read: in 1 all state was compressed, and every relation saved
/// its rows itself.
const FORMAT: u32 = 2;

/// A checkpoint: every durable job's state as of one epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// Everything up to this epoch is in.
    pub epoch: u64,
    /// The start of the server that took it: each has a higher number.
    pub incarnation: u64,
    /// The epoch's `now()`, microseconds since 1970-01-01 UTC.
    pub wall_clock: i64,
    /// By the number that names it for ever.
    pub jobs: BTreeMap<u64, JobManifest>,
    /// Epochs that are of no history of this state: see [`Gap`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gaps: Vec<Gap>,
}

/// What a start leaves out: epochs after the checkpoint that it went on from and before its own first one. What a target
/// holds of them was delivered from a later checkpoint, which is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gap {
    pub after: u64,
    pub before: u64,
}

/// What every format says of itself.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// A job within a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobManifest {
    /// The plan that the state fits.
    pub fingerprint: u64,
    /// How far each source of the plan was read.
    pub sources: Vec<SourceManifest>,
    /// The slot of what is to be delivered, if the job delivers.
    #[serde(default)]
    pub outbox: Option<usize>,
    /// The checkpoint up to which the target holds what was to be delivered; 0 if nothing is known.
    #[serde(default)]
    pub delivered: u64,
    /// The state, in the order in which it was saved.
    pub parts: Vec<PartManifest>,
}

/// How far a source was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceManifest {
    /// Event time in microseconds.
    pub watermark: i64,
    /// All of it was read.
    pub ended: bool,
    /// Where to go on, by split.
    pub offsets: BTreeMap<String, u64>,
}

/// A piece of state: what one operator on one worker had saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartManifest {
    /// The operator's slot.
    pub slot: usize,
    /// The worker.
    pub worker: usize,
    /// Workers at that time; 0 for a part of all workers.
    pub workers: usize,
    /// The file.
    pub file: String,
    /// Where in it, in bytes.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// CRC-32C of these bytes.
    pub crc: u32,
}

impl PartManifest {
    /// The epoch of the checkpoint that it was saved for.
    pub(super) fn epoch(&self) -> u64 {
        self.file.split_once('-').and_then(|(epoch, _)| epoch.parse().ok()).unwrap_or(0)
    }
}

impl Manifest {
    pub(super) fn new(epoch: u64, incarnation: u64, wall_clock: i64) -> Self {
        Self { format: FORMAT, epoch, incarnation, wall_clock, jobs: BTreeMap::new(), gaps: Vec::new() }
    }

    /// The name of the manifest of an epoch; names sort by epoch.
    pub(super) fn name(epoch: u64, incarnation: u64) -> String {
        format!("{epoch:020}-{incarnation:010}.manifest")
    }

    /// The epoch in a manifest's name.
    pub(super) fn epoch_of(name: &str) -> Option<u64> {
        let (epoch, rest) = name.split_once('-')?;
        rest.strip_suffix(".manifest")?.parse::<u64>().ok()?;
        epoch.parse().ok()
    }

    /// Sorts names in the order in which they were written.
    pub(super) fn order_of(name: &str) -> (u64, u64) {
        let numbers = name.strip_suffix(".manifest").and_then(|numbers| numbers.split_once('-'));
        let (epoch, incarnation) = numbers.unwrap_or_default();
        (incarnation.parse().unwrap_or(0), epoch.parse().unwrap_or(0))
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_string(self).map_err(|e| Error::Internal(e.to_string()))?;
        text.push('\n');
        let crc = crc32c::crc32c(text.as_bytes());
        text.push_str(&format!("crc32c {crc:08x}\n"));
        Ok(text.into_bytes())
    }

    pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        let damaged = |what: String| Error::Data(format!("{name}: {what}"));
        let end = bytes.iter().position(|b| *b == b'\n').map(|at| at + 1);
        let (line, sum) = end
            .and_then(|end| bytes.split_at_checked(end))
            .ok_or_else(|| damaged(format!("{} bytes without a line end: it is torn", bytes.len())))?;
        let found = format!("crc32c {:08x}\n", crc32c::crc32c(line));
        if sum != found.as_bytes() {
            let expected = String::from_utf8_lossy(sum);
            let message =
                format!("damaged at byte 0 to {}: expected {}, found {}", line.len(), expected.trim(), found.trim());
            return Err(damaged(message));
        }
        // The format is looked at before anything that may be new in it.
        let Format { format } = serde_json::from_slice(line).map_err(|e| damaged(e.to_string()))?;
        if !(1..=FORMAT).contains(&format) {
            let message = format!("format {format} is not known to this version, which reads up to {FORMAT}");
            return Err(Error::invalid_with_hint(format!("{name}: {message}"), "Start the version that wrote it."));
        }
        let manifest: Self = serde_json::from_slice(line).map_err(|e| damaged(e.to_string()))?;
        // What is written from it may hold what is new in this one.
        let manifest = Self { format: FORMAT, ..manifest };
        // A copy of another one: old state under a new name.
        let own = Self::name(manifest.epoch, manifest.incarnation);
        if own != name {
            return Err(damaged(format!("damaged at byte 0: it is {own}, under another name")));
        }
        Ok(manifest)
    }

    /// The files that it names.
    pub fn files(&self) -> BTreeSet<&str> {
        self.jobs.values().flat_map(|job| &job.parts).map(|part| part.file.as_str()).collect()
    }

    /// Bytes of state.
    pub fn bytes(&self) -> u64 {
        self.jobs.values().map(JobManifest::bytes).fold(0, u64::saturating_add)
    }
}

impl JobManifest {
    /// Bytes of state.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.length).fold(0, u64::saturating_add)
    }
}
