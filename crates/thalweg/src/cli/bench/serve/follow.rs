//! `Follower`: a WebSocket subscriber of the view that notes how late each new row is. It must not know who sends events.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::payload;
use super::schedule::Schedule;
use super::tally::Tally;
use crate::cli::http::HttpAddress;

/// Until the snapshot is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// A subscription whose snapshot has been read.
pub(super) struct Follower(WebSocketStream<TcpStream>);

impl Follower {
    pub(super) async fn connect(http: &HttpAddress) -> Result<Self> {
        let url = format!("ws://{}/v1/subscribe?query=SELECT%20*%20FROM%20bench_latest", http.authority);
        let mut request = url.into_client_request()?;
        if let Some(value) = http.authorization.strip_prefix("Authorization: ") {
            request.headers_mut().insert(AUTHORIZATION, value.trim_end().parse()?);
        }
        let (socket, _) = client_async(request, http.connect().await?).await.context("cannot subscribe")?;
        let mut follower = Self(socket);
        let snapshot = async {
            while !follower.next().await?.starts_with("{\"event\":\"commit\"") {}
            anyhow::Ok(())
        };
        timeout(PATIENCE, snapshot).await.context("the subscription has no snapshot yet")??;
        Ok(follower)
    }

    /// Until the last thing of the schedule has arrived.
    pub(super) async fn follow(mut self, schedule: Schedule, deadline: Instant, name: String) -> Tally {
        let mut tally = Tally::new(name);
        let outcome = timeout_at(deadline.into(), self.note(schedule, &mut tally)).await;
        tally.over(schedule.measured_from(), schedule.end());
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tally.fail(1, || format!("{error:#}")),
            Err(_) => tally.fail(1, || "the newest events did not reach the subscriber in time".to_owned()),
        }
        let _ = self.0.close(None).await;
        tally
    }

    async fn note(&mut self, schedule: Schedule, tally: &mut Tally) -> Result<()> {
        let last = schedule.due_us(schedule.total.saturating_sub(1));
        let mut newest = 0;
        while newest < last {
            let message = self.next().await?;
            if !message.starts_with("{\"event\":\"changes\"") {
                continue;
            }
            let arrived = schedule.us_at(Instant::now());
            payload::added(&message, |due_us| {
                newest = newest.max(due_us);
                if schedule.counts_at(due_us) {
                    let late = u64::try_from(arrived - due_us).unwrap_or(0);
                    tally.record(Duration::from_micros(late), 1);
                }
            });
        }
        Ok(())
    }

    /// The next event.
    async fn next(&mut self) -> Result<tokio_tungstenite::tungstenite::Utf8Bytes> {
        const ENDS: [&str; 3] = ["{\"event\":\"lost\"", "{\"event\":\"resume\"", "{\"event\":\"error\""];
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => match ENDS.iter().any(|e| text.starts_with(e)) {
                    true => bail!("the server has ended the subscription: {text}"),
                    false => return Ok(text),
                },
                Some(Ok(Message::Close(frame))) => {
                    let why = frame.map_or_else(String::new, |f| format!(": {} {}", f.code, f.reason));
                    bail!("the server has closed the subscription{why}");
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error).context("the subscription broke"),
                None => bail!("the subscription ended"),
            }
        }
    }
}
