//! `thalweg top`: what a running server does, second by second. It must not know how the figures are made.

mod figures;
mod sample;
mod screen;
mod text;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use self::figures::{Figures, SortKey};
use self::sample::Sample;
use super::http::HttpAddress;

pub(crate) use text::bytes;

/// Flags of `top`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  thalweg top                                     a live view; s sorts by the next column, q quits
  thalweg top --http http://127.0.0.1:8080 --sort state
  thalweg top --once                              one table after two samples, for scripts")]
pub(crate) struct TopArgs {
    /// Address of the server's HTTP
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4567")]
    http: String,
    /// User of a server that wants a password; the password is read from PGPASSWORD
    #[arg(long, value_name = "USER")]
    http_user: Option<String>,
    /// Prints one table after two samples and exits
    #[arg(long)]
    once: bool,
    /// Sorts by this column
    #[arg(long, value_enum, default_value = "in")]
    sort: SortKey,
    /// Milliseconds between samples
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    interval_ms: u64,
}

pub(crate) fn top(args: &TopArgs) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(run(args))
}

async fn run(args: &TopArgs) -> Result<ExitCode> {
    let address = HttpAddress::parse(&args.http, args.http_user.as_deref())?;
    let interval = Duration::from_millis(args.interval_ms);
    let before = sample(&address).await?;
    if args.once {
        tokio::time::sleep(interval).await;
        let now = sample(&address).await?;
        print!("{}", text::table(&Figures::between(&before, &now, args.sort)));
        return Ok(ExitCode::SUCCESS);
    }
    if !std::io::stdout().is_terminal() {
        bail!("standard output is not a terminal; give --once for one plain table");
    }
    screen::run(&address, before, interval, args.sort).await?;
    Ok(ExitCode::SUCCESS)
}

async fn sample(address: &HttpAddress) -> Result<Sample> {
    let page = address.get("/metrics").await?;
    Ok(Sample::parse(&page, Instant::now()))
}

impl SortKey {
    /// The key after this one.
    fn next(self) -> Self {
        let keys = Self::value_variants();
        let at = keys.iter().position(|k| *k == self).unwrap_or(0);
        keys[(at + 1) % keys.len()]
    }
}
