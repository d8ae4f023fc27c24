//! The JSON texts of sketches: frequent values, descriptions. It must not know SQL or groups.

use std::fmt::Write;

use super::any::AnySketch;
use super::frequent::{Frequent, Key};
use super::number::number;
use super::quantiles::rank_error;
use super::tag::Tag;

/// A key that can be shown.
pub(crate) trait TopJson {
    fn json(&self, tag: Tag, out: &mut String);
}

impl TopJson for i64 {
    fn json(&self, tag: Tag, out: &mut String) {
        tag.word_json(*self, out);
    }
}

impl TopJson for Box<[u8]> {
    fn json(&self, tag: Tag, out: &mut String) {
        tag.bytes_json(self, out);
    }
}

/// Writes `[{"value": …, "lower": …, "upper": …}, …]`, most frequent first.
pub(crate) fn top_json<K: Key + TopJson>(sketch: &Frequent<K>, out: &mut String) {
    let tag = Tag::of(sketch.tag()).expect("a sketch is only made with a tag");
    out.push('[');
    for (i, counted) in sketch.top().iter().enumerate() {
        out.push_str(if i == 0 { "{\"value\": " } else { ", {\"value\": " });
        counted.key.json(tag, out);
        write!(out, ", \"lower\": {}, \"upper\": {}}}", counted.lower, counted.upper)
            .expect("a String takes everything");
    }
    out.push(']');
}

/// Writes what a sketch is and how far it can be trusted.
pub(crate) fn describe_json(sketch: &AnySketch, stored: usize, out: &mut String) {
    let kind = sketch.kind();
    let written = match sketch {
        AnySketch::Distinct(s) => {
            write!(out, "{{\"kind\": \"{kind}\", \"precision\": {}, \"estimate\": {}", s.precision(), s.estimate())
        }
        AnySketch::Quantiles(s) => {
            let error = if s.is_exact() { 0.0 } else { rank_error(s.k()) };
            let extreme = |key: i64| match number(key) {
                v if v.is_finite() => v.to_string(),
                v => format!("\"{v}\""),
            };
            let (least, most) =
                s.extremes().map_or(("null".to_owned(), "null".to_owned()), |(l, m)| (extreme(l), extreme(m)));
            write!(
                out,
                "{{\"kind\": \"{kind}\", \"k\": {}, \"rows\": {}, \"min\": {least}, \"max\": {most}, \"rank_error\": {error}",
                s.k(),
                s.rows(),
            )
        }
        AnySketch::Words(s) => counts_json(kind, s, out),
        AnySketch::Texts(s) => counts_json(kind, s, out),
        AnySketch::Filter(s) => write!(
            out,
            "{{\"kind\": \"{kind}\", \"filter_bytes\": {}, \"probes\": {}, \"estimate\": {}, \"false_positive_rate\": {}",
            s.bytes(),
            s.probes(),
            s.estimate(),
            s.false_positive_rate()
        ),
    };
    written.and_then(|()| write!(out, ", \"stored_bytes\": {stored}}}")).expect("a String takes everything");
}

fn counts_json<K: Key>(kind: &str, sketch: &Frequent<K>, out: &mut String) -> std::fmt::Result {
    let (k, rows, error) = (sketch.k(), sketch.rows(), sketch.error());
    write!(out, "{{\"kind\": \"{kind}\", \"k\": {k}, \"rows\": {rows}, \"count_error\": {error}")
}
