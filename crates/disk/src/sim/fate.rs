//! `Fate`: what a crash leaves of the changes to one file that were not durable. It must not know names or other files.
//!
//! A device keeps some first changes. Of the bytes that were appended by them, whole writes or single blocks may be
//! missing (the length grew, the blocks hold zeros or what stood there before), and the last write may end early, at a
//! boundary of sectors or pages.

use super::Rng;
use super::tree::{Change, Content};

const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: usize = 4096;

/// Fates of one file that are listed one by one; beyond that the list is thinned out.
const LISTED_MAX: usize = 96;

#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    /// So many first changes took effect.
    kept: usize,
    /// Of the last one, an append, only so many bytes.
    torn: Option<usize>,
    /// Appends whose length took effect, but not their bytes.
    hollow: Vec<usize>,
    /// Each block of so many bytes was written or not, as the seed says.
    blocks: Option<(usize, u64)>,
    /// What was not written holds what stood there before; otherwise zeros.
    stale: bool,
}

impl Fate {
    /// What the device holds.
    pub fn after(&self, content: &Content) -> Vec<u8> {
        let mut device = content.device.clone();
        for (i, change) in content.changes.iter().take(self.kept).enumerate() {
            let Change::Append { at, bytes } = change else {
                change.apply(&mut device);
                continue;
            };
            let is_last = i + 1 == self.kept;
            let bytes = &bytes[..self.torn.filter(|_| is_last).unwrap_or(bytes.len())];
            let end = at + bytes.len();
            device.resize(device.len().max(end), 0);
            device[*at..end].copy_from_slice(bytes);
            if self.hollow.contains(&i) {
                self.unwrite(content, &mut device, *at, end);
            } else if let Some((size, seed)) = self.blocks {
                let mut rng = Rng::new(seed ^ i as u64);
                let mut from = *at;
                while from < end {
                    let to = (from / size + 1).saturating_mul(size).min(end);
                    if rng.one_in(2) {
                        self.unwrite(content, &mut device, from, to);
                    }
                    from = to;
                }
            }
        }
        device
    }

    fn unwrite(&self, content: &Content, device: &mut [u8], from: usize, to: usize) {
        device[from..to].fill(0);
        if self.stale && from < content.device.len() {
            let to = to.min(content.device.len());
            device[from..to].copy_from_slice(&content.device[from..to]);
        }
    }
}

/// Where a write from `at` of `length` bytes may end early: the first and the last boundary of sectors and of pages.
fn tears(at: usize, length: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    for size in [SECTOR_BYTES, PAGE_BYTES] {
        let first = (at / size + 1) * size;
        let last = (at + length - 1) / size * size;
        ends.extend([first, last].into_iter().filter(|end| *end > at && *end < at + length).map(|end| end - at));
    }
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// The fates of a file, in a fixed order: first that nothing was kept, last that all was.
pub(super) fn fates(content: &Content) -> Vec<Fate> {
    let all = content.changes.len();
    let mut fates = Vec::new();
    for kept in 0..=all {
        let change = kept.checked_sub(1).map(|i| &content.changes[i]);
        if let Some(Change::Append { at, bytes }) = change {
            fates.extend(tears(*at, bytes.len()).into_iter().map(|end| Fate {
                kept,
                torn: Some(end),
                ..Fate::default()
            }));
            fates.push(Fate { kept, hollow: vec![kept - 1], ..Fate::default() });
        }
        if kept < all {
            fates.push(Fate { kept, ..Fate::default() });
        }
    }
    // An earlier write is missing though later ones are there.
    let appended = |i: &usize| matches!(content.changes[*i], Change::Append { .. });
    for hollow in (0..all.saturating_sub(1)).filter(appended) {
        fates.push(Fate { kept: all, hollow: vec![hollow], stale: hollow % 2 == 1, ..Fate::default() });
    }
    let step = fates.len().div_ceil(LISTED_MAX);
    let mut fates: Vec<Fate> = fates.into_iter().step_by(step.max(1)).collect();
    fates.push(Fate { kept: all, ..Fate::default() });
    fates
}

/// Any fate, also of those that no list has room for.
pub(super) fn any_fate(content: &Content, rng: &mut Rng) -> Fate {
    let kept = rng.below(content.changes.len() + 1);
    let torn = match kept.checked_sub(1).map(|i| &content.changes[i]) {
        Some(Change::Append { at, bytes }) if rng.one_in(3) => {
            let ends = tears(*at, bytes.len());
            ends.get(rng.below(ends.len())).copied()
        }
        _ => None,
    };
    let hollow = if rng.one_in(3) { (0..kept).filter(|_| rng.one_in(3)).collect() } else { Vec::new() };
    let blocks = rng.one_in(3).then(|| (if rng.one_in(2) { SECTOR_BYTES } else { PAGE_BYTES }, rng.next_u64()));
    Fate { kept, torn, hollow, blocks, stale: rng.one_in(2) }
}
