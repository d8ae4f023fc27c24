//! Reads text by a template: `to_date` and `to_timestamp`. It must not know columns.

use chrono::{NaiveDate, NaiveDateTime};
use datafusion::error::{DataFusionError, Result};

use super::to_char::{Part, Template};

/// What the template has named so far.
struct Read {
    year: i32,
    month: u32,
    day: u32,
    day_of_year: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
    afternoon: Option<bool>,
}

impl Template {
    /// The time that `text` tells.
    ///
    /// # Errors
    /// `text` does not follow the template, or tells no time.
    pub fn read(&self, text: &str) -> Result<NaiveDateTime> {
        let wrong = || DataFusionError::Execution(format!("\"{text}\" does not follow the format of to_date"));
        let mut read = Read {
            year: 1,
            month: 1,
            day: 1,
            day_of_year: None,
            hour: 0,
            minute: 0,
            second: 0,
            micros: 0,
            afternoon: None,
        };
        let mut rest = text;
        for part in self.parts() {
            rest = read.part(*part, rest).ok_or_else(wrong)?;
        }
        read.time().ok_or_else(|| DataFusionError::Execution(format!("\"{text}\" is out of range for a time")))
    }
}

impl Read {
    /// Takes `part` off `text`; what is left.
    fn part<'a>(&mut self, part: Part, text: &'a str) -> Option<&'a str> {
        if let Part::Char(c) = part {
            return Some(skip(c, text));
        }
        let text = text.trim_start();
        let (value, rest) = match part {
            Part::MonthName | Part::MonthShort => return self.month_name(part == Part::MonthName, text),
            Part::DayName | Part::DayShort => return Some(text.trim_start_matches(char::is_alphabetic)),
            Part::Meridiem { .. } => return self.meridiem(text),
            Part::Year4 => digits(text, 4)?,
            Part::DayOfYear => digits(text, 3)?,
            Part::Quarter => digits(text, 1)?,
            Part::Millis => fraction(text, 3)?,
            Part::Micros => fraction(text, 6)?,
            _ => digits(text, 2)?,
        };
        match part {
            Part::Year4 => self.year = i32::try_from(value).ok()?,
            // As PostgreSQL: the year nearest to 2020.
            Part::Year2 => self.year = i32::try_from(if value < 70 { 2000 + value } else { 1900 + value }).ok()?,
            Part::Month => self.month = value,
            Part::Day => self.day = value,
            Part::DayOfYear => self.day_of_year = Some(value),
            Part::Hour24 | Part::Hour12 => self.hour = value,
            Part::Minute => self.minute = value,
            Part::Second => self.second = value,
            Part::Millis => self.micros += value * 1000,
            Part::Micros => self.micros += value,
            _ => {}
        }
        Some(rest)
    }

    fn month_name<'a>(&mut self, full: bool, text: &'a str) -> Option<&'a str> {
        const MONTHS: [&str; 12] = [
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ];
        let begins = |name: &str| text.get(..name.len()).is_some_and(|t| t.eq_ignore_ascii_case(name));
        let long = |name: &'static str| if full { name } else { &name[..3] };
        let at = MONTHS.iter().position(|name| begins(long(name)))?;
        self.month = u32::try_from(at).ok()? + 1;
        text.get(long(MONTHS[at]).len()..)
    }

    fn meridiem<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let word = text.get(..2)?;
        self.afternoon = Some(if word.eq_ignore_ascii_case("pm") {
            true
        } else if word.eq_ignore_ascii_case("am") {
            false
        } else {
            return None;
        });
        text.get(2..)
    }

    fn time(&self) -> Option<NaiveDateTime> {
        let date = match self.day_of_year {
            Some(day) => NaiveDate::from_yo_opt(self.year, day)?,
            None => NaiveDate::from_ymd_opt(self.year, self.month, self.day)?,
        };
        let hour = match self.afternoon {
            Some(_) if !(1..=12).contains(&self.hour) => return None,
            Some(afternoon) => self.hour % 12 + if afternoon { 12 } else { 0 },
            None => self.hour,
        };
        date.and_hms_micro_opt(hour, self.minute, self.second, self.micros)
    }
}

/// A separator stands for any separator, or for none before digits.
fn skip(c: char, text: &str) -> &str {
    let Some(first) = text.chars().next() else { return text };
    if c.is_alphanumeric() || !first.is_alphanumeric() { &text[first.len_utf8()..] } else { text }
}

fn digits(text: &str, most: usize) -> Option<(u32, &str)> {
    let end = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// Digits after the point: `5` of milliseconds is 500.
fn fraction(text: &str, places: usize) -> Option<(u32, &str)> {
    let (value, rest) = digits(text, places)?;
    let missing = places - (text.len() - rest.len());
    Some((value * 10_u32.pow(u32::try_from(missing).ok()?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, template: &str) -> Option<String> {
        Template::parse(template).and_then(|t| t.read(text)).ok().map(|t| t.to_string())
    }

    #[test]
    fn text_by_a_template() {
        assert_eq!(read("2024-02-29", "YYYY-MM-DD").as_deref(), Some("2024-02-29 00:00:00"));
        assert_eq!(read("29/02/2024 13:45", "DD/MM/YYYY HH24:MI").as_deref(), Some("2024-02-29 13:45:00"));
        assert_eq!(read("20240229", "YYYYMMDD").as_deref(), Some("2024-02-29 00:00:00"));
        assert_eq!(
            read("5 Dec 99 1:02:03.5 pm", "DD Mon YY HH12:MI:SS.MS am").as_deref(),
            Some("1999-12-05 13:02:03.500")
        );
        assert_eq!(read("2024 060", "YYYY DDD").as_deref(), Some("2024-02-29 00:00:00"));
    }

    #[test]
    fn what_tells_no_time_is_refused() {
        assert_eq!(read("2023-02-29", "YYYY-MM-DD"), None);
        assert_eq!(read("x", "YYYY"), None);
        assert_eq!(read("é", "AM"), None);
        assert_eq!(read("13 pm", "HH12 pm"), None);
    }
}
