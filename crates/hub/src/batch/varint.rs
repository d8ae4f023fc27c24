//! Zigzag varints, and a cursor over hostile bytes. They must not know what the numbers mean.

use bytes::Bytes;

/// Appends `value`.
pub(crate) fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes that [`put`] needs.
pub(crate) fn size(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a length and the bytes; -1 for none.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: Option<&Bytes>) {
    match bytes {
        None => put(out, -1),
        Some(bytes) => {
            put(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

/// A place in bytes that need not be what they should. `None` from any method: they are not.
#[derive(Debug)]
pub(crate) struct Cursor {
    bytes: Bytes,
    at: usize,
}

impl Cursor {
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A number of 64 bits.
    pub fn long(&mut self) -> Option<i64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return None;
            }
            value |= part << shift;
            if byte < 0x80 {
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        None
    }

    /// A number of 32 bits.
    pub fn int(&mut self) -> Option<i32> {
        i32::try_from(self.long()?).ok()
    }

    /// A number that is not negative.
    pub fn unsigned(&mut self) -> Option<u64> {
        u64::try_from(self.long()?).ok()
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Option<Bytes> {
        if length > self.left() {
            return None;
        }
        self.at += length;
        Some(self.bytes.slice(self.at - length..self.at))
    }

    /// A length and so many bytes; `Some(None)` for length -1.
    pub fn sized(&mut self) -> Option<Option<Bytes>> {
        match self.int()? {
            -1 => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(Some),
        }
    }
}
