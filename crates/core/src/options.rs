//! `Options`: the `WITH (key = 'value')` of a statement, read by type, every key accounted for.
//! It must not know which options exist; each connector names its own.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::{Error, Result};

/// The options of one statement. Each `take_*` removes its key; [`Options::finish`] refuses what is left over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    values: BTreeMap<String, String>,
    asked: BTreeSet<String>,
}

impl Options {
    /// From pairs; keys are compared in lower case.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: pairs.into_iter().map(|(k, v)| (k.to_lowercase(), v)).collect(), asked: BTreeSet::new() }
    }

    /// The value of `key`, if given.
    pub fn take(&mut self, key: &str) -> Option<String> {
        self.asked.insert(key.to_owned());
        self.values.remove(key)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// The option is missing.
    pub fn require(&mut self, key: &str, example: &str) -> Result<String> {
        self.take(key).ok_or_else(|| {
            Error::invalid_with_hint(format!("option {key} is required"), format!("Add {key} = '{example}'."))
        })
    }

    /// The value of `key` as a `T`, or `default`.
    ///
    /// # Errors
    /// The value does not read as a `T`; `expected` says what would.
    pub fn parse<T: FromStr>(&mut self, key: &str, default: T, expected: &str) -> Result<T> {
        Ok(self.parse_opt(key, expected)?.unwrap_or(default))
    }

    /// The value of `key` as a `T`, if given.
    ///
    /// # Errors
    /// The value does not read as a `T`; `expected` says what would.
    pub fn parse_opt<T: FromStr>(&mut self, key: &str, expected: &str) -> Result<Option<T>> {
        match self.take(key) {
            None => Ok(None),
            Some(text) => match text.trim().parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(Error::invalid(format!("option {key} = '{text}' is not {expected}"))),
            },
        }
    }

    /// One of `choices` (compared in lower case), or `default`.
    ///
    /// # Errors
    /// Another value; the message names the nearest choice.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)], default: T) -> Result<T> {
        let Some(text) = self.take(key) else { return Ok(default) };
        let wanted = text.trim().to_lowercase();
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == wanted) {
            return Ok(*value);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let hint = match nearest(&wanted, names.iter().copied()) {
            Some(name) => format!("Did you mean '{name}'? Choices: {}.", names.join(", ")),
            None => format!("Choices: {}.", names.join(", ")),
        };
        Err(Error::invalid_with_hint(format!("option {key} = '{text}' is not known"), hint))
    }

    /// Refuses options that nothing asked for, naming the nearest that exists.
    ///
    /// # Errors
    /// An option is left over.
    pub fn finish(self) -> Result<()> {
        let Some(key) = self.values.keys().next() else { return Ok(()) };
        let known = self.asked.iter().map(String::as_str);
        let hint = match nearest(key, known.clone()) {
            Some(name) => format!("Did you mean {name}?"),
            None => format!("Known options: {}.", known.collect::<Vec<_>>().join(", ")),
        };
        Err(Error::invalid_with_hint(format!("unknown option {key}"), hint))
    }
}

/// The nearest of `candidates` to `word`, if it is near enough to be a slip of the finger.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (strsim::jaro_winkler(word, c), c))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Options {
        Options::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn a_misspelt_option_is_refused_with_the_nearest_name() {
        let mut o = options(&[("formt", "json")]);
        assert_eq!(o.take("format"), None);
        let message = o.finish().expect_err("formt is unknown").to_string();
        assert!(message.contains("unknown option formt") && message.contains("Did you mean format?"), "{message}");
    }

    #[test]
    fn a_value_of_the_wrong_type_says_what_would_be_right() {
        let mut o = options(&[("rows", "many")]);
        let message = o.parse::<u64>("rows", 1, "a number of rows").expect_err("not a number").to_string();
        assert_eq!(message, "option rows = 'many' is not a number of rows");
    }
}
