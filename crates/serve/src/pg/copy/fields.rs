//! A record of COPY's text formats cut into fields. It must not know types or batches.

use thalweg_core::SqlError;

use super::malformed;
use crate::backend::CopyLayout;

/// How a text is cut.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub(super) delimiter: u8,
    pub(super) null: Vec<u8>,
    pub(super) header: bool,
    /// Quote and escape of CSV; `None`: the text format.
    pub(super) quotes: Option<(u8, u8)>,
}

impl Style {
    pub(super) fn new(layout: &CopyLayout) -> Self {
        match layout {
            CopyLayout::Csv { delimiter, null, header, quote, escape } => Self {
                delimiter: *delimiter,
                null: null.clone().into_bytes(),
                header: *header,
                quotes: Some((*quote, *escape)),
            },
            CopyLayout::Text { delimiter, null, header } => {
                Self { delimiter: *delimiter, null: null.clone().into_bytes(), header: *header, quotes: None }
            }
            // Never asked for; the defaults of the text format.
            CopyLayout::Binary => Self { delimiter: b'\t', null: b"\\N".to_vec(), header: false, quotes: None },
        }
    }
}

/// Looks for the end of a record, and goes on where it left off when more bytes have come.
#[derive(Debug, Default)]
pub(super) struct Scan {
    at: usize,
    quoted: bool,
}

impl Scan {
    /// The position of the line end of the record at the start of `bytes`.
    pub(super) fn line_end(&mut self, bytes: &[u8], style: &Style) -> Option<usize> {
        let found = match style.quotes {
            None => self.plain(bytes),
            Some((quote, escape)) => self.quoted(bytes, quote, escape),
        };
        if found.is_some() {
            *self = Self::default();
        }
        found
    }

    /// A line end after an odd number of backslashes belongs to the value.
    fn plain(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(length) = memchr::memchr(b'\n', bytes.get(self.at..)?) {
            let end = self.at + length;
            let backslashes = bytes[..end].iter().rev().take_while(|b| **b == b'\\').count();
            if backslashes % 2 == 0 {
                return Some(end);
            }
            self.at = end + 1;
        }
        self.at = bytes.len();
        None
    }

    /// A line end within quotes belongs to the value. A doubled quote closes and opens.
    fn quoted(&mut self, bytes: &[u8], quote: u8, escape: u8) -> Option<usize> {
        while let Some(byte) = bytes.get(self.at) {
            match *byte {
                b'\n' if !self.quoted => return Some(self.at),
                b if b == escape && escape != quote && self.quoted => {
                    // The escaped byte must be there before it can be passed over.
                    bytes.get(self.at + 1)?;
                    self.at += 1;
                }
                b if b == quote => self.quoted = !self.quoted,
                _ => {}
            }
            self.at += 1;
        }
        None
    }
}

/// Calls `field` with each field of a record, in order: its value, or `None` for NULL.
pub(super) fn cut(
    record: &[u8],
    style: &Style,
    scratch: &mut Vec<u8>,
    mut field: impl FnMut(Option<&[u8]>) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    let mut rest = record;
    loop {
        scratch.clear();
        let (after, raw, changed) = match style.quotes {
            None => plain_field(rest, style.delimiter, scratch),
            Some((quote, escape)) => quoted_field(rest, style.delimiter, quote, escape, scratch)?,
        };
        // NULL is told by how it is written: neither quoted nor escaped.
        let null = raw == style.null && (style.quotes.is_none() || !changed);
        let value = if changed { scratch.as_slice() } else { raw };
        field((!null).then_some(value))?;
        match after {
            Some(after) => rest = after,
            None => return Ok(()),
        }
    }
}

/// What is behind a field's delimiter if there is one, the field as written, and whether it reads as `scratch` instead.
type Cut<'a> = (Option<&'a [u8]>, &'a [u8], bool);

fn plain_field<'a>(rest: &'a [u8], delimiter: u8, scratch: &mut Vec<u8>) -> Cut<'a> {
    let mut at = 0;
    let mut changed = false;
    loop {
        let Some(length) = memchr::memchr2(delimiter, b'\\', &rest[at..]) else {
            if changed {
                scratch.extend_from_slice(&rest[at..]);
            }
            return (None, rest, changed);
        };
        let end = at + length;
        if changed || rest[end] == b'\\' {
            scratch.extend_from_slice(&rest[at..end]);
        }
        if rest[end] == delimiter {
            return (Some(&rest[end + 1..]), &rest[..end], changed);
        }
        changed = true;
        at = end + 1 + unescape(&rest[end + 1..], scratch);
    }
}

/// Reads what follows a backslash; returns its length.
fn unescape(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let digits = |rest: &[u8], radix: u32, most: usize| {
        let digits = rest.iter().take(most).map_while(|b| char::from(*b).to_digit(radix));
        digits.fold((0, 0), |(value, count), digit| (value * radix + digit, count + 1))
    };
    let (byte, length) = match rest.first() {
        None => (b'\\', 0),
        Some(b'b') => (0x08, 1),
        Some(b'f') => (0x0c, 1),
        Some(b'n') => (b'\n', 1),
        Some(b'r') => (b'\r', 1),
        Some(b't') => (b'\t', 1),
        Some(b'v') => (0x0b, 1),
        Some(b'0'..=b'7') => {
            let (value, count) = digits(rest, 8, 3);
            (value as u8, count)
        }
        Some(b'x') => match digits(&rest[1..], 16, 2) {
            (_, 0) => (b'x', 1),
            (value, count) => (value as u8, count + 1),
        },
        Some(other) => (*other, 1),
    };
    out.push(byte);
    length
}

fn quoted_field<'a>(
    rest: &'a [u8],
    delimiter: u8,
    quote: u8,
    escape: u8,
    scratch: &mut Vec<u8>,
) -> Result<Cut<'a>, SqlError> {
    let mut at = 0;
    let (mut changed, mut within) = (false, false);
    while let Some(byte) = rest.get(at).copied() {
        at += 1;
        let next = rest.get(at).copied();
        if within && byte == escape && (next == Some(quote) || next == Some(escape)) {
            scratch.extend(next);
            at += 1;
        } else if byte == quote {
            if !changed {
                scratch.extend_from_slice(&rest[..at - 1]);
            }
            (changed, within) = (true, !within);
        } else if byte == delimiter && !within {
            return Ok((Some(&rest[at..]), &rest[..at - 1], changed));
        } else if changed {
            scratch.push(byte);
        }
    }
    if within { Err(malformed("unterminated CSV quoted field")) } else { Ok((None, rest, changed)) }
}
