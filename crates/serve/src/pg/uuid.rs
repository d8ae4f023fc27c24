//! UUIDs between their text and their sixteen bytes. It must not know columns.

/// Appends `00112233-4455-6677-8899-aabbccddeeff`.
pub(crate) fn write_uuid(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (n, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&n) {
            out.push(b'-');
        }
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Reads every spelling that PostgreSQL reads: with or without hyphens and braces.
pub(crate) fn read_uuid(text: &str) -> Option<[u8; 16]> {
    let text = text.trim();
    let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    read_hex(&digits)?.try_into().ok()
}

/// Pairs of hexadecimal digits as bytes.
pub(crate) fn read_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: &u8| char::from(*b).to_digit(16).map(|d| d as u8);
    let (pairs, odd) = digits.as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let bytes = *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
        let mut text = Vec::new();
        write_uuid(&bytes, &mut text);
        assert_eq!(text, b"00112233-4455-6677-8899-aabbccddeeff");
        for good in ["00112233-4455-6677-8899-aabbccddeeff", "{00112233445566778899AABBCCDDEEFF}"] {
            assert_eq!(read_uuid(good), Some(bytes), "{good}");
        }
        for wrong in ["", "0011", "00112233-4455-6677-8899-aabbccddeef", "g0112233-4455-6677-8899-aabbccddeeff", "ü"] {
            assert_eq!(read_uuid(wrong), None, "{wrong}");
        }
    }
}
