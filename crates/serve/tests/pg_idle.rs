//! What an idle connection costs. Alone in its process, so that nothing else moves the numbers.

mod support;

use support::open;
use support::raw::{self, Raw};

/// Few enough for the usual limit of open files: both ends are in this process.
const CONNECTIONS: usize = 400;

/// Of the server and the test's own end together.
const MAX_BYTES_EACH: usize = 32 << 10;

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a resident size");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).expect("a number") << 10
}

#[tokio::test]
async fn an_idle_connection_is_small_even_after_large_messages() {
    let door = open().await;
    let large = [raw::query("rows 1000"), raw::query(&format!("done {}", "x".repeat(20_000)))];
    let mut connections = Vec::new();
    let mut before = 0;
    for n in 0..CONNECTIONS + 20 {
        if n == 20 {
            // The first ones paid for what all share.
            before = resident_bytes();
        }
        let mut raw = Raw::dev(door.address).await;
        for query in &large {
            raw.send(query).await;
            assert_eq!(raw.until_ready().await.last().map(|r| r.kind), Some('Z'));
        }
        connections.push(raw);
    }
    let each = resident_bytes().saturating_sub(before) / CONNECTIONS;
    assert!(each <= MAX_BYTES_EACH, "{each} bytes for each of {CONNECTIONS} idle connections");
    assert!(connections.len() == CONNECTIONS + 20);
}
