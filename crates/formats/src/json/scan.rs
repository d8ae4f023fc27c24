//! A cursor over one line of JSON: strings, numbers, and skipping what nobody asked for, without recursion.
//! It must not know columns.

use crate::decode::MAX_DEPTH;
use crate::value::Fault;

/// The line is not JSON.
const BROKEN: Fault = Fault("not valid JSON");
const UNCLOSED: Fault = Fault("not valid JSON: a string is not closed");

/// A position in a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A string between its quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// As it is written.
    pub(crate) raw: &'a [u8],
    /// It has backslashes and must be unescaped.
    pub(crate) escaped: bool,
}

impl<'a> Cursor<'a> {
    /// At the start of `line`.
    pub(crate) fn new(line: &'a [u8]) -> Self {
        Self { bytes: line, at: 0 }
    }

    /// The next byte.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Skips `pattern` if it is next.
    #[inline]
    pub(crate) fn eat_all(&mut self, pattern: &[u8]) -> bool {
        let found = self.bytes[self.at..].starts_with(pattern);
        if found {
            self.at += pattern.len();
        }
        found
    }

    /// Skips white space, then `byte` if it is next.
    #[inline]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Skips white space.
    #[inline]
    pub(crate) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// Only white space is left.
    pub(crate) fn ended(&mut self) -> bool {
        self.space();
        self.at >= self.bytes.len()
    }

    /// A string; the cursor is at its first quote.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Text<'a>, Fault> {
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at += plain_prefix(&self.bytes[at.min(self.bytes.len())..]);
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Text { raw: &self.bytes[start..at], escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(_) => return Err(Fault("not valid JSON: a control character in a string")),
                None => return Err(UNCLOSED),
            }
        }
    }

    /// The bytes of a number, checked against the grammar.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<&'a [u8], Fault> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let first = self.at;
        let digits = self.digits();
        if digits == 0 || (digits > 1 && self.bytes[first] == b'0') {
            return Err(BROKEN);
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(BROKEN);
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(BROKEN);
            }
        }
        Ok(&self.bytes[start..self.at])
    }

    #[inline]
    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    /// An integer in 64 bits that is followed by something else than a fraction.
    #[inline]
    pub(crate) fn integer(&mut self) -> Result<i64, Fault> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let first = self.at;
        let mut value: u64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            // Wraps only beyond 19 digits, and then the length says so.
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 || matches!(self.peek(), Some(b'.' | b'e' | b'E')) || (digits > 1 && self.bytes[first] == b'0') {
            self.at = start;
            return Err(Fault("not an integer"));
        }
        if digits > 19 {
            return Err(crate::value::OUT_OF_RANGE);
        }
        match (negative, value) {
            (false, 0..=0x7fff_ffff_ffff_ffff) => Ok(value as i64),
            (true, 0..=0x8000_0000_0000_0000) => Ok((value as i64).wrapping_neg()),
            _ => Err(crate::value::OUT_OF_RANGE),
        }
    }

    /// `true`, `false` or `null`, and no letter after it.
    #[inline]
    pub(crate) fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.eat_all(word) && !self.peek().is_some_and(|b| b.is_ascii_alphanumeric()) {
            return Ok(());
        }
        Err(BROKEN)
    }

    /// Checks and skips any value and returns its bytes.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], Fault> {
        let start = self.at;
        // One bit a level: set when it is an object.
        let mut objects: u128 = 0;
        let mut depth = 0usize;
        loop {
            self.space();
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH - 1 {
                        return Err(Fault("nested too deeply"));
                    }
                    self.at += 1;
                    depth += 1;
                    objects = objects << 1 | u128::from(open == b'{');
                    let close = if open == b'{' { b'}' } else { b']' };
                    if !self.eat(close) {
                        if open == b'{' {
                            self.skip_key()?;
                        }
                        continue;
                    }
                    depth -= 1;
                    objects >>= 1;
                }
                Some(b'"') => {
                    let text = self.string()?;
                    check_escapes(text)?;
                }
                Some(b'-' | b'0'..=b'9') => {
                    self.number()?;
                }
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                _ => return Err(BROKEN),
            }
            // A value has ended: so may the things around it.
            loop {
                if depth == 0 {
                    return Ok(&self.bytes[start..self.at]);
                }
                let object = objects & 1 == 1;
                if self.eat(b',') {
                    if object {
                        self.space();
                        self.skip_key()?;
                    }
                    break;
                }
                if !self.eat(if object { b'}' } else { b']' }) {
                    return Err(BROKEN);
                }
                depth -= 1;
                objects >>= 1;
            }
        }
    }

    fn skip_key(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(BROKEN);
        }
        let key = self.string()?;
        check_escapes(key)?;
        if self.eat(b':') { Ok(()) } else { Err(BROKEN) }
    }
}

/// How many bytes at the start of `bytes` are neither a quote, nor a backslash, nor a control character.
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    // Eight bytes at a time: a byte's high bit is set in `found` when it is one of the three (and in some after it,
    // which does not matter: the lowest one is right).
    while let Some(eight) = bytes.get(at..at + 8) {
        let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
        let quote = word ^ (ONES * b'"' as u64);
        let slash = word ^ (ONES * b'\\' as u64);
        let quote = quote.wrapping_sub(ONES) & !quote;
        let slash = slash.wrapping_sub(ONES) & !slash;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quote | slash | control) & HIGHS;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = bytes.get(at) {
        if *byte < 0x20 || *byte == b'"' || *byte == b'\\' {
            break;
        }
        at += 1;
    }
    at
}

fn check_escapes(text: Text<'_>) -> Result<(), Fault> {
    if !text.escaped {
        return Ok(());
    }
    let mut rest = text.raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        rest = &rest[at + 1..];
        let (_, used) = escape(rest)?;
        rest = &rest[used..];
    }
    Ok(())
}

/// Appends `text` without its escapes. The result is valid UTF-8 when the input is.
pub(crate) fn unescape(text: Text<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut rest = text.raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let (character, used) = escape(rest)?;
        if character == '\0' {
            return Err(Fault("the character \\u0000 cannot be in text"));
        }
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[used..];
    }
    out.extend_from_slice(rest);
    Ok(())
}

/// What follows a backslash: the character it means and how many bytes it takes.
fn escape(rest: &[u8]) -> Result<(char, usize), Fault> {
    const BAD: Fault = Fault("not valid JSON: a bad escape in a string");
    let simple = match rest.first() {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let first = hex4(rest.get(1..5)).ok_or(BAD)?;
            if !(0xd800..0xe000).contains(&first) {
                return char::from_u32(first).map(|c| (c, 5)).ok_or(BAD);
            }
            // A character beyond 16 bits is written as two halves, high then low.
            let second = rest.get(5..7).filter(|p| *p == b"\\u").and_then(|_| hex4(rest.get(7..11))).ok_or(BAD)?;
            if first >= 0xdc00 || !(0xdc00..0xe000).contains(&second) {
                return Err(BAD);
            }
            let point = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return char::from_u32(point).map(|c| (c, 11)).ok_or(BAD);
        }
        _ => return Err(BAD),
    };
    Ok((simple, 1))
}

fn hex4(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0, |value, byte| Some(value << 4 | (*byte as char).to_digit(16)?))
}

#[cfg(test)]
mod tests;
