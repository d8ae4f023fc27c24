//! Whether a value was there: a Bloom filter of one group. It must not know groups, columns or SQL.
//!
//! Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors" (1970); bits and probes are those of the crate
//! `datasketches` (double hashing: Kirsch, Mitzenmacher, "Less Hashing, Same Performance", 2006). While the hashes
//! themselves take less room than the bits they are kept instead, and membership is exact. Body: number of words, then
//! the sorted hashes or the words of the bits: the same set has the same bytes.

use datasketches::bloom::{BloomFilter, BloomFilterBuilder};

use super::limits::MOST_FILTER_BYTES;
use super::wire::{Kind, Opened, seal};
use super::{Interval, SketchError};

const HASHES: u8 = 0;
const BITS: u8 = 1;
const SEED: u64 = 9001;
/// Bytes before the words in an image of `datasketches`.
const PREAMBLE: usize = 32;
const MOST_PROBES: u16 = 32;

/// A set of hashes that never forgets one, and sometimes claims one it has not seen.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// Size of the bits, 64-bit words.
    words: u32,
    probes: u16,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Perhaps with repetitions.
    Hashes(Vec<u64>),
    Bits(Box<BloomFilter>),
}

impl Filter {
    /// A filter that claims at most the share `rate` of strangers once it holds `items` different values: with k
    /// probes −k·n / ln(1 − p^(1/k)) bits, the smaller of the two whole k beside log₂ 1/p.
    ///
    /// # Errors
    /// It would be larger than [`MOST_FILTER_BYTES`].
    pub(crate) fn sized(items: u32, rate: f64) -> Result<Self, SketchError> {
        let bits = |probes: f64| -probes * f64::from(items) / (1.0 - rate.powf(1.0 / probes)).ln();
        let below = (-rate.log2()).floor().clamp(1.0, f64::from(MOST_PROBES));
        let above = (below + 1.0).min(f64::from(MOST_PROBES));
        let probes = if bits(below) <= bits(above) { below } else { above };
        let words = (bits(probes).ceil().max(64.0) as u64).div_ceil(64);
        let bytes = usize::try_from(words.saturating_mul(8)).unwrap_or(usize::MAX);
        if bytes > MOST_FILTER_BYTES {
            return Err(SketchError::TooLarge { bytes, limit: MOST_FILTER_BYTES });
        }
        Ok(Self { words: words as u32, probes: probes as u16, state: State::Hashes(Vec::new()) })
    }

    /// Adds the hash of a value.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64) {
        match &mut self.state {
            State::Bits(bits) => bits.insert(hash.to_le()),
            State::Hashes(hashes) if hashes.len() < hashes.capacity() => hashes.push(hash),
            State::Hashes(_) => {
                self.make_room();
                self.add(hash);
            }
        }
    }

    /// Drops repetitions; takes more memory, or turns to bits, if that is not enough.
    fn make_room(&mut self) {
        let words = self.words as usize;
        let State::Hashes(hashes) = &mut self.state else { return };
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.len() > words {
            let bits = bits_of(self.words, self.probes, hashes);
            self.state = State::Bits(Box::new(bits));
        } else if hashes.len() > hashes.capacity() / 2 || hashes.capacity() == 0 {
            hashes.reserve(hashes.len().max(2));
        }
    }

    /// Adds what `other` has seen.
    ///
    /// # Errors
    /// The filters have different sizes.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), SketchError> {
        if (self.words, self.probes) != (other.words, other.probes) {
            return Err(SketchError::Filters);
        }
        match (&mut self.state, other.state) {
            (_, State::Hashes(theirs)) => theirs.into_iter().for_each(|hash| self.add(hash)),
            (State::Bits(ours), State::Bits(theirs)) => ours.union(&theirs).map_err(|_| SketchError::Filters)?,
            (State::Hashes(ours), State::Bits(mut theirs)) => {
                ours.iter().for_each(|hash| theirs.insert(hash.to_le()));
                self.state = State::Bits(theirs);
            }
        }
        Ok(())
    }

    /// May the value with this hash have been added? For a sketch that was decoded.
    #[inline]
    pub(crate) fn contains(&self, hash: u64) -> bool {
        match &self.state {
            State::Hashes(hashes) => hashes.binary_search(&hash).is_ok(),
            State::Bits(bits) => bits.contains(&hash.to_le()),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.words as usize * 8
    }

    pub(crate) fn probes(&self) -> u16 {
        self.probes
    }

    /// The probability with which a value that was not added is claimed: share of bits set, to the power of the probes.
    pub(crate) fn false_positive_rate(&self) -> f64 {
        match &self.state {
            State::Hashes(_) => 0.0,
            State::Bits(bits) => bits.load_factor().powi(i32::from(self.probes)),
        }
    }

    /// How many different values were added: −m/k·ln(1 − X/m) with X of m bits set (Swamidass, Baldi, "Mathematical
    /// Correction for Fingerprint Similarity Measures to Improve Chemical Retrieval", 2007).
    pub(crate) fn estimate(&self) -> f64 {
        match &self.state {
            State::Hashes(hashes) => distinct(hashes).len() as f64,
            State::Bits(bits) => self.items(bits.bits_used() as f64),
        }
    }

    /// The interval of `deviations` standard deviations: the error of linear counting, √(m·(eᵗ − t − 1)) / (t·m) with
    /// t = k·n/m (Whang, Vander-Zanden, Taylor, "A Linear-Time Probabilistic Counting Algorithm", 1990).
    pub(crate) fn bounds(&self, deviations: f64) -> Interval {
        let estimate = self.estimate();
        let State::Bits(_) = &self.state else { return Interval { lower: estimate, upper: estimate } };
        let bits = f64::from(self.words) * 64.0;
        let load = f64::from(self.probes) * estimate / bits;
        let error = deviations * (bits * (load.exp() - load - 1.0)).sqrt() / (load * bits);
        let lower = (estimate * (1.0 - error)).max(f64::from(self.words));
        Interval { lower: lower.min(estimate), upper: estimate * (1.0 + error) }
    }

    fn items(&self, set: f64) -> f64 {
        let bits = f64::from(self.words) * 64.0;
        // A full filter has seen at least what leaves half a bit unset.
        -bits / f64::from(self.probes) * (1.0 - set.min(bits - 0.5) / bits).ln()
    }

    /// Bytes on the heap.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.state {
            State::Hashes(hashes) => hashes.capacity() * size_of::<u64>(),
            State::Bits(bits) => size_of::<BloomFilter>() + bits.estimated_size(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let from_hashes;
        let bits = match &self.state {
            State::Bits(bits) => bits.as_ref(),
            State::Hashes(hashes) => {
                let hashes = distinct(hashes);
                if hashes.len() <= self.words as usize {
                    return self.sealed(HASHES, |out| {
                        hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
                    });
                }
                from_hashes = bits_of(self.words, self.probes, &hashes);
                &from_hashes
            }
        };
        self.sealed(BITS, |out| out.extend_from_slice(&bits.serialize()[PREAMBLE..]))
    }

    fn sealed(&self, detail: u8, content: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        seal(Kind::Filter, detail, self.probes, |out| {
            out.extend_from_slice(&self.words.to_le_bytes());
            content(out);
        })
    }

    pub(crate) fn decode(opened: Opened<'_>) -> Result<Self, SketchError> {
        let damaged = SketchError::Damaged("the filter makes no sense");
        let mut body = opened.body;
        let (words, probes) = (body.u32()?, opened.parameter);
        if words == 0 || words as usize * 8 > MOST_FILTER_BYTES || !(1..=MOST_PROBES).contains(&probes) {
            return Err(damaged);
        }
        let count = body.0.len() / 8;
        let state = match opened.detail {
            HASHES if count <= words as usize => {
                let hashes = body.words(count)?;
                if !hashes.windows(2).all(|w| w[0] < w[1]) {
                    return Err(damaged);
                }
                State::Hashes(hashes)
            }
            BITS if count == words as usize => State::Bits(Box::new(loaded(probes, words, body.take(count * 8)?)?)),
            _ => return Err(damaged),
        };
        body.end()?;
        Ok(Self { words, probes, state })
    }
}

fn distinct(hashes: &[u64]) -> Vec<u64> {
    let mut hashes = hashes.to_vec();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

fn bits_of(words: u32, probes: u16, hashes: &[u64]) -> BloomFilter {
    let builder = BloomFilterBuilder::with_size(u64::from(words) * 64, probes).seed(SEED);
    let mut bits = builder.build().expect("sizes within the limits");
    hashes.iter().for_each(|hash| bits.insert(hash.to_le()));
    bits
}

/// The filter with these words, by way of the image that `datasketches` reads (family 21, serial version 1; the number
/// of bits set is left for it to count).
fn loaded(probes: u16, words: u32, bits: &[u8]) -> Result<BloomFilter, SketchError> {
    let mut image = Vec::with_capacity(PREAMBLE + bits.len());
    image.extend_from_slice(&[4, 1, 21, 0]);
    image.extend_from_slice(&probes.to_le_bytes());
    image.extend_from_slice(&[0; 2]);
    image.extend_from_slice(&SEED.to_le_bytes());
    image.extend_from_slice(&words.to_le_bytes());
    image.extend_from_slice(&[0; 4]);
    image.extend_from_slice(&u64::MAX.to_le_bytes());
    image.extend_from_slice(bits);
    BloomFilter::deserialize(&image).map_err(|_| SketchError::Damaged("the filter makes no sense"))
}
