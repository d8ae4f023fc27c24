//! `Options`: the `WITH (key = 'value')` of a statement, read by type, every key accounted for.
//! It must not know which options exist; each connector names its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::{Error, Result, Secret};

/// The value of an option as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// Itself.
    Plain(String),
    /// `SECRET name`: what the secret of this name holds.
    Secret(String),
}

/// The options of one statement. Each `take_*` removes its key; [`Options::finish`] refuses what is left over.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    values: BTreeMap<String, String>,
    /// Keys whose values are the names of secrets still.
    references: BTreeMap<String, String>,
    /// Keys whose values are never printed.
    secret: BTreeSet<String>,
    asked: BTreeSet<String>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |key: &String| if self.secret.contains(key) { Secret::MASK } else { &self.values[key] };
        f.debug_map().entries(self.values.keys().map(|key| (key, shown(key)))).finish()
    }
}

impl Options {
    /// From pairs; keys are compared in lower case.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: pairs.into_iter().map(|(k, v)| (k.to_lowercase(), v)).collect(), ..Self::default() }
    }

    /// From pairs as they are written; keys are compared in lower case.
    pub fn written(pairs: impl IntoIterator<Item = (String, OptionValue)>) -> Self {
        let mut options = Self::default();
        for (key, value) in pairs {
            let key = key.to_lowercase();
            match value {
                OptionValue::Plain(text) => drop(options.values.insert(key, text)),
                OptionValue::Secret(name) => drop(options.references.insert(key, name)),
            }
        }
        options
    }

    /// The keys whose values are secrets, and the secrets' names.
    pub fn references(&self) -> impl Iterator<Item = (&str, &str)> {
        self.references.iter().map(|(key, name)| (key.as_str(), name.as_str()))
    }

    /// Gives `key` the value of the secret that it refers to.
    pub fn resolve(&mut self, key: &str, value: &Secret) {
        self.references.remove(key);
        self.secret.insert(key.to_owned());
        self.values.insert(key.to_owned(), value.reveal().to_owned());
    }

    /// Takes over what `others` has and this has not.
    pub fn default_to(&mut self, others: &Self) {
        for (key, value) in &others.values {
            if self.references.contains_key(key) || self.values.contains_key(key) {
                continue;
            }
            self.values.insert(key.clone(), value.clone());
            if others.secret.contains(key) {
                self.secret.insert(key.clone());
            }
        }
    }

    /// The value of `key`, if given.
    pub fn take(&mut self, key: &str) -> Option<String> {
        self.asked.insert(key.to_owned());
        self.values.remove(key)
    }

    /// All that begin with `prefix`, without it, in the order of their names.
    pub fn take_prefixed(&mut self, prefix: &str) -> Vec<(String, String)> {
        let keys: Vec<String> = self.values.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        let take = |key: String| Some((key[prefix.len()..].to_owned(), self.take(&key)?));
        keys.into_iter().filter_map(take).collect()
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
                Err(_) => {
                    let shown = if self.secret.contains(key) { Secret::MASK } else { &text };
                    Err(Error::invalid(format!("option {key} = '{shown}' is not {expected}")))
                }
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
        let shown = if self.secret.contains(key) { Secret::MASK } else { &text };
        Err(Error::invalid_with_hint(format!("option {key} = '{shown}' is not known"), hint))
    }

    /// Refuses options that nothing asked for, naming the nearest that exists.
    ///
    /// # Errors
    /// An option is left over.
    pub fn finish(self) -> Result<()> {
        if let Some((key, name)) = self.references.first_key_value() {
            let message = format!("option {key} refers to the secret {name}, which is not known here");
            return Err(Error::invalid_with_hint(message, "Secrets are kept by a server: CREATE SECRET … AS '…'."));
        }
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
    fn secrets_are_never_printed() {
        let secret = OptionValue::Secret("s".to_owned());
        let mut o =
            Options::written([("Rows".to_owned(), secret), ("a".to_owned(), OptionValue::Plain("b".to_owned()))]);
        assert_eq!(o.references().collect::<Vec<_>>(), [("rows", "s")]);
        assert!(o.clone().finish().expect_err("not resolved").to_string().contains("secret s"));
        o.resolve("rows", &Secret::new("canary"));
        assert_eq!(format!("{o:?}"), r#"{"a": "b", "rows": "***"}"#);
        let message = o.parse::<u64>("rows", 1, "a number").expect_err("not a number").to_string();
        assert!(!message.contains("canary") && message.contains("***"), "{message}");
    }

    #[test]
    fn options_of_one_prefix_are_taken_together() {
        let mut o = options(&[("header.b", "2"), ("Header.A", "1"), ("headers", "3")]);
        let taken = o.take_prefixed("header.");
        assert_eq!(taken, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        assert!(o.finish().expect_err("headers is left").to_string().contains("unknown option headers"));
    }

    #[test]
    fn what_is_given_goes_before_what_is_taken_over() {
        let mut o = options(&[("a", "1")]);
        o.default_to(&options(&[("a", "2"), ("b", "3")]));
        assert_eq!((o.take("a").as_deref(), o.take("b").as_deref()), (Some("1"), Some("3")));
    }

    #[test]
    fn a_value_of_the_wrong_type_says_what_would_be_right() {
        let mut o = options(&[("rows", "many")]);
        let message = o.parse::<u64>("rows", 1, "a number of rows").expect_err("not a number").to_string();
        assert_eq!(message, "option rows = 'many' is not a number of rows");
    }
}
