//! Single values: text to numbers, decimals and bytes, exactly or not at all. It must not know columns or formats.

/// Why a value or a record is refused, for a person; the column's name is put before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) &'static str);

/// A number that its type cannot hold.
pub(crate) const OUT_OF_RANGE: Fault = Fault("number out of range");

/// A decimal integer with an optional sign, nothing around it.
pub(crate) fn integer(text: &[u8]) -> Result<i64, Fault> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Fault("not an integer"));
    }
    // Nineteen digits at most fit, so that eighteen never overflow.
    let mut value: i64 = 0;
    if digits.len() <= 18 {
        for digit in digits {
            value = value * 10 + i64::from(digit - b'0');
        }
        return Ok(if negative { -value } else { value });
    }
    for digit in digits {
        let digit = i64::from(digit - b'0');
        let signed = if negative { -digit } else { digit };
        value = value.checked_mul(10).and_then(|v| v.checked_add(signed)).ok_or(OUT_OF_RANGE)?;
    }
    Ok(value)
}

/// A floating-point number, `NaN`, `Infinity` or `-Infinity`; one beyond the type is refused, not made infinite.
pub(crate) fn float64(text: &[u8]) -> Result<f64, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault("not a number"))?;
    let value: f64 = text.parse().map_err(|_| Fault("not a number"))?;
    if value.is_infinite() && text.bytes().any(|b| b.is_ascii_digit()) {
        return Err(OUT_OF_RANGE);
    }
    Ok(value)
}

/// As [`float64`], rounded once to single precision.
pub(crate) fn float32(text: &[u8]) -> Result<f32, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault("not a number"))?;
    let value: f32 = text.parse().map_err(|_| Fault("not a number"))?;
    if value.is_infinite() && text.bytes().any(|b| b.is_ascii_digit()) {
        return Err(OUT_OF_RANGE);
    }
    Ok(value)
}

/// A decimal number, with or without exponent, as `value × 10^-scale`; digits beyond the scale are rounded half
/// away from zero, as PostgreSQL does.
pub(crate) fn decimal(text: &[u8], precision: u8, scale: i8) -> Result<i128, Fault> {
    const NOT: Fault = Fault("not a number");
    let (negative, rest) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&rest[..at], exponent(&rest[at + 1..])?),
        None => (rest, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|b| *b == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &[][..]),
    };
    if whole.len() + fraction.len() == 0 || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(NOT);
    }
    // Digits that count: all of the whole part moved by the exponent, and `scale` of the fraction.
    let keep = whole.len() as i64 + exponent + i64::from(scale);
    let digits = whole.iter().chain(fraction).map(|b| i128::from(b - b'0'));
    let available = (whole.len() + fraction.len()) as i64;
    let mut value: i128 = 0;
    let mut round_up = false;
    for (i, digit) in (0i64..).zip(digits) {
        if i >= keep {
            round_up = i == keep && digit >= 5;
            break;
        }
        value = value.checked_mul(10).and_then(|v| v.checked_add(digit)).ok_or(OUT_OF_RANGE)?;
    }
    if value != 0 {
        for _ in available..keep {
            value = value.checked_mul(10).ok_or(OUT_OF_RANGE)?;
        }
    }
    value += i128::from(round_up);
    let bound = 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    if value >= bound {
        return Err(OUT_OF_RANGE);
    }
    Ok(if negative { -value } else { value })
}

/// The exponent of a decimal, held to what can matter for 38 digits in a line of any length.
fn exponent(text: &[u8]) -> Result<i64, Fault> {
    const FAR: i64 = 1 << 40;
    match integer(text) {
        Ok(value) => Ok(value.clamp(-FAR, FAR)),
        Err(OUT_OF_RANGE) => Ok(if text.first() == Some(&b'-') { -FAR } else { FAR }),
        Err(_) => Err(Fault("not a number")),
    }
}

/// `true`, `t`, `yes`, `on`, `1` and their opposites, in any case.
pub(crate) fn boolean(text: &[u8]) -> Result<bool, Fault> {
    let is = |words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w.as_bytes()));
    if is(&["true", "t", "yes", "y", "on", "1"]) {
        Ok(true)
    } else if is(&["false", "f", "no", "n", "off", "0"]) {
        Ok(false)
    } else {
        Err(Fault("not a boolean"))
    }
}

/// PostgreSQL's hexadecimal form, `\x00ff`, appended to `out`.
pub(crate) fn hex(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    const NOT: Fault = Fault("not bytes in the form \\x00ff");
    let digits = text.strip_prefix(b"\\x").ok_or(NOT)?;
    if digits.len() % 2 != 0 {
        return Err(NOT);
    }
    let nibble = |b: u8| (b as char).to_digit(16).ok_or(NOT);
    for pair in digits.chunks_exact(2) {
        out.push((nibble(pair[0])? << 4 | nibble(pair[1])?) as u8);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_to_the_last_one() {
        assert_eq!(integer(b"9223372036854775807"), Ok(i64::MAX));
        assert_eq!(integer(b"-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(integer(b"9223372036854775808"), Err(OUT_OF_RANGE));
        assert_eq!(integer(b"-9223372036854775809"), Err(OUT_OF_RANGE));
        assert_eq!(integer(b"000000000000000000000000000001"), Ok(1));
        for text in [&b""[..], b"-", b"1.0", b"1e3", b"0x1", b" 1"] {
            assert_eq!(integer(text), Err(Fault("not an integer")));
        }
    }

    #[test]
    fn decimals_are_exact_and_rounded_as_postgresql_does() {
        for (text, expected) in [
            ("1.005", Ok(101)),
            ("-1.005", Ok(-101)),
            ("1.00499999", Ok(100)),
            ("12345678.99", Ok(1_234_567_899)),
            ("1e2", Ok(10_000)),
            ("1.5E-1", Ok(15)),
            ("5e-3", Ok(1)),
            ("4e-3", Ok(0)),
            ("1e-999999999999999999999", Ok(0)),
            ("0e999999999999999999999", Ok(0)),
            (".5", Ok(50)),
            ("5.", Ok(500)),
            ("99999999.99", Ok(9_999_999_999)),
            ("99999999.995", Err(OUT_OF_RANGE)),
            ("1e999999999999999999999", Err(OUT_OF_RANGE)),
            ("NaN", Err(Fault("not a number"))),
            ("1e", Err(Fault("not a number"))),
            (".", Err(Fault("not a number"))),
        ] {
            assert_eq!(decimal(text.as_bytes(), 10, 2), expected, "{text}");
        }
        assert_eq!(decimal(b"1234567", 5, -2), Ok(12346));
    }

    #[test]
    fn floats_do_not_become_infinite_by_accident() {
        assert_eq!(float64(b"1e308"), Ok(1e308));
        assert_eq!(float64(b"1e309"), Err(OUT_OF_RANGE));
        assert_eq!(float64(b"-Infinity"), Ok(f64::NEG_INFINITY));
        assert!(float64(b"NaN").is_ok_and(f64::is_nan));
        assert_eq!(float32(b"1e39"), Err(OUT_OF_RANGE));
    }

    #[test]
    fn bytes_in_hexadecimal() {
        let mut out = Vec::new();
        assert_eq!(hex(b"\\x00fF", &mut out), Ok(()));
        assert_eq!(out, [0, 255]);
        assert!(hex(b"\\x0", &mut out).is_err() && hex(b"00", &mut out).is_err() && hex(b"\\xzz", &mut out).is_err());
    }
}
