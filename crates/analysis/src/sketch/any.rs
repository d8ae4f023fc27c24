//! `AnySketch`: a stored sketch of whatever kind. It must not know groups or SQL.

use super::SketchError;
use super::distinct::Distinct;
use super::filter::Filter;
use super::frequent::Frequent;
use super::quantiles::Quantiles;
use super::tag::Tag;
use super::wire::{Kind, open};

/// A sketch read from bytes.
#[derive(Clone, Debug)]
pub(crate) enum AnySketch {
    Distinct(Distinct),
    Quantiles(Quantiles),
    Words(Frequent<i64>),
    Texts(Frequent<Box<[u8]>>),
    Filter(Filter),
}

impl AnySketch {
    /// # Errors
    /// The bytes are no sketch, or damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, SketchError> {
        let opened = open(bytes)?;
        Ok(match opened.kind {
            Kind::Distinct => Self::Distinct(Distinct::decode(opened)?),
            Kind::Quantiles => Self::Quantiles(Quantiles::decode(opened)?),
            Kind::Filter => Self::Filter(Filter::decode(opened)?),
            Kind::Frequent => match Tag::of(opened.detail)?.is_word() {
                true => Self::Words(Frequent::decode(opened)?),
                false => Self::Texts(Frequent::decode(opened)?),
            },
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Distinct(sketch) => sketch.encode(),
            Self::Quantiles(sketch) => sketch.encode(),
            Self::Words(sketch) => sketch.encode(),
            Self::Texts(sketch) => sketch.encode(),
            Self::Filter(sketch) => sketch.encode(),
        }
    }

    /// Adds what `other` saw.
    ///
    /// # Errors
    /// They are of different kinds, value types or filter sizes.
    pub(crate) fn merge(&mut self, other: Self) -> Result<(), SketchError> {
        match (self, other) {
            (Self::Distinct(a), Self::Distinct(b)) => a.merge(b),
            (Self::Quantiles(a), Self::Quantiles(b)) => a.merge(b),
            (Self::Words(a), Self::Words(b)) if a.tag() == b.tag() => a.merge(b),
            (Self::Texts(a), Self::Texts(b)) if a.tag() == b.tag() => a.merge(b),
            (Self::Filter(a), Self::Filter(b)) => a.merge(b)?,
            (a, b) => return Err(SketchError::Kinds { left: a.kind(), right: b.kind() }),
        }
        Ok(())
    }

    /// What it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Distinct(_) => "distinct values",
            Self::Quantiles(_) => "quantiles",
            Self::Words(sketch) => Tag::of(sketch.tag()).map_or("frequent values", Tag::kind),
            Self::Texts(sketch) => Tag::of(sketch.tag()).map_or("frequent values", Tag::kind),
            Self::Filter(_) => "membership",
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Distinct(sketch) => sketch.heap_bytes(),
            Self::Quantiles(sketch) => sketch.heap_bytes(),
            Self::Words(sketch) => sketch.heap_bytes(),
            Self::Texts(sketch) => sketch.heap_bytes(),
            Self::Filter(sketch) => sketch.heap_bytes(),
        }
    }
}
