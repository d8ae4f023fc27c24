//! What the fuzz targets and the smoke test call: hostile bytes as files that this room reads, held to what reading them
//! promises. It must not know any fuzzer.

use thalweg_disk::{Disk, NewFile, SimDisk, durable_publish, read_note};

use crate::checkpoint::smoke::read_manifest;
use crate::log::Log;

/// Reads `bytes` as a log, with marks and without: it opens or is refused, and what opens goes on.
///
/// # Panics
/// A promise is broken.
pub fn log(bytes: &[u8]) {
    // The first byte says how much of it are marks.
    let Some((first, bytes)) = bytes.split_first() else { return };
    let (marks, bytes) = bytes.split_at(usize::from(*first).min(bytes.len()));
    for (with_marks, with_magic) in [(false, false), (false, true), (true, true)] {
        let disk = SimDisk::new();
        let whole = if with_magic { [b"thlwglg1", bytes].concat() } else { bytes.to_vec() };
        put(&disk, "log", &whole);
        if with_marks {
            put(&disk, "log.marks", marks);
        }
        let Ok((mut log, found)) = Log::open(&disk, "log") else {
            assert_eq!(disk.read("log").expect("there"), whole, "what is refused stays as it was");
            continue;
        };
        log.write(b"next").expect("there is room");
        let (_, again) = Log::open(&disk, "log").expect("what was written opens");
        assert_eq!(again.cut_bytes, 0);
        let (next, before) = again.records.split_last().expect("it was written");
        assert_eq!((next.as_slice(), before), (&b"next"[..], found.records.as_slice()));
    }
}

/// Reads `bytes` as a checkpoint's manifest, as they are and with the right checksum behind them: what is read says the
/// same when it is written again.
///
/// # Panics
/// A promise is broken.
pub fn manifest(bytes: &[u8]) {
    read_manifest(bytes);
}

/// Reads `bytes` as a note.
///
/// # Panics
/// A promise is broken.
pub fn note(bytes: &[u8]) {
    let disk = SimDisk::new();
    put(&disk, "note", bytes);
    drop(read_note(&disk, "note"));
}

fn put(disk: &SimDisk, path: &str, bytes: &[u8]) {
    durable_publish(disk, &[], NewFile { path, bytes }).expect("there is room");
}
