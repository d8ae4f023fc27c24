//! `thalweg demo`: a server that shows itself, and what is fed into it. It must not know how a server is run: see
//! [`serve`](super::serve).
//!
//! `chance`, `flights`, `market` and `sensors` are pure: rows of a seed and a moment. `batches` makes columns of them,
//! `feed` hands them in. What is computed of them is all in `demo.sql`.

mod batches;
mod chance;
mod feed;
mod flights;
mod market;
mod sensors;

use std::io::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use clap::{Args, value_parser};
use thalweg::Thalweg;

use super::serve::{Open, beside};
use super::settings::ServeArgs;
use feed::Feed;
use flights::Replay;
use market::Market;
use sensors::Sensors;

const OBJECTS: &str = include_str!("../../../demo/demo.sql");
const FLIGHTS: &str = include_str!("../../../demo/flights.csv");
const AIRPORTS: &str = include_str!("../../../demo/airports.csv");

const EXAMPLES: &str = "Takes every setting of `thalweg serve` as well.

Examples:
  thalweg demo                               in memory; open the address that it prints
  thalweg demo --data ./demo                 the next start goes on with it
  thalweg demo --speed 60                    an hour of flights a second
  thalweg demo --pg 127.0.0.1:0 --http 127.0.0.1:8080
  psql -h localhost -p 4566 -d dev -U root -c 'SELECT * FROM anomalies'";

/// The arguments of `demo`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// What trades and readings are made from: the same seed makes the same
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Demo")]
    seed: u64,
    /// Minutes of the flights' day that go by in a second
    #[arg(long, value_name = "MINUTES", default_value_t = 10, help_heading = "Demo",
          value_parser = value_parser!(u32).range(1..=1000))]
    speed: u32,
    #[command(flatten)]
    server: ServeArgs,
}

/// Runs the server and the feed until it is told to stop.
pub(crate) fn demo(args: &DemoArgs) -> Result<ExitCode> {
    let (seed, speed) = (args.seed, args.speed);
    // What is created would be in the way of what there is to see.
    beside(&args.server, Some("warn"), move |open| Box::pin(run(open, seed, speed)))
}

async fn run(Open { server, http }: Open, seed: u64, speed: u32) -> Result<()> {
    let wrong = |name: &'static str| move |line: String| anyhow!("{name}: {line}");
    let flights = flights::flights(FLIGHTS).map_err(wrong("flights.csv"))?;
    let airports = flights::airports(AIRPORTS).map_err(wrong("airports.csv"))?;
    let db = Thalweg::from(server);
    db.execute(OBJECTS).await.context("cannot create what the demo shows")?;
    // A row whose key is there takes the other's place: nothing is there twice after a restart.
    db.ingest("airports", batches::airports(&airports)?).await.context("airports")?;
    let origin = now();
    let streams = feed::Streams {
        flights: Replay::new(flights, origin, speed),
        market: Market::new(seed, origin),
        sensors: Sensors::new(seed, origin),
    };
    let mut feed = Feed::open(db, streams, origin).await?;
    feed.hand_in(origin).await;
    feed.flush().await?;
    let _ = write!(std::io::stdout(), "{}", welcome(&http));
    feed.run().await
}

/// What there is to see, for whoever has started it.
fn welcome(http: &str) -> String {
    format!(
        "
Live dashboards:
  {http}/#/dashboards/public/flights   a real day of flights, replayed
  {http}/#/dashboards/public/market    prices, bars, limits
  {http}/#/dashboards/public/sensors   temperatures, and what is odd among them
Alerts: {http}/#/alerts   a machine runs too hot every half minute
Ctrl-C ends it.
"
    )
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
