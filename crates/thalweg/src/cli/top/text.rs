//! Figures as text: cells that both ways of showing share, and the plain table. It must not know terminals.

use std::fmt::Write as _;

use super::figures::{Figures, JobFigures, SortKey};

/// Titles of the columns and what each sorts by.
pub(super) const COLUMNS: [(&str, Option<SortKey>); 8] = [
    ("job", Some(SortKey::Name)),
    ("rows in/s", Some(SortKey::In)),
    ("changes out/s", Some(SortKey::Out)),
    ("queue", Some(SortKey::Queue)),
    ("state", Some(SortKey::State)),
    ("late", Some(SortKey::Dropped)),
    ("dead", Some(SortKey::Dropped)),
    ("status", None),
];

/// The line above the table.
pub(super) fn header(figures: &Figures) -> String {
    format!(
        "up {}   {} epochs/s   {} sessions   {} jobs   state {}",
        duration(figures.uptime_seconds),
        count(figures.epochs),
        count(figures.sessions),
        figures.jobs.len(),
        bytes(figures.state_bytes)
    )
}

/// The cells of a job, in the order of [`COLUMNS`].
pub(super) fn cells(job: &JobFigures) -> [String; COLUMNS.len()] {
    let status = match (job.failed, job.bottleneck) {
        (true, _) => "failed",
        (false, true) => "bottleneck",
        (false, false) => "",
    };
    [
        job.name.escape_debug().to_string(),
        count(job.rows_in),
        count(job.rows_out),
        bytes(job.queue_bytes),
        bytes(job.state_bytes),
        count(job.late),
        count(job.dead),
        status.to_owned(),
    ]
}

/// Everything as plain text.
pub(super) fn table(figures: &Figures) -> String {
    let rows: Vec<_> = figures.jobs.iter().map(cells).collect();
    let titles = COLUMNS.map(|(title, _)| title.to_owned());
    let width = |i: usize| rows.iter().chain([&titles]).map(|r| r[i].chars().count()).max().unwrap_or(0);
    let mut out = format!("{}\n\n", header(figures));
    for row in std::iter::once(&titles).chain(&rows) {
        let mut line = format!("{:<1$}", row[0], width(0));
        for (i, cell) in row.iter().enumerate().skip(1) {
            let is_last = i == row.len() - 1;
            let _ = if is_last { write!(line, "  {cell}") } else { write!(line, "  {cell:>0$}", width(i)) };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// As 950, 1,234 or 12.3M.
fn count(value: f64) -> String {
    match value {
        v if v < 10.0 && v.fract() > 0.05 => format!("{v:.1}"),
        v if v < 1_000_000.0 => {
            let whole = format!("{v:.0}");
            match whole.len() {
                0..=3 => whole,
                n => format!("{},{}", &whole[..n - 3], &whole[n - 3..]),
            }
        }
        v if v < 1e9 => format!("{:.1}M", v / 1e6),
        v => format!("{:.1}G", v / 1e9),
    }
}

/// As 512 B or 1.5 MiB.
pub(crate) fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{value:.0} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// As 42s, 3m 05s, 2h 07m or 3d 04h.
fn duration(seconds: f64) -> String {
    let s = seconds as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m {:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h {:02}m", s / 3600, s / 60 % 60),
        _ => format!("{}d {:02}h", s / 86_400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 2.5, 999.0, 1234.0, 999_999.0, 12_345_678.0].map(count),
            ["0", "2.5", "999", "1,234", "999,999", "12.3M"]
        );
        assert_eq!([0.0, 1536.0, 1_048_576.0].map(bytes), ["0 B", "1.5 KiB", "1.0 MiB"]);
        assert_eq!([5.0, 185.0, 7620.0, 273_600.0].map(duration), ["5s", "3m 05s", "2h 07m", "3d 04h"]);
    }

    #[test]
    fn the_table_is_aligned_and_marks_the_bottleneck() {
        let job = |name: &str, bottleneck| JobFigures {
            name: name.to_owned(),
            rows_in: 1000.0,
            rows_out: 1.0,
            queue_bytes: 0.0,
            state_bytes: 2048.0,
            late: 0.0,
            dead: 3.0,
            failed: false,
            bottleneck,
        };
        let figures = Figures {
            epochs: 50.0,
            sessions: 2.0,
            uptime_seconds: 5.0,
            state_bytes: 4096.0,
            sort: SortKey::In,
            jobs: vec![job("clicks", true), job("t", false)],
        };
        let expected = "\
up 5s   50 epochs/s   2 sessions   2 jobs   state 4.0 KiB

job     rows in/s  changes out/s  queue    state  late  dead  status
clicks      1,000              1    0 B  2.0 KiB     0     3  bottleneck
t           1,000              1    0 B  2.0 KiB     0     3
";
        assert_eq!(table(&figures), expected);
    }
}
