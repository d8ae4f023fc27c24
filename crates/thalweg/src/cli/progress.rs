//! Progress of a run on the terminal: one line that changes, or plain lines elsewhere. It must not know queries.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use thalweg::{RunStats, Snapshot};

const TERMINAL_EVERY: Duration = Duration::from_millis(200);
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// A thread that prints until it is finished.
pub(crate) struct Progress {
    done: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    pub fn start(stats: Arc<RunStats>) -> Self {
        let (done, wait) = channel();
        let thread = std::thread::spawn(move || {
            if std::io::stderr().is_terminal() { on_terminal(&stats, &wait) } else { plain(&stats, &wait) }
        });
        Self { done, thread }
    }

    pub fn finish(self) {
        drop(self.done);
        // A progress line that fails to print is not worth failing for.
        let _ = self.thread.join();
    }
}

fn on_terminal(stats: &RunStats, wait: &Receiver<()>) {
    let started = Instant::now();
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    while wait.recv_timeout(TERMINAL_EVERY) == Err(RecvTimeoutError::Timeout) {
        bar.set_message(line(&stats.snapshot(), started.elapsed()));
        bar.tick();
    }
    bar.finish_and_clear();
    eprintln!("done: {}", line(&stats.snapshot(), started.elapsed()));
}

fn plain(stats: &RunStats, wait: &Receiver<()>) {
    let started = Instant::now();
    while wait.recv_timeout(PLAIN_EVERY) == Err(RecvTimeoutError::Timeout) {
        eprintln!("{}", line(&stats.snapshot(), started.elapsed()));
    }
    eprintln!("done: {}", line(&stats.snapshot(), started.elapsed()));
}

fn line(now: &Snapshot, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let rate = (now.rows_in as f64 / seconds) as u64;
    let mut line = format!(
        "{} rows in ({}, {}/s), {} rows out, {} epochs, {:.1} s",
        HumanCount(now.rows_in),
        HumanBytes(now.bytes_in),
        HumanCount(rate),
        HumanCount(now.rows_out),
        HumanCount(now.epochs),
        seconds
    );
    let known = now.watermark > thalweg::Watermark::START && now.watermark < thalweg::Watermark::END;
    if known {
        line.push_str(&format!(", watermark {}, lag {}", now.watermark, lag(now.watermark.0)));
    }
    line
}

/// How far a time is behind the clock, in the largest unit that fits.
fn lag(micros: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros());
    let behind = i128::try_from(now).unwrap_or(i128::MAX) - i128::from(micros);
    let seconds = behind / 1_000_000;
    match seconds {
        i128::MIN..0 => "none".to_owned(),
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
