//! `Records`: the records in the bytes of a log, as far as they are whole. It must not decide what damage means.

use thalweg_core::{Error, Result};

const HEADER_BYTES: usize = 8;
/// A record's content at most (1 GiB): a longer length is damage.
const MAX_RECORD_BYTES: usize = 1 << 30;

/// What is in the bytes of a log.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// The whole ones from the beginning on.
    pub records: Vec<Vec<u8>>,
    /// Where they end.
    pub end: usize,
    /// What was expected and what was found behind that, if anything is there.
    pub broken: Option<String>,
}

/// A record at the beginning of some bytes, or why there is none.
enum At<'a> {
    Record(&'a [u8]),
    Short { need: usize },
    Checksum { expected: u32, found: u32 },
}

impl Records {
    /// Those of `bytes` from `at` on.
    pub fn of(bytes: &[u8], at: usize) -> Self {
        let mut all = Self { end: at, ..Self::default() };
        while let Some(rest) = bytes.get(all.end..).filter(|rest| !rest.is_empty()) {
            let what = match at_start(rest) {
                At::Record(content) => {
                    all.records.push(content.to_vec());
                    all.end += HEADER_BYTES + content.len();
                    continue;
                }
                At::Short { need } => format!("a record of {need} bytes is expected, {} are there", rest.len()),
                At::Checksum { expected, found } => format!("expected checksum {expected:08x}, found {found:08x}"),
            };
            all.broken = Some(what);
            break;
        }
        all
    }
}

/// A whole record is somewhere behind the broken one at the beginning of `bytes`. The length of that may be what is
/// damaged: the next may begin anywhere.
pub(super) fn is_followed(bytes: &[u8]) -> bool {
    (1..bytes.len()).any(|at| matches!(at_start(&bytes[at..]), At::Record(_)))
}

fn at_start(bytes: &[u8]) -> At<'_> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return At::Short { need: HEADER_BYTES };
    };
    let word = |i: usize| u32::from_le_bytes(header[i..i + 4].try_into().expect("four bytes"));
    let (length, expected) = (word(0), word(4));
    let Some(content) = rest.get(..length as usize) else {
        return At::Short { need: HEADER_BYTES.saturating_add(length as usize) };
    };
    match checksum(length, content) {
        found if found == expected => At::Record(content),
        found => At::Checksum { expected, found },
    }
}

/// A record as it is written.
///
/// # Errors
/// It is too long.
pub(super) fn encode(content: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(content.len()).ok().filter(|n| *n as usize <= MAX_RECORD_BYTES);
    let length = length.ok_or_else(|| Error::invalid("a record of more than 1 GiB"))?;
    let mut record = Vec::with_capacity(HEADER_BYTES + content.len());
    record.extend(length.to_le_bytes());
    record.extend(checksum(length, content).to_le_bytes());
    record.extend(content);
    Ok(record)
}

fn checksum(length: u32, content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), content)
}
