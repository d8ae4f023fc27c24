//! `Sample`: a page of Prometheus' text format at one moment. It must not know which metrics matter.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// All values of a page.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) at: Instant,
    /// By metric and by job; the job is empty where a line has none.
    values: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Sample {
    /// Lines that are not understood are left out: another version of the server may write more.
    pub(super) fn parse(page: &str, at: Instant) -> Self {
        let mut values: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        for line in page.lines().filter(|l| !l.starts_with('#')) {
            if let Some((name, job, value)) = parse_line(line) {
                *values.entry(name.to_owned()).or_default().entry(job).or_default() += value;
            }
        }
        Self { at, values }
    }

    /// The value of a metric without a job; 0 if there is none.
    pub(super) fn one(&self, metric: &str) -> f64 {
        self.of(metric, "")
    }

    pub(super) fn of(&self, metric: &str, job: &str) -> f64 {
        self.values.get(metric).and_then(|jobs| jobs.get(job)).copied().unwrap_or(0.0)
    }

    /// The names of all jobs.
    pub(super) fn jobs(&self) -> BTreeSet<&str> {
        self.values.values().flat_map(BTreeMap::keys).map(String::as_str).filter(|j| !j.is_empty()).collect()
    }
}

/// Name, job and value.
fn parse_line(line: &str) -> Option<(&str, String, f64)> {
    let line = line.trim();
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (Vec::new(), rest),
    };
    // A time stamp may follow.
    let value = rest.split_whitespace().next()?.parse().ok()?;
    let job = labels.into_iter().find(|(name, _)| *name == "job").map(|(_, job)| job);
    Some((name, job.unwrap_or_default(), value))
}

/// Labels up to `}`, and what follows it.
fn parse_labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = quoted.char_indices();
        rest = loop {
            match chars.next()? {
                (at, '"') => break &quoted[at + 1..],
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.push((name, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_by_name_and_job() {
        let page = "# HELP a text\n# TYPE a gauge\na 2.5\nb{job=\"x\"} 3\nb{job=\"y \\\"q\\\" {}\\n\"} 4e3\n\
                    c{route=\"/\",status=\"200\"} 1\nc{route=\"/\",status=\"404\"} 2\nnonsense\nd NaNs\n";
        let sample = Sample::parse(page, Instant::now());
        assert_eq!(sample.one("a"), 2.5);
        assert_eq!(sample.of("b", "x"), 3.0);
        assert_eq!(sample.of("b", "y \"q\" {}\n"), 4000.0);
        assert_eq!(sample.one("c"), 3.0, "lines that differ in other labels are added");
        assert_eq!(sample.one("d"), 0.0);
        assert_eq!(sample.jobs().len(), 2);
    }
}
