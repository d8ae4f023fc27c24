//! JSON text read where it stands: one pass, no recursion, no allocation. It must not know SQL.

/// Documents nested deeper are taken for broken: what walks into them recurses.
pub(super) const MAX_DEPTH: usize = 512;

/// Reads forward; every method gives `None` where the text is not JSON.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// After the first byte, an opening bracket.
    pub fn inside(text: &'a str) -> Self {
        Self { text, at: 1 }
    }

    pub fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// To the end, past what is not JSON.
    pub fn give_up(&mut self) {
        self.at = self.text.len();
    }

    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    pub fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// The next value, whatever is nested in it.
    pub fn value(&mut self) -> Option<&'a str> {
        self.space();
        let start = self.at;
        let mut open = Nesting::default();
        loop {
            // At the start of a value.
            self.space();
            match self.peek()? {
                b'{' => {
                    self.at += 1;
                    self.space();
                    open.push(true)?;
                    if self.peek()? != b'}' {
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    self.space();
                    open.push(false)?;
                    if self.peek()? != b']' {
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            if self.close(&mut open)? {
                return self.text.get(start..self.at);
            }
        }
    }

    /// After a value or an opening bracket: closes what ends here. True when nothing is open any more, else the next
    /// value follows.
    fn close(&mut self, open: &mut Nesting) -> Option<bool> {
        while let Some(object) = open.innermost() {
            self.space();
            match (self.peek()?, object) {
                (b'}', true) | (b']', false) => {
                    self.at += 1;
                    open.depth -= 1;
                }
                (b',', _) => {
                    self.at += 1;
                    if object {
                        self.key()?;
                    }
                    return Some(false);
                }
                _ => return None,
            }
        }
        Some(true)
    }

    fn key(&mut self) -> Option<()> {
        self.space();
        self.quoted()?;
        self.space();
        self.expect(b':')
    }

    fn scalar(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.quoted().map(drop),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// A string with its quotes.
    pub fn quoted(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            self.at += plain(self.text.as_bytes().get(self.at..)?);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return self.text.get(start..self.at);
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at + 1..)?;
        self.at += match rest.first()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' if rest.get(1..5)?.iter().all(u8::is_ascii_hexdigit) => 6,
            _ => return None,
        };
        Some(())
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// How many bytes come before the first quote, backslash or control character: eight at a time.
fn plain(bytes: &[u8]) -> usize {
    let mut n = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        // The lowest set bit is exact; bits above it may be wrong, which does not matter.
        let zero = |w: u64| w.wrapping_sub(ONES) & !w & HIGHS;
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control;
        if found != 0 {
            return n + (found.trailing_zeros() / 8) as usize;
        }
        n += 8;
    }
    n + rest.iter().position(|b| *b < 0x20 || matches!(b, b'"' | b'\\')).unwrap_or(rest.len())
}

/// Which of the open brackets are objects: bits, so that no row allocates.
#[derive(Default)]
struct Nesting {
    objects: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Nesting {
    fn push(&mut self, object: bool) -> Option<()> {
        let word = self.objects.get_mut(self.depth / 64)?;
        let bit = 1 << (self.depth % 64);
        *word = if object { *word | bit } else { *word & !bit };
        self.depth += 1;
        Some(())
    }

    /// Whether the innermost open bracket is an object's; `None` when all are closed.
    fn innermost(&self) -> Option<bool> {
        let last = self.depth.checked_sub(1)?;
        Some(self.objects.get(last / 64)? & (1 << (last % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Option<&str> {
        let mut scanner = Scanner::new(text);
        let value = scanner.value()?;
        scanner.space();
        scanner.at_end().then_some(value)
    }

    #[test]
    fn json_and_what_is_not() {
        let good = [
            "null",
            " true ",
            "-0",
            "1e5",
            "0.25E-3",
            "\"\"",
            "[]",
            "{}",
            "[ ]",
            "{ }",
            "[1, [2, {}], \"]\"]",
            "{\"a\":{\"b\":[null]},\"c\":\"\\u00e9\\\"\\\\\"}",
            "\"a longer string than eight bytes \u{e9}\u{1f600}\"",
        ];
        for text in good {
            assert_eq!(document(text), Some(text.trim()), "{text}");
        }
        let bad = [
            "",
            " ",
            "nul",
            "truex",
            "01",
            "+1",
            ".5",
            "1.",
            "1e",
            "-",
            "'a'",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"eight bytes and\ttab\"",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1]",
            "{1:2}",
            "1 2",
            "[]]",
            "\u{a0}1",
            "NaN",
            "{,}",
            "[\"\\u00",
        ];
        for text in bad {
            assert_eq!(document(text), None, "{text}");
        }
    }

    #[test]
    fn every_prefix_and_every_changed_byte_is_read_without_panic() {
        let text = "{\"k\u{e9}y\": [1.5e-3, \"\\u00e9\", {\"x\": null}, true], \"a\": {\"b\": \"c\"}}";
        for cut in (0..text.len()).filter(|i| text.is_char_boundary(*i)) {
            assert_eq!(document(&text[..cut]), None, "{cut}");
        }
        for at in 0..text.len() {
            for byte in 0..128 {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = byte;
                if let Ok(text) = std::str::from_utf8(&bytes) {
                    // What passes here is JSON for serde_json too.
                    let ours = document(text).is_some();
                    assert_eq!(ours, serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
                }
            }
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |n| "[".repeat(n) + &"]".repeat(n);
        assert!(document(&nested(MAX_DEPTH)).is_some());
        assert!(document(&nested(MAX_DEPTH + 1)).is_none());
        assert!(document(&nested(100_000)).is_none());
        assert!(document(&"[".repeat(100_000)).is_none());
        assert!(document(&"{\"a\":".repeat(100_000)).is_none());
    }

    #[test]
    fn the_first_special_byte() {
        for at in 0..20 {
            for special in [b'"', b'\\', 0, 0x1f] {
                let mut bytes = vec![0xc3; 20];
                bytes[at] = special;
                assert_eq!(plain(&bytes), at);
            }
        }
        assert_eq!(plain("\u{7f}  !#[]\u{ff}\u{e9}".as_bytes()), "\u{7f}  !#[]\u{ff}\u{e9}".len());
    }
}
