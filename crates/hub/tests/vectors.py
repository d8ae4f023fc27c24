"""Prints the fixed batches of src/batch/tests.rs, built by kafka-python's pure-Python record builder.

    pip install kafka-python lz4 zstandard crc32c
    python crates/hub/tests/vectors.py

Given the path of a file that holds one batch, prints its records as kafka-python reads them.
"""

import sys

from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

RECORDS = [
    (1_700_000_000_123, b"key-1", b"value one", [("trace", b"\x01\x02"), ("empty", b""), ("none", None)]),
    (1_700_000_000_100, None, b"a value without a key", []),
    (1_700_000_900_000, b"gone", None, []),
    (1_700_000_000_123, b"k" * 70, b"v" * 300, [("h" * 3, b"x" * 130)]),
]


def build(codec, transactional):
    producer = (4321, 3, 7) if transactional else (-1, -1, -1)
    batch = DefaultRecordBatchBuilder(2, codec, int(transactional), *producer, 1 << 20)
    for offset, (timestamp, key, value, headers) in enumerate(RECORDS):
        batch.append(offset, timestamp, key, value, headers)
    return bytes(batch.build())


if len(sys.argv) > 1:
    batch = DefaultRecordBatch(open(sys.argv[1], "rb").read())
    print("crc", batch.validate_crc(), "base", batch.base_offset, "codec", batch.compression_type)
    for record in batch:
        print(record.offset, record.timestamp, record.key, record.value, record.headers)
else:
    for name, codec, transactional in [("plain", 0, True), ("lz4", 3, False), ("zstd", 4, False)]:
        hexes = build(codec, transactional).hex()
        print(name)
        print("\n".join(hexes[i : i + 100] for i in range(0, len(hexes), 100)))
