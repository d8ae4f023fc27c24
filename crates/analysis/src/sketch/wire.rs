//! The bytes of a stored sketch: a header, the sketch's body, a checksum. It must not know what a body means.
//!
//! Layout, little-endian: `"TWS"`, version (1 byte), kind (1), detail (1), parameter (2), body, checksum (4: the low half
//! of XXH3-64 over all before it). Bodies are canonical: see each kind. The layout is stored in users' tables: a change
//! takes a new version, and old versions stay readable.

use thalweg_core::hash_bytes;

use super::SketchError;

const MAGIC: &[u8; 3] = b"TWS";
const VERSION: u8 = 1;
const HEADER: usize = 8;
const CHECKSUM: usize = 4;

/// What a stored sketch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Distinct = 1,
    Quantiles = 2,
    Frequent = 3,
    Filter = 4,
}

/// A checked stored sketch.
pub(crate) struct Opened<'a> {
    pub(crate) kind: Kind,
    /// How the body is to be read; its meaning is the kind's.
    pub(crate) detail: u8,
    /// Precision, k or number of hashes.
    pub(crate) parameter: u16,
    pub(crate) body: Reader<'a>,
}

/// A stored sketch around what `body` writes.
pub(crate) fn seal(kind: Kind, detail: u8, parameter: u16, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[VERSION, kind as u8, detail]);
    out.extend_from_slice(&parameter.to_le_bytes());
    body(&mut out);
    let checksum = hash_bytes(&out) as u32;
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// The parts of a stored sketch, its checksum verified.
///
/// # Errors
/// The bytes are no sketch, are cut or changed, or come from a later version.
pub(crate) fn open(bytes: &[u8]) -> Result<Opened<'_>, SketchError> {
    let damaged = SketchError::Damaged;
    if bytes.len() < HEADER + CHECKSUM || &bytes[..3] != MAGIC {
        return Err(damaged("they do not begin like one"));
    }
    let (checked, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
    if (hash_bytes(checked) as u32).to_le_bytes() != checksum {
        return Err(damaged("the checksum does not match"));
    }
    if checked[3] != VERSION {
        return Err(damaged("they are of a version that this release does not know"));
    }
    let kind = match checked[4] {
        1 => Kind::Distinct,
        2 => Kind::Quantiles,
        3 => Kind::Frequent,
        4 => Kind::Filter,
        _ => return Err(damaged("they are of a kind that this release does not know")),
    };
    let parameter = u16::from_le_bytes([checked[6], checked[7]]);
    Ok(Opened { kind, detail: checked[5], parameter, body: Reader(&checked[HEADER..]) })
}

/// Reads a body from front to back; never beyond its end.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], SketchError> {
        let (head, tail) = self.0.split_at_checked(bytes).ok_or(SketchError::Damaged("the body is cut"))?;
        self.0 = tail;
        Ok(head)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], SketchError> {
        Ok(self.take(N)?.try_into().expect("take gives N bytes"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, SketchError> {
        self.fixed().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, SketchError> {
        self.fixed().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, SketchError> {
        self.fixed().map(i64::from_le_bytes)
    }

    /// A count of things that take at least `each` bytes: never more than the bytes left could hold.
    pub(crate) fn count(&mut self, each: usize) -> Result<usize, SketchError> {
        let count = self.u32()? as usize;
        if count > self.0.len() / each {
            return Err(SketchError::Damaged("a count is larger than the body"));
        }
        Ok(count)
    }

    /// `count` whole numbers.
    pub(crate) fn words(&mut self, count: usize) -> Result<Vec<u64>, SketchError> {
        let bytes = self.take(count.saturating_mul(8))?;
        Ok(bytes.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().expect("8 bytes"))).collect())
    }

    pub(crate) fn end(&self) -> Result<(), SketchError> {
        if self.0.is_empty() { Ok(()) } else { Err(SketchError::Damaged("bytes follow the body")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_is_found() {
        let whole = seal(Kind::Frequent, 1, 7, |out| out.extend_from_slice(b"body"));
        let opened = open(&whole).expect("sealed");
        assert_eq!((opened.kind, opened.detail, opened.parameter, opened.body.0), (Kind::Frequent, 1, 7, &b"body"[..]));
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            assert!(open(&changed).is_err(), "byte {at}");
            assert!(open(&whole[..at]).is_err(), "cut at {at}");
        }
    }
}
