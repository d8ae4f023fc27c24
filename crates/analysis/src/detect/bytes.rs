//! `Sealed` bytes of a state: a version, whose state it is, the state, a checksum. It must not know what a state holds.
//!
//! Layout, little endian: version `u8`, fingerprint of function, columns and parameters `u32`, body, checksum `u32`.

use thalweg_core::hash_bytes;

/// Raised whenever a body changes its layout.
const VERSION: u8 = 1;
const HEAD: usize = 5;
const CHECK: usize = 4;
/// Inputs end at 1e100; no method lets what it learns of them grow beyond this.
pub(super) const MAX_NUMBER: f64 = 1e120;

/// What is wrong with bytes.
pub(super) type Fault = &'static str;

/// The state ends before it should.
const SHORT: Fault = "it is cut off";

fn check(bytes: &[u8]) -> [u8; CHECK] {
    (hash_bytes(bytes) as u32).to_le_bytes()
}

/// Collects the bytes of one state; cleared and used again for the next.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins a state.
    pub(super) fn open(&mut self, fingerprint: u32) {
        self.bytes.clear();
        self.bytes.push(VERSION);
        self.u32(fingerprint);
    }

    /// Ends the state and shows it.
    pub(super) fn seal(&mut self) -> &[u8] {
        let check = check(&self.bytes);
        self.bytes.extend_from_slice(&check);
        &self.bytes
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn f64(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A length, then the values.
    pub(super) fn f64s(&mut self, values: impl ExactSizeIterator<Item = f64>) {
        self.u32(values.len() as u32);
        for value in values {
            self.f64(value);
        }
    }
}

/// Reads the bytes of one state; every read is checked.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The body of a state of that fingerprint.
    pub(super) fn open(bytes: &'a [u8], fingerprint: u32) -> Result<Self, Fault> {
        let body = bytes.len().checked_sub(CHECK).filter(|end| *end >= HEAD).ok_or(SHORT)?;
        let (sealed, sum) = bytes.split_at(body);
        if check(sealed) != sum {
            return Err("its checksum does not match");
        }
        if sealed[0] != VERSION {
            return Err("it is of another version of the program");
        }
        let mut reader = Self { rest: &sealed[1..] };
        if reader.u32()? != fingerprint {
            return Err("it is of another function, other columns or other parameters");
        }
        Ok(reader)
    }

    /// Everything must have been read.
    pub(super) fn close(self) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { Err("it goes on after its end") }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(u8::from_le_bytes(self.take()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, Fault> {
        Ok(i64::from_le_bytes(self.take()?))
    }

    fn number(&mut self, least: f64, most: f64) -> Result<f64, Fault> {
        let value = f64::from_le_bytes(self.take()?);
        // A NaN is in no range.
        if value >= least && value <= most { Ok(value) } else { Err("a number in it is out of range") }
    }

    /// A number of the size of inputs.
    pub(super) fn f64(&mut self) -> Result<f64, Fault> {
        self.number(-MAX_NUMBER, MAX_NUMBER)
    }

    /// A number of at least 0 and of the size of squares of inputs.
    pub(super) fn square(&mut self) -> Result<f64, Fault> {
        self.number(0.0, MAX_NUMBER * MAX_NUMBER)
    }

    /// What `Writer::f64s` wrote, if it is at most `most` numbers.
    pub(super) fn f64s(&mut self, most: usize) -> Result<Vec<f64>, Fault> {
        let length = self.u32()? as usize;
        if length > most || length * 8 > self.rest.len() {
            return Err("a list in it is too long");
        }
        (0..length).map(|_| self.f64()).collect()
    }
}
