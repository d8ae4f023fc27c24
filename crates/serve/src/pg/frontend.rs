//! What clients send after start-up, read out of one framed message. Every byte is checked: a body that is too short,
//! too long or not UTF-8 is an error, never a panic. It must not know sockets or sessions.
//!
//! `pgwire` has these messages too, but reads past a body that is too short and replaces bytes that are not UTF-8; what
//! strangers send is therefore read here.

use bytes::{Buf, Bytes};
use thalweg_core::{SqlError, SqlState};

use super::failure::violation;

/// A message of the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frontend {
    Query(String),
    Parse { name: String, text: String, types: Vec<u32> },
    Bind(Bind),
    Describe(Target),
    Close(Target),
    Execute { portal: String, max_rows: usize },
    Flush,
    Sync,
    FunctionCall,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
    Terminate,
}

/// Makes a portal of a statement and parameters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) portal: String,
    pub(crate) statement: String,
    pub(crate) parameter_formats: Vec<Format>,
    pub(crate) parameters: Vec<Option<Bytes>>,
    pub(crate) result_formats: Vec<Format>,
}

/// What Describe and Close are about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Statement(String),
    Portal(String),
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

impl Format {
    /// The format of value `index`: `codes` has none (all text), one for all, or one each.
    pub(crate) fn of(codes: &[Self], index: usize) -> Self {
        match codes {
            [] => Self::Text,
            [one] => *one,
            each => each.get(index).copied().unwrap_or(Self::Text),
        }
    }

    fn from_code(code: i16) -> Result<Self, SqlError> {
        match code {
            0 => Ok(Self::Text),
            1 => Ok(Self::Binary),
            other => Err(violation(format!("unsupported format code: {other}"))),
        }
    }
}

/// Whether a message of this kind may be long; the others are limited to 10,000 bytes, as PostgreSQL does. `None`: no
/// such message.
pub(crate) fn may_be_long(kind: u8) -> Option<bool> {
    match kind {
        b'Q' | b'P' | b'B' | b'd' | b'F' => Some(true),
        b'D' | b'C' | b'E' | b'H' | b'S' | b'c' | b'f' | b'X' | b'p' => Some(false),
        _ => None,
    }
}

impl Frontend {
    /// Reads the body of a message of kind `kind`.
    pub(crate) fn decode(kind: u8, body: Bytes) -> Result<Self, SqlError> {
        let mut body = Body(body);
        let message = match kind {
            b'Q' => Self::Query(body.text()?),
            b'P' => {
                let (name, text) = (body.text()?, body.text()?);
                Self::Parse { name, text, types: body.list(Body::u32)? }
            }
            b'B' => Self::Bind(Bind {
                portal: body.text()?,
                statement: body.text()?,
                parameter_formats: body.list(|b| Format::from_code(b.i16()?))?,
                parameters: body.list(Body::value)?,
                result_formats: body.list(|b| Format::from_code(b.i16()?))?,
            }),
            b'D' => Self::Describe(body.target()?),
            b'C' => Self::Close(body.target()?),
            // Zero and below mean "all rows".
            b'E' => Self::Execute { portal: body.text()?, max_rows: usize::try_from(body.i32()?).unwrap_or(0) },
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'd' => Self::CopyData(std::mem::take(&mut body.0)),
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail(body.text()?),
            b'X' => Self::Terminate,
            b'F' => {
                body.0.clear();
                Self::FunctionCall
            }
            other => return Err(violation(format!("invalid frontend message type {other}"))),
        };
        if body.0.is_empty() { Ok(message) } else { Err(violation("invalid message format")) }
    }
}

/// The rest of a message's body.
struct Body(Bytes);

impl Body {
    fn need(&self, bytes: usize) -> Result<(), SqlError> {
        if self.0.len() < bytes { Err(violation("insufficient data left in message")) } else { Ok(()) }
    }

    fn i16(&mut self) -> Result<i16, SqlError> {
        self.need(2)?;
        Ok(self.0.get_i16())
    }

    fn i32(&mut self) -> Result<i32, SqlError> {
        self.need(4)?;
        Ok(self.0.get_i32())
    }

    fn u32(&mut self) -> Result<u32, SqlError> {
        self.need(4)?;
        Ok(self.0.get_u32())
    }

    fn text(&mut self) -> Result<String, SqlError> {
        let end = self.0.iter().position(|b| *b == 0).ok_or_else(|| violation("invalid string in message"))?;
        let text = self.0.split_to(end);
        self.0.advance(1);
        utf8(&text).map(str::to_owned)
    }

    fn value(&mut self) -> Result<Option<Bytes>, SqlError> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| violation("invalid argument size in bind message"))?;
                self.need(length)?;
                Ok(Some(self.0.split_to(length)))
            }
        }
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, SqlError>) -> Result<Vec<T>, SqlError> {
        let count = self.i16()?.cast_unsigned();
        // No more than the body can hold: a count alone must not reserve memory.
        let mut items = Vec::with_capacity(usize::from(count).min(self.0.len()));
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn target(&mut self) -> Result<Target, SqlError> {
        self.need(1)?;
        match self.0.get_u8() {
            b'S' => Ok(Target::Statement(self.text()?)),
            b'P' => Ok(Target::Portal(self.text()?)),
            other => Err(violation(format!("invalid message subtype {other}"))),
        }
    }
}

/// Text as a client sent it.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, SqlError> {
    std::str::from_utf8(bytes).map_err(|e| {
        let bad = bytes.get(e.valid_up_to()).copied().unwrap_or_default();
        let message = format!("invalid byte sequence for encoding \"UTF8\": 0x{bad:02x}");
        SqlError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bind_is_read_and_every_shortened_bind_is_refused() {
        let body = b"p\0s\0\x00\x01\x00\x01\x00\x02\x00\x00\x00\x02ab\xff\xff\xff\xff\x00\x01\x00\x01";
        let bind = Bind {
            portal: "p".into(),
            statement: "s".into(),
            parameter_formats: vec![Format::Binary],
            parameters: vec![Some(Bytes::from_static(b"ab")), None],
            result_formats: vec![Format::Binary],
        };
        assert_eq!(Frontend::decode(b'B', Bytes::from_static(body)), Ok(Frontend::Bind(bind)));
        for length in 0..body.len() {
            let cut = Frontend::decode(b'B', Bytes::copy_from_slice(&body[..length]));
            assert_eq!(cut.expect_err("too short").state, SqlState::PROTOCOL_VIOLATION, "{length}");
        }
    }

    #[test]
    fn bytes_behind_a_body_and_bad_text_are_refused() {
        assert!(Frontend::decode(b'Q', Bytes::from_static(b"select 1\0x")).is_err());
        assert!(Frontend::decode(b'Q', Bytes::from_static(b"select 1")).is_err());
        let bad = Frontend::decode(b'Q', Bytes::from_static(b"select '\xff'\0")).expect_err("not UTF-8");
        assert_eq!(bad.state, SqlState::CHARACTER_NOT_IN_REPERTOIRE);
        assert!(Frontend::decode(b'D', Bytes::from_static(b"Xname\0")).is_err());
    }

    proptest! {
        #[test]
        fn no_body_panics(kind in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Frontend::decode(kind, body.into());
        }
    }
}
