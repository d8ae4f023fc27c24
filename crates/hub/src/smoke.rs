//! What the fuzz targets and the smoke test call: hostile bytes as files of a hub, held to what reading them promises. It
//! must not know any fuzzer.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_disk::{NewFile, SimDisk, durable_folder, durable_publish};

use crate::batch::CRC_AT;
use crate::manifest::{Manifest, TopicEntry, file, marks_file};
use crate::topic::{partition, segment};
use crate::{Batch, Encoding, Hub, HubError, TopicOptions, Visibility, encode};

/// Reads `bytes` as a record batch, as they are and with the right checksum: records that are read are read again from
/// a batch that is made of them.
///
/// # Panics
/// A promise is broken.
pub fn batch(bytes: &[u8]) {
    drop(Batch::parse(&Bytes::copy_from_slice(bytes)).map(|batch| batch.records()));
    let mut bytes = bytes.to_vec();
    if bytes.len() < CRC_AT + 4 {
        return;
    }
    // With the length and the checksum that it should have, more of it is looked at.
    let length = i32::try_from(bytes.len() - 12).expect("inputs are small");
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[CRC_AT - 1] = 2;
    let crc = crc32c::crc32c(&bytes[CRC_AT + 4..]);
    bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    let Ok(batch) = Batch::parse(&bytes.into()) else { return };
    let Ok(records) = batch.records() else { return };
    let records: Vec<_> = records.into_iter().map(|(_, record)| record).collect();
    if let Ok(made) = encode(&records, &Encoding::default()) {
        let again = Batch::parse(&made.into()).and_then(|batch| batch.records()).expect("what was made is read");
        assert_eq!(again.into_iter().map(|(_, record)| record).collect::<Vec<_>>(), records);
    }
}

/// Reads `bytes` as a manifest, with and without the right checksum behind them: what is read says the same when it is
/// written again, and a hub opens with it or names the file.
///
/// # Panics
/// A promise is broken.
pub fn manifest(bytes: &[u8]) {
    for is_sealed in [false, true] {
        let disk = SimDisk::new();
        let mut content = bytes.to_vec();
        if is_sealed {
            content.extend(crc32c::crc32c(bytes).to_be_bytes());
        }
        put(&disk, &file(1), &content);
        if let Ok(manifest) = Manifest::read(&disk, 1) {
            let again = SimDisk::new();
            put(&again, &file(1), &manifest.encode());
            assert_eq!(Manifest::read(&again, 1).expect("what was written is read"), manifest);
        }
        open(disk);
    }
}

/// Reads `bytes` as a segment whose first part was durable, and marks about it: a hub opens, or names the file; what it
/// holds can be read.
///
/// # Panics
/// A promise is broken.
pub fn segment_and_marks(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let (marks, bytes) = bytes.split_at(usize::from(*first).min(bytes.len()));
    for marks in [&[], marks] {
        let disk = SimDisk::new();
        let (name, id) = ("t".to_owned(), 1);
        let folder = partition(&name, id);
        durable_folder(&disk, &folder).expect("there is room");
        put(&disk, &segment(&folder, 0), bytes);
        let options = TopicOptions::default();
        let topics = vec![TopicEntry { id, name, options, start: 0, durable: 0, closed: Vec::new() }];
        put(&disk, &file(1), &Manifest { number: 1, next_topic: 2, next_transaction: 1, topics }.encode());
        put(&disk, &marks_file(1), marks);
        open(disk);
    }
}

fn open(disk: SimDisk) {
    let hub = match Hub::open_stepped(Arc::new(disk)) {
        Ok((hub, _)) => hub,
        Err(HubError::Damaged { .. } | HubError::Disk(_)) => return,
        Err(other) => panic!("{other}"),
    };
    for topic in ["t", "a"] {
        let Ok(mut at) = hub.start_offset(topic) else { continue };
        while let Ok(batches) = hub.read(topic, at, 1 << 16, Visibility::Durable) {
            let Some(last) = batches.last() else { break };
            assert!(last.end_offset() > at, "reading goes on");
            at = last.end_offset();
            batches.iter().for_each(|batch| drop(batch.records()));
        }
    }
}

fn put(disk: &SimDisk, path: &str, bytes: &[u8]) {
    durable_publish(disk, &[], NewFile { path, bytes }).expect("there is room");
}
