//! Dates and times to text and back, in microseconds since 1970-01-01 UTC. It must not know columns or formats.

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;
/// Microseconds of a day.
const DAY: i64 = 86_400 * SECOND;

/// Days since 1970-01-01 of a day of the proleptic Gregorian calendar; the year counts … −1, 0, 1 … (0 is 1 BC).
/// Any year of six digits fits.
pub(crate) fn days_of(year: i64, month: u32, day: u32) -> i64 {
    // Years that start in March end with the leap day; 400 of them have 146,097 days.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = i64::from((month + 9) % 12);
    let of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_of`].
pub(crate) fn date_of(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, day as u32)
}

fn month_days(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn two(value: u32, out: &mut Vec<u8>) {
    out.push(b'0' + (value / 10 % 10) as u8);
    out.push(b'0' + (value % 10) as u8);
}

/// Writes `YYYY-MM-DD`; the caller adds ` BC` after the time when it returns true.
fn write_day(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = date_of(days);
    let before_christ = year <= 0;
    let year = if before_christ { 1 - year } else { year };
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(year).as_bytes();
    out.extend(std::iter::repeat_n(b'0', 4usize.saturating_sub(digits.len())));
    out.extend_from_slice(digits);
    out.push(b'-');
    two(month, out);
    out.push(b'-');
    two(day, out);
    before_christ
}

/// `2026-11-01`.
pub fn write_date(days: i32, out: &mut Vec<u8>) {
    if write_day(i64::from(days), out) {
        out.extend_from_slice(b" BC");
    }
}

/// `2026-11-01 00:00:00.123`, `separator` between date and time, `+00` or what `zone` says after it.
pub fn write_timestamp(micros: i64, separator: u8, zone: &[u8], out: &mut Vec<u8>) {
    let before_christ = write_day(micros.div_euclid(DAY), out);
    out.push(separator);
    write_time(micros.rem_euclid(DAY), out);
    out.extend_from_slice(zone);
    if before_christ {
        out.extend_from_slice(b" BC");
    }
}

/// `00:00:00.123`: a time of day, hours beyond 24 for an interval.
pub fn write_time(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros / SECOND;
    let hours = seconds / 3600;
    if hours > 99 {
        out.extend_from_slice(itoa::Buffer::new().format(hours).as_bytes());
    } else {
        two(hours as u32, out);
    }
    out.push(b':');
    two((seconds / 60 % 60) as u32, out);
    out.push(b':');
    two((seconds % 60) as u32, out);
    let mut fraction = (micros % SECOND) as u32;
    if fraction != 0 {
        out.push(b'.');
        let mut unit = 100_000;
        while fraction != 0 {
            out.push(b'0' + (fraction / unit) as u8);
            fraction %= unit;
            unit /= 10;
        }
    }
}

/// Why a text is not a date or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// It does not look like one.
    Syntax,
    /// It looks like one, and there is no such day or hour, or it cannot be counted in 64 bits.
    Range,
}

/// Reads fixed and variable runs of digits.
struct Digits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Digits<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Exactly two digits.
    fn two(&mut self) -> Result<u32, TimeError> {
        let pair = self.bytes.get(self.at..self.at + 2).ok_or(TimeError::Syntax)?;
        let (tens, ones) = (pair[0].wrapping_sub(b'0'), pair[1].wrapping_sub(b'0'));
        if tens > 9 || ones > 9 {
            return Err(TimeError::Syntax);
        }
        self.at += 2;
        Ok(u32::from(tens) * 10 + u32::from(ones))
    }

    /// At most `most` digits, and how many there were.
    fn number(&mut self, most: usize) -> (u64, usize) {
        let (mut value, start) = (0u64, self.at);
        while self.at - start < most {
            match self.peek() {
                Some(digit @ b'0'..=b'9') => value = value * 10 + u64::from(digit - b'0'),
                _ => break,
            }
            self.at += 1;
        }
        (value, self.at - start)
    }

    /// Year, month and day; the year as written.
    fn day(&mut self) -> Result<(i64, u32, u32), TimeError> {
        let negative = self.eat(b'-');
        if !negative {
            self.eat(b'+');
        }
        let (year, digits) = self.number(9);
        if digits < 4 || !self.eat(b'-') {
            return Err(TimeError::Syntax);
        }
        let month = self.two()?;
        if !self.eat(b'-') {
            return Err(TimeError::Syntax);
        }
        let day = self.two()?;
        let year = if negative { -(year as i64) } else { year as i64 };
        if !(1..=12).contains(&month) || day == 0 || day > 31 {
            return Err(TimeError::Range);
        }
        Ok((year, month, day))
    }

    /// ` BC` or ` AD` at the end, then nothing: the year as counted.
    fn era(&mut self, year: i64) -> Result<i64, TimeError> {
        let rest = self.bytes[self.at..].trim_ascii();
        if rest.is_empty() || rest.eq_ignore_ascii_case(b"ad") {
            return Ok(year);
        }
        if rest.eq_ignore_ascii_case(b"bc") && year > 0 {
            return Ok(1 - year);
        }
        Err(TimeError::Syntax)
    }

    /// Microseconds of the day.
    fn time(&mut self) -> Result<i64, TimeError> {
        let hour = self.two()?;
        if !self.eat(b':') {
            return Err(TimeError::Syntax);
        }
        let minute = self.two()?;
        let (mut second, mut micros) = (0, 0);
        if self.eat(b':') {
            second = self.two()?;
            if self.eat(b'.') || self.eat(b',') {
                micros = self.fraction()?;
            }
        }
        let total = (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * SECOND + micros;
        // A leap second counts as the first of the next minute, and 24:00:00 as the next midnight.
        if minute > 59 || second > 60 || total > DAY {
            return Err(TimeError::Range);
        }
        Ok(total)
    }

    /// The digits after the point, rounded to microseconds.
    fn fraction(&mut self) -> Result<i64, TimeError> {
        let (value, digits) = self.number(6);
        if digits == 0 {
            return Err(TimeError::Syntax);
        }
        let mut micros = value as i64 * 10i64.pow(6 - digits as u32);
        if matches!(self.peek(), Some(b'5'..=b'9')) && digits == 6 {
            micros += 1;
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(micros)
    }

    /// `Z`, `±HH`, `±HH:MM`, `±HHMM`, ` UTC` or nothing: microseconds east of Greenwich.
    fn zone(&mut self) -> Result<Option<i64>, TimeError> {
        while self.peek() == Some(b' ')
            && matches!(self.bytes.get(self.at + 1), Some(b'+' | b'-' | b'Z' | b'z' | b'U' | b'u'))
        {
            self.at += 1;
        }
        let sign = match self.peek() {
            Some(b'Z' | b'z') => {
                self.at += 1;
                return Ok(Some(0));
            }
            Some(b'U' | b'u')
                if self.bytes[self.at..].len() >= 3
                    && self.bytes[self.at..self.at + 3].eq_ignore_ascii_case(b"utc") =>
            {
                self.at += 3;
                return Ok(Some(0));
            }
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return Ok(None),
        };
        self.at += 1;
        let hours = self.two()?;
        let minutes = if self.eat(b':') || matches!(self.peek(), Some(b'0'..=b'9')) { self.two()? } else { 0 };
        if hours > 15 || minutes > 59 {
            return Err(TimeError::Range);
        }
        Ok(Some(sign * (i64::from(hours) * 60 + i64::from(minutes)) * 60 * SECOND))
    }
}

/// Reads `2026-11-01`. A time after it is not a date's.
///
/// # Errors
/// Not a date, or no such day.
pub fn parse_date(text: &[u8]) -> Result<i32, TimeError> {
    let mut digits = Digits { bytes: text.trim_ascii(), at: 0 };
    let (year, month, day) = digits.day()?;
    let year = digits.era(year)?;
    if day > month_days(year, month) {
        return Err(TimeError::Range);
    }
    i32::try_from(days_of(year, month, day)).map_err(|_| TimeError::Range)
}

/// Reads `2026-11-01 00:00:00.123`, `2026-11-01T00:00:00Z`, `2026-11-01`, years of up to nine digits, ` BC`.
///
/// `zoned` is for a timestamp with time zone: an offset in the text is applied, its absence means UTC. Without
/// `zoned` an offset is read over, as PostgreSQL does for `timestamp`.
///
/// # Errors
/// Not a time, no such time, or one that microseconds in 64 bits cannot hold (beyond year 294246).
pub fn parse_timestamp(text: &[u8], zoned: bool) -> Result<i64, TimeError> {
    let mut digits = Digits { bytes: text.trim_ascii(), at: 0 };
    let (year, month, day) = digits.day()?;
    let (mut time, mut zone) = (0, None);
    let separated = matches!(digits.peek(), Some(b'T' | b't'))
        || (digits.peek() == Some(b' ') && matches!(digits.bytes.get(digits.at + 1), Some(b'0'..=b'9')));
    if separated {
        digits.at += 1;
        time = digits.time()?;
        zone = digits.zone()?;
    }
    let year = digits.era(year)?;
    if day > month_days(year, month) {
        return Err(TimeError::Range);
    }
    let offset = if zoned { zone.unwrap_or(0) } else { 0 };
    let total = i128::from(days_of(year, month, day)) * i128::from(DAY) + i128::from(time) - i128::from(offset);
    i64::try_from(total).map_err(|_| TimeError::Range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(micros: i64) -> String {
        let mut out = Vec::new();
        write_timestamp(micros, b' ', b"", &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn every_day_of_eight_centuries_and_the_ends_of_time_read_back() {
        for days in (-200_000..200_000).chain([-106_751_991, 106_751_991]) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days);
        }
        for micros in [0, 1, -1, i64::MAX, i64::MIN, 1_700_000_000_123_000, -62_135_596_800_000_000] {
            assert_eq!(parse_timestamp(text(micros).as_bytes(), false), Ok(micros), "{}", text(micros));
        }
        assert_eq!(text(i64::MAX), "294247-01-10 04:00:54.775807");
    }

    #[test]
    fn known_times() {
        let parse = |t: &str| parse_timestamp(t.as_bytes(), true);
        assert_eq!(parse("1970-01-01 00:00:00"), Ok(0));
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Ok(1_500_000));
        assert_eq!(parse("1970-01-01T02:00:00+02:00"), Ok(0));
        assert_eq!(parse("1970-01-01 00:00:00 -0130"), Ok(5_400_000_000));
        assert_eq!(parse("1970-01-02"), Ok(DAY));
        assert_eq!(parse("1970-01-01 24:00:00"), Ok(DAY));
        assert_eq!(parse("1970-01-01 00:00:00.1234567"), Ok(123_457));
        assert_eq!(parse_timestamp(b"1970-01-01T02:00:00+02:00", false), Ok(7_200_000_000));
        assert_eq!(parse_date(b"2000-02-29"), Ok(11_016));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for (text, error) in [
            ("", TimeError::Syntax),
            ("yesterday", TimeError::Syntax),
            ("2026-11-01x", TimeError::Syntax),
            ("2026-1-1", TimeError::Syntax),
            ("2026-11-01 10", TimeError::Syntax),
            ("2026-11-01 10:00:00.", TimeError::Syntax),
            ("2026-11-01 10:00:00 nowhere", TimeError::Syntax),
            ("infinity", TimeError::Syntax),
            ("2026-02-29", TimeError::Range),
            ("2026-13-01", TimeError::Range),
            ("2026-11-01 25:00:00", TimeError::Range),
            ("2026-11-01 10:60:00", TimeError::Range),
            ("294276-12-31 23:59:59", TimeError::Range),
            ("294247-01-10 04:00:54.775808", TimeError::Range),
        ] {
            assert_eq!(parse_timestamp(text.as_bytes(), false), Err(error), "{text}");
        }
        assert_eq!(parse_date(b"2026-11-01 10:00:00"), Err(TimeError::Syntax));
    }
}
