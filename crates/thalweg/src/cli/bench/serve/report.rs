//! `Report`: tallies as a table and as JSON. It must not measure.

use std::fmt::Write as _;

use serde_json::json;

use super::tally::Tally;

/// What was measured, in the order of measuring.
#[derive(Debug, Default)]
pub(super) struct Report {
    tallies: Vec<Tally>,
}

const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

impl Report {
    pub(super) fn add(&mut self, tally: Tally) {
        self.tallies.push(tally);
    }

    pub(super) fn add_all(&mut self, tallies: impl IntoIterator<Item = Tally>) {
        self.tallies.extend(tallies);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.tallies.iter().any(|t| t.errors > 0)
    }

    pub(super) fn table(&self) -> String {
        let width = self.tallies.iter().map(|t| t.name.chars().count()).max().unwrap_or(0).max(12);
        let mut out = format!("{:<width$}  {:>9}", "milliseconds", "count");
        for (name, _) in QUANTILES {
            let _ = write!(out, "  {name:>9}");
        }
        let _ = writeln!(out, "  {:>9}  {:>10}  {:>7}", "max", "rate/s", "errors");
        for tally in &self.tallies {
            let _ = write!(out, "{:<width$}  {:>9}", tally.name, tally.count());
            for (_, quantile) in QUANTILES {
                let _ = write!(out, "  {:>9.3}", tally.quantile(quantile));
            }
            let _ = writeln!(out, "  {:>9.3}  {:>10.1}  {:>7}", tally.max(), tally.rate(), tally.errors);
        }
        for tally in &self.tallies {
            if let Some(error) = &tally.first_error {
                let _ = writeln!(out, "{}: {}", tally.name, error.trim_end());
            }
        }
        out
    }

    /// One object on one line.
    pub(super) fn json(&self) -> String {
        let mut parts = serde_json::Map::new();
        for tally in &self.tallies {
            let mut part = json!({
                "count": tally.count(),
                "max_ms": tally.max(),
                "rate": tally.rate(),
                "errors": tally.errors,
                "first_error": tally.first_error,
            });
            for (name, quantile) in QUANTILES {
                part[format!("{}_ms", name.replace('.', "_"))] = json!(tally.quantile(quantile));
            }
            parts.insert(tally.name.replace(" → ", "_to_").replace(' ', "_"), part);
        }
        format!("{}\n", serde_json::Value::Object(parts))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let mut tally = Tally::new("ingest → answer".to_owned());
        tally.record(Duration::from_millis(2), 50);
        tally.took = Duration::from_secs(1);
        tally.fail(1, || "why".to_owned());
        let mut report = Report::default();
        report.add(tally);
        assert!(report.has_errors());
        let table = report.table();
        assert!(table.contains("ingest → answer          1      2.000"), "{table}");
        assert!(table.ends_with("ingest → answer: why\n"), "{table}");
        let json: serde_json::Value = serde_json::from_str(&report.json()).expect("JSON");
        assert_eq!(json["ingest_to_answer"]["rate"], 50.0);
        assert!(json["ingest_to_answer"]["p99_9_ms"].is_number());
    }
}
