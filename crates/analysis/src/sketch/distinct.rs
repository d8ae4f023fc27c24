//! How many different values there were: HyperLogLog of one group. It must not know groups, columns or SQL.
//!
//! The registers and the estimate are those of the crate `datasketches` (HyperLogLog: Flajolet, Fusy, Gandouet, Meunier,
//! "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm", 2007). Of its estimators only the
//! *composite* is used, because it is a function of the set of values; the other one depends on their order. Body: the
//! sorted coupons (4 bytes each) while there are few, else the registers (a byte each): the same set has the same bytes.

use datasketches::common::NumStdDev;
use datasketches::hll::{Coupon, HllSketch, HllType, HllUnion};

use super::limits::{LEAST_PRECISION, MOST_PRECISION};
use super::wire::{Kind, Opened, seal};
use super::{Interval, SketchError};

const COUPONS: u8 = 0;
const REGISTERS: u8 = 1;

/// The bytes before the coupons or registers in an image of `datasketches`, by mode: list, set, array.
const PREAMBLE: [usize; 3] = [8, 12, 40];
/// Coupons fit the list below this number, the set from it on.
const LIST: usize = 8;
/// A coupon's upper six bits: the register's value. The lower bits are its address.
const VALUE_SHIFT: u32 = 26;
/// The greatest value of a register: 64 bits of hash have at most 62 leading zeros that count, and one.
const MOST_REGISTER: u8 = 63;

/// A set of hashes, remembered approximately.
#[derive(Clone, Debug)]
pub(crate) struct Distinct {
    precision: u8,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Empty,
    One(u64),
    Many(Box<HllSketch>),
}

impl Distinct {
    /// `precision` is within its limits.
    pub(crate) fn new(precision: u8) -> Self {
        Self { precision, state: State::Empty }
    }

    /// Adds the hash of a value.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64) {
        match &mut self.state {
            State::Many(sketch) => sketch.update_with_coupon(coupon(hash)),
            State::One(only) if *only == hash => {}
            State::Empty => self.state = State::One(hash),
            State::One(_) => {
                let mut sketch = self.sketch();
                sketch.update_with_coupon(coupon(hash));
                self.state = State::Many(Box::new(sketch));
            }
        }
    }

    /// Adds what `other` saw; the coarser precision wins.
    pub(crate) fn merge(&mut self, other: Self) {
        let precision = self.precision.min(other.precision);
        let coarser = precision < self.precision || precision < other.precision;
        self.precision = precision;
        match (&mut self.state, other.state) {
            (_, State::Empty) if !coarser => {}
            (_, State::One(hash)) if !coarser => self.add(hash),
            (state @ State::Empty, theirs @ State::Many(_)) if !coarser => *state = theirs,
            (state, theirs) => {
                let mut union = HllUnion::new(precision).expect("a precision within limits");
                for side in [&*state, &theirs] {
                    match side {
                        State::Empty => {}
                        State::One(hash) => union.update(&started(precision, *hash)),
                        State::Many(sketch) => union.update(sketch),
                    }
                }
                *state = match union.is_empty() {
                    true => State::Empty,
                    false => State::Many(Box::new(union.to_sketch(HllType::Hll8))),
                };
            }
        }
    }

    /// How many different values were added, about.
    pub(crate) fn estimate(&self) -> f64 {
        match &self.state {
            State::Empty => 0.0,
            State::One(_) => 1.0,
            State::Many(sketch) => sketch.composite_estimate(),
        }
    }

    /// The interval of `deviations` standard deviations around the estimate.
    pub(crate) fn bounds(&self, deviations: NumStdDev) -> Interval {
        // Only a sketch that was loaded gives the bounds of the composite estimate.
        let loaded = loaded(self.precision, &self.body()).expect("a body of our own");
        Interval { lower: loaded.lower_bound(deviations), upper: loaded.upper_bound(deviations) }
    }

    pub(crate) fn precision(&self) -> u8 {
        self.precision
    }

    /// Bytes on the heap.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.state {
            State::Many(sketch) => size_of::<HllSketch>() + sketch.estimated_size(),
            _ => 0,
        }
    }

    fn sketch(&self) -> HllSketch {
        match &self.state {
            State::Empty => HllSketch::new(self.precision, HllType::Hll8).expect("a precision within limits"),
            State::One(hash) => started(self.precision, *hash),
            State::Many(sketch) => HllSketch::clone(sketch),
        }
    }

    fn body(&self) -> Body {
        let image = match &self.state {
            State::Many(sketch) => sketch.serialize(),
            _ => self.sketch().serialize(),
        };
        let mode = usize::from(image[7] & 3);
        let content = &image[PREAMBLE[mode]..];
        if mode == 2 {
            return Body::Registers(content.to_vec());
        }
        let mut coupons: Vec<u32> =
            content.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().expect("4 bytes"))).collect();
        coupons.sort_unstable();
        Body::Coupons(coupons)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let parameter = u16::from(self.precision);
        match self.body() {
            Body::Coupons(coupons) => seal(Kind::Distinct, COUPONS, parameter, |out| {
                coupons.iter().for_each(|c| out.extend_from_slice(&c.to_le_bytes()));
            }),
            Body::Registers(registers) => {
                seal(Kind::Distinct, REGISTERS, parameter, |out| out.extend_from_slice(&registers))
            }
        }
    }

    pub(crate) fn decode(opened: Opened<'_>) -> Result<Self, SketchError> {
        let precision = u8::try_from(opened.parameter).unwrap_or(u8::MAX);
        if !(LEAST_PRECISION..=MOST_PRECISION).contains(&precision) {
            return Err(SketchError::Damaged("the precision is out of range"));
        }
        let content = opened.body.0;
        let body = match opened.detail {
            COUPONS if content.len().is_multiple_of(4) => Body::Coupons(
                content.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().expect("4 bytes"))).collect(),
            ),
            REGISTERS => Body::Registers(content.to_vec()),
            _ => return Err(SketchError::Damaged("the body has an unknown form")),
        };
        if matches!(&body, Body::Coupons(coupons) if coupons.is_empty()) {
            return Ok(Self::new(precision));
        }
        Ok(Self { precision, state: State::Many(Box::new(loaded(precision, &body)?)) })
    }
}

enum Body {
    /// Ascending.
    Coupons(Vec<u32>),
    /// One byte each.
    Registers(Vec<u8>),
}

/// The coupon of a hash; the bytes that are hashed again are the same on every machine.
#[inline]
fn coupon(hash: u64) -> Coupon {
    Coupon::from_value(hash.to_le())
}

fn started(precision: u8, hash: u64) -> HllSketch {
    let mut sketch = HllSketch::new(precision, HllType::Hll8).expect("a precision within limits");
    sketch.update_with_coupon(coupon(hash));
    sketch
}

/// The sketch of a body, by way of the image that `datasketches` reads. All that it trusts is checked or computed here.
fn loaded(precision: u8, body: &Body) -> Result<HllSketch, SketchError> {
    let image = match body {
        Body::Coupons(coupons) => coupon_image(precision, coupons)?,
        Body::Registers(registers) => register_image(precision, registers)?,
    };
    HllSketch::deserialize(&image).map_err(|_| SketchError::Damaged("the registers make no sense"))
}

/// Apache DataSketches, HLL format: family 7, serial version 1, 8-bit registers (type 2), compact flag 8.
fn coupon_image(precision: u8, coupons: &[u32]) -> Result<Vec<u8>, SketchError> {
    let ascending = coupons.windows(2).all(|w| w[0] < w[1]);
    if !ascending || coupons.iter().any(|c| c >> VALUE_SHIFT == 0) {
        return Err(SketchError::Damaged("the coupons make no sense"));
    }
    let count = u32::try_from(coupons.len()).map_err(|_| SketchError::Damaged("too many coupons"))?;
    let mut image = Vec::with_capacity(12 + coupons.len() * 4);
    if coupons.len() < LIST {
        let empty = if coupons.is_empty() { 4 } else { 0 };
        image.extend_from_slice(&[2, 1, 7, precision, 3, 8 | empty, count as u8, 8]);
    } else {
        let slots = (5..=MOST_PRECISION).find(|lg| u64::from(count) * 4 <= 3 << lg);
        let slots = slots.filter(|lg| lg + 3 <= precision).ok_or(SketchError::Damaged("too many coupons"))?;
        image.extend_from_slice(&[3, 1, 7, precision, slots, 8, 0, 9]);
        image.extend_from_slice(&count.to_le_bytes());
    }
    coupons.iter().for_each(|c| image.extend_from_slice(&c.to_le_bytes()));
    Ok(image)
}

/// As above, with the flag 16: the order of the values is unknown, so that every estimate is the composite one.
fn register_image(precision: u8, registers: &[u8]) -> Result<Vec<u8>, SketchError> {
    if registers.len() != 1 << precision || registers.iter().any(|r| *r > MOST_REGISTER) {
        return Err(SketchError::Damaged("the registers make no sense"));
    }
    let sum = |large: bool| -> f64 {
        let wanted = registers.iter().filter(|r| (**r >= 32) == large);
        wanted.map(|r| 1.0 / (1_u64 << r) as f64).sum()
    };
    let zeros = registers.iter().filter(|r| **r == 0).count() as u32;
    let mut image = Vec::with_capacity(40 + registers.len());
    image.extend_from_slice(&[10, 1, 7, precision, 0, 16, 0, 10]);
    for value in [0.0, sum(false), sum(true)] {
        image.extend_from_slice(&value.to_le_bytes());
    }
    image.extend_from_slice(&zeros.to_le_bytes());
    image.extend_from_slice(&[0; 4]);
    image.extend_from_slice(registers);
    Ok(image)
}
