//! Files that are not as they were written: refused with file and place, or harmless; never a wrong record.

use std::sync::Arc;

use thalweg_disk::{Disk, Rng, SimDisk};

use super::{all, open, record};
use crate::{Append, Compression, Hub, HubError, TopicOptions, Visibility};

const TOPICS: [&str; 3] = ["a", "b", "c"];

/// Damages of the default run.
const DAMAGES: u64 = 4_000;

/// All durable records.
type Records = Vec<Vec<(u64, String)>>;

/// A disk with some of everything. Without an orderly end the marks alone say what was durable, and something follows
/// that was not acknowledged.
fn golden(is_closed: bool) -> (SimDisk, Records) {
    let disk = SimDisk::new();
    let hub = open(&disk);
    for (topic, compression) in TOPICS.into_iter().zip([Compression::None, Compression::Lz4, Compression::Zstd]) {
        hub.create_topic(topic, TopicOptions { compression, segment_bytes: 1_500, ..TopicOptions::default() })
            .expect("new");
    }
    let mut rng = Rng::new(5);
    let mut send = |hub: &Hub| {
        let records = [record(0, "v".repeat(rng.below(300))), record(0, format!("{}", rng.next_u64()))];
        let first = rng.below(3);
        let count = 1 + rng.below(3);
        let appends = (0..count).map(|i| Append { topic: TOPICS[(first + i) % 3], records: &records });
        hub.append(&appends.collect::<Vec<_>>()).expect("taken").ticket
    };
    for _ in 0..60 {
        let ticket = send(&hub);
        hub.wait(ticket).expect("durable");
    }
    hub.delete_before("b", 30).expect("well");
    for _ in 0..5 {
        let ticket = send(&hub);
        hub.wait(ticket).expect("durable");
    }
    let records = TOPICS.iter().map(|topic| all(&hub, topic, Visibility::Durable)).collect();
    if is_closed {
        hub.close().expect("closed");
    } else {
        send(&hub);
        // The process is killed.
        drop(hub);
    }
    (disk, records)
}

fn files(disk: &SimDisk, folder: &str, found: &mut Vec<String>) {
    for entry in disk.list(folder).expect("a folder") {
        let path = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
        if entry.is_folder {
            files(disk, &path, found);
        } else {
            found.push(path);
        }
    }
}

/// Gives a file other bytes.
fn write(disk: &SimDisk, path: &str, bytes: &[u8]) {
    disk.remove(path).expect("there");
    disk.create(path).and_then(|file| file.append(bytes)).expect("room");
}

/// Does some damage; says what.
fn damage(disk: &SimDisk, rng: &mut Rng) -> String {
    let mut paths = Vec::new();
    files(disk, "", &mut paths);
    paths.retain(|path| disk.size(path).expect("there") > 0);
    let path = &paths[rng.below(paths.len())];
    let mut bytes = disk.read(path).expect("there");
    let at = rng.below(bytes.len());
    match rng.below(20) {
        0..=9 => {
            bytes[at] ^= 1 << rng.below(8);
            write(disk, path, &bytes);
            format!("bit flipped at {at} of {path}")
        }
        10..=15 => {
            write(disk, path, &bytes[..at]);
            format!("{path} cut at {at}")
        }
        16..=17 => {
            let to = (at + 512).min(bytes.len());
            bytes[at..to].fill(0);
            write(disk, path, &bytes);
            format!("{path} zeroed from {at} to {to}")
        }
        18 => {
            disk.remove(path).expect("there");
            format!("{path} removed")
        }
        _ => {
            let other = &paths[rng.below(paths.len())];
            let theirs = disk.read(other).expect("there");
            write(disk, other, &bytes);
            write(disk, path, &theirs);
            format!("{path} and {other} swapped")
        }
    }
}

/// What reading a damaged disk gives.
fn read(disk: SimDisk) -> Result<Records, HubError> {
    let (hub, _) = Hub::open_stepped(Arc::new(disk))?;
    let mut records = Vec::new();
    for topic in TOPICS {
        let (mut next, mut found) = (hub.start_offset(topic)?, Vec::new());
        loop {
            let batches = hub.read(topic, next, 700, Visibility::Durable)?;
            let Some(last) = batches.last() else { break };
            next = last.end_offset();
            for (offset, record) in batches.iter().flat_map(|b| b.records().expect("its checksum was right")) {
                let value = record.value.unwrap_or_default();
                found.push((offset, String::from_utf8(value.to_vec()).expect("as it was written")));
            }
        }
        records.push(found);
    }
    Ok(records)
}

#[test]
fn damage_is_refused_with_file_and_place_or_harmless() {
    let (mut refused, mut harmless) = (0, 0);
    for is_closed in [true, false] {
        let (disk, expected) = golden(is_closed);
        for seed in 0..DAMAGES / 2 {
            let disk = copy(&disk);
            let what = damage(&disk, &mut Rng::new(seed));
            match read(disk) {
                Err(HubError::Damaged { file, .. }) => {
                    refused += 1;
                    assert!(!file.as_os_str().is_empty(), "seed {seed}: {what}");
                }
                Err(e) => panic!("seed {seed}, closed {is_closed}: {what}: {e}"),
                Ok(found) => {
                    harmless += 1;
                    // What was not acknowledged may be there too.
                    for (found, expected) in found.iter().zip(&expected) {
                        let found =
                            if is_closed { found.as_slice() } else { &found[..expected.len().min(found.len())] };
                        assert_eq!(found, expected, "seed {seed}, closed {is_closed}: {what}");
                    }
                }
            }
        }
    }
    println!("{DAMAGES} damages: {refused} refused, {harmless} harmless");
    assert!(refused > DAMAGES * 3 / 4, "{refused}");
}

#[test]
fn the_refusal_names_file_byte_and_checksums_and_changes_nothing() {
    let (disk, _) = golden(true);
    let path = "topics/a-1/0/00000000000000000000.log";
    let mut bytes = disk.read(path).expect("there");
    bytes[100] ^= 1;
    write(&disk, path, &bytes);
    let hub = open(&disk);
    let message = hub.read("a", 0, 1, Visibility::Durable).expect_err("damaged").to_string();
    assert!(message.starts_with(&format!("{path}: damaged at byte 0: expected checksum ")), "{message}");
    assert!(message.contains(", found "), "{message}");
    drop(hub);

    let mut files = disk.list("topics/a-1/0").expect("there");
    let last = format!("topics/a-1/0/{}", files.pop().expect("some").name);
    let mut bytes = disk.read(&last).expect("there");
    bytes[70] ^= 1;
    write(&disk, &last, &bytes);
    let before = disk.steps();
    let message = Hub::open(Arc::new(disk.clone())).expect_err("damaged").to_string();
    assert!(message.starts_with(&format!("{last}: damaged at byte 0: expected checksum ")), "{message}");
    // Files are synced before they are looked at; nothing else was done.
    assert!(disk.steps() - before <= TOPICS.len() as u64);
    assert_eq!(disk.read(&last).expect("there"), bytes);
}

#[test]
fn segments_of_two_topics_are_not_taken_for_each_other() {
    let disk = SimDisk::new();
    let hub = open(&disk);
    for topic in ["left", "right"] {
        hub.create_topic(topic, TopicOptions::default()).expect("new");
        hub.append(&[Append { topic, records: &[record(0, topic.to_owned())] }]).expect("taken");
    }
    hub.close().expect("closed");
    let [left, right] = ["left-1", "right-2"].map(|f| format!("topics/{f}/0/00000000000000000000.log"));
    let (of_left, of_right) = (disk.read(&left).expect("there"), disk.read(&right).expect("there"));
    write(&disk, &left, &of_right);
    write(&disk, &right, &of_left);
    let message = Hub::open(Arc::new(disk)).expect_err("swapped").to_string();
    assert!(message.contains("expected a batch of topic 1, found one of topic 2"), "{message}");
}

/// Another disk of the same content.
fn copy(disk: &SimDisk) -> SimDisk {
    let mut paths = Vec::new();
    files(disk, "", &mut paths);
    let to = SimDisk::new();
    for path in paths {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !folder.is_empty() {
            thalweg_disk::durable_folder(&to, folder).expect("a folder");
        }
        to.create(&path).and_then(|f| f.append(&disk.read(&path).expect("there"))).expect("room");
    }
    to
}
