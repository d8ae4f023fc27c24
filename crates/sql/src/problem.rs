//! A mistake in a script, with its place. It must not know how it is printed.

use std::fmt;

/// One mistake: where, what, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1; 0 when the place is not known.
    pub line: u64,
    /// From 1.
    pub column: u64,
    /// What is wrong, and a hint on lines of its own.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(line: u64, column: u64, message: impl Into<String>) -> Self {
        Self { line, column, message: message.into() }
    }

    /// The parser puts its place into the message: take it out.
    pub(crate) fn from_parser(message: &str, fallback: (u64, u64)) -> Self {
        let Some((text, place)) = message.rsplit_once(" at Line: ") else {
            return Self::new(fallback.0, fallback.1, message);
        };
        let mut numbers = place.split(", Column: ").map(|n| n.trim().parse::<u64>());
        match (numbers.next(), numbers.next()) {
            (Some(Ok(line)), Some(Ok(column))) if line > 0 => Self::new(line, column, text),
            _ => Self::new(fallback.0, fallback.1, text),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        f.write_str(&self.message)
    }
}
