//! Batches: against another implementation's bytes, there and back, and under any damage.

mod vectors;

use bytes::Bytes;
use proptest::prelude::*;
use thalweg_disk::Rng;

use super::*;
use crate::Record;
use crate::record::Header;

fn record(timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)]) -> Record {
    let bytes = |b: &[u8]| Bytes::copy_from_slice(b);
    let headers = headers.iter().map(|(name, v)| Header { name: bytes(name.as_bytes()), value: v.map(bytes) });
    Record { timestamp_ms, key: key.map(bytes), value: value.map(bytes), headers: headers.collect() }
}

fn parse(bytes: Vec<u8>) -> Result<Batch, BatchError> {
    Batch::parse(&Bytes::from(bytes))
}

fn values(batch: &Batch) -> Vec<Record> {
    batch.records().expect("readable").into_iter().map(|(_, r)| r).collect()
}

#[test]
fn a_batch_is_byte_for_byte_what_kafka_clients_write() {
    let producer = Producer { id: 4321, epoch: 3, sequence: 7 };
    let encoding = Encoding { producer, is_transactional: true, compression: Compression::None };
    let ours = encode(&vectors::records(), &encoding).expect("a batch");
    assert_eq!(ours, vectors::bytes(vectors::PLAIN));
}

#[test]
fn batches_of_kafka_clients_are_read_with_every_codec() {
    for (name, vector) in [("plain", vectors::PLAIN), ("lz4", vectors::LZ4), ("zstd", vectors::ZSTD)] {
        let mut bytes = vectors::bytes(vector);
        set_base_offset(&mut bytes, 77);
        let batch = parse(bytes).expect(name);
        assert_eq!(values(&batch), vectors::records(), "{name}");
        assert_eq!((batch.base_offset(), batch.end_offset()), (77, 81), "{name}");
        assert_eq!(batch.header().max_timestamp_ms, 1_700_000_900_000, "{name}");
        assert_eq!(batch.header().is_transactional(), name == "plain");
    }
}

#[test]
fn a_codec_without_support_is_named() {
    for (code, name) in [(1, "gzip"), (2, "snappy")] {
        let mut bytes = vectors::bytes(vectors::LZ4);
        bytes[22] = code;
        let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
        bytes[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        let error = parse(bytes).expect("whole").records().expect_err("not ours");
        assert_eq!(error, BatchError::Codec(name));
    }
}

#[test]
fn append_time_is_every_records_time() {
    let mut bytes = vectors::bytes(vectors::PLAIN);
    bytes[22] |= 8;
    let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
    bytes[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    let records = values(&parse(bytes).expect("whole"));
    assert!(records.iter().all(|r| r.timestamp_ms == 1_700_000_900_000));
}

#[test]
fn what_does_not_get_smaller_is_stored_plain() {
    let mut rng = Rng::new(1);
    let noise: Vec<u8> = (0..500).map(|_| rng.next_u64() as u8).collect();
    for compression in [Compression::Lz4, Compression::Zstd] {
        let encoding = Encoding { compression, ..Encoding::default() };
        let codec = |value: &[u8]| {
            let batch = encode(&[record(0, None, Some(value), &[])], &encoding).expect("a batch");
            parse(batch).expect("whole").header().attributes & 7
        };
        assert_eq!(codec(&noise), 0);
        assert_eq!(codec(&[0; 500]), compression.code());
    }
}

#[test]
fn limits_hold_in_both_directions() {
    let value = Bytes::from(vec![0; MAX_BATCH_BYTES]);
    let large = Record { value: Some(value), ..Record::default() };
    let encoding = Encoding { compression: Compression::Zstd, ..Encoding::default() };
    assert!(matches!(encode(&[large], &encoding), Err(BatchError::TooLarge { .. })));
    assert!(encode(&[], &encoding).is_err());
    // A small block that unpacks to more than a batch may hold.
    for codec in [Compression::Lz4, Compression::Zstd] {
        let bomb = codec.compress(&vec![0; MAX_BATCH_BYTES + 1]).expect("compressed");
        assert!(bomb.len() < MAX_BATCH_BYTES / 100);
        assert!(matches!(codec.decompress(&bomb), Err(BatchError::TooLarge { .. })), "{codec:?}");
    }
}

fn some_bytes() -> impl Strategy<Value = Option<Bytes>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from))
}

fn some_record() -> impl Strategy<Value = Record> {
    let header = (proptest::collection::vec(any::<u8>(), 0..20), some_bytes());
    let header = header.prop_map(|(name, value)| Header { name: name.into(), value });
    let time = prop_oneof![any::<i64>(), 1_600_000_000_000..1_800_000_000_000_i64];
    (time, some_bytes(), some_bytes(), proptest::collection::vec(header, 0..4))
        .prop_map(|(timestamp_ms, key, value, headers)| Record { timestamp_ms, key, value, headers })
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        records in proptest::collection::vec(some_record(), 1..40),
        codec in 0..3,
        base in 0..i64::MAX as u64 - 100,
        (id, epoch, sequence) in (any::<i64>(), any::<i16>(), any::<i32>()),
        is_transactional in any::<bool>(),
        behind in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let compression = [Compression::None, Compression::Lz4, Compression::Zstd][codec as usize];
        let encoding = Encoding { compression, producer: Producer { id, epoch, sequence }, is_transactional };
        let mut bytes = encode(&records, &encoding).expect("a batch");
        set_base_offset(&mut bytes, base);
        let length = bytes.len();
        bytes.extend(behind);
        let batch = parse(bytes).expect("whole");
        prop_assert_eq!(batch.bytes().len(), length);
        prop_assert_eq!(batch.header().producer, encoding.producer);
        prop_assert_eq!(batch.header().is_transactional(), is_transactional);
        let max = records.iter().map(|r| r.timestamp_ms).max();
        prop_assert_eq!(Some(batch.header().max_timestamp_ms), max);
        let expected: Vec<_> = (base..).zip(records).collect();
        prop_assert_eq!(batch.records().expect("readable"), expected);
    }

    #[test]
    fn any_number_fits_its_varint(value in any::<i64>()) {
        let mut bytes = Vec::new();
        varint::put(&mut bytes, value);
        prop_assert_eq!(bytes.len(), varint::size(value));
        prop_assert_eq!(varint::Cursor::new(bytes.into()).long(), Some(value));
    }
}

/// A batch of a few records, from a seed.
fn seeded(rng: &mut Rng) -> Vec<u8> {
    let compression = [Compression::None, Compression::Lz4, Compression::Zstd][rng.below(3)];
    let text = |n: usize| vec![b'a' + n as u8 % 26; n];
    let records: Vec<Record> = (0..=rng.below(8))
        .map(|i| {
            let (key, value) = (text(rng.below(20)), text(rng.below(300)));
            record(i as i64 * 1_000, Some(&key), (!rng.one_in(4)).then_some(&value), &[("h", None)])
        })
        .collect();
    encode(&records, &Encoding { compression, ..Encoding::default() }).expect("a batch")
}

/// Damage anywhere: bits, bytes, lengths, ends.
fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len());
        match rng.below(5) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.next_u64() as u8,
            2 => bytes.truncate(at.max(1)),
            3 => bytes.insert(at, rng.next_u64() as u8),
            _ => {
                let to = (at + rng.below(16)).min(bytes.len());
                bytes[at..to].fill(if rng.one_in(2) { 0 } else { 0xff });
            }
        }
    }
}

#[test]
fn damaged_batches_are_refused_and_never_panic() {
    let mut refused = 0;
    for seed in 0..60_000 {
        let mut rng = Rng::new(seed);
        let whole = seeded(&mut rng);
        let mut bytes = whole.clone();
        damage(&mut bytes, &mut rng);
        match parse(bytes.clone()) {
            // Only what the checksum does not cover can differ: base offset and leader epoch.
            Ok(batch) => {
                assert_eq!(batch.bytes()[CRC_AT - 1..], whole[CRC_AT - 1..], "seed {seed}");
                assert_eq!(batch.bytes()[8..12], whole[8..12], "seed {seed}");
                values(&batch);
            }
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50_000, "{refused}");
}

#[test]
fn hostile_batches_with_a_right_checksum_never_panic() {
    let mut broken = 0;
    for seed in 0..60_000 {
        let mut rng = Rng::new(seed ^ 0xdead);
        let mut bytes = seeded(&mut rng);
        let mut tail = bytes.split_off(CRC_FROM);
        damage(&mut tail, &mut rng);
        bytes.extend(tail);
        bytes.resize(bytes.len().max(HEADER_BYTES), 0);
        let length = (bytes.len() - LENGTH_END) as i32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
        bytes[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        let read = parse(bytes).and_then(|batch| {
            let records = batch.records()?;
            let offsets: Vec<u64> = records.iter().map(|(offset, _)| *offset).collect();
            assert!(offsets.is_sorted_by(|a, b| a < b) && offsets.iter().all(|o| *o < batch.end_offset()));
            Ok(())
        });
        broken += usize::from(read.is_err());
    }
    assert!(broken > 20_000, "{broken}");
}

#[test]
fn any_bytes_at_all_are_refused_in_peace() {
    for seed in 0..20_000 {
        let mut rng = Rng::new(seed);
        let bytes: Vec<u8> = (0..rng.below(300)).map(|_| rng.next_u64() as u8).collect();
        assert!(parse(bytes).is_err());
    }
}
