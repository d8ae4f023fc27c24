//! `Payload`: an ingest request whose numbers are written over in place. It must not know when it is sent.

/// Keys of the events.
pub(super) const KEYS: u64 = 256;

/// The smallest number of 13 digits: all ids have as many.
const FIRST_ID: u64 = 1_000_000_000_000;

/// The smallest number of three digits: all keys have as many.
const FIRST_KEY: u64 = 100;

const ROW: &str = "{\"id\":1000000000000,\"ts_us\":1000000000000000,\"k\":100,\"v\":7}\n";

/// Where a number stands in [`ROW`], and how many digits it has.
const ID: (usize, usize) = (6, 13);
const TS: (usize, usize) = (28, 16);
const KEY: (usize, usize) = (49, 3);

/// A request with the same number of rows each time.
pub(super) struct Payload {
    bytes: Vec<u8>,
    body: usize,
    pub(super) rows: u64,
}

impl Payload {
    /// `authorization` is a whole header line or empty.
    pub(super) fn new(authority: &str, authorization: &str, rows: u64) -> Self {
        let rows_usize = usize::try_from(rows).unwrap_or(usize::MAX);
        let length = rows_usize * ROW.len();
        let mut bytes = format!(
            "POST /v1/ingest/bench_events HTTP/1.1\r\nHost: {authority}\r\n{authorization}\
             Content-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        let body = bytes.len();
        bytes.extend(std::iter::repeat_n(ROW.as_bytes(), rows_usize).flatten());
        Self { bytes, body, rows }
    }

    /// The request of batch `n`, due at `due_us`.
    pub(super) fn batch(&mut self, n: u64, due_us: i64) -> &[u8] {
        let due_us = due_us.unsigned_abs();
        for (i, row) in (0..).zip(self.bytes[self.body..].chunks_exact_mut(ROW.len())) {
            let id = n * self.rows + i;
            write(row, ID, FIRST_ID + id);
            write(row, TS, due_us);
            write(row, KEY, FIRST_KEY + id % KEYS);
        }
        &self.bytes
    }
}

/// Writes all digits of a number.
fn write(row: &mut [u8], (at, digits): (usize, usize), mut value: u64) {
    for digit in row[at..at + digits].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Calls `new_row` with the `ts_us` of every row that a `changes` message adds.
pub(super) fn added(message: &str, mut new_row: impl FnMut(i64)) {
    // As the server writes them: `{"w":1,"row":{"k":100,"ts_us":1793491200000000,"n":1}}`.
    const WEIGHT: &str = "\"w\":";
    const TIME: &str = "\"ts_us\":";
    let mut rest = message;
    while let Some(at) = rest.find(WEIGHT) {
        rest = &rest[at + WEIGHT.len()..];
        if rest.starts_with('-') {
            continue;
        }
        let Some(at) = rest.find(TIME) else { return };
        rest = &rest[at + TIME.len()..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit);
        new_row(digits.fold(0, |n, d| n * 10 + i64::from(d - b'0')));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_valid_and_of_the_announced_length() {
        let mut payload = Payload::new("h:1", "", 3);
        let text = String::from_utf8(payload.batch(100, 1_793_491_200_000_123).to_vec()).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
        let rows: Vec<serde_json::Value> = body.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[2]["id"], FIRST_ID + 302);
        assert_eq!(rows[2]["ts_us"], 1_793_491_200_000_123_i64);
        assert_eq!(rows[2]["k"], FIRST_KEY + 302 % KEYS);
        assert_eq!(rows[2]["v"], 7);
    }

    #[test]
    fn only_rows_that_are_added_are_seen() {
        let message = "{\"event\":\"changes\",\"rows\":[{\"w\":-1,\"row\":{\"k\":1,\"ts_us\":5,\"n\":1}},\
                       {\"w\":1,\"row\":{\"k\":1,\"ts_us\":1793491200000000,\"n\":2}},\
                       {\"w\":1,\"row\":{\"k\":2,\"ts_us\":7,\"n\":1}}]}";
        let mut seen = Vec::new();
        added(message, |ts| seen.push(ts));
        assert_eq!(seen, [1_793_491_200_000_000, 7]);
    }
}
