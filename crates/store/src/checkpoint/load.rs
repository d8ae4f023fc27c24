//! Reads all that a checkpoint refers to, on several threads when it is much. It must not know what the state means.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use thalweg_core::{Error, Result};

use super::{JobManifest, Manifest, PartManifest, SavedJob, SavedTable, Shelf, blob, piece};

/// Bytes that are read at a time, or one larger part.
const SPAN_BYTES: u64 = 16 << 20;
/// Bytes up to which one thread reads all.
const AT_ONCE_BYTES: u64 = 256 << 10;
/// Threads at most.
const MAX_THREADS: usize = 8;

/// A part, and where its tables belong: the job, and the place among its parts.
pub(super) struct Wanted<'a> {
    place: (u64, usize),
    part: &'a PartManifest,
    /// What is to be delivered is decoded when it is.
    is_outbox: bool,
}

/// Parts of one file that are read together.
pub(super) type Span<'a> = Vec<Wanted<'a>>;

/// The tables of parts, by their places.
type Tables = Vec<((u64, usize), Vec<SavedTable>)>;

/// The jobs of a checkpoint.
///
/// # Errors
/// A file is not there, or damaged.
pub(super) fn load(shelf: &dyn Shelf, manifest: &Manifest) -> Result<BTreeMap<u64, SavedJob>> {
    let spans = spans(manifest);
    let read: Vec<OnceLock<Result<Tables>>> = spans.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let take = || next.fetch_add(1, Ordering::Relaxed);
        for at in std::iter::repeat_with(take).take_while(|at| *at < spans.len()) {
            let _ = read[at].set(tables(shelf, &spans[at]));
        }
    };
    // Little is read before a thread has begun.
    let is_much = manifest.bytes() > AT_ONCE_BYTES;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let helpers = if is_much { cores.min(MAX_THREADS).min(spans.len()).saturating_sub(1) } else { 0 };
        (0..helpers).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let empty = |job: &JobManifest| SavedJob { manifest: job.clone(), tables: vec![Vec::new(); job.parts.len()] };
    let mut jobs: BTreeMap<u64, SavedJob> = manifest.jobs.iter().map(|(key, job)| (*key, empty(job))).collect();
    for tables in read {
        let tables = tables.into_inner().ok_or_else(|| Error::Internal("a part was not read".to_owned()))??;
        for ((key, place), tables) in tables {
            if let Some(slot) = jobs.get_mut(&key).and_then(|job| job.tables.get_mut(place)) {
                *slot = tables;
            }
        }
    }
    Ok(jobs)
}

pub(super) fn spans(manifest: &Manifest) -> Vec<Span<'_>> {
    let mut all: Vec<Wanted<'_>> = Vec::new();
    for (key, job) in &manifest.jobs {
        let wanted = |(at, part)| Wanted { place: (*key, at), part, is_outbox: Some(part.slot) == job.outbox };
        all.extend(job.parts.iter().enumerate().map(wanted));
    }
    all.sort_by(|a, b| (&a.part.file, a.part.offset).cmp(&(&b.part.file, b.part.offset)));
    let mut spans: Vec<Span<'_>> = Vec::new();
    for wanted in all {
        let end = wanted.part.offset.saturating_add(wanted.part.length);
        let fits = |span: &Span<'_>| {
            span.first().is_some_and(|f| f.part.file == wanted.part.file && end - f.part.offset <= SPAN_BYTES)
        };
        match spans.last_mut().filter(|span| fits(span)) {
            Some(span) => span.push(wanted),
            None => spans.push(vec![wanted]),
        }
    }
    spans
}

fn tables(shelf: &dyn Shelf, span: &Span<'_>) -> Result<Tables> {
    let Some(first) = span.first().map(|wanted| wanted.part) else { return Ok(Vec::new()) };
    let end = span.iter().map(|w| w.part.offset.saturating_add(w.part.length)).max().unwrap_or(first.offset);
    let bytes = shelf.read_range(&first.file, first.offset, end - first.offset)?;
    let of = |wanted: &Wanted<'_>| {
        let piece = piece(&bytes, first.offset, wanted.part)?;
        Ok((wanted.place, if wanted.is_outbox { Vec::new() } else { blob::decode(piece)? }))
    };
    span.iter().map(of).collect()
}
