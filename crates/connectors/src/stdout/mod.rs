//! `stdout`: rows printed for a person or a pipe. It must not know where they come from.

mod table;

use std::io::{self, BufWriter, Stdout, Write};

use arrow::datatypes::SchemaRef;
use thalweg_core::{DeltaBatch, EpochHeader, Error, Options, Result, Sink};
use thalweg_formats::{Cells, JsonEncoder};

use crate::registry::{SinkLayout, SinkMode, SinkRequest, take_mode};
use crate::rows::{changelog_rows, changelog_schema, standing};
use table::Table;

/// How rows look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Table,
    Json,
    Changelog,
}

fn parse(mut options: Options) -> Result<(Option<Look>, Option<SinkMode>)> {
    const LOOKS: &[(&str, Option<Look>)] = &[
        ("table", Some(Look::Table)),
        ("json", Some(Look::Json)),
        ("ndjson", Some(Look::Json)),
        ("changelog", Some(Look::Changelog)),
    ];
    let look = options.choice("format", LOOKS, None)?;
    let mode = take_mode(&mut options)?;
    options.finish()?;
    Ok((look, mode))
}

/// It runs on one worker, so that lines do not mix. Without a mode, a changelog format wants a changelog.
pub(crate) fn layout(options: Options) -> Result<SinkLayout> {
    let (look, mode) = parse(options)?;
    Ok(SinkLayout { mode: mode.or((look == Some(Look::Changelog)).then_some(SinkMode::Changelog)), single: true })
}

/// The sink of one worker; only worker 0's gets rows.
pub(crate) fn sink(request: SinkRequest) -> Result<Box<dyn Sink>> {
    let (look, _) = parse(request.options)?;
    let look = look.unwrap_or(if request.mode == SinkMode::Changelog { Look::Changelog } else { Look::Table });
    let out = (request.worker == 0).then(|| BufWriter::with_capacity(64 * 1024, io::stdout()));
    Printer::<BufWriter<Stdout>>::new(look, request.mode, &request.schema, out).map(|p| Box::new(p) as Box<dyn Sink>)
}

/// Rows printed to `W`; `None` on the workers that have nothing to print.
struct Printer<W> {
    out: Option<W>,
    changes: bool,
    schema: SchemaRef,
    body: Body,
    /// Changes of the open epoch, whose number is known when it is committed.
    pending: Vec<DeltaBatch>,
}

enum Body {
    /// Aligned columns; rows are held until enough are there to align by, or all.
    Table(Table),
    /// One object a line.
    Json(JsonEncoder),
    /// `+` or `-` and the values.
    Changelog { heading: bool },
}

impl<W: Write + Send> Printer<W> {
    fn new(look: Look, mode: SinkMode, schema: &SchemaRef, out: Option<W>) -> Result<Self> {
        let changes = mode == SinkMode::Changelog && look != Look::Changelog;
        let schema = if changes { changelog_schema(schema)? } else { schema.clone() };
        let body = match look {
            Look::Table => Body::Table(Table::new(&schema, mode == SinkMode::Final)),
            Look::Json => Body::Json(JsonEncoder::new(&schema)),
            Look::Changelog => Body::Changelog { heading: false },
        };
        Ok(Self { out, changes, schema, body, pending: Vec::new() })
    }

    fn print(&mut self, delta: &DeltaBatch) -> Result<()> {
        let mut text = Vec::new();
        match &mut self.body {
            Body::Table(table) => table.add(&standing(delta)?, &mut text)?,
            Body::Json(encoder) => encoder.encode(&standing(delta)?, &mut text)?,
            Body::Changelog { heading } => {
                if !*heading {
                    *heading = true;
                    let names: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
                    text.extend_from_slice(format!("  {}\n", names.join(" | ")).as_bytes());
                }
                write_changes(delta, &mut text)?;
            }
        }
        self.put(&text)
    }

    fn put(&mut self, text: &[u8]) -> Result<()> {
        let Some(out) = &mut self.out else {
            return Err(Error::Internal("rows for standard output reached another worker".to_owned()));
        };
        out.write_all(text).map_err(|e| Error::io("standard output", e))
    }

    fn flush(&mut self) -> Result<()> {
        self.out.as_mut().map_or(Ok(()), |out| out.flush().map_err(|e| Error::io("standard output", e)))
    }
}

impl<W: Write + Send> Sink for Printer<W> {
    fn write(&mut self, delta: &DeltaBatch) -> Result<()> {
        if delta.is_empty() {
            return Ok(());
        }
        if self.changes {
            self.pending.push(delta.clone());
            return Ok(());
        }
        self.print(delta)
    }

    fn commit(&mut self, header: &EpochHeader) -> Result<()> {
        for delta in std::mem::take(&mut self.pending) {
            let rows = changelog_rows(&delta, header.epoch, &self.schema)?;
            self.print(&DeltaBatch::insert(rows))?;
        }
        if let Body::Table(table) = &mut self.body {
            let mut text = Vec::new();
            table.tick(header.wall_clock, &mut text)?;
            if !text.is_empty() {
                self.put(&text)?;
            }
        }
        self.flush()
    }

    fn finish(&mut self) -> Result<()> {
        if let (Body::Table(table), true) = (&mut self.body, self.out.is_some()) {
            let mut text = Vec::new();
            table.finish(&mut text)?;
            self.put(&text)?;
        }
        self.flush()
    }
}

/// A line per row: the sign, how often when more than once, the values.
fn write_changes(delta: &DeltaBatch, text: &mut Vec<u8>) -> Result<()> {
    let cells: Vec<Cells> = delta.rows.columns().iter().map(Cells::new).collect::<Result<_>>()?;
    for row in 0..delta.num_rows() {
        let weight = delta.weight(row);
        text.push(if weight < 0 { b'-' } else { b'+' });
        text.push(b' ');
        for (i, cells) in cells.iter().enumerate() {
            if i > 0 {
                text.extend_from_slice(b" | ");
            }
            if cells.is_null(row) {
                text.extend_from_slice(b"NULL");
            } else {
                table::write_cell(cells, row, text);
            }
        }
        if weight.unsigned_abs() != 1 {
            text.extend_from_slice(format!("  (x{})", weight.unsigned_abs()).as_bytes());
        }
        text.push(b'\n');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use thalweg_core::Epoch;

    use super::*;

    fn delta(weights: Option<Vec<i64>>) -> DeltaBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("one"), Some("t\nwo")]));
        let rows = RecordBatch::try_from_iter([("id", ids), ("name", names)]).expect("two columns");
        DeltaBatch::new(rows, weights.map(Into::into))
    }

    fn print(look: Look, mode: SinkMode, weights: Option<Vec<i64>>) -> String {
        let delta = delta(weights);
        let mut bytes = Vec::new();
        let mut printer = Printer::new(look, mode, &delta.schema(), Some(&mut bytes)).expect("printable");
        let header = EpochHeader { epoch: Epoch(7), wall_clock: 0, sources: Vec::new(), checkpoint: false };
        printer.write(&delta).expect("written");
        printer.commit(&header).expect("committed");
        printer.finish().expect("finished");
        drop(printer);
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn a_table_is_aligned() {
        let expected = " id | name  \n----+-------\n  1 | one\n    | t\\nwo\n(2 rows)\n";
        assert_eq!(print(Look::Table, SinkMode::Final, None), expected);
        assert_eq!(print(Look::Table, SinkMode::Append, None), expected);
    }

    #[test]
    fn json_lines_and_changes() {
        assert_eq!(
            print(Look::Json, SinkMode::Append, None),
            "{\"id\":1,\"name\":\"one\"}\n{\"id\":null,\"name\":\"t\\nwo\"}\n"
        );
        assert_eq!(
            print(Look::Json, SinkMode::Changelog, Some(vec![1, -1])),
            "{\"id\":1,\"name\":\"one\",\"weight\":1,\"epoch\":7}\n{\"id\":null,\"name\":\"t\\nwo\",\"weight\":-1,\"epoch\":7}\n"
        );
        assert_eq!(
            print(Look::Changelog, SinkMode::Changelog, Some(vec![2, -1])),
            "  id | name\n+ 1 | one  (x2)\n- NULL | t\\nwo\n"
        );
    }

    #[test]
    fn a_changelog_format_asks_for_changes() {
        let options = Options::new([("format".to_owned(), "changelog".to_owned())]);
        assert_eq!(layout(options).expect("valid"), SinkLayout { mode: Some(SinkMode::Changelog), single: true });
    }
}
