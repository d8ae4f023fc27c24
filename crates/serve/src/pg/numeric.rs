//! `numeric` in PostgreSQL's binary form: digits to the base 10,000. It must not know columns or messages.

use thalweg_core::{SqlError, SqlState};

const BASE: u128 = 10_000;
const GROUP_DIGITS: u32 = 4;

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// The most digits after the point that PostgreSQL writes.
const MAX_SCALE: u16 = 16_383;

/// Appends `unscaled × 10^-scale`.
pub(crate) fn write_numeric(unscaled: i128, scale: i8, out: &mut Vec<u8>) {
    let sign = if unscaled < 0 { NEGATIVE } else { POSITIVE };
    let mut groups = Vec::with_capacity(20);
    let magnitude = unscaled.unsigned_abs();
    let fraction_digits = u32::from(scale.max(0).unsigned_abs());
    // A scale has at most 38 digits, and ten to the 38th fits.
    let unit = 10_u128.checked_pow(fraction_digits).unwrap_or(u128::MAX);
    let (mut whole, mut fraction) = (magnitude / unit, magnitude % unit);
    // The zeros of a negative scale: groups of four are a matter of weight, the others fill up the last group.
    let zeros = u32::from(scale.min(0).unsigned_abs());
    if !zeros.is_multiple_of(GROUP_DIGITS) {
        let filled = 10_u128.pow(zeros % GROUP_DIGITS);
        groups.push((whole % (BASE / filled) * filled) as u16);
        whole /= BASE / filled;
    }
    while whole != 0 {
        groups.push((whole % BASE) as u16);
        whole /= BASE;
    }
    groups.reverse();
    let mut weight = (groups.len() as i32 - 1) + (zeros / GROUP_DIGITS) as i32;
    let mut left = fraction_digits;
    let mut unit = unit;
    while left > 0 {
        let digits = left.min(GROUP_DIGITS);
        unit /= 10_u128.pow(digits);
        let group = fraction / unit * 10_u128.pow(GROUP_DIGITS - digits);
        groups.push(group as u16);
        fraction %= unit;
        left -= digits;
    }
    let leading = groups.iter().take_while(|group| **group == 0).count();
    weight -= leading as i32;
    let end = groups.iter().rposition(|group| *group != 0).map_or(leading, |last| last + 1);
    let groups = &groups[leading..end];
    let weight = if groups.is_empty() { 0 } else { weight };
    out.extend_from_slice(&(groups.len() as u16).to_be_bytes());
    out.extend_from_slice(&(weight as i16).to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&(fraction_digits as u16).to_be_bytes());
    groups.iter().for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
}

/// Reads the binary form as text.
pub(crate) fn read_numeric(bytes: &[u8]) -> Result<String, SqlError> {
    let wrong = || SqlError::new(SqlState::INVALID_BINARY_REPRESENTATION, "invalid binary numeric");
    let words: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let Some(([count, weight, sign, scale], groups)) = words.split_first_chunk() else { return Err(wrong()) };
    if !bytes.len().is_multiple_of(2) || groups.len() != usize::from(*count) || *scale > MAX_SCALE {
        return Err(wrong());
    }
    let mut text = match *sign {
        POSITIVE => String::new(),
        NEGATIVE => "-".to_owned(),
        NAN => return Ok("NaN".to_owned()),
        INFINITY => return Ok("Infinity".to_owned()),
        MINUS_INFINITY => return Ok("-Infinity".to_owned()),
        _ => return Err(wrong()),
    };
    if groups.iter().any(|group| u128::from(*group) >= BASE) {
        return Err(wrong());
    }
    let weight = i32::from(weight.cast_signed());
    let group = |power: i32| usize::try_from(weight - power).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0);
    text.push_str(&group(weight.max(0)).to_string());
    for power in (0..weight.max(0)).rev() {
        text.push_str(&format!("{:04}", group(power)));
    }
    if *scale > 0 {
        text.push('.');
        let start = text.len();
        for power in 1..=i32::from(scale.div_ceil(GROUP_DIGITS as u16)) {
            text.push_str(&format!("{:04}", group(-power)));
        }
        text.truncate(start + usize::from(*scale));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both_ways(unscaled: i128, scale: i8) -> String {
        let mut bytes = Vec::new();
        write_numeric(unscaled, scale, &mut bytes);
        read_numeric(&bytes).expect("our own bytes")
    }

    /// What PostgreSQL prints: the unscaled digits with a point put in.
    fn printed(unscaled: i128, scale: u8) -> String {
        let scale = usize::from(scale);
        let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let point = if scale > 0 { "." } else { "" };
        format!("{}{whole}{point}{fraction}", if unscaled < 0 { "-" } else { "" })
    }

    #[test]
    fn the_bytes_are_those_of_postgresql() {
        let mut bytes = Vec::new();
        write_numeric(-12_345_678, 3, &mut bytes);
        // -12345.678: groups 1, 2345, 6780; weight 1; three digits after the point.
        assert_eq!(bytes, [0, 3, 0, 1, 0x40, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1a, 0x7c]);
    }

    #[test]
    fn round_values() {
        assert_eq!(both_ways(0, 0), "0");
        assert_eq!(both_ways(0, 4), "0.0000");
        assert_eq!(both_ways(10_000, 0), "10000");
        assert_eq!(both_ways(5, 9), "0.000000005");
        assert_eq!(both_ways(12, -5), "1200000");
        assert_eq!(both_ways(12, -4), "120000");
        assert_eq!(both_ways(0, -5), "0");
        assert_eq!(both_ways(i128::MAX, -3), "170141183460469231731687303715884105727000");
        assert_eq!(both_ways(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
    }

    #[test]
    fn special_values_and_nonsense() {
        assert_eq!(read_numeric(&[0, 0, 0, 0, 0xC0, 0, 0, 0]).as_deref(), Ok("NaN"));
        for wrong in [
            &[][..],
            &[0; 7],
            &[0, 1, 0, 0, 0, 0, 0, 0],
            &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10],
            &[0, 0, 0, 0, 1, 0, 0, 0],
        ] {
            assert!(read_numeric(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn every_decimal_comes_back(unscaled in any::<i128>(), scale in 0_u8..=38) {
            prop_assert_eq!(both_ways(unscaled, scale.cast_signed()), printed(unscaled, scale));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            let _ = read_numeric(&bytes);
        }
    }
}
