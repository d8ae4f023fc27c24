//! Where values lie in their order: a quantile sketch of one group. It must not know groups, columns or SQL.
//!
//! KLL after Karnin, Lang, Liberty, "Optimal Quantile Approximation in Streams" (2016), with lazy compaction as in Ivkin,
//! Liberty, Lang, Karnin, Braverman, "Streaming Quantiles Algorithms with Small Space and Update Time" (2019). A compaction
//! keeps every second value of a full level, the odd or the even ones. The coin that decides is a hash of the values
//! compacted: the same rows in the same order give the same bytes on every machine, and the coins of groups with different
//! data are independent, so that their errors cancel when they are merged.

use super::SketchError;
use super::hash::mix;
use super::limits::{LEAST_QUANTILE_K, MOST_QUANTILE_K};
use super::wire::{Kind, Opened, Reader, seal};

/// Least capacity of a level.
const LEAST_LEVEL: usize = 8;
/// A level has this share of the capacity of the one above.
const SHRINK: f64 = 2.0 / 3.0;
/// More levels than 2⁵⁶ rows need.
const MOST_LEVELS: usize = 56;
const COIN: u64 = 0x5a1d_83c7_e9f2_604b;

/// The rank error, as a share of the rows, that holds with 99 %; the fit of Apache DataSketches for KLL
/// (`KllHelper.getNormalizedRankError`), confirmed by our own measurements.
pub(crate) fn rank_error(k: u16) -> f64 {
    2.296 / f64::from(k).powf(0.9723)
}

/// A multiset of ordered keys, remembered approximately.
#[derive(Clone, Debug)]
pub(crate) struct Quantiles {
    k: u16,
    /// Each stands for one row; in no order.
    base: Vec<i64>,
    upper: Option<Box<Upper>>,
}

/// What is there once the base was compacted.
#[derive(Clone, Debug)]
struct Upper {
    /// Of the rows that were compacted; the base may have lesser ones.
    least: i64,
    most: i64,
    /// The base is compacted when it has so many values.
    room: usize,
    /// Capacity of all levels, in values.
    reserved: usize,
    /// Sorted; a value of level *i* stands for 2^(i + 1) rows.
    levels: Vec<Vec<i64>>,
}

impl Quantiles {
    /// `k` is within its limits.
    pub(crate) fn new(k: u16) -> Self {
        Self { k, base: Vec::new(), upper: None }
    }

    pub(crate) fn k(&self) -> u16 {
        self.k
    }

    /// Adds a row.
    #[inline]
    pub(crate) fn add(&mut self, key: i64) {
        let room = self.upper.as_ref().map_or(usize::from(self.k), |u| u.room);
        if self.base.len() >= room {
            self.compress();
        }
        self.base.push(key);
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> u64 {
        let levels = self.upper.iter().flat_map(|u| u.levels.iter().enumerate());
        let above = levels.map(|(i, level)| weight(i).saturating_mul(level.len() as u64));
        above.fold(self.base.len() as u64, u64::saturating_add)
    }

    /// Nothing was forgotten: ranks are exact.
    pub(crate) fn is_exact(&self) -> bool {
        self.upper.is_none()
    }

    /// Adds the rows of `other`; the smaller `k` wins.
    pub(crate) fn merge(&mut self, other: Self) {
        self.k = self.k.min(other.k);
        self.base.extend(other.base);
        if let Some(theirs) = other.upper {
            let ours = self.upper.get_or_insert_with(|| Box::new(Upper::new(theirs.least, theirs.most)));
            ours.least = ours.least.min(theirs.least);
            ours.most = ours.most.max(theirs.most);
            ours.levels.resize_with(ours.levels.len().max(theirs.levels.len()), Vec::new);
            for (level, more) in ours.levels.iter_mut().zip(theirs.levels) {
                merge_sorted(level, &more);
            }
        }
        if self.upper.is_some() || self.base.len() > usize::from(self.k) {
            self.compress();
        }
    }

    /// The least and the greatest key.
    pub(crate) fn extremes(&self) -> Option<(i64, i64)> {
        let above = self.upper.iter().flat_map(|u| [u.least, u.most]);
        let all = || self.base.iter().copied().chain(above.clone());
        Some((all().min()?, all().max()?))
    }

    /// The keys at which at least the shares `fractions` (0 to 1) of the rows lie; none without rows.
    pub(crate) fn at(&self, fractions: impl Iterator<Item = f64>) -> Option<Vec<i64>> {
        let (least, most) = self.extremes()?;
        let ranked = self.ranked();
        let rows = self.rows();
        let one = |fraction: f64| match fraction {
            f if f <= 0.0 => least,
            f if f >= 1.0 => most,
            f => {
                let rank = ((f * rows as f64).ceil() as u64).clamp(1, rows);
                let at = ranked.partition_point(|(_, up_to)| *up_to < rank);
                ranked.get(at).map_or(most, |(key, _)| *key)
            }
        };
        Some(fractions.map(one).collect())
    }

    /// The keys in order, each with the number of rows up to it.
    fn ranked(&self) -> Vec<(i64, u64)> {
        let mut all: Vec<(i64, u64)> = self.base.iter().map(|key| (*key, 1)).collect();
        for (i, level) in self.upper.iter().flat_map(|u| u.levels.iter().enumerate()) {
            all.extend(level.iter().map(|key| (*key, weight(i))));
        }
        all.sort_unstable();
        let mut rows = 0_u64;
        for (_, weight) in &mut all {
            rows = rows.saturating_add(*weight);
            *weight = rows;
        }
        all
    }

    /// Bytes on the heap.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> usize {
        let above = self.upper.as_ref().map_or(0, |u| {
            size_of::<Upper>() + u.levels.capacity() * size_of::<Vec<i64>>() + u.reserved * size_of::<i64>()
        });
        above + self.base.capacity() * size_of::<i64>()
    }

    /// Compacts the lowest full levels until there is room again.
    fn compress(&mut self) {
        let Self { k, base, upper } = self;
        base.sort_unstable();
        if let (Some(least), Some(most)) = (base.first(), base.last()) {
            let upper = upper.get_or_insert_with(|| Box::new(Upper::new(*least, *most)));
            upper.least = upper.least.min(*least);
            upper.most = upper.most.max(*most);
        }
        let Some(upper) = upper else { return };
        loop {
            let sizes = || std::iter::once(base.len()).chain(upper.levels.iter().map(Vec::len));
            let capacities = capacities(*k, upper.levels.len() + 1);
            let (held, most): (usize, usize) = (sizes().sum(), capacities.iter().sum());
            if held < most {
                upper.room = base.len() + (most - held);
                break;
            }
            let full = sizes().zip(&capacities).position(|(size, capacity)| size >= *capacity);
            let full = full.expect("levels that hold their capacity together have a full one");
            if full == upper.levels.len() {
                upper.levels.push(Vec::new());
            }
            let (below, above) = upper.levels.split_at_mut(full);
            compact(below.last_mut().unwrap_or(base), &mut above[0], full as u64);
        }
        upper.reserved = upper.levels.iter().map(Vec::capacity).sum();
    }

    /// Body: least and most key, number of levels, then each level's length and keys, all sorted; base first.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut base = self.base.clone();
        base.sort_unstable();
        seal(Kind::Quantiles, u8::from(self.upper.is_some()), self.k, |out| {
            let level = |keys: &[i64], out: &mut Vec<u8>| {
                out.extend_from_slice(&(keys.len() as u32).to_le_bytes());
                keys.iter().for_each(|key| out.extend_from_slice(&key.to_le_bytes()));
            };
            level(&base, out);
            if let (Some(upper), Some((least, most))) = (&self.upper, self.extremes()) {
                out.extend_from_slice(&least.to_le_bytes());
                out.extend_from_slice(&most.to_le_bytes());
                out.extend_from_slice(&(upper.levels.len() as u32).to_le_bytes());
                upper.levels.iter().for_each(|keys| level(keys, out));
            }
        })
    }

    pub(crate) fn decode(opened: Opened<'_>) -> Result<Self, SketchError> {
        let k = opened.parameter;
        if !(LEAST_QUANTILE_K..=MOST_QUANTILE_K).contains(&k) || opened.detail > 1 {
            return Err(SketchError::Damaged("k is out of range"));
        }
        let mut body = opened.body;
        let mut sketch = Self { k, base: read_level(&mut body)?, upper: None };
        if opened.detail == 1 {
            let (least, most, count) = (body.i64()?, body.i64()?, body.count(4)?);
            if count > MOST_LEVELS {
                return Err(SketchError::Damaged("there are too many levels"));
            }
            let mut upper = Upper::new(least, most);
            for _ in 0..count {
                upper.levels.push(read_level(&mut body)?);
            }
            sketch.upper = Some(Box::new(upper));
        }
        body.end()?;
        sketch.checked()
    }

    /// A sketch that was read, if it is one that `encode` can have written.
    fn checked(mut self) -> Result<Self, SketchError> {
        let damaged = Err(SketchError::Damaged("values make no sense"));
        let Some(upper) = &mut self.upper else {
            return if self.base.len() <= usize::from(self.k) { Ok(self) } else { damaged };
        };
        let held = self.base.len() + upper.levels.iter().map(Vec::len).sum::<usize>();
        let most: usize = capacities(self.k, upper.levels.len() + 1).iter().sum();
        if upper.least > upper.most || held == 0 || held > most {
            return damaged;
        }
        upper.room = self.base.len() + (most - held);
        upper.reserved = upper.levels.iter().map(Vec::capacity).sum();
        Ok(self)
    }
}

impl Upper {
    fn new(least: i64, most: i64) -> Self {
        Self { least, most, room: 0, reserved: 0, levels: Vec::new() }
    }
}

/// How many rows a value of level `i` above the base stands for. No honest sketch comes near the end of the range.
fn weight(i: usize) -> u64 {
    if i < 63 { 2 << i } else { u64::MAX }
}

fn read_level(body: &mut Reader<'_>) -> Result<Vec<i64>, SketchError> {
    let count = body.count(8)?;
    let keys: Vec<i64> = body.words(count)?.into_iter().map(|word| word as i64).collect();
    if keys.is_sorted() { Ok(keys) } else { Err(SketchError::Damaged("values are out of order")) }
}

/// The capacity of each level, base first.
fn capacities(k: u16, levels: usize) -> Vec<usize> {
    let mut capacity = f64::from(k);
    let mut all: Vec<usize> = Vec::with_capacity(levels);
    for _ in 0..levels {
        all.push((capacity.ceil() as usize).max(LEAST_LEVEL));
        capacity *= SHRINK;
    }
    all.reverse();
    all
}

/// Moves every second value of the sorted `level` up; of an odd number the least stays.
fn compact(level: &mut Vec<i64>, above: &mut Vec<i64>, depth: u64) {
    let stays = level.len() % 2;
    let moving = &level[stays..];
    let coin = moving.iter().fold(mix(COIN, depth), |state, key| mix(state.rotate_left(1), *key as u64)) >> 63;
    let chosen: Vec<i64> = moving.iter().skip(coin as usize).step_by(2).copied().collect();
    level.truncate(stays);
    merge_sorted(above, &chosen);
}

/// Adds the sorted `more` to the sorted `level`.
fn merge_sorted(level: &mut Vec<i64>, more: &[i64]) {
    let (mut left, mut right) = (level.len(), more.len());
    level.extend_from_slice(more);
    let mut at = level.len();
    while right > 0 {
        at -= 1;
        if left > 0 && level[left - 1] > more[right - 1] {
            left -= 1;
            level[at] = level[left];
        } else {
            right -= 1;
            level[at] = more[right];
        }
    }
}
