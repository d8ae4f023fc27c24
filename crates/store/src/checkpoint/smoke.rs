//! Hostile bytes as a manifest. It must not know any fuzzer.

use super::{Manifest, load, piece};

/// As they are, and as the line of a manifest with the right checksum and name.
pub(crate) fn read_manifest(bytes: &[u8]) {
    drop(Manifest::decode("00000000000000000001-0000000001.manifest", bytes));
    let mut line = bytes.to_vec();
    line.retain(|b| *b != b'\n');
    line.push(b'\n');
    let crc = crc32c::crc32c(&line);
    line.extend(format!("crc32c {crc:08x}\n").bytes());
    let number = |key: &str| {
        let value: Option<serde_json::Value> =
            line.split(|b| *b == b'\n').next().and_then(|l| serde_json::from_slice(l).ok());
        value.and_then(|v| v.get(key)?.as_u64()).unwrap_or(1)
    };
    let name = Manifest::name(number("epoch"), number("incarnation"));
    let Ok(manifest) = Manifest::decode(&name, &line) else { return };
    let again = manifest.encode().expect("it has a written form");
    assert_eq!(Manifest::decode(&name, &again).expect("what was written is read"), manifest);
    assert_eq!(Manifest::epoch_of(&name), Some(manifest.epoch));
    // What it says of files that are not there, or shorter, is refused.
    assert!(manifest.jobs.values().all(|job| job.bytes() <= manifest.bytes()));
    for part in manifest.jobs.values().flat_map(|job| &job.parts) {
        drop(piece(bytes, 0, part));
    }
    drop(load::spans(&manifest));
}
