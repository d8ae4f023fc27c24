//! The start-up message: who, which database, which settings. It must not know sockets or what settings mean.

use thalweg_core::{SqlError, SqlState};

use super::failure::violation;

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Startup {
    /// The minor version of protocol 3 that is spoken: 0 or 2.
    pub(crate) minor: u16,
    /// The client must be told what is spoken, and which protocol options are not known.
    pub(crate) negotiate: Option<Vec<String>>,
    pub(crate) user: String,
    pub(crate) database: String,
    /// `options` cut into pairs, then the others in the order given.
    pub(crate) settings: Vec<(String, String)>,
}

/// The newest minor version that we speak.
pub(crate) const NEWEST_MINOR: u16 = 2;

impl Startup {
    /// Reads the message from its version number on.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, SqlError> {
        let Some(([m0, m1, n0, n1], body)) = body.split_first_chunk() else {
            return Err(violation("invalid length of startup packet"));
        };
        let (major, minor) = (u16::from_be_bytes([*m0, *m1]), u16::from_be_bytes([*n0, *n1]));
        if major != 3 {
            let message =
                format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{NEWEST_MINOR}");
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let mut options = Vec::new();
        let (mut user, mut database) = (None, None);
        let (mut settings, mut others) = (Vec::new(), Vec::new());
        for (name, value) in pairs(body)? {
            match name {
                "user" => user = Some(value),
                "database" => database = Some(value),
                "options" => settings.extend(cut_options(value)?),
                "replication" => refuse_replication(value)?,
                _ if name.starts_with("_pq_.") => options.push(name.to_owned()),
                _ => others.push((name.to_owned(), value.to_owned())),
            }
        }
        settings.extend(others);
        let user = user.filter(|user| !user.is_empty()).ok_or_else(|| {
            SqlError::new(SqlState::INVALID_AUTHORIZATION, "no PostgreSQL user name specified in startup packet")
        })?;
        Ok(Self {
            minor: minor.min(NEWEST_MINOR),
            negotiate: (minor > NEWEST_MINOR || !options.is_empty()).then_some(options),
            user: user.to_owned(),
            database: database.filter(|d| !d.is_empty()).unwrap_or(user).to_owned(),
            settings,
        })
    }
}

/// Names and values, each ended by a NUL, and one more NUL at the end.
fn pairs(mut body: &[u8]) -> Result<Vec<(&str, &str)>, SqlError> {
    let mut pairs = Vec::new();
    loop {
        let name = text(&mut body)?;
        if name.is_empty() {
            break;
        }
        pairs.push((name, text(&mut body)?));
    }
    if body.is_empty() {
        Ok(pairs)
    } else {
        Err(violation("invalid startup packet layout: expected terminator as last byte"))
    }
}

fn text<'a>(body: &mut &'a [u8]) -> Result<&'a str, SqlError> {
    let end = body.iter().position(|b| *b == 0).ok_or_else(|| violation("invalid startup packet layout"))?;
    let (text, rest) = body.split_at(end);
    *body = &rest[1..];
    std::str::from_utf8(text)
        .map_err(|_| SqlError::new(SqlState::INVALID_AUTHORIZATION, "the start-up message is not valid UTF-8"))
}

fn refuse_replication(value: &str) -> Result<(), SqlError> {
    if ["0", "f", "false", "n", "no", "off"].contains(&value.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "replication connections are not supported")
        .hint("Read changes with SUBSCRIBE or a sink."))
}

/// `-c name=value`, `-cname=value` and `--name=value`; a backslash keeps the space or backslash after it.
fn cut_options(options: &str) -> Result<Vec<(String, String)>, SqlError> {
    let wrong = |word: &str| {
        let message = format!("invalid command-line argument for server process: {word}");
        SqlError::new(SqlState::SYNTAX_ERROR, message).hint("Write -c name=value or --name=value.")
    };
    let mut settings = Vec::new();
    let mut words = words(options).into_iter();
    while let Some(word) = words.next() {
        let pair = match word.as_str() {
            "-c" => words.next().ok_or_else(|| wrong(&word))?,
            other => other.strip_prefix("-c").or(other.strip_prefix("--")).ok_or_else(|| wrong(&word))?.to_owned(),
        };
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong(&pair))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            c if c.is_ascii_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(minor: u8, pairs: &[&str]) -> Vec<u8> {
        let mut body = vec![0, 3, 0, minor];
        for text in pairs {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        body
    }

    fn setting(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn settings_keep_their_order_and_options_are_cut() {
        let options = r"-c search_path=a\ b,c  -cwork-mem=1\\ --geqo=off";
        let body = message(0, &["user", "ann", "TimeZone", "UTC", "options", options, "application_name", "x"]);
        let startup = Startup::decode(&body).expect("a good message");
        assert_eq!((startup.user.as_str(), startup.database.as_str()), ("ann", "ann"));
        assert_eq!(startup.negotiate, None);
        let expected = [
            setting("search_path", "a b,c"),
            setting("work_mem", r"1\"),
            setting("geqo", "off"),
            setting("TimeZone", "UTC"),
            setting("application_name", "x"),
        ];
        assert_eq!(startup.settings, expected);
    }

    #[test]
    fn a_newer_minor_version_and_unknown_protocol_options_are_negotiated() {
        let startup = Startup::decode(&message(9, &["user", "ann", "_pq_.x", "1"])).expect("a good message");
        assert_eq!((startup.minor, startup.negotiate), (2, Some(vec!["_pq_.x".to_owned()])));
        assert_eq!(Startup::decode(&message(2, &["user", "ann"])).expect("3.2").negotiate, None);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let state = |body: &[u8]| Startup::decode(body).expect_err("refused").state;
        assert_eq!(state(&message(0, &["user", ""])), SqlState::INVALID_AUTHORIZATION);
        assert_eq!(state(&message(0, &["database", "d"])), SqlState::INVALID_AUTHORIZATION);
        assert_eq!(state(&message(0, &["user", "a", "replication", "database"])), SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(state(&message(0, &["user", "a", "options", "-x"])), SqlState::SYNTAX_ERROR);
        assert_eq!(state(b"\0\x03\0\0user\0thalweg\xff\0\0"), SqlState::INVALID_AUTHORIZATION);
        assert_eq!(state(b"\0\x02\0\0"), SqlState::FEATURE_NOT_SUPPORTED);
        assert_eq!(state(b"\0\x03\0\0user\0a"), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(state(b"\0\x03\0\0user\0a\0\0x"), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(state(b"\0\x03"), SqlState::PROTOCOL_VIOLATION);
    }

    proptest! {
        #[test]
        fn no_message_panics(body in proptest::collection::vec(any::<u8>(), 0..64), options in ".{0,40}") {
            let _ = Startup::decode(&body);
            let _ = cut_options(&options);
        }
    }
}
