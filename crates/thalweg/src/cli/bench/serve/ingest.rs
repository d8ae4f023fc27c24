//! `IngestLoad`: batches over kept-alive HTTP/1.1 connections, sent when they are due and not when the one before was
//! answered. It must not know what becomes of the rows.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use super::follow::Follower;
use super::pacer::Pacer;
use super::payload::Payload;
use super::schedule::Schedule;
use super::tally::Tally;
use crate::cli::http::HttpAddress;

/// Answers and changes may come this long after the last batch was due.
const GRACE: Duration = Duration::from_secs(10);

/// Batches of rows at a fixed rate.
pub(super) struct IngestLoad {
    pub(super) http: HttpAddress,
    pub(super) schedule: Schedule,
    /// Rows of a batch.
    pub(super) rows: u64,
    pub(super) connections: u64,
    /// What the report calls it.
    pub(super) name: &'static str,
}

/// What is common to a connection's two halves.
#[derive(Clone, Copy)]
struct Lane {
    schedule: Schedule,
    rows: u64,
    first: u64,
    step: u64,
}

impl Lane {
    /// The numbers of this connection's batches.
    fn batches(&self) -> impl Iterator<Item = u64> + use<> {
        (self.first..self.schedule.total).step_by(usize::try_from(self.step).unwrap_or(usize::MAX))
    }
}

impl IngestLoad {
    /// Rows that were accepted; latencies of the answers, and of the changes that the subscriber saw.
    pub(super) async fn run(self) -> Result<(u64, [Tally; 2])> {
        let follower = Follower::connect(&self.http).await?;
        let mut streams = Vec::new();
        for _ in 0..self.connections {
            streams.push(self.http.connect().await?);
        }
        let schedule = self.schedule.shifted_to_now();
        let deadline = schedule.end() + GRACE;
        let follower = tokio::spawn(follower.follow(schedule, deadline, format!("{} → subscriber", self.name)));
        let mut lanes = JoinSet::new();
        for (first, stream) in (0..).zip(streams) {
            let (reader, writer) = stream.into_split();
            let lane = Lane { schedule, rows: self.rows, first, step: self.connections };
            let payload = Payload::new(&self.http.authority, &self.http.authorization, self.rows);
            lanes.spawn(drive(lane, payload, writer, reader, deadline, format!("{} → answer", self.name)));
        }
        let mut answers = Tally::new(format!("{} → answer", self.name));
        let mut accepted = 0;
        while let Some(lane) = lanes.join_next().await {
            let (rows, tally) = lane.context("a connection's task failed")?;
            accepted += rows;
            answers.merge(&tally);
        }
        let changes = follower.await.context("the subscriber's task failed")?;
        Ok((accepted, [answers, changes]))
    }
}

/// One connection until all is answered: rows accepted, warm-up included, and latencies.
async fn drive(
    lane: Lane,
    payload: Payload,
    writer: OwnedWriteHalf,
    reader: OwnedReadHalf,
    deadline: Instant,
    name: String,
) -> (u64, Tally) {
    let shared = Arc::new(Mutex::new((0, Tally::new(name))));
    let mut answers = Answers { reader, buffer: Vec::with_capacity(16 * 1024), at: 0 };
    let exchange =
        async { tokio::try_join!(send(lane, payload, writer), receive(lane, &mut answers, &shared)).map(|_| ()) };
    let outcome = timeout_at(deadline.into(), exchange)
        .await
        .unwrap_or_else(|_| bail!("the server has fallen behind; figures are of what it answered"));
    let (accepted, mut tally) = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
    tally.over(lane.schedule.measured_from(), lane.schedule.end());
    if let Err(error) = outcome {
        let expected = lane.batches().filter(|n| lane.schedule.counts(*n)).count() as u64;
        let missing = expected.saturating_sub(tally.count() + tally.errors).max(1);
        tally.fail(missing, || format!("{error:#}"));
    }
    (accepted, tally)
}

/// The writer is handed back: dropping it closes the connection, and answers may still come.
async fn send(lane: Lane, mut payload: Payload, mut writer: OwnedWriteHalf) -> Result<OwnedWriteHalf> {
    let pacer = Pacer::new()?;
    for n in lane.batches() {
        pacer.until(lane.schedule.due(n)).await?;
        writer.write_all(payload.batch(n, lane.schedule.due_us(n))).await.context("cannot send")?;
    }
    Ok(writer)
}

/// Answers come in the order of the requests.
async fn receive(lane: Lane, answers: &mut Answers, shared: &Mutex<(u64, Tally)>) -> Result<()> {
    for n in lane.batches() {
        let answer = answers.next().await?;
        let now = Instant::now();
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (accepted, tally) = &mut *shared;
        if answer.status == 200 {
            *accepted += lane.rows;
        }
        match (answer.status, lane.schedule.counts(n)) {
            (200, true) => tally.record(now.saturating_duration_since(lane.schedule.due(n)), lane.rows),
            (200, false) => {}
            (status, _) => tally.fail(1, || format!("ingest was answered with {status}: {}", answer.text)),
        }
    }
    Ok(())
}

/// Answers of a connection, one after the other.
struct Answers {
    reader: OwnedReadHalf,
    buffer: Vec<u8>,
    /// What is before this was used.
    at: usize,
}

struct Answer {
    status: u16,
    /// The body of an answer that is not 200.
    text: String,
}

impl Answers {
    async fn next(&mut self) -> Result<Answer> {
        loop {
            if let Some((answer, length)) = parse(&self.buffer[self.at..])? {
                self.at += length;
                return Ok(answer);
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            if self.reader.read_buf(&mut self.buffer).await.context("cannot read an answer")? == 0 {
                bail!("the server has closed the connection");
            }
        }
    }
}

/// The answer at the start and its length, or `None` when it is not complete.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>> {
    let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head]).context("not an answer of HTTP/1.1")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok());
    let status = status.context("not an answer of HTTP/1.1")?;
    let length = lines
        .filter_map(|l| l.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .context("an answer without a length")?;
    let end = head + length;
    if bytes.len() < end {
        return Ok(None);
    }
    let text = if status == 200 { String::new() } else { String::from_utf8_lossy(&bytes[head..end]).into_owned() };
    Ok(Some((Answer { status, text }, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_from_the_stream() {
        let stream = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 429 Too Many Requests\r\ncontent-length: 4\r\n\r\nfull";
        let (first, length) = parse(stream).expect("valid").expect("complete");
        assert_eq!((first.status, length), (200, 40));
        let (second, rest) = parse(&stream[length..]).expect("valid").expect("complete");
        assert_eq!((second.status, second.text.as_str(), length + rest), (429, "full", stream.len()));
        assert!(parse(&stream[..39]).expect("valid").is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
