//! A note: a line of text in a file of its own, made once and never changed, with its checksum in a second line
//! (`crc32c XXXXXXXX`, over the first with its line end). It must not know what the line means.

use thalweg_core::{Error, Result};

use crate::{Disk, NewFile, durable_publish};

/// The line of the note `name` in the root of `disk`, if there is such a file.
///
/// # Errors
/// It cannot be read, or is not as it was written.
pub fn read_note(disk: &dyn Disk, name: &str) -> Result<Option<String>> {
    if !disk.exists(name)? {
        return Ok(None);
    }
    decode(&disk.read(name)?).map(Some).map_err(|what| {
        let message = format!("{}: damaged at byte 0: {what}", disk.locate(name).display());
        Error::invalid_with_hint(message, "Put the file back from a copy of the data directory.")
    })
}

/// Makes the note `name` durable.
///
/// # Errors
/// There is one, or the disk refuses.
pub fn make_note(disk: &dyn Disk, name: &str, line: &str) -> Result<()> {
    Ok(durable_publish(disk, &[], NewFile { path: name, bytes: encode(line).as_bytes() })?)
}

fn encode(line: &str) -> String {
    let line = format!("{line}\n");
    let sum = sum(line.as_bytes());
    line + &sum
}

fn sum(line: &[u8]) -> String {
    format!("crc32c {:08x}\n", crc32c::crc32c(line))
}

fn decode(bytes: &[u8]) -> Result<String, String> {
    let end = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
    let (line, found) = bytes.split_at(end);
    let expected = sum(line);
    match std::str::from_utf8(line) {
        Ok(line) if expected.as_bytes() == found => Ok(line.trim_end_matches('\n').to_owned()),
        _ => Err(format!("its line asks for {}, found {:?}", expected.trim_end(), String::from_utf8_lossy(found))),
    }
}

#[cfg(test)]
mod tests {
    use crate::SimDisk;

    use super::*;

    #[test]
    fn a_note_reads_back_or_is_refused() {
        let disk = SimDisk::new();
        assert_eq!(read_note(&disk, "n").expect("none"), None);
        make_note(&disk, "n", "some words").expect("made");
        assert_eq!(read_note(&disk, "n").expect("whole").as_deref(), Some("some words"));
        assert!(make_note(&disk, "n", "others").is_err(), "it is made once");
        let whole = encode("some words").into_bytes();
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "cut at {length}");
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes).is_err(), "bit {bit}");
        }
    }
}
