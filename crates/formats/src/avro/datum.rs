//! A cursor over one datum: scalars, lengths that are held to what is there, skipping, and JSON of what is nested.
//! It must not know columns.

use super::types::{Node, Types};
use crate::decode::MAX_DEPTH;
use crate::encode::write_string;
use crate::record::metadata::write_hex_string;
use crate::scalar::Scalar;
use crate::value::Fault;

const SHORT: Fault = Fault("the Avro datum ends too soon, or was written with another schema");
const BROKEN: Fault = Fault("not an Avro datum of the schema");

/// Items that take no bytes may be this many more than the datum has bytes.
const FREE_ITEMS: usize = 65_536;

/// A position in a datum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datum<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many items of arrays and maps may still come.
    items: usize,
}

impl<'a> Datum<'a> {
    /// At the start of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, items: bytes.len() + FREE_ITEMS }
    }

    /// Nothing is left.
    pub(super) fn ended(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Where it stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What it has passed since `start`.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    /// A variable-length number.
    pub(super) fn long(&mut self) -> Result<i64, Fault> {
        let mut value: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(SHORT)?;
            self.at += 1;
            if shift == 63 && byte > 1 {
                return Err(BROKEN);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(BROKEN)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(length).ok_or(SHORT)?;
        let bytes = self.bytes.get(self.at..end).ok_or(SHORT)?;
        self.at = end;
        Ok(bytes)
    }

    fn prefixed(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.long()?).map_err(|_| BROKEN)?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, Fault> {
        simdutf8::basic::from_utf8(self.prefixed()?).map_err(|_| Fault("not valid UTF-8"))
    }

    /// How many items the next block has; `None` at the end.
    pub(super) fn block(&mut self) -> Result<Option<usize>, Fault> {
        let count = self.long()?;
        if count < 0 {
            // The size of the block in bytes, for those who skip it.
            self.long()?;
        }
        let count = usize::try_from(count.unsigned_abs()).map_err(|_| BROKEN)?;
        self.items = self.items.checked_sub(count).ok_or(Fault("an array with more items than the datum can hold"))?;
        Ok((count > 0).then_some(count))
    }

    /// The variant of the union `variants` that is next.
    pub(super) fn variant(&mut self, variants: &[usize]) -> Result<usize, Fault> {
        let index = usize::try_from(self.long()?).map_err(|_| BROKEN)?;
        variants.get(index).copied().ok_or(BROKEN)
    }

    /// The scalar of `node`; `None` for arrays, maps, unions and records, which are not read.
    pub(super) fn scalar<'t>(&mut self, node: &'t Node) -> Result<Option<Scalar<'t>>, Fault>
    where
        'a: 't,
    {
        Ok(Some(match node {
            Node::Null => Scalar::Null,
            Node::Boolean => match self.take(1)? {
                [0] => Scalar::Boolean(false),
                [1] => Scalar::Boolean(true),
                _ => return Err(BROKEN),
            },
            Node::Integer => Scalar::Integer(self.long()?),
            Node::Float => Scalar::Float32(f32::from_le_bytes(self.take(4)?.try_into().expect("four bytes"))),
            Node::Double => Scalar::Float64(f64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes"))),
            Node::Bytes => Scalar::Bytes(self.prefixed()?),
            Node::Text => Scalar::Text(self.text()?),
            Node::Fixed(size) => Scalar::Bytes(self.take(*size)?),
            Node::Enum(symbols) => {
                let index = usize::try_from(self.long()?).map_err(|_| BROKEN)?;
                Scalar::Text(symbols.get(index).ok_or(BROKEN)?)
            }
            Node::Decimal { fixed, scale, .. } => {
                let bytes = match fixed {
                    Some(size) => self.take(*size)?,
                    None => self.prefixed()?,
                };
                Scalar::Decimal(big_endian(bytes)?, *scale)
            }
            Node::Date => Scalar::Date(self.long()?),
            Node::Time(unit) => Scalar::Time(self.long()?.checked_mul(unit / 1_000).ok_or(Fault("time out of range"))?),
            Node::Timestamp(1, zoned) => Scalar::Timestamp(self.long()?.div_euclid(1_000), *zoned),
            Node::Timestamp(unit, zoned) => {
                let micros = self.long()?.checked_mul(unit / 1_000).ok_or(Fault("timestamp out of range"))?;
                Scalar::Timestamp(micros, *zoned)
            }
            // Both are made into text by `special`.
            Node::Uuid { .. } | Node::Duration => return Ok(None),
            Node::Array(_) | Node::Map(_) | Node::Union(_) | Node::Record(_) => return Ok(None),
        }))
    }

    /// A value that is bytes and read as text: a UUID, a duration.
    pub(super) fn special(&mut self, node: &Node) -> Result<Option<String>, Fault> {
        match node {
            Node::Uuid { prefixed } => {
                let bytes = if *prefixed { self.prefixed()? } else { self.take(16)? };
                let bytes: [u8; 16] = bytes.try_into().map_err(|_| Fault("not a UUID of 16 bytes"))?;
                let hex = format!("{:032x}", u128::from_be_bytes(bytes));
                let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
                Ok(Some(parts.join("-")))
            }
            Node::Duration => {
                let bytes = self.take(12)?;
                let part = |i: usize| u32::from_le_bytes(bytes[i..i + 4].try_into().expect("four bytes"));
                let (seconds, millis) = (part(8) / 1000, part(8) % 1000);
                Ok(Some(format!("P{}M{}DT{seconds}.{millis:03}S", part(0), part(4))))
            }
            _ => Ok(None),
        }
    }

    /// Passes over a value of `node`.
    pub(super) fn skip(&mut self, types: &Types, node: usize, depth: usize) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault("nested too deeply"));
        }
        let node = &types.nodes[node];
        match node {
            Node::Array(item) => {
                while let Some(count) = self.block()? {
                    for _ in 0..count {
                        self.skip(types, *item, depth + 1)?;
                    }
                }
            }
            Node::Map(value) => {
                while let Some(count) = self.block()? {
                    for _ in 0..count {
                        self.prefixed()?;
                        self.skip(types, *value, depth + 1)?;
                    }
                }
            }
            Node::Union(variants) => {
                let variant = self.variant(variants)?;
                self.skip(types, variant, depth + 1)?;
            }
            Node::Record(members) => {
                for member in members {
                    self.skip(types, member.node, depth + 1)?;
                }
            }
            Node::Text | Node::Bytes | Node::Decimal { fixed: None, .. } => {
                self.prefixed()?;
            }
            Node::Uuid { .. } | Node::Duration => {
                self.special(node)?;
            }
            _ => {
                self.scalar(node)?;
            }
        }
        Ok(())
    }

    /// A value of `node` as JSON.
    fn json(&mut self, types: &Types, node: usize, depth: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault("nested too deeply"));
        }
        self.json_node(types, &types.nodes[node], depth, out)
    }

    /// As [`Datum::json`], of a node at hand.
    pub(super) fn json_node(
        &mut self,
        types: &Types,
        node: &Node,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        match node {
            Node::Array(item) => {
                out.push(b'[');
                let mut first = true;
                while let Some(count) = self.block()? {
                    for _ in 0..count {
                        if !std::mem::take(&mut first) {
                            out.push(b',');
                        }
                        self.json(types, *item, depth + 1, out)?;
                    }
                }
                out.push(b']');
            }
            Node::Map(value) => {
                out.push(b'{');
                let mut first = true;
                while let Some(count) = self.block()? {
                    for _ in 0..count {
                        if !std::mem::take(&mut first) {
                            out.push(b',');
                        }
                        write_string(self.text()?, out);
                        out.push(b':');
                        self.json(types, *value, depth + 1, out)?;
                    }
                }
                out.push(b'}');
            }
            Node::Union(variants) => {
                let variant = self.variant(variants)?;
                self.json(types, variant, depth + 1, out)?;
            }
            Node::Record(members) => {
                out.push(b'{');
                for (i, member) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_string(&member.name, out);
                    out.push(b':');
                    self.json(types, member.node, depth + 1, out)?;
                }
                out.push(b'}');
            }
            Node::Fixed(size) => write_hex_string(self.take(*size)?, out),
            _ => match self.special(node)? {
                Some(text) => write_string(&text, out),
                None => match self.scalar(node)? {
                    Some(scalar) => scalar.write_json(out),
                    None => return Err(BROKEN),
                },
            },
        }
        Ok(())
    }
}

/// A two's-complement number, high byte first.
fn big_endian(bytes: &[u8]) -> Result<i128, Fault> {
    let negative = bytes.first().is_some_and(|b| *b >= 0x80);
    let fill = if negative { 0xff } else { 0 };
    // Leading bytes that only repeat the sign say nothing.
    let cut = bytes.len().saturating_sub(16);
    if bytes[..cut].iter().any(|b| *b != fill) || (cut > 0 && (bytes[cut] >= 0x80) != negative) {
        return Err(crate::value::OUT_OF_RANGE);
    }
    let mut wide = [fill; 16];
    let tail = &bytes[cut..];
    wide[16 - tail.len()..].copy_from_slice(tail);
    Ok(i128::from_be_bytes(wide))
}
